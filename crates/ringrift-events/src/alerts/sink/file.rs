//! A sink that is a file: one JSON line a message, each once.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::{Letter, NotSent};

/// Bytes at the end of the file in which a line of an earlier try is looked for.
const TAIL_BYTES: u64 = 256 << 10;

/// Appends the letter unless it stands there: the sender may have died before it noted that.
pub(super) fn append(path: &Path, letter: &Letter) -> Result<(), NotSent> {
    let failed = |what: &str, error: std::io::Error| {
        NotSent::now(format!("{what} {}: {error}", path.display()))
    };
    let mut options = OpenOptions::new();
    let mut file = options
        .read(true)
        .append(true)
        .create(true)
        .open(path)
        .map_err(|error| failed("cannot open", error))?;
    let tail = tail(&mut file).map_err(|error| failed("cannot read", error))?;
    if tail.contains(&letter.id) {
        return Ok(());
    }
    // A writer that died in the middle of a line must not take this one with it.
    let torn = !tail.is_empty() && !tail.ends_with('\n');
    let line = format!("{}{}\n", if torn { "\n" } else { "" }, letter.body);
    file.write_all(line.as_bytes())
        .and_then(|()| file.sync_data())
        .map_err(|error| failed("cannot write", error))
}

fn tail(file: &mut File) -> std::io::Result<String> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
