//! `ringrift db backup`.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use serde::Serialize;

use crate::call::Call;
use crate::failure::{Done, Error};
use crate::open;
use crate::output::{Report, Text, bytes_text, patiently};

/// The arguments of `db backup`.
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  ringrift db backup /backup/coordination-$(date +%F).db\n\nUnlike `cp` of a live database, the copy holds every event that was committed before it began."
)]
pub(crate) struct Args {
    /// The file to write; it must not exist.
    #[arg(value_name = "FILE")]
    to: PathBuf,
}

#[derive(Serialize)]
struct Written {
    file: String,
    bytes: u64,
}

/// Writes it.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    let to = std::path::absolute(&args.to).map_err(|source| Error::Io {
        what: format!("cannot tell where {} lies", args.to.display()),
        source,
    })?;
    if to.exists() {
        return Err(Error::Input {
            what: to.display().to_string(),
            why: "it exists, and a backup never overwrites anything".to_owned(),
            next: "ringrift db backup ANOTHER_FILE",
        }
        .into());
    }
    if !to.parent().is_some_and(std::path::Path::is_dir) {
        return Err(Error::Input {
            what: to.display().to_string(),
            why: "its folder does not exist".to_owned(),
            next: "ringrift db backup ANOTHER_FILE",
        }
        .into());
    }
    let store = open::reading(call)?;
    patiently("copying the database", || store.backup(to.clone()).wait())?;
    let bytes = std::fs::metadata(&to).map_or(0, |file| file.len());
    call.answer(
        "db backup",
        &Written {
            file: to.display().to_string(),
            bytes,
        },
    )
}

impl Report for Written {
    fn write(&self, text: &mut Text) {
        text.line(format!("{} ({})", self.file, bytes_text(self.bytes)));
    }
}
