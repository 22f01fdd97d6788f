//! How many letters the public queue shows.

use crate::store::Error;
use crate::store::sqlite::verb::{Plain, Question, Tx};
use crate::store::sqlite::verbs::positions::natural;

/// See [`crate::store::Letters::count_letters`].
pub(crate) struct CountLetters;

impl Plain for CountLetters {}

impl Question for CountLetters {
    type Answer = u64;

    fn run(self, tx: &Tx<'_>) -> Result<u64, Error> {
        let sql = "SELECT COUNT(*) FROM dead_letter_queue";
        Ok(tx.conn.prepare_cached(sql)?.query_row([], natural)?)
    }
}
