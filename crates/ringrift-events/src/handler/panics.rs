//! A handler's panic becomes a value with its place; everybody else's goes the usual way.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::Once;

use super::reply::bounded;

thread_local! {
    /// How many guards lie around what this thread runs.
    static GUARDS: Cell<u32> = const { Cell::new(0) };
    /// What the hook saw last inside a guard.
    static SEEN: RefCell<Option<String>> = const { RefCell::new(None) };
    /// Whether it saw anything: nearly never, and this is cheaper to ask.
    static HAS_SEEN: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f`; a panic is answered as its message with file and line (and the backtrace, if
/// `RUST_BACKTRACE` asks for one).
///
/// What `f` shares with others may be left half-changed, as after any panic: callers own nothing
/// that outlives the failed run.
pub(super) fn guarded<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    install();
    // What a panic left that the function caught itself.
    if HAS_SEEN.replace(false) {
        SEEN.set(None);
    }
    GUARDS.set(GUARDS.get() + 1);
    let result = catch_unwind(AssertUnwindSafe(f));
    GUARDS.set(GUARDS.get() - 1);
    result.map_err(|thrown| {
        let seen = SEEN.take();
        let message = seen.unwrap_or_else(|| message_of(thrown.as_ref()).to_owned());
        // What was thrown may itself panic when it is dropped.
        if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(thrown))) {
            std::mem::forget(again);
        }
        bounded(message)
    })
}

/// Sees panics inside guards; all others go to the hook that was there.
fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            // A thread that ends may have lost its cells already.
            if GUARDS.try_with(Cell::get).unwrap_or(0) == 0 {
                previous(info);
            } else {
                SEEN.with_borrow_mut(|seen| *seen = Some(described(info)));
                HAS_SEEN.set(true);
            }
        }));
    });
}

fn described(info: &PanicHookInfo<'_>) -> String {
    let mut text = message_of(info.payload()).to_owned();
    if let Some(place) = info.location() {
        text.push_str(&format!(", at {}:{}", place.file(), place.line()));
    }
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        text.push_str(&format!("\n{backtrace}"));
    }
    text
}

fn message_of(thrown: &(dyn Any + Send)) -> &str {
    if let Some(text) = thrown.downcast_ref::<&str>() {
        text
    } else if let Some(text) = thrown.downcast_ref::<String>() {
        text
    } else {
        "panicked with a value that is no text"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_answered_with_its_message_file_and_line() {
        let line = line!() + 1;
        let message = guarded(|| panic!("no model for {}", "hex8")).unwrap_err();
        let first = message.lines().next().unwrap();
        assert!(first.starts_with("no model for hex8, at "), "{first}");
        assert!(first.ends_with(&format!("panics.rs:{line}")), "{first}");
    }

    #[test]
    fn a_thrown_value_that_panics_when_dropped_harms_nobody() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("boom");
            }
        }
        assert!(guarded(|| std::panic::panic_any(Bomb)).is_err());
        assert_eq!(guarded(|| 7), Ok(7));
    }
}
