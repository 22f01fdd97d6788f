use std::collections::BTreeSet;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use uuid::Uuid;

use super::*;
use crate::bus::EventBus;
use crate::clock::Time;
use crate::event::{EventId, EventType, Payload, TraceId};
use crate::store::log::TypeSet;
use crate::store::over::Over;

const ME: ProcessId = ProcessId(Uuid::from_u128(1));
const OTHER: ProcessId = ProcessId(Uuid::from_u128(2));

fn event(origin: ProcessId, seq: Option<i64>) -> Arc<Event> {
    Arc::new(Event {
        id: EventId(Uuid::from_u128(seq.unwrap_or(0) as u128)),
        event_type: EventType::from_canonical("training_completed"),
        payload: Payload::from_checked("{}"),
        source: "test".into(),
        key: None,
        published_at: Time(0),
        trace_id: TraceId(Uuid::nil()),
        parent_id: None,
        depth: 0,
        origin,
        stage: None,
        seq: seq.map(Seq),
    })
}

fn mailbox(capacity: usize, reached: i64) -> Mailbox {
    let reach = Arc::new(Reach::default());
    reach.others_offered(Seq(reached));
    Mailbox::new(ME, capacity, reach)
}

fn live(capacity: usize, reached: i64) -> Mailbox {
    let mailbox = mailbox(capacity, reached);
    mailbox.release(Seq(1));
    mailbox
}

fn seqs(events: &[Arc<Event>]) -> Vec<i64> {
    events.iter().map(|event| event.seq.unwrap().0).collect()
}

#[test]
fn joining_buffers_until_the_beginning_is_known_and_then_drops_what_came_before_it() {
    let mailbox = mailbox(10, 0);
    for seq in 1..=4 {
        assert_eq!(mailbox.offer(&event(ME, Some(seq))), Offered::Taken);
    }
    assert_eq!(mailbox.offer(&event(ME, None)), Offered::Before);
    assert!(
        mailbox.take(10).is_empty(),
        "nothing comes out while joining"
    );
    mailbox.release(Seq(3));
    assert_eq!(seqs(&mailbox.take(10)), [3, 4]);
    assert_eq!(mailbox.offer(&event(OTHER, Some(2))), Offered::Passed);
    assert_eq!(mailbox.offer(&event(ME, None)), Offered::Taken);
}

#[test]
fn a_mailbox_that_overflows_while_joining_lags_from_its_beginning() {
    let mailbox = mailbox(2, 0);
    for seq in 1..=5 {
        mailbox.offer(&event(ME, Some(seq)));
    }
    assert_eq!(mailbox.lag(), None);
    mailbox.release(Seq(2));
    assert_eq!(seqs(&mailbox.take(10)), [2]);
    let lag = mailbox.lag().unwrap();
    let owed: Vec<i64> = (lag.after.0 + 1..=5)
        .filter(|seq| lag.owes(&event(ME, Some(*seq))))
        .collect();
    assert_eq!(owed, [3, 4, 5]);
}

#[test]
fn an_overflow_wholly_before_the_beginning_is_no_lag() {
    let mailbox = mailbox(1, 0);
    for seq in 1..=5 {
        mailbox.offer(&event(ME, Some(seq)));
    }
    mailbox.release(Seq(6));
    assert_eq!(mailbox.lag(), None);
    assert!(mailbox.is_empty());
    assert_eq!(mailbox.offer(&event(ME, Some(6))), Offered::Taken);
}

#[test]
fn a_full_mailbox_refuses_volatile_events_and_sends_bridged_ones_to_the_log() {
    let mailbox = live(2, 0);
    mailbox.offer(&event(ME, Some(1)));
    mailbox.offer(&event(ME, Some(2)));
    assert_eq!(mailbox.offer(&event(ME, None)), Offered::Refused);
    assert_eq!(mailbox.lag(), None, "a refused volatile event is no lag");
    assert_eq!(mailbox.offer(&event(ME, Some(3))), Offered::Lagging);
    assert_eq!(mailbox.lag(), None, "what came before is still to be taken");
    assert_eq!(seqs(&mailbox.take(10)), [1, 2]);
    assert!(mailbox.lag().is_some());
    // Room again, but a bridged event would overtake the third one.
    assert_eq!(mailbox.offer(&event(ME, Some(4))), Offered::Lagging);
    assert_eq!(mailbox.offer(&event(ME, None)), Offered::Taken);
}

