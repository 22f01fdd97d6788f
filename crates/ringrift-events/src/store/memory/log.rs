//! The log: appending, reading, finding.

use std::collections::HashMap;
use std::sync::Arc;

use super::hub::MEMORY_EVENTS_MAX;
use super::state::World;
use crate::clock::Time;
use crate::event::{Event, EventId, Seq};
use crate::store::log::{
    APPEND_DRAFTS_MAX, Appended, Batch, Draft, EventRef, Head, IDEMPOTENCY_WINDOW, Logged, Page,
    TypeSet,
};
use crate::store::{Error, ErrorCode};

/// About this many bytes of payload at most in one read.
const READ_BYTES_MAX: usize = 4 << 20;
const FOUND_MAX: usize = 10;
const LISTED_MAX: usize = 1_000;
const PREFIX_CHARS_MIN: usize = 4;

impl World {
    pub(super) fn append(&mut self, batch: Batch) -> Result<Vec<Appended>, Error> {
        self.check_room(batch.drafts.len())?;
        let committed_at = self.public_now();
        // Nothing may change before the whole batch is known to be good.
        let mut fresh: Vec<(Arc<Event>, Option<String>)> = Vec::new();
        let mut ids: HashMap<EventId, Seq> = HashMap::new();
        let mut keys: HashMap<String, usize> = HashMap::new();
        let mut answers = Vec::with_capacity(batch.drafts.len());
        for draft in batch.drafts {
            if let Some(known) = self.known(&draft)? {
                answers.push(known);
                continue;
            }
            let twin = ids.get(&draft.event.id).copied();
            let twin = match (twin, &draft.idempotency_key) {
                (Some(seq), _) => Some((seq, draft.event.id)),
                (None, Some(key)) => match keys.get(key) {
                    Some(&at) => {
                        check_same(key, &fresh[at].0, &draft.event)?;
                        Some((place(self.head, at), fresh[at].0.id))
                    }
                    None => None,
                },
                (None, None) => None,
            };
            if let Some((seq, original)) = twin {
                answers.push(Appended {
                    seq,
                    committed_at,
                    duplicate_of: Some(original),
                });
                continue;
            }
            let seq = place(self.head, fresh.len());
            ids.insert(draft.event.id, seq);
            if let Some(key) = &draft.idempotency_key {
                keys.insert(key.clone(), fresh.len());
            }
            fresh.push((draft.event, draft.idempotency_key));
            answers.push(Appended {
                seq,
                committed_at,
                duplicate_of: None,
            });
        }
        for (event, key) in fresh {
            self.commit(&event, key, committed_at);
        }
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

    /// The answer for a draft that is in the log already.
    fn known(&self, draft: &Draft) -> Result<Option<Appended>, Error> {
        let mut seq = self.by_id.get(&draft.event.id).copied();
        if seq.is_none()
            && let Some(key) = &draft.idempotency_key
            && let Some((at, ends_at)) = self.idempotency.get(key)
            && *ends_at > self.now
            && let Some(logged) = self.log.get(at)
        {
            check_same(key, &logged.event, &draft.event)?;
            seq = Some(*at);
        }
        Ok(seq
            .and_then(|seq| self.log.get(&seq))
            .map(|logged| Appended {
                seq: logged.event.seq.unwrap_or_default(),
                committed_at: logged.committed_at,
                duplicate_of: Some(logged.event.id),
            }))
    }

    fn commit(&mut self, event: &Arc<Event>, key: Option<String>, committed_at: Time) {
        self.head = self.head.next();
        let seq = self.head;
        let mut event = Event::clone(event);
        event.seq = Some(seq);
        self.by_id.insert(event.id, seq);
        if let Some(key) = key {
            let ends_at = self.now.after(IDEMPOTENCY_WINDOW);
            self.idempotency.insert(key, (seq, ends_at));
        }
        let logged = Logged {
            event: Arc::new(event),
            committed_at,
            deleted_at: None,
        };
        self.log.insert(seq, logged);
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

fn place(head: Seq, index: usize) -> Seq {
    Seq(head.0 + 1 + i64::try_from(index).unwrap_or(i64::MAX - head.0 - 1))
}

fn check_same(key: &str, original: &Event, event: &Event) -> Result<(), Error> {
    if original.payload == event.payload && original.event_type == event.event_type {
        return Ok(());
    }
    Err(Error::new(
        ErrorCode::IdempotencyConflict,
        format!(
            "the idempotency key {key:?} was used for event {} with another payload or type",
            original.id
        ),
    )
    .with_next(format!("ringrift events show {}", original.id)))
}
