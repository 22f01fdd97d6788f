//! What comes in: arguments that may name a file, and standard input.

use std::io::Read;

use crate::failure::{Error, Stop};

/// Most bytes read of a payload: a little more than the largest one, so that the check can say by
/// how much it is too large.
const PAYLOAD_READ_MAX: u64 = 4 << 20;

/// An argument as it is, `@FILE`, or `-` for standard input; at most 4 MiB.
pub(crate) fn argument(text: &str) -> Result<Vec<u8>, Stop> {
    let mut bytes = Vec::new();
    if text == "-" {
        std::io::stdin()
            .lock()
            .take(PAYLOAD_READ_MAX)
            .read_to_end(&mut bytes)
            .map_err(|source| Error::Io {
                what: "cannot read standard input".to_owned(),
                source,
            })?;
    } else if let Some(path) = text.strip_prefix('@') {
        std::fs::File::open(path)
            .and_then(|file| file.take(PAYLOAD_READ_MAX).read_to_end(&mut bytes))
            .map_err(|source| unreadable(path, source))?;
    } else {
        bytes.extend_from_slice(text.as_bytes());
    }
    Ok(bytes)
}

/// A file that is not there is a wrong argument; everything else is the system's.
fn unreadable(path: &str, source: std::io::Error) -> Error {
    if source.kind() == std::io::ErrorKind::NotFound {
        return Error::NotFound {
            kind: "file",
            value: path.to_owned(),
            hint: String::new(),
            next: "ls -l",
        };
    }
    Error::Io {
        what: format!("cannot read {path}"),
        source,
    }
}
