//! An event as bytes, for memory that processes of one build share: fields one after the other, each
//! after its length.

use std::str::from_utf8;

use uuid::Uuid;

use super::verbs::append::ROW_BYTES;
use crate::clock::Time;
use crate::event::{Event, EventId, EventType, Payload, ProcessId, TraceId};

/// What stands for a field that is not there.
const NONE: u32 = u32::MAX;

/// Fields that are being packed.
pub(super) struct Packing(Vec<u8>);

impl Packing {
    /// Begins with the event, without its place in the log.
    pub(super) fn of(event: &Event) -> Packing {
        let mut packing = Packing(Vec::with_capacity(ROW_BYTES + event.payload.as_str().len()));
        for field in [
            Some(event.id.0.as_bytes().as_slice()),
            Some(event.event_type.as_str().as_bytes()),
            Some(event.payload.as_str().as_bytes()),
            Some(event.source.as_bytes()),
            event.key.as_deref().map(str::as_bytes),
            Some(&event.published_at.0.to_le_bytes()),
            Some(event.trace_id.0.as_bytes()),
            event
                .parent_id
                .as_ref()
                .map(|id| id.0.as_bytes().as_slice()),
            Some(&event.depth.to_le_bytes()),
            Some(event.origin.0.as_bytes()),
            event.stage.as_deref().map(str::as_bytes),
        ] {
            packing.add(field);
        }
        packing
    }

    /// Adds a field.
    pub(super) fn add(&mut self, field: Option<&[u8]>) {
        let length = field.map_or(NONE, |field| u32::try_from(field.len()).unwrap_or(NONE));
        self.0.extend(length.to_le_bytes());
        self.0.extend_from_slice(field.unwrap_or_default());
    }

    /// All of them.
    pub(super) fn bytes(self) -> Vec<u8> {
        self.0
    }
}

/// Packed fields that are read one by one; none where they end too early or are of another kind.
pub(super) struct Packed<'a>(pub(super) &'a [u8]);

impl<'a> Packed<'a> {
    /// The event that they begin with.
    pub(super) fn event(&mut self) -> Option<Event> {
        Some(Event {
            id: EventId(self.uuid()?),
            event_type: EventType::from_canonical(self.text()?),
            payload: Payload::from_checked(self.text()?),
            source: self.text()?.to_owned(),
            key: self.some_text()?.map(str::to_owned),
            published_at: Time(i64::from_le_bytes(self.array()?)),
            trace_id: TraceId(self.uuid()?),
            parent_id: match self.next()? {
                Some(id) => Some(EventId(Uuid::from_slice(id).ok()?)),
                None => None,
            },
            depth: u16::from_le_bytes(self.array()?),
            origin: ProcessId(self.uuid()?),
            stage: self.some_text()?.map(str::to_owned),
            seq: None,
        })
    }

    /// The same where nothing else is packed.
    pub(super) fn event_alone(mut self) -> Option<Event> {
        self.event().filter(|_| self.is_read())
    }

    fn next(&mut self) -> Option<Option<&'a [u8]>> {
        let (length, rest) = self.0.split_first_chunk()?;
        let length = u32::from_le_bytes(*length);
        if length == NONE {
            self.0 = rest;
            return Some(None);
        }
        let (field, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest;
        Some(Some(field))
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.next()??.try_into().ok()
    }

    fn uuid(&mut self) -> Option<Uuid> {
        Some(Uuid::from_bytes(self.array()?))
    }

    pub(super) fn some_text(&mut self) -> Option<Option<&'a str>> {
        match self.next()? {
            Some(text) => Some(Some(from_utf8(text).ok()?)),
            None => Some(None),
        }
    }

    fn text(&mut self) -> Option<&'a str> {
        self.some_text()?
    }

    /// Whether nothing is left.
    pub(super) fn is_read(&self) -> bool {
        self.0.is_empty()
    }
}
