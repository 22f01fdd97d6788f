//! Asking the store again: a full disk or a foreign lock ends at some time, and what an answer
//! settles is held by this process until then. Nobody takes it over while it lives.

use std::time::Duration;

use super::Shared;
use crate::clock;
use crate::store::{Error, ErrorCode, Pending};

/// When the store did not take an answer, it is asked again after this.
pub(super) const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Whether the same answer may be taken later by the same store.
pub(super) fn may_pass(code: ErrorCode) -> bool {
    !matches!(
        code,
        ErrorCode::LeaseLost
            | ErrorCode::Closed
            | ErrorCode::Forked
            | ErrorCode::Replaced
            | ErrorCode::NotFound
            | ErrorCode::WrongState
    )
}

impl Shared {
    /// Asks until the store takes it, never will, or this process stops; then whoever takes over
    /// does it again. `attempt` names it in the log.
    pub(super) async fn until_taken<T: Clone + Send + 'static>(
        &self,
        attempt: &str,
        ask: impl Fn() -> Pending<T>,
    ) -> Result<T, Error> {
        loop {
            let answer = ask().await;
            let Err(error) = &answer else { return answer };
            self.log.store_failed(attempt, error);
            if !may_pass(error.code) || self.is_stopping() {
                return answer;
            }
            clock::pause(&*self.clock, ASK_AGAIN_AFTER).await;
        }
    }
}
