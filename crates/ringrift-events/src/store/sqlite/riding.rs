//! An append that goes along in another process's transaction: what it is on the way, and both ends
//! of it. See [`Rides`](crate::store::pages::Rides) for why.

use std::sync::atomic::Ordering;
use std::sync::{Arc, TryLockError};

use super::SqliteStore;
use super::line::Line;
use super::packed::{Packed, Packing};
use super::request::{Request, Worked};
use super::verb::{Tx, Undo, Verb};
use super::verbs::append::Append;
use crate::clock::Time;
use crate::event::{ProcessId, Seq};
use crate::store::log::{Appended, Batch, CallSite, Draft, Durability, OnCommit};
use crate::store::pages::{Bells, Passenger, RIDE_BYTES, Rides, Rode};
use crate::store::pending::Carrier as _;
use crate::store::{Error, Pending};

/// An event on its way, with the row of its process.
struct Ticket {
    draft: Draft,
    durability: Durability,
    process_row: i64,
}

impl Ticket {
    /// As bytes.
    fn pack(draft: &Draft, durability: Durability, process_row: i64) -> Vec<u8> {
        let site = draft.call_site.as_ref();
        let mut packing = Packing::of(&draft.event);
        packing.add(site.map(|site| site.file().as_bytes()));
        packing.add(Some(&site.map_or(0, CallSite::line).to_le_bytes()));
        packing.add(Some(&process_row.to_le_bytes()));
        packing.add(Some(&[u8::from(durability == Durability::Power)]));
        packing.bytes()
    }

    /// None where the bytes are none.
    fn unpack(bytes: &[u8]) -> Option<Ticket> {
        let mut fields = Packed(bytes);
        let event = fields.event()?;
        let file = fields.some_text()?;
        let line = u32::from_le_bytes(fields.array()?);
        let process_row = i64::from_le_bytes(fields.array()?);
        let durability = match fields.array()? {
            [0] => Durability::Process,
            [1] => Durability::Power,
            [_] => return None,
        };
        let draft = Draft {
            event: Arc::new(event),
            idempotency_key: None,
            call_site: file.map(|file| CallSite::new(file, line)),
        };
        fields.is_read().then_some(Ticket {
            draft,
            durability,
            process_row,
        })
    }
}

/// Another process's append in this one's transaction. Whatever goes wrong with it is found and
/// told by its own process, which then writes for itself.
pub(super) struct Along {
    passenger: Option<Passenger>,
    append: Option<Append>,
    appended: Option<Appended>,
    /// It may be committed although it is refused.
    unsure: bool,
    power: bool,
    bells: Bells,
    bytes: usize,
}

impl Along {
    /// None where what it brought is no append: it is sent back.
    pub(super) fn of(passenger: Passenger) -> Option<Box<dyn Request>> {
        let ticket = Ticket::unpack(passenger.bytes())?;
        let append = Append::of_neighbour(
            Batch {
                drafts: vec![ticket.draft],
                durability: ticket.durability,
            },
            ticket.process_row,
        );
        Some(Box::new(Along {
            power: append.power(),
            bells: append.rings(),
            bytes: append.bytes(),
            passenger: Some(passenger),
            append: Some(append),
            appended: None,
            unsure: false,
        }))
    }
}

impl Request for Along {
    fn run(&mut self, tx: &Tx<'_>) -> Result<(), Error> {
        let Some(append) = self.append.take() else {
            return Ok(());
        };
        self.appended = append.run(tx)?.pop();
        Ok(())
    }

    fn refuse(&mut self, error: Error) {
        self.appended = None;
        self.unsure = error.may_have_applied;
    }

    fn fill(&mut self) -> bool {
        if let Some(passenger) = self.passenger.take() {
            match &self.appended {
                Some(Appended {
                    seq,
                    committed_at,
                    duplicate_of: None,
                }) => passenger.arrive(seq.0, committed_at.0),
                _ if self.unsure => passenger.leave_unsure(),
                _ => drop(passenger),
            }
        }
        true
    }

    fn wake(&mut self) {}

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn power(&self) -> bool {
        self.power
    }

    fn rings(&self) -> Bells {
        self.bells
    }

    fn undo(&self) -> Undo {
        Undo::Itself
    }

    fn is_neighbours(&self) -> bool {
        true
    }
}

/// Who rides: a process, with its row.
pub(super) struct Rider<'a> {
    pub(super) rides: &'a Rides,
    pub(super) line: &'a Line,
    pub(super) process: ProcessId,
}

impl Rider<'_> {
    /// Has the process that is just writing make the append, if it is one that can ride. The caller
    /// holds [`Line::writing`]: nothing else of this process is written meanwhile, and its answers
    /// stay in commit order.
    pub(super) fn ride(&self, batch: &Batch) -> Rode {
        match batch.drafts.as_slice() {
            [draft] if self.rides.somebody_writes() && self.can_ride(draft) => {
                let row = self.line.process_row.load(Ordering::Acquire);
                let bytes = Ticket::pack(draft, batch.durability, row);
                self.rides.ride(&bytes)
            }
            _ => Rode::Not,
        }
    }

    fn can_ride(&self, draft: &Draft) -> bool {
        let (event, site) = (&draft.event, draft.call_site.as_ref());
        draft.idempotency_key.is_none()
            && event.origin == self.process
            && event.payload.as_str().len() < RIDE_BYTES
            && site.is_none_or(|site| site.file().len() <= CallSite::FILE_BYTES_MAX)
            // What was committed before it is answered before it.
            && self.line.syncing.load(Ordering::Acquire) == 0
            && self.line.poisoned().is_none()
    }
}

/// What its own process would have answered.
pub(super) fn appended(seq: i64, at: i64) -> Appended {
    Appended {
        seq: Seq(seq),
        committed_at: Time(at),
        duplicate_of: None,
    }
}

impl SqliteStore {
    /// Appends for a caller that waits on this thread: along with the process that is just writing,
    /// if there is one.
    pub(super) fn append_along(
        &self,
        batch: Batch,
        then: Option<OnCommit>,
    ) -> Pending<Vec<Appended>> {
        let writing = match self.line.writing.try_lock() {
            Ok(writing) => writing,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return self.append_with(Append::new(batch), then),
        };
        let mut append = Append::new(batch);
        match self.ride(append.batch()) {
            Rode::Committed { seq, at } => {
                let (answer, pending) = self.carried(then);
                let request = Worked::new(Ok(vec![appended(seq, at)]), answer);
                self.line.answer_here(Box::new(request));
                drop(writing);
                self.line.carry();
                return pending;
            }
            Rode::Not => {}
            Rode::Unknown => append.repeat(),
        }
        drop(writing);
        self.append_with(append, then)
    }

    pub(super) fn append_with(
        &self,
        append: Append,
        then: Option<OnCommit>,
    ) -> Pending<Vec<Appended>> {
        match then {
            Some(then) => self.write_then(append, then),
            None => self.write(append),
        }
    }

    fn ride(&self, batch: &Batch) -> Rode {
        let Some(rides) = &self.rides else {
            return Rode::Not;
        };
        // First: in a forked child a thread that is not there may hold the inbox.
        let may_ride = self.check().is_ok() && !self.options.read_only;
        if !may_ride || !self.line.writes.is_done() || self.line.admit(0).is_err() {
            return Rode::Not;
        }
        let rider = Rider {
            rides,
            line: &self.line,
            process: self.options.process.id,
        };
        let rode = rider.ride(batch);
        if !matches!(rode, Rode::Committed { .. }) {
            self.line.release(0);
        }
        rode
    }
}

#[cfg(test)]
mod tests;
