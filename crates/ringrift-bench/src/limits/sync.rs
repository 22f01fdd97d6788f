//! Appending to one file and syncing it: what the disk takes of processes that wait for each event.

use std::fs::OpenOptions;
use std::io::Write as _;

use anyhow::Result;

use crate::event::payload;
use crate::orders::{Orders, ready};
use crate::outcome::{Outcome, now, since};

/// What stands around a payload in a log: its id, its time, its length.
const AROUND: usize = 50;

/// Appends and syncs for its time, beside the others who do so to the same file.
pub(crate) fn run(orders: &Orders) -> Result<Outcome> {
    std::fs::create_dir_all(&orders.home)?;
    let path = orders.home.join("limit.log");
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    ready()?;
    let (began, mut took) = (now(), Vec::new());
    while since(began) < orders.lasts {
        let asked = now();
        let mut line = payload().into_bytes();
        line.extend_from_slice(&[b' '; AROUND]);
        file.write_all(&line)?;
        file.sync_data()?;
        took.push(since(asked));
    }
    Ok(Outcome::new(took.len(), since(began)).latencies(took))
}
