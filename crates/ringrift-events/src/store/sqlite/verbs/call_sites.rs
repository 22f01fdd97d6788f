//! The lines of programs that publish: each text is kept once, each event has its number.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::event::ProcessId;
use crate::store::Error;
use crate::store::log::CallSite;
use crate::store::sqlite::verb::Tx;

/// Call sites remembered by the writer; beyond it all are looked up anew.
const KNOWN_MAX: usize = 4_096;

/// After so many uses a text is written again: its row may have been rolled back with the first
/// event that used it, or gone with a restore.
const SURE_FOR: u32 = 256;

thread_local! {
    /// How often each was used since its text was written, by handle: tests have many on a thread.
    static KNOWN: RefCell<HashMap<(ProcessId, i64), u32>> = RefCell::default();
}

/// The number of a call site, whose text stands once this transaction is committed.
pub(super) fn keep(tx: &Tx<'_>, site: &CallSite) -> Result<i64, Error> {
    let id = site.digest();
    let is_known = KNOWN.with_borrow_mut(|known| {
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        let uses = known.entry((tx.process, id)).or_insert(SURE_FOR);
        *uses = (*uses + 1) % SURE_FOR;
        *uses != 1
    });
    if !is_known {
        tx.conn
            .prepare_cached("INSERT OR IGNORE INTO call_sites (id, site) VALUES (?1, ?2)")?
            .execute(rusqlite::params![id, site.to_string()])?;
    }
    Ok(id)
}
