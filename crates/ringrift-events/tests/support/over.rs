//! What runs beside a test until it is over.

use std::sync::atomic::{AtomicBool, Ordering};

/// Says when it is dropped that it is over, however the test ends: a scope waits for its threads, so
/// that a test that fails would hang where nobody tells them.
pub(crate) struct Over<'a>(pub(crate) &'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
