use std::sync::{Arc, Mutex};

use super::*;
use crate::handler::dedup::RanBefore;
use crate::handler::testing::{Stage, Told, event, until};
use crate::handler::{Context, Dedup, Function, NotDone, Policy};
use crate::verdict::{Code, Failure, Outcome};

/// Stands for another language's loop: it keeps the answers that it has yet to give.
#[derive(Default)]
struct Elsewhere {
    end: Mutex<Option<oneshot::Receiver<Reply>>>,
    answers: Mutex<Vec<oneshot::Sender<Reply>>>,
}

impl Elsewhere {
    fn begin(self: &Arc<Elsewhere>, context: &Context) {
        let (answer, end) = oneshot::channel();
        *self.end.lock().unwrap() = Some(end);
        self.answers.lock().unwrap().push(answer);
        context.run_by(Arc::clone(self) as Arc<dyn Foreign>);
    }

    fn answer(&self, reply: Reply) {
        let answer = self.answers.lock().unwrap().remove(0);
        answer.send(reply).unwrap();
    }
}

impl Foreign for Elsewhere {
    fn look(&self) -> Looking {
        Box::pin(async { Some("stuck at evaluate.py:41".to_owned()) })
    }

    fn end(&self) -> Option<oneshot::Receiver<Reply>> {
        self.end.lock().unwrap().take()
    }
}

fn endless(elsewhere: &Arc<Elsewhere>) -> Function {
    let elsewhere = Arc::clone(elsewhere);
    Function::asynchronous(move |context| {
        elsewhere.begin(&context);
        std::future::pending()
    })
}

fn limited() -> Policy {
    Policy {
        time_limit: Duration::from_millis(50),
        ..Policy::default()
    }
}

fn failure(ran: &Ran) -> &Failure {
    let Outcome::Failed(failure) = &ran.outcome else {
        panic!("expected a failure, got {:?}", ran.outcome);
    };
    failure
}

#[test]
fn what_goes_on_after_it_was_cancelled_keeps_its_slot_until_it_ends() {
    let stage = Stage::new();
    let elsewhere = Arc::default();
    let handler = stage.handler(endless(&elsewhere), limited());
    let ran = stage.run(&handler, &event(5, "x", "{}"));
    let message = &failure(&ran).message;
    assert!(
        message.contains("did not end when it was cancelled"),
        "{message}"
    );
    assert_eq!((handler.free_slots(), handler.stats().abandoned), (0, 1));
    assert!(handler.is_stuck());
    assert!(stage.notes.told().contains(&Told::Abandoned));

    elsewhere.answer(Ok(()));
    let late = stage.block_on(ran.late.unwrap()).unwrap();
    assert_eq!(late.outcome, Outcome::Done);
    assert_eq!((handler.free_slots(), handler.stats().abandoned), (1, 0));
    assert_eq!(handler.stats().late_success_count, 1);
    let ended = Told::Ended(Code::StRecovered);
    until("its end", || stage.notes.told().contains(&ended));
}

#[test]
fn what_ends_when_it_is_cancelled_has_timed_out_and_says_where_it_was() {
    let stage = Stage::new();
    let elsewhere = Arc::<Elsewhere>::default();
    let answers = Arc::clone(&elsewhere);
    let function = Function::asynchronous(move |context| {
        answers.begin(&context);
        // Like a task that its cancellation ends at once.
        let cancelled = Cancelled(Arc::clone(&answers));
        async move {
            let _cancelled = cancelled;
            std::future::pending().await
        }
    });
    let handler = stage.handler(function, limited());
    let ran = stage.run(&handler, &event(5, "x", "{}"));
    let message = &failure(&ran).message;
    assert!(message.contains("it was cancelled"), "{message}");
    assert!(message.contains("in Python `timeout=`"), "{message}");
    assert!(message.ends_with("\nstuck at evaluate.py:41"), "{message}");
    assert!(ran.late.is_none());
    assert_eq!((handler.free_slots(), handler.stats().abandoned), (1, 0));
}

struct Cancelled(Arc<Elsewhere>);

impl Drop for Cancelled {
    fn drop(&mut self) {
        self.0.answer(Err(NotDone::failed("cancelled")));
    }
}

#[test]
fn what_could_not_be_called_counts_as_nothing() {
    let stage = Stage::new();
    let function = Function::asynchronous(|_| async { Err(NotDone::NotBegun) });
    let handler = stage.handler(function, Policy::default());
    let ran = stage.run(&handler, &event(5, "x", "{}"));
    assert!(ran.not_begun);
    let stats = handler.stats();
    assert_eq!(
        (stats.events_processed, stats.errors_count, stats.running),
        (0, 0, 0)
    );
    assert_eq!(handler.free_slots(), 1);
}

#[test]
fn a_function_tells_what_its_own_dedup_found() {
    let stage = Stage::new();
    let before = RanBefore {
        original: event(4, "x", "{}").id,
        ended_at: crate::clock::Time(9),
    };
    let function = Function::asynchronous(move |context| async move {
        context.dedups_by(Dedup::by(["model"]));
        context.lacks_field("config");
        context.ran_before(before);
        Ok(())
    });
    let handler = stage.handler(function, Policy::default());
    assert_eq!(handler.dedup(), None);
    let ran = stage.run(&handler, &event(5, "x", "{}"));
    assert_eq!(ran.ran_before, Some(before));
    assert_eq!(ran.missing_field.unwrap().field, "config");
    assert_eq!(handler.dedup(), Some(Dedup::by(["model"])));
    assert!(handler.has_new_dedup() && !handler.has_new_dedup());
}

#[test]
fn what_its_host_measures_is_what_a_run_has_used() {
    let stage = Stage::new();
    let function = Function::asynchronous(|context| async move {
        let (busy, cpu) = (Duration::from_millis(40), Duration::from_millis(30));
        context.used(7, busy, cpu);
        tokio::task::yield_now().await;
        Err(NotDone::failed("measured"))
    });
    let handler = stage.handler(function, Policy::default());
    let ran = stage.run(&handler, &event(5, "x", "{}"));
    let found = failure(&ran).circumstances.clone().unwrap();
    assert_eq!(
        (
            found.effort.polls,
            found.effort.busy_us,
            found.effort.cpu_us
        ),
        (7, 40_000, Some(30_000))
    );
}
