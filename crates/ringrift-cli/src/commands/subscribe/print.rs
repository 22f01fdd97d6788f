//! `subscribe` without `--exec`: an event is done when its line is flushed.

use std::sync::Arc;

use ringrift_events::handler::{Context, Function, NotDone, Reply};
use tokio::io::AsyncWriteExt;
use tokio::sync::Mutex;

use super::Ending;
use super::row::Line;
use crate::call::Call;
use crate::commands::events::row::EventRow;

/// Lines go out one at a time, whole.
type Out = Arc<Mutex<tokio::io::Stdout>>;

/// The function that prints: JSON with `--json`, else a line for people.
pub(super) fn function(call: &Call, ending: Ending) -> Function {
    let out: Out = Arc::new(Mutex::new(tokio::io::stdout()));
    let (json, zone, style) = (call.global.json, call.zone(), call.style());
    Function::asynchronous(move |context: Context| {
        let (out, ending) = (Arc::clone(&out), ending.clone());
        let line = if json {
            serde_json::to_string(&Line::of(&zone, &context))
        } else {
            Ok(EventRow::shown_in(&zone, context.event()).line(style))
        };
        async move { print(out, line?, ending).await }
    })
}

/// Not done until the operating system has the line. When nobody reads any more the event is kept
/// unanswered, so that the shutdown which follows hands it back unharmed.
async fn print(out: Out, mut line: String, ending: Ending) -> Reply {
    line.push('\n');
    let written = {
        let mut out = out.lock().await;
        match out.write_all(line.as_bytes()).await {
            Ok(()) => out.flush().await,
            Err(error) => Err(error),
        }
    };
    match written {
        Ok(()) => {
            ending.one_done();
            Ok(())
        }
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            ending.reader_gone();
            std::future::pending().await
        }
        Err(error) => Err(NotDone::failed(error)),
    }
}
