//! The log: appending, reading, finding.

use std::collections::HashMap;
use std::sync::Arc;

use super::hub::MEMORY_EVENTS_MAX;
use super::state::World;
use crate::clock::Time;
use crate::event::{Event, EventId, Seq};
use crate::store::log::{
    APPEND_DRAFTS_MAX, Appended, Batch, Draft, EventRef, Head, IDEMPOTENCY_WINDOW, Logged,
    Original, Page, READ_BYTES_MAX, TypeSet,
};
use crate::store::{Error, ErrorCode};

const FOUND_MAX: usize = 10;
const LISTED_MAX: usize = 1_000;
const PREFIX_CHARS_MIN: usize = 4;

impl World {
    pub(super) fn append(&mut self, batch: Batch) -> Result<Vec<Appended>, Error> {
        self.check_room(batch.drafts.len())?;
        let committed_at = self.public_now();
        // Nothing may change before the whole batch is known to be good.
        let mut staged = Staged::default();
        let mut answers = Vec::with_capacity(batch.drafts.len());
        for draft in &batch.drafts {
            let by_key = match &draft.idempotency_key {
                Some(key) => self.by_key(&staged, key, &draft.event)?,
                None => None,
            };
            let known = match by_key {
                Some(seq) => Some(seq),
                None => self.by_id(&staged, &draft.event)?,
            };
            let seq = known.unwrap_or_else(|| staged.add(self.head, draft));
            if let Some(key) = draft.idempotency_key.clone().filter(|_| by_key.is_none()) {
                staged.keys.insert(key, seq);
            }
            let original = self.at(&staged, seq);
            let before = self.log.get(&seq);
            answers.push(Appended {
                seq,
                committed_at: before.map_or(committed_at, |logged| logged.committed_at),
                duplicate_of: known.and(original).map(|event| event.id),
            });
        }
        self.commit(staged, committed_at);
        Ok(answers)
    }

    fn check_room(&self, drafts: usize) -> Result<(), Error> {
        if drafts > APPEND_DRAFTS_MAX {
            return Err(Error::new(
                ErrorCode::WrongState,
                format!("{drafts} events in one append, where {APPEND_DRAFTS_MAX} are the most"),
            ));
        }
        if self.log.len() + drafts > MEMORY_EVENTS_MAX {
            return Err(Error::new(
                ErrorCode::Backpressure,
                format!("the log in memory holds {} events", self.log.len()),
            ));
        }
        Ok(())
    }

    /// The place of the event that used `key` within its window.
    fn by_key(&self, staged: &Staged, key: &str, event: &Event) -> Result<Option<Seq>, Error> {
        let known = self
            .idempotency
            .get(key)
            .filter(|(_, ends_at)| *ends_at > self.now);
        let seq = staged.keys.get(key).copied().or(known.map(|(seq, _)| *seq));
        let Some((seq, original)) = seq.and_then(|seq| Some((seq, self.at(staged, seq)?))) else {
            // Retention may have taken it: nothing is left that a duplicate could name.
            return Ok(None);
        };
        Original::of(original).check_repeated(event, Some(key))?;
        Ok(Some(seq))
    }

    /// The place of the event that has this id.
    fn by_id(&self, staged: &Staged, event: &Event) -> Result<Option<Seq>, Error> {
        let known = self.by_id.get(&event.id).or(staged.ids.get(&event.id));
        if let Some(original) = known.and_then(|seq| self.at(staged, *seq)) {
            Original::of(original).check_repeated(event, None)?;
        }
        Ok(known.copied())
    }

    fn at<'a>(&'a self, staged: &'a Staged, seq: Seq) -> Option<&'a Event> {
        let new = usize::try_from(seq.0 - self.head.0 - 1).ok();
        match new {
            Some(index) => staged.fresh.get(index).map(|draft| &*draft.event),
            None => self.log.get(&seq).map(|logged| &*logged.event),
        }
    }

    fn commit(&mut self, staged: Staged, committed_at: Time) {
        for draft in staged.fresh {
            self.head = self.head.next();
            let mut event = Event::clone(&draft.event);
            event.seq = Some(self.head);
            self.by_id.insert(event.id, self.head);
            let logged = Logged {
                event: Arc::new(event),
                committed_at,
                deleted_at: None,
                call_site: draft.call_site.map(|site| site.to_string()),
            };
            self.log.insert(self.head, logged);
        }
        let ends_at = self.now.after(IDEMPOTENCY_WINDOW);
        for (key, seq) in staged.keys {
            self.idempotency.insert(key, (seq, ends_at));
        }
    }

