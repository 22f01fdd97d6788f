//! The page that all processes of one database share: opening it, and how far the log is synced.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::kernel::{self, Mapping};
use super::layout::SharedCells;
use super::side::{Side, Standing, refused};
use super::{futex, peer};
use crate::clock::Time;
use crate::event::{ProcessId, Seq};
use crate::store::{Error, ErrorCode};

/// "RRSHARE" and a zero: the page of all processes.
const SHARED_MAGIC: u64 = 0x5252_5348_4152_4500;

/// Its name in the side folder.
const SHARED_NAME: &str = "shared";

/// How long to wait for another process that is just preparing the page.
const PREPARED_WITHIN: Duration = Duration::from_secs(2);

/// The shared page of one database, mapped. Owns no descriptor; use and drop it on any thread.
///
/// In a forked child everything does nothing and says so by its answer.
#[derive(Debug)]
pub(crate) struct SharedPage {
    mapping: Mapping,
}

impl SharedPage {
    /// Opens the page, making it if there is none, and begins it anew when it is of another boot,
    /// or of another file or layout that no live process uses. On a database thread.
    ///
    /// # Errors
    /// [`ErrorCode::TwoHomes`] or [`ErrorCode::Newer`] when a live process uses it for another
    /// file or in another layout; [`ErrorCode::Full`], [`ErrorCode::ReadOnly`].
    pub(crate) fn open(side: &Side, process: ProcessId) -> Result<Arc<SharedPage>, Error> {
        let path = side.path(SHARED_NAME);
        if !path.exists() {
            Self::make(side, process, &path)?;
        }
        let gate = open_existing(&path, true)?;
        wait_for_gate(&gate, &path)?;
        // Opened again: the gate's lock must end with `gate`, and a mapping would keep it.
        let file = open_existing(&path, true)?;
        let head = peer::head_of(&file).map_err(|e| refused("read", &path, &e))?;
        let standing = side.judge(&head, SHARED_MAGIC);
        if standing != Standing::Ours {
            refuse_if_in_use(side, standing, &path)?;
            // Never made shorter, for whoever still has it mapped.
            let zeros = vec![0u8; size_of::<SharedCells>()];
            let cleared = super::side::allocate(&file, zeros.len() as u64)
                .and_then(|()| file.write_all_at(&zeros, 0));
            cleared.map_err(|e| refused("allocate", &path, &e))?;
        }
        let mapping = Mapping::of(&file, size_of::<SharedCells>(), true)
            .map_err(|e| refused("map", &path, &e))?;
        let shared = SharedPage { mapping };
        if let (Some(cells), true) = (shared.cells(), standing != Standing::Ours) {
            side.sign(&cells.head, SHARED_MAGIC, size_of::<SharedCells>(), process);
        }
        drop(gate);
        Ok(Arc::new(shared))
    }

    /// Opens the page as it is, for handles that change nothing; `None` when there is none that
    /// holds for this boot and file. Written to where allowed, which only counts the listener.
    pub(crate) fn open_as_it_is(side: &Side) -> Option<Arc<SharedPage>> {
        let path = side.path(SHARED_NAME);
        let (file, writable) = match open_existing(&path, true) {
            Ok(file) => (file, true),
            Err(_) => (open_existing(&path, false).ok()?, false),
        };
        let head = peer::head_of(&file).ok()?;
        if side.judge(&head, SHARED_MAGIC) != Standing::Ours {
            return None;
        }
        let mapping = Mapping::of(&file, size_of::<SharedCells>(), writable).ok()?;
        Some(Arc::new(SharedPage { mapping }))
    }

    fn make(side: &Side, process: ProcessId, path: &Path) -> Result<(), Error> {
        let len = size_of::<SharedCells>();
        let name = format!("{SHARED_NAME}-{process}");
        let file = side.begin(&name, len as u64)?;
        let signed = file.map::<SharedCells>().map(|mapping| {
            if let Some(cells) = mapping.cells::<SharedCells>() {
                side.sign(&cells.head, SHARED_MAGIC, len, process);
            }
        });
        match signed {
            Ok(()) => file.name_if_free(path),
            Err(error) => {
                file.discard();
                Err(error)
            }
        }
    }

    /// The cells; `None` in a forked child.
    pub(super) fn cells(&self) -> Option<&SharedCells> {
        self.mapping.cells()
    }

    /// Whether this handle may write to it.
    pub(crate) fn writable(&self) -> bool {
        self.mapping.writable()
    }

    /// Up to where the log of this incarnation is known to be on disk; none if nobody said so
    /// since the machine started.
    pub(crate) fn synced_to(&self, incarnation: u64) -> Option<Seq> {
        let cells = self.cells()?;
        let of = cells.synced_of.load(Ordering::Acquire);
        let seq = cells.synced.load(Ordering::Acquire);
        // The incarnation is written before the place, and a restore is refused while anybody
        // lives: the two cannot belong to different files.
        (of == incarnation && seq > 0).then_some(Seq(seq))
    }

