//! Events with a story: what an operator asks after is seldom an event that nobody touched.

use std::time::Duration;

use ringrift_events::clock::Time;
use ringrift_events::event::{EventType, Seq};
use ringrift_events::store::deliveries::{Settle, Settlement, Want};
use ringrift_events::store::log::TypeSet;
use ringrift_events::store::sqlite::SqliteStore;
use ringrift_events::store::subscriptions::{Definition, Kind, Start};
use ringrift_events::store::{Deliveries as _, Subscriptions as _};
use ringrift_events::verdict::{Failure, FailureKind, Outcome, RetryWish};

use crate::Outcome as Ended;
use crate::fixture::Copy;

/// Failures of the event that failed most: as many facts as an incident leaves of one event.
const FAILURES: usize = 300;

/// The events, each with what became of it.
pub(crate) const STORIES: [&str; 3] = ["taken", "a dead letter", "failed 300 times"];

/// Takes three events of a copy by a subscription of its own: one succeeds, one is dead, one fails
/// again and again. Answers their places, in the order of [`STORIES`].
pub(crate) fn tell(copy: &Copy) -> Ended<[Seq; 3]> {
    let store = copy.open()?;
    let definition = Definition {
        name: "storied".to_owned(),
        kind: Kind::Durable,
        types: TypeSet::only([EventType::from_canonical("type_3")]),
        filter: None,
        start: Start::Beginning,
        dedup: Vec::new(),
        ordered_by_key: false,
    };
    let id = store.subscribe(definition, false).wait()?.id;
    let want = Want {
        subscription: id,
        max: 3,
        likely: false,
        grows: None,
    };
    let claim = store.claim(want).wait()?.ok_or("nothing to claim")?;
    let places: Vec<Seq> = claim.events.iter().filter_map(|event| event.seq).collect();
    let [taken, dead, failing] = places[..] else {
        return Err("three events are needed".into());
    };
    let settle = Settle {
        token: claim.token,
        settled_to: failing,
        results: vec![failed(dead, None), failed(failing, Some(Time(0)))],
        done: 1,
    };
    store.settle(settle).wait()?;
    fail_again(&store, id, failing)?;
    store.close();
    Ok([taken, dead, failing])
}

fn fail_again(
    store: &SqliteStore,
    id: ringrift_events::store::subscriptions::SubscriptionId,
    place: Seq,
) -> Ended<()> {
    for _ in 1..FAILURES {
        let due = store.claim_due(vec![id], 1).wait()?;
        let again = due.first().ok_or("it is not due again")?;
        let result = failed(place, Some(Time(0)));
        store.settle_due(again.id, again.fence, result).wait()?;
    }
    Ok(())
}

fn failed(seq: Seq, retry_at: Option<Time>) -> Settlement {
    let took = Duration::from_millis(40);
    Settlement {
        seq,
        outcome: Outcome::Failed(Failure {
            kind: FailureKind::Error,
            message: "no GPU".to_owned(),
            took,
            step: Some("disk:load model".to_owned()),
            wish: RetryWish::Policy,
            circumstances: None,
        }),
        took,
        retry_at,
        held: false,
        dedup_key: None,
    }
}
