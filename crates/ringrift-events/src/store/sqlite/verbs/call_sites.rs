//! The lines of programs that publish: each text is kept once, each event has its number.

use std::cell::RefCell;

use foldhash::HashMap;
use rusqlite::OptionalExtension as _;

use crate::event::ProcessId;
use crate::store::Error;
use crate::store::log::CallSite;
use crate::store::sqlite::verb::Tx;

/// Call sites remembered by the writer; beyond it all are looked up anew.
const KNOWN_MAX: usize = 4_096;

/// Numbers are given below it: the smaller, the shorter each row. Older versions gave digests of
/// the text, which are larger and stay what they are.
const GIVEN_BELOW: i64 = 1 << 31;

thread_local! {
    /// The numbers of texts that are committed, by handle: tests have many on a thread.
    static KNOWN: RefCell<HashMap<ProcessId, HashMap<CallSite, i64>>> = RefCell::default();
}

/// The number of a call site, whose text stands once this transaction is committed.
pub(super) fn keep(tx: &Tx<'_>, site: &CallSite) -> Result<i64, Error> {
    let known = KNOWN.with_borrow(|known| known.get(&tx.process)?.get(site).copied());
    if let Some(id) = known {
        return Ok(id);
    }
    let text = site.to_string();
    let kept: Option<i64> = tx
        .conn
        .prepare_cached("SELECT id FROM call_sites WHERE site = ?1")?
        .query_row([&text], |row| row.get(0))
        .optional()?;
    let Some(id) = kept else {
        tx.names_call_sites.set(true);
        let sql = "INSERT INTO call_sites (id, site) \
                   SELECT COALESCE(MAX(id), 0) + 1, ?1 FROM call_sites WHERE id < ?2 \
                   RETURNING id";
        let mut insert = tx.conn.prepare_cached(sql)?;
        return Ok(insert.query_row(rusqlite::params![text, GIVEN_BELOW], |row| row.get(0))?);
    };
    // A text of this transaction may be rolled back yet, and its number be given to another.
    if !tx.names_call_sites.get() {
        KNOWN.with_borrow_mut(|known| {
            let known = known.entry(tx.process).or_default();
            if known.len() >= KNOWN_MAX {
                known.clear();
            }
            known.insert(site.clone(), id);
        });
    }
    Ok(id)
}