    /// No more than this can be on disk: it is the log's end, as whoever opens the store finds it in a
    /// write transaction. A copy may have taken the log back while nobody lived.
    pub(crate) fn limit_synced(&self, end: Seq) {
        if let Some(cells) = self.cells().filter(|_| self.writable()) {
            cells.synced.fetch_min(end.0, Ordering::AcqRel);
        }
    }

    /// Says that everything up to `seq` is on disk. One that is behind changes nothing.
    pub(crate) fn note_synced(&self, incarnation: u64, seq: Seq) {
        let Some(cells) = self.cells() else { return };
        if cells.synced_of.load(Ordering::Acquire) != incarnation {
            cells.synced.store(0, Ordering::Release);
            cells.synced_of.store(incarnation, Ordering::Release);
        }
        cells.synced.fetch_max(seq.0, Ordering::AcqRel);
    }

    /// Says that a command is being left for some process.
    pub(crate) fn note_command(&self) {
        if let Some(cells) = self.cells() {
            cells.commands.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// How many commands were left, modulo 2³².
    pub(crate) fn commands(&self) -> u32 {
        self.cells()
            .map_or(0, |cells| cells.commands.load(Ordering::SeqCst))
    }

    /// Says that `process` has looked for dead processes, and taken over from those it found.
    pub(crate) fn note_swept(&self, process: ProcessId, at: Time) {
        let Some(cells) = self.cells() else { return };
        let (high, low) = process.0.as_u64_pair();
        cells.swept_by[0].store(high, Ordering::Relaxed);
        cells.swept_by[1].store(low, Ordering::Relaxed);
        cells.swept_at.store(at.0, Ordering::Release);
    }

    /// Who has last looked for dead processes, and when; none if nobody did since the page was
    /// made.
    pub(crate) fn swept(&self) -> Option<(ProcessId, Time)> {
        let cells = self.cells()?;
        let at = cells.swept_at.load(Ordering::Acquire);
        let [high, low] = [0, 1].map(|half| cells.swept_by[half].load(Ordering::Relaxed));
        let process = ProcessId(uuid::Uuid::from_u64_pair(high, low));
        (at != 0).then_some((process, Time(at)))
    }

    /// After a failed sync nobody may sync again and call it good.
    pub(crate) fn poison(&self) {
        if let Some(cells) = self.cells() {
            cells.poisoned.store(1, Ordering::Release);
        }
    }

    /// Whether a sync has failed since the last check of the store.
    pub(crate) fn is_poisoned(&self) -> bool {
        self.cells()
            .is_some_and(|cells| cells.poisoned.load(Ordering::Acquire) != 0)
    }

    /// Lets power-durable publishing begin again: only when no other process lives and the store
    /// was checked.
    pub(crate) fn heal(&self) {
        if let Some(cells) = self.cells() {
            cells.poisoned.store(0, Ordering::Release);
        }
    }
}

fn open_existing(path: &Path, writable: bool) -> Result<File, Error> {
    OpenOptions::new()
        .read(true)
        .write(writable)
        .open(path)
        .map_err(|e| refused("open", path, &e))
}

/// Waits for whoever is preparing the page, at most [`PREPARED_WITHIN`].
fn wait_for_gate(gate: &File, path: &Path) -> Result<(), Error> {
    let step = Duration::from_millis(5);
    let mut waited = Duration::ZERO;
    loop {
        if kernel::lock(gate).map_err(|e| refused("lock", path, &e))? {
            return Ok(());
        }
        if waited >= PREPARED_WITHIN {
            let message = format!("another process keeps {} locked", path.display());
            return Err(Error::new(ErrorCode::Busy, message));
        }
        futex::wait(&AtomicU32::new(0), 0, step);
        waited += step;
    }
}

/// A page of this boot that is for another file, or in another layout, is begun anew only when no
/// live process uses it.
fn refuse_if_in_use(side: &Side, standing: Standing, path: &Path) -> Result<(), Error> {
    if standing == Standing::Stale {
        return Ok(());
    }
    for process in side.pages()? {
        let Some((head, true)) = peer::glance(side, process)? else {
            continue;
        };
        if standing == Standing::OtherDatabase {
            return Err(side.two_homes(path, head.pid));
        }
        let message = format!(
            "process {} uses {} in layout {}",
            head.pid,
            path.display(),
            head.layout
        );
        return Err(Error::new(ErrorCode::Newer, message).with_next("ringrift processes ls"));
    }
    Ok(())
}
