//! A handler's panic is an outcome, and nobody else's panic is touched by that.

#![cfg(test)]

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use ringrift_events::clock::{SystemClock, Time};
use ringrift_events::event::{Event, EventId, EventType, Payload, ProcessId, TraceId};
use ringrift_events::handler::{Admission, Delivery, Function, Handler, Host, Policy};
use ringrift_events::store::subscriptions::SubscriptionId;
use ringrift_events::verdict::{FailureKind, Outcome};

static HEARD: AtomicU32 = AtomicU32::new(0);
static LAST: OnceLock<String> = OnceLock::new();

fn event() -> Arc<Event> {
    Arc::new(Event {
        id: EventId::new(&SystemClock),
        event_type: EventType::from_canonical("training_completed"),
        payload: Payload::from_checked("{}"),
        source: "test".to_owned(),
        key: None,
        published_at: Time(1),
        trace_id: TraceId(uuid::Uuid::from_u128(1)),
        parent_id: None,
        depth: 0,
        origin: ProcessId(uuid::Uuid::from_u128(1)),
        stage: None,
        seq: None,
    })
}

#[test]
fn the_programs_own_panic_hook_hears_every_panic_but_the_handlers() {
    std::panic::set_hook(Box::new(|info| {
        HEARD.fetch_add(1, Ordering::SeqCst);
        let text = info.payload().downcast_ref::<&str>().copied();
        LAST.get_or_init(|| text.unwrap_or("").to_owned());
    }));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()
        .unwrap();
    let host = Arc::new(Host::new(Arc::new(SystemClock), runtime.handle().clone()));
    let function = Function::asynchronous(|_| async { panic!("the handler's") });
    let handler = Handler::new("h", function, Policy::default(), host);
    let ran = runtime.block_on(async {
        let event = event();
        let Admission::Run(ticket) = handler.admit(&event).await else {
            panic!("no dedup, no duplicate");
        };
        let delivery = Delivery {
            event,
            subscription: SubscriptionId(1),
            attempt: 1,
        };
        handler.run(delivery, ticket).await
    });
    let Outcome::Failed(failure) = ran.outcome else {
        panic!("a panic is a failure");
    };
    assert_eq!(failure.kind, FailureKind::Panic);
    assert!(failure.message.contains("handler_panics.rs:"));
    assert_eq!(HEARD.load(Ordering::SeqCst), 0);

    let other = std::thread::spawn(|| panic!("somebody else's"));
    assert!(other.join().is_err());
    assert_eq!(HEARD.load(Ordering::SeqCst), 1);
    assert_eq!(LAST.get().map(String::as_str), Some("somebody else's"));
    drop(std::panic::take_hook());
}
