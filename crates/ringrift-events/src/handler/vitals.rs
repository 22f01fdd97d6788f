//! What this process has and uses, looked up when a run failed.
//!
//! A process that has used up its descriptors must still be able to say so: what is read here was
//! opened at the start.

use std::fs::File;
use std::mem::MaybeUninit;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::{RawDir, SeekFrom};
use rustix::process::{Resource, getrlimit};

use crate::clock::SharedClock;
use crate::verdict::Resources;

/// A look is good for so long: a storm of failures is not to be made worse.
const FRESH_FOR: Duration = Duration::from_millis(100);

/// Descriptors counted at most; a process with more has no lack of them.
const DESCRIPTORS_MAX: u64 = 1 << 16;

/// Looks up what the process has and uses.
pub struct Vitals {
    clock: SharedClock,
    home: Option<PathBuf>,
    status: Option<File>,
    descriptors: Option<File>,
    last: Mutex<Option<(Duration, Resources)>>,
}

impl Vitals {
    /// Looks of this process; `home` is where the free disk is looked up.
    #[must_use]
    pub fn new(clock: SharedClock, home: Option<PathBuf>) -> Vitals {
        Vitals {
            clock,
            home,
            // What cannot be opened stays unknown.
            status: File::open("/proc/self/status").ok(),
            descriptors: File::open("/proc/self/fd").ok(),
            last: Mutex::default(),
        }
    }

    /// What the process has and uses at this moment, or had 100 ms ago.
    #[must_use]
    pub fn look(&self) -> Resources {
        let now = self.clock.monotonic();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, seen)) = &*last
            && now.saturating_sub(*at) < FRESH_FOR
        {
            return *seen;
        }
        let status = self.status();
        let seen = Resources {
            rss_bytes: field(&status, "VmRSS:").map(|kib| kib * 1024),
            descriptors: self.descriptors(),
            descriptors_max: getrlimit(Resource::Nofile).current,
            threads: field(&status, "Threads:"),
            disk_free_bytes: self.disk_free(),
        };
        *last = Some((now, seen));
        seen
    }

    fn status(&self) -> String {
        let mut text = [0_u8; 4_096];
        let read = self.status.as_ref().map(|file| file.read_at(&mut text, 0));
        let Some(Ok(length)) = read else {
            return String::new();
        };
        String::from_utf8_lossy(&text[..length]).into_owned()
    }

    fn descriptors(&self) -> Option<u64> {
        let folder = self.descriptors.as_ref()?;
        rustix::fs::seek(folder, SeekFrom::Start(0)).ok()?;
        let mut space = [MaybeUninit::<u8>::uninit(); 8_192];
        let mut entries = RawDir::new(folder, &mut space);
        let mut count = 0;
        while let Some(entry) = entries.next() {
            if !entry.ok()?.file_name().to_bytes().starts_with(b".") {
                count += 1;
            }
            if count == DESCRIPTORS_MAX {
                break;
            }
        }
        Some(count)
    }

    fn disk_free(&self) -> Option<u64> {
        let disk = rustix::fs::statvfs(self.home.as_ref()?).ok()?;
        Some(disk.f_bavail.saturating_mul(disk.f_frsize))
    }
}

/// The number behind a name of `/proc/self/status`.
fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::{ManualClock, SystemClock};

    #[test]
    fn a_look_tells_what_the_process_uses() {
        let vitals = Vitals::new(Arc::new(SystemClock), Some("/".into()));
        let seen = vitals.look();
        assert!(seen.rss_bytes.unwrap() > 100_000, "{seen:?}");
        assert!(seen.threads.unwrap() >= 1, "{seen:?}");
        assert!(seen.descriptors.unwrap() >= 3, "{seen:?}");
        assert!(seen.descriptors_max.unwrap() >= 3, "{seen:?}");
        assert!(seen.disk_free_bytes.unwrap() > 0, "{seen:?}");
    }

    #[test]
    fn descriptors_are_counted_anew_and_what_cannot_be_looked_up_is_unknown() {
        let clock = Arc::new(ManualClock::new(crate::clock::Time(0), 1));
        let vitals = Vitals::new(
            Arc::clone(&clock) as SharedClock,
            Some("/no/such/place".into()),
        );
        let before = vitals.look();
        assert_eq!(before.disk_free_bytes, None);
        let many: Vec<File> = (0..500).map(|_| File::open("/").unwrap()).collect();
        assert_eq!(vitals.look(), before, "a fresh look is good for a while");
        clock.advance(FRESH_FOR);
        // Other tests of this process open and close a few meanwhile.
        let more = vitals.look().descriptors.unwrap() - before.descriptors.unwrap();
        assert!((400..=600).contains(&more), "{more} for {}", many.len());
    }
}
