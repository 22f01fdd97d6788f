use uuid::Uuid;

use super::*;
use crate::bus::MAILBOX_CAPACITY;
use crate::clock::Time;
use crate::event::{EventId, Payload, TraceId};

const ME: ProcessId = ProcessId(Uuid::from_u128(1));

fn event(event_type: &str, payload: &str) -> Arc<Event> {
    Arc::new(Event {
        id: EventId(Uuid::nil()),
        event_type: EventType::from_canonical(event_type),
        payload: Payload::from_checked(payload),
        source: "test".into(),
        key: None,
        published_at: Time(0),
        trace_id: TraceId(Uuid::nil()),
        parent_id: None,
        depth: 0,
        origin: ME,
        stage: None,
        seq: None,
    })
}

fn only(event_type: &str) -> TypeSet {
    TypeSet::only([EventType::from_canonical(event_type)])
}

fn joined(bus: &EventBus, types: TypeSet, filter: Option<Filter>) -> (Joined, Arc<Mailbox>) {
    let mailbox = bus.mailbox(MAILBOX_CAPACITY);
    mailbox.release(Seq(1));
    (bus.join(types, filter, Arc::clone(&mailbox)), mailbox)
}

// B2: every publish of a known type was delivered twice, by two buses joined with each other.
#[test]
fn each_matching_subscription_gets_an_event_exactly_once() {
    let bus = EventBus::new(ME);
    let (one, one_mail) = joined(&bus, only("training_completed"), None);
    let (all, all_mail) = joined(&bus, TypeSet::All, None);
    let (_, other_mail) = joined(&bus, only("model_promoted"), None);
    let delivered = bus.deliver(&event("training_completed", "{}"));
    let matched = |subscription| Delivered {
        subscription,
        code: Code::RtMatched,
    };
    assert_eq!(delivered, [matched(one), matched(all)]);
    assert_eq!(
        (one_mail.len(), all_mail.len(), other_mail.len()),
        (1, 1, 0)
    );
}

#[test]
fn an_event_that_the_filter_turns_away_says_so_and_is_no_delivery() {
    let bus = EventBus::new(ME);
    let strong = Filter::parse("elo__gte = 1900").unwrap();
    let (_, mailbox) = joined(&bus, TypeSet::All, Some(strong));
    let codes = |payload| bus.deliver(&event("x", payload))[0].code;
    assert_eq!(codes("{}"), Code::RtFilterFalse);
    assert_eq!(codes(r#"{"elo":1901}"#), Code::RtMatched);
    assert_eq!(mailbox.len(), 1);
}

// B4: a stopped handler was still called.
#[test]
fn after_leaving_nothing_more_comes() {
    let bus = EventBus::new(ME);
    let (id, mailbox) = joined(&bus, TypeSet::All, None);
    assert!(bus.leave(id));
    assert!(!bus.leave(id));
    assert!(bus.deliver(&event("x", "{}")).is_empty());
    assert!(mailbox.is_empty());
    assert!(bus.is_empty());
}

// B9, B16: one subscriber's trouble must not keep an event from the others.
#[test]
fn a_full_mailbox_refuses_for_itself_alone() {
    let bus = EventBus::new(ME);
    let full = bus.mailbox(1);
    full.release(Seq(1));
    bus.join(TypeSet::All, None, Arc::clone(&full));
    let (_, roomy) = joined(&bus, TypeSet::All, None);
    for expected in [Code::RtMatched, Code::RtRefused, Code::RtRefused] {
        let delivered = bus.deliver(&event("x", "{}"));
        assert_eq!(delivered[0].code, expected);
        assert_eq!(delivered[1].code, Code::RtMatched);
    }
    assert_eq!((full.len(), roomy.len()), (1, 3));
}

#[test]
fn the_poller_learns_which_types_anybody_wants() {
    let bus = EventBus::new(ME);
    assert_eq!(bus.types(), None);
    joined(&bus, only("a"), None);
    let (all, _) = joined(&bus, TypeSet::All, None);
    assert_eq!(bus.types(), Some(TypeSet::All));
    bus.leave(all);
    assert_eq!(bus.types(), Some(only("a")));
    assert!(bus.has_subscribers(&EventType::from_canonical("a")));
    assert!(!bus.has_subscribers(&EventType::from_canonical("b")));
}
