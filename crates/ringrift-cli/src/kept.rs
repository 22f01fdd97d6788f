//! Copies of the database as it was before a verb that changes much: beside it, named by the verb
//! and the time, so that whoever regrets finds them.

use std::path::{Path, PathBuf};

use ringrift_events::store::Store;
use ringrift_events::store::sqlite::database_of;

use crate::call::Call;
use crate::failure::Stop;
use crate::open;
use crate::output::patiently;

/// A name for the database as it was before `verb`; never an existing file's.
pub(crate) fn name(call: &Call, database: &Path, verb: &str) -> PathBuf {
    let stamp = call.now().to_sql().replace([' ', ':', '.'], "-");
    database.with_file_name(format!("coordination.db.before-{verb}-{stamp}"))
}

/// Keeps a copy of the database as it is now, and answers where. What cannot be kept is an error:
/// whoever asked for a copy first must not go on without it.
pub(crate) fn keep(call: &Call, store: &dyn Store, verb: &str) -> Result<PathBuf, Stop> {
    let file = name(call, &database_of(open::home(call)?.root()), verb);
    let copied = patiently("keeping a copy of the database", || {
        store.backup(file.clone()).wait()
    });
    match copied.map_err(Stop::from) {
        Ok(()) => Ok(file),
        Err(Stop::Failed(mut failure)) => {
            failure.message = format!(
                "nothing was changed, for no copy could be kept as {}: {}",
                file.display(),
                failure.message
            );
            Err(Stop::Failed(failure))
        }
        Err(gone) => Err(gone),
    }
}
