//! Children that end by themselves.

use std::sync::mpsc::sync_channel;
use std::time::Duration;

/// Longest that a child of a test lives.
const LIFE_MAX: Duration = Duration::from_secs(120);

/// Ends this process if it still lives then: who reads what it says until its end would hang with it.
pub(crate) fn bound_this_process() {
    std::thread::spawn(|| {
        let (_never, wait) = sync_channel::<()>(0);
        assert!(wait.recv_timeout(LIFE_MAX).is_err());
        eprintln!("a child of a test did not end within {LIFE_MAX:?}");
        std::process::abort();
    });
}