#[test]
fn a_lag_ends_only_when_everything_offered_meanwhile_was_read() {
    let mailbox = live(1, 0);
    for seq in 1..=3 {
        mailbox.offer(&event(ME, Some(seq)));
    }
    assert!(!mailbox.caught_up(Seq(2)));
    assert!(mailbox.caught_up(Seq(4)));
    // Read from the log before its own commit callback offered it.
    assert_eq!(mailbox.offer(&event(ME, Some(4))), Offered::Passed);
    assert_eq!(seqs(&mailbox.take(9)), [1]);
    assert_eq!(mailbox.offer(&event(ME, Some(5))), Offered::Taken);
}

#[test]
fn an_event_of_another_process_that_comes_late_is_neither_lost_nor_doubled_by_a_lag() {
    // The poller stands at 100; own events up to 104 came at their commit; 105 finds it full.
    let mailbox = mailbox(4, 100);
    mailbox.release(Seq(101));
    for seq in [101, 102, 104] {
        assert_eq!(mailbox.offer(&event(ME, Some(seq))), Offered::Taken);
    }
    assert_eq!(mailbox.offer(&event(OTHER, Some(103))), Offered::Taken);
    assert_eq!(mailbox.offer(&event(ME, Some(106))), Offered::Lagging);
    // 105 is another process's and arrives after the lag began.
    assert_eq!(mailbox.offer(&event(OTHER, Some(105))), Offered::Lagging);
    assert_eq!(seqs(&mailbox.take(10)), [101, 102, 104, 103]);
    let lag = mailbox.lag().unwrap();
    let log = [
        (101, ME),
        (102, ME),
        (103, OTHER),
        (104, ME),
        (105, OTHER),
        (106, ME),
    ];
    let owed: Vec<i64> = log
        .iter()
        .filter(|(seq, origin)| *seq > lag.after.0 && lag.owes(&event(*origin, Some(*seq))))
        .map(|(seq, _)| *seq)
        .collect();
    assert_eq!(owed, [105, 106]);
}

#[test]
fn an_own_event_whose_offer_is_still_on_its_way_is_read_from_the_log() {
    let bus = EventBus::new(ME);
    let mailbox = bus.mailbox(1);
    bus.join(TypeSet::All, None, Arc::clone(&mailbox));
    mailbox.release(Seq(1));
    bus.deliver(&event(OTHER, Some(1)));
    bus.passed(&event(ME, Some(2)));
    bus.deliver(&event(OTHER, Some(3)));
    bus.reached(Seq(3));
    assert_eq!(seqs(&mailbox.take(9)), [1]);
    let lag = mailbox.lag().unwrap();
    assert!(lag.after < Seq(2) && lag.owes(&event(ME, Some(2))));
    bus.deliver(&event(ME, Some(2)));
    assert!(mailbox.caught_up(Seq(3)));
    assert!(mailbox.is_empty());
}

#[test]
fn a_poller_that_never_reported_does_not_make_a_lag_read_the_whole_log() {
    let mailbox = mailbox(1, 0);
    mailbox.release(Seq(5_000_000));
    mailbox.offer(&event(ME, Some(5_000_000)));
    mailbox.offer(&event(ME, Some(5_000_001)));
    mailbox.take(1).clear();
    assert_eq!(mailbox.lag().unwrap().after, Seq(4_999_999));
}

#[test]
fn closing_answers_what_nobody_took_and_refuses_the_rest() {
    let mailbox = live(10, 0);
    mailbox.offer(&event(ME, Some(1)));
    assert_eq!(seqs(&mailbox.close()), [1]);
    assert_eq!(mailbox.offer(&event(ME, Some(2))), Offered::Closed);
    assert!(mailbox.close().is_empty());
}

