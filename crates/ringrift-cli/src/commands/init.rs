//! `ringrift init`: makes a home.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use ringrift_events::config::{HOME_VARIABLE, Home};
use serde::Serialize;

use crate::call::Call;
use crate::failure::Done;
use crate::open::{self, Access};
use crate::output::{Report, Text};

/// The arguments of `init`.
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  ringrift init\n  ringrift init /srv/ringrift --group trainers\n\nRepeating it changes nothing. With --group every member of the group may use the home: its\nfolders are writable by the group and hand the group on (2770)."
)]
pub(crate) struct Args {
    /// The folder; else --home, else $RINGRIFT_HOME, else the current folder.
    #[arg(value_name = "FOLDER")]
    folder: Option<PathBuf>,

    /// Where the home's database was lost, begin with an empty one. A database that is there stays.
    #[arg(long)]
    anew: bool,

    /// Share it with this group (a name or a number).
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
}

#[derive(Serialize)]
struct Made {
    home: String,
    database: String,
    log: String,
    config: String,
    new: bool,
    shared: bool,
}

/// Makes it.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    let root = args
        .folder
        .clone()
        .or_else(|| call.global.home.clone())
        .or_else(|| std::env::var_os(HOME_VARIABLE).map(PathBuf::from))
        .filter(|root| !root.as_os_str().is_empty())
        .unwrap_or_else(|| PathBuf::from("."));
    // A file that is there may be refused: then nothing is made.
    open::config_of(call, Home::at(&root))?;
    let created = match &args.group {
        Some(group) => Home::create_shared(&root, group)?,
        None => Home::create(&root)?,
    };
    // The store is opened once, so that its file is there with the right mode and version.
    let named = call.with_home(created.home.root());
    let access = if args.anew {
        Access::Anew
    } else {
        Access::Write
    };
    let store = open::of_home(&named, access)?;
    store.close();
    call.at_home(created.home.root());
    call.answer(
        "init",
        &Made {
            home: created.home.root().display().to_string(),
            database: created.home.database().display().to_string(),
            log: created.home.log_file().display().to_string(),
            config: created.home.config_file().display().to_string(),
            new: created.new,
            shared: created.home.is_shared(),
        },
    )
}

impl Report for Made {
    fn write(&self, text: &mut Text) {
        text.line(if self.new {
            format!("made a home: {}", self.home)
        } else {
            format!("this home was made already: {}", self.home)
        });
        text.fields(&[
            ("database", self.database.clone()),
            ("log", self.log.clone()),
            ("config", self.config.clone()),
            (
                "shared",
                if self.shared {
                    "with its group".to_owned()
                } else {
                    String::new()
                },
            ),
        ]);
    }
}
