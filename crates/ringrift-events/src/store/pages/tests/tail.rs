//! The log's tail between threads of several openings.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::Home;
use crate::clock::{Clock as _, SystemClock};
use crate::event::{ProcessId, Seq};
use crate::store::over::Over;
use crate::store::pages::layout::TAIL;
use crate::store::pages::tail::FRESH_FOR;
use crate::store::pages::{SharedPage, TAIL_BYTES, Tail};

/// Of which incarnation.
const THIS: u64 = 7;

fn now() -> Duration {
    SystemClock.monotonic()
}

struct Log {
    _home: Home,
    shared: Arc<SharedPage>,
    tail: Tail,
}

impl Log {
    fn new() -> Log {
        let home = Home::new();
        let shared = SharedPage::open(&home.side(), ProcessId::new(&SystemClock)).unwrap();
        let tail = Tail::new(Arc::clone(&shared), THIS);
        tail.begin(Seq(0));
        Log {
            _home: home,
            tail,
            shared,
        }
    }

    fn append(&self, seq: i64, bytes: &[u8]) {
        self.tail.put(Seq(seq), now(), bytes);
        self.tail.reached(Seq(seq));
    }

    fn read(&self, after: i64) -> Option<Vec<(i64, Vec<u8>)>> {
        let read = self.tail.read(Seq(after), 1_000)?;
        Some(
            read.into_iter()
                .map(|(seq, bytes)| (seq.0, bytes))
                .collect(),
        )
    }
}

#[test]
fn all_that_is_new_is_read_or_nothing() {
    let log = Log::new();
    assert_eq!(log.read(0), None, "nobody has appended");
    log.append(41, b"one");
    log.append(42, b"");
    let both = vec![(41, b"one".to_vec()), (42, Vec::new())];
    assert_eq!(log.read(40), Some(both));
    assert_eq!(log.read(41), Some(vec![(42, Vec::new())]));
    assert_eq!(log.read(42), None, "nothing is new");
    assert_eq!(log.read(50), None, "nor to who is further");
    assert_eq!(log.read(39), None, "40 is not here");
    assert_eq!(log.tail.read(Seq(40), 1), None, "more than is asked for");
    log.tail.reached(Seq(43));
    assert_eq!(log.read(41), None, "43 is not here");
    log.tail.put(Seq(43), now(), &[1; TAIL_BYTES + 1]);
    assert_eq!(log.read(42), None, "it is too large");
    log.tail.put(Seq(43), now(), &[1; TAIL_BYTES]);
    assert_eq!(log.read(42), Some(vec![(43, vec![1; TAIL_BYTES])]));
    log.tail.reached(Seq(41));
    assert_eq!(log.read(42).map(|read| read.len()), Some(1), "it goes on");
}

#[test]
fn a_place_belongs_to_what_was_put_there_last() {
    let log = Log::new();
    let many = TAIL as i64 + 1;
    for seq in 1..=many {
        log.append(seq, &seq.to_le_bytes());
    }
    assert_eq!(log.read(0), None, "the first is gone");
    let read = log.read(1).unwrap();
    assert_eq!(read.len(), TAIL);
    assert!(
        read.iter()
            .all(|(seq, bytes)| bytes[..] == seq.to_le_bytes())
    );
}

#[test]
fn what_is_old_or_of_another_incarnation_is_not_read() {
    let log = Log::new();
    log.append(1, b"one");
    let restored = Tail::new(Arc::clone(&log.shared), THIS + 1);
    assert_eq!(restored.read(Seq(0), 10), None);
    restored.begin(Seq(0));
    assert_eq!(restored.read(Seq(0), 10), None, "it ends before");
    restored.reached(Seq(1));
    assert_eq!(
        restored.read(Seq(0), 10),
        None,
        "what stands there is another's"
    );
    assert_eq!(log.read(0), None);
    restored.put(Seq(1), now(), b"other");
    assert_eq!(restored.read(Seq(0), 10).map(|read| read.len()), Some(1));
    let long_ago = now() - FRESH_FOR - Duration::from_millis(5);
    restored.put(Seq(1), long_ago, b"other");
    assert_eq!(restored.read(Seq(0), 10), None, "it may be deleted by now");
}

#[test]
fn who_opens_the_store_says_where_the_log_ends() {
    let log = Log::new();
    log.append(7, b"seven");
    log.tail.begin(Seq(9));
    assert_eq!(log.read(6).map(|read| read.len()), Some(1), "not yet told");
    // A copy has taken the log back.
    log.tail.begin(Seq(3));
    assert_eq!(log.read(6), None);
    log.append(4, b"four");
    assert_eq!(log.read(3), Some(vec![(4, b"four".to_vec())]));
    let synced = |end| {
        log.shared.note_synced(THIS, Seq(5));
        log.shared.limit_synced(Seq(end));
        log.shared.synced_to(THIS)
    };
    assert_eq!((synced(9), synced(4)), (Some(Seq(5)), Some(Seq(4))));
}

#[test]
fn it_is_kept_up_once_somebody_waits() {
    let log = Log::new();
    assert!(!log.tail.is_awaited());
    log.tail.awaited();
    assert!(log.tail.is_awaited());
}

/// How long it may take until enough was read whole. Only a test that fails waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Two write one place at once, as processes do whose numbers are as far apart as the tail is long:
/// what is read is what one of them wrote.
#[test]
fn what_two_have_mixed_up_is_not_read() {
    let log = Log::new();
    let stop = AtomicBool::new(false);
    let length = |seq: i64| 200 + usize::try_from(seq).unwrap() * 5;
    let began = now();
    std::thread::scope(|scope| {
        let _over = Over(&stop);
        for seq in [1, 1 + TAIL as i64] {
            let (log, stop) = (&log, &stop);
            scope.spawn(move || {
                for number in 0_u32.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let bytes = vec![number as u8; length(seq)];
                    log.tail.put(Seq(seq), now(), &bytes);
                    // Where both of them write all the time, hardly anything is ever whole.
                    if number.is_multiple_of(64) {
                        std::thread::park_timeout(Duration::from_micros(50));
                    }
                }
            });
        }
        let mut found = [0; 2];
        while found.iter().any(|&found| found < 2_000) {
            assert!(now().saturating_sub(began) < PATIENCE, "{found:?}");
            for (one, seq) in found.iter_mut().zip([1, 1 + TAIL as i64]) {
                // The end is wherever the reader looks.
                let cells = log.shared.cells().unwrap();
                cells.tail_of.store(THIS, Ordering::SeqCst);
                cells.tail_end.store(seq, Ordering::SeqCst);
                for (_, bytes) in log.read(seq - 1).unwrap_or_default() {
                    assert_eq!(bytes.len(), length(seq));
                    assert!(bytes.iter().all(|&byte| byte == bytes[0]), "{bytes:?}");
                    *one += 1;
                }
            }
        }
    });
}