#[test]
fn the_owner_wakes_for_an_event_a_release_and_the_end() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mailbox = Arc::new(mailbox(10, 0));
        for step in 0..3 {
            let waiting = tokio::spawn({
                let mailbox = Arc::clone(&mailbox);
                async move { mailbox.ready().await }
            });
            tokio::task::yield_now().await;
            assert!(!waiting.is_finished());
            match step {
                0 => {
                    mailbox.offer(&event(ME, Some(1)));
                    mailbox.release(Seq(1));
                }
                1 => {
                    mailbox.offer(&event(ME, Some(2)));
                }
                _ => {
                    mailbox.close();
                }
            }
            tokio::time::timeout(Duration::from_secs(5), waiting)
                .await
                .expect("the owner wakes")
                .unwrap();
            let taken = mailbox.take(10).len();
            assert_eq!(taken, usize::from(step < 2));
        }
    });
}

/// The log as two publishing processes fill it; the reader sees what is committed.
struct World {
    log: Mutex<Vec<Arc<Event>>>,
    commits: Mutex<()>,
    bus: EventBus,
    mailbox: Arc<Mailbox>,
    over: AtomicBool,
}

impl World {
    fn append(&self, origin: ProcessId) -> Arc<Event> {
        let mut log = self.log.lock().unwrap();
        let event = event(origin, Some(log.len() as i64 + 1));
        log.push(Arc::clone(&event));
        event
    }

    /// Commits own events; the callback runs in commit order, but after others may have read.
    fn publish_own(&self, count: usize) {
        for _ in 0..count {
            let ordered = self.commits.lock().unwrap();
            let event = self.append(ME);
            std::thread::yield_now();
            self.bus.deliver(&event);
            drop(ordered);
        }
    }

    /// The poller: offers others' events in log order and reports how far it came.
    fn poll_others(&self) {
        let mut read = 0;
        loop {
            let over = self.over.load(Ordering::SeqCst);
            let new: Vec<Arc<Event>> = self.log.lock().unwrap()[read..].to_vec();
            for event in &new {
                if event.origin == ME {
                    self.bus.passed(event);
                } else {
                    self.bus.deliver(event);
                }
            }
            read += new.len();
            self.bus.reached(Seq(read as i64));
            if over && new.is_empty() {
                return;
            }
            std::thread::yield_now();
        }
    }

    /// The owner: takes, and reads the log while it lags.
    fn handle(&self, expected: usize) -> (Vec<i64>, usize) {
        let mut handled = Vec::new();
        let mut lags = 0;
        let mut turns = 0_u64;
        while handled.len() < expected && turns < 5_000_000 {
            turns += 1;
            let taken = self.mailbox.take(7);
            handled.extend(seqs(&taken));
            if !taken.is_empty() {
                // A slow handler, now and then: the others fill the mailbox meanwhile.
                for _ in 0..(turns % 64) {
                    std::thread::yield_now();
                }
                continue;
            }
            let Some(lag) = self.mailbox.lag() else {
                std::thread::yield_now();
                continue;
            };
            lags += 1;
            handled.extend(self.read_log(lag));
        }
        (handled, lags)
    }

    fn read_log(&self, lag: Lag) -> Vec<i64> {
        let mut handled = Vec::new();
        let mut at = lag.after;
        loop {
            let page: Vec<Arc<Event>> = {
                let log = self.log.lock().unwrap();
                let from = at.0 as usize;
                log[from..log.len().min(from + 50)].to_vec()
            };
            for event in page {
                at = event.seq.unwrap();
                if lag.owes(&event) {
                    handled.push(at.0);
                }
            }
            if self.mailbox.caught_up(at) {
                return handled;
            }
        }
    }
}

