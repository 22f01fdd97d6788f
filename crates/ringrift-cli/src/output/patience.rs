//! What a terminal shows while something takes longer than a second.

use std::io::IsTerminal as _;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Nothing is shown for what is done sooner.
const AFTER: Duration = Duration::from_secs(1);

/// How often the picture changes.
const TICK: Duration = Duration::from_millis(200);

/// Does `work`; after a second a terminal on standard error shows `what` and for how long.
pub(crate) fn patiently<T>(what: &str, work: impl FnOnce() -> T) -> T {
    if !std::io::stderr().is_terminal() {
        return work();
    }
    std::thread::scope(|scope| {
        // Dropped when the work is done, however it ends.
        let (done, is_done) = sync_channel::<()>(0);
        scope.spawn(move || {
            if is_done.recv_timeout(AFTER) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})");
            let bar = ProgressBar::new_spinner().with_elapsed(AFTER);
            if let Ok(style) = style {
                bar.set_style(style);
            }
            bar.set_message(what.to_owned());
            bar.enable_steady_tick(TICK);
            is_done.recv().ok();
            bar.finish_and_clear();
        });
        let result = work();
        drop(done);
        result
    })
}