    pub(super) fn head(&self) -> Head {
        Head {
            seq: self.head,
            incarnation: self.incarnation,
        }
    }

    pub(super) fn read(&self, after: Seq, types: &TypeSet, limit: usize) -> (Vec<Arc<Event>>, Seq) {
        let mut events = Vec::new();
        let mut bytes = 0;
        if limit == 0 {
            return (events, after);
        }
        for (seq, logged) in self.log.range(after.next()..) {
            if logged.deleted_at.is_some() || !types.takes(&logged.event.event_type) {
                continue;
            }
            events.push(Arc::clone(&logged.event));
            bytes += logged.event.payload.as_str().len();
            if events.len() == limit || bytes >= READ_BYTES_MAX {
                return (events, *seq);
            }
        }
        (events, self.head.max(after))
    }

    pub(super) fn find(&self, name: &EventRef) -> Result<Vec<Logged>, Error> {
        let seqs: Vec<Seq> = match name {
            EventRef::Id(id) => self.by_id.get(id).copied().into_iter().collect(),
            EventRef::Seq(seq) => vec![*seq],
            EventRef::IdempotencyKey(key) => self
                .idempotency
                .get(key)
                .map(|(seq, _)| *seq)
                .into_iter()
                .collect(),
            EventRef::Prefix(prefix) => self.with_prefix(prefix)?,
        };
        let logged = seqs.iter().filter_map(|seq| self.log.get(seq)).cloned();
        Ok(logged.take(FOUND_MAX).collect())
    }

    fn with_prefix(&self, prefix: &str) -> Result<Vec<Seq>, Error> {
        let digits = prefix.replace('-', "").to_ascii_lowercase();
        let is_hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
        if digits.len() < PREFIX_CHARS_MIN || digits.len() > 32 || !is_hex {
            return Err(Error::new(
                ErrorCode::WrongState,
                format!("{prefix:?} is no start of an event id: at least four hexadecimal digits"),
            ));
        }
        let mut found: Vec<(EventId, Seq)> = self
            .by_id
            .iter()
            .filter(|(id, _)| id.0.simple().to_string().starts_with(&digits))
            .map(|(id, seq)| (*id, *seq))
            .collect();
        found.sort_unstable();
        Ok(found.into_iter().map(|(_, seq)| seq).collect())
    }

    pub(super) fn list(&self, page: &Page) -> Vec<Logged> {
        let wanted = |logged: &&Logged| {
            logged.deleted_at.is_none()
                && (page.types.is_empty() || page.types.contains(&logged.event.event_type))
                && (page.key.is_none() || page.key == logged.event.key)
                && page.since.is_none_or(|since| logged.committed_at >= since)
        };
        let most = page.limit.min(LISTED_MAX);
        if page.newest_first {
            let end = page.from.unwrap_or(Seq(i64::MAX));
            let range = self.log.range(..end).rev().map(|(_, logged)| logged);
            return range.filter(wanted).take(most).cloned().collect();
        }
        let start = page.from.map_or(Seq::START, Seq::next);
        let range = self.log.range(start..).map(|(_, logged)| logged);
        range.filter(wanted).take(most).cloned().collect()
    }

    pub(super) fn children(&self, id: EventId) -> Vec<Logged> {
        let born = |logged: &&Logged| logged.event.parent_id == Some(id);
        self.log
            .values()
            .filter(born)
            .take(LISTED_MAX)
            .cloned()
            .collect()
    }
}

/// What a batch adds, before it is committed.
#[derive(Default)]
struct Staged {
    fresh: Vec<Draft>,
    ids: HashMap<EventId, Seq>,
    keys: HashMap<String, Seq>,
}

impl Staged {
    /// Adds an event; answers the place it will have.
    fn add(&mut self, head: Seq, draft: &Draft) -> Seq {
        let event = &draft.event;
        self.fresh.push(draft.clone());
        let seq = Seq(head.0 + i64::try_from(self.fresh.len()).unwrap_or(0));
        self.ids.insert(event.id, seq);
        seq
    }
}