#[test]
fn across_lagging_and_live_no_event_is_lost_or_doubled_whoever_interleaves() {
    const EACH: usize = 10_000;
    let bus = EventBus::new(ME);
    let mailbox = bus.mailbox(16);
    bus.join(TypeSet::All, None, Arc::clone(&mailbox));
    mailbox.release(Seq(1));
    let world = World {
        log: Mutex::default(),
        commits: Mutex::default(),
        bus,
        mailbox,
        over: AtomicBool::new(false),
    };
    let start = Barrier::new(5);
    let (handled, lags) = std::thread::scope(|scope| {
        let ends = Over(&world.over);
        let mut writers = Vec::new();
        for own in [true, true, false] {
            let (world, start) = (&world, &start);
            writers.push(scope.spawn(move || {
                start.wait();
                if own {
                    world.publish_own(EACH);
                } else {
                    for _ in 0..EACH {
                        world.append(OTHER);
                        std::thread::yield_now();
                    }
                }
            }));
        }
        let poller = scope.spawn(|| {
            start.wait();
            world.poll_others();
        });
        let owner = scope.spawn(|| {
            start.wait();
            world.handle(3 * EACH)
        });
        for writer in writers {
            writer.join().unwrap();
        }
        drop(ends);
        poller.join().unwrap();
        owner.join().unwrap()
    });
    let distinct: BTreeSet<i64> = handled.iter().copied().collect();
    assert_eq!(handled.len(), distinct.len(), "an event was handled twice");
    assert_eq!(distinct.len(), 3 * EACH, "an event was lost");
    let log = world.log.lock().unwrap();
    for flow in [ME, OTHER] {
        let of_flow = |seq: &&i64| log[**seq as usize - 1].origin == flow;
        let in_order = handled.iter().filter(of_flow).is_sorted();
        assert!(in_order, "a flow was handled out of its order");
    }
    assert!(lags > 0, "the test must meet a lag");
    assert!(world.mailbox.take(10).is_empty());
}

#[test]
fn a_look_without_the_lock_sees_what_came_since_something_was_taken() {
    let mailbox = live(2, 0);
    assert!(mailbox.has_news(), "its beginning is known");
    assert!(mailbox.take(10).is_empty());
    assert!(!mailbox.has_news());
    mailbox.offer(&event(ME, Some(1)));
    assert!(mailbox.has_news());
    assert_eq!(mailbox.take(10).len(), 1);
    assert!(!mailbox.has_news());
    mailbox.close();
    assert!(mailbox.has_news(), "its end is news");
}

#[test]
fn what_was_handled_is_dropped_by_who_delivers_and_never_much_of_it_waits() {
    let mailbox = live(100, 0);
    let mut taken = VecDeque::new();
    let mut spent = Spent::default();
    let mut handle = |count: usize| -> Vec<std::sync::Weak<Event>> {
        for _ in 0..count {
            assert_eq!(mailbox.offer(&event(ME, None)), Offered::Taken);
        }
        assert_eq!(mailbox.take_into(&mut taken, count, &mut spent), count);
        let handled = taken.drain(..).map(|event| {
            spent.note(&event);
            Arc::downgrade(&event)
        });
        handled.collect()
    };
    let waiting = |events: &[std::sync::Weak<Event>]| {
        let events = events.iter();
        events.filter(|event| event.strong_count() > 0).count()
    };
    let few = handle(SPENT_AT_ONCE);
    assert_eq!(waiting(&few), SPENT_AT_ONCE, "they wait");
    let next = handle(1);
    assert_eq!(
        (waiting(&few), waiting(&next)),
        (SPENT_AT_ONCE, 1),
        "given back"
    );
    let next = handle(1);
    assert_eq!(
        (waiting(&few), waiting(&next)),
        (0, 1),
        "dropped by the offer"
    );
    let many = handle(SPENT_MAX + 9);
    assert_eq!(waiting(&many), SPENT_MAX, "the rest went at once");
    let shared = event(ME, None);
    let _others = [&shared; 3].map(Arc::clone);
    spent.note(&shared);
    let mut large = (*event(ME, None)).clone();
    large.payload = Payload::from_checked("x".repeat(SPENT_BYTES_MAX + 1));
    let large = Arc::new(large);
    spent.note(&large);
    assert_eq!(
        (Arc::strong_count(&shared), Arc::strong_count(&large)),
        (4, 1)
    );
    mailbox.close();
    assert_eq!(mailbox.take_into(&mut taken, 1, &mut spent), 0);
    assert_eq!(waiting(&many), 0, "a closed mailbox keeps none");
}
