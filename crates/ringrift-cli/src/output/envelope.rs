//! The JSON envelope of every command that is no stream.

use serde::Serialize;

use crate::failure::Failure;

#[derive(Serialize)]
struct Success<'a, T> {
    ok: bool,
    command: &'a str,
    home: Option<String>,
    data: &'a T,
    warnings: &'a [String],
}

#[derive(Serialize)]
struct Failed<'a> {
    ok: bool,
    error: &'a Failure,
}

/// `{"ok":true,"command":…,"home":…,"data":…,"warnings":[…]}` on one line.
pub(crate) fn success_json<T: Serialize>(
    command: &str,
    home: Option<String>,
    data: &T,
    warnings: &[String],
) -> Result<String, serde_json::Error> {
    serde_json::to_string(&Success {
        ok: true,
        command,
        home,
        data,
        warnings,
    })
}

/// `{"ok":false,"error":{"code","message","value","next"}}` on one line.
pub(crate) fn failure_json(failure: &Failure) -> String {
    serde_json::to_string(&Failed {
        ok: false,
        error: failure,
    })
    .unwrap_or_else(|_| r#"{"ok":false,"error":{"code":"BUG","message":"the error itself could not be written","value":null,"next":null}}"#.to_owned())
}
