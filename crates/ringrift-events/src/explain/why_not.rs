//! Why a handler is silent: the other end of the question, when no event is known.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::Error;
use super::explanation::{Author, Told};
use super::known::{Known, Scenery, lives};
use super::standing::{Standing, Verdict};
use super::whole::{Side, Whole};
use super::{dry, gone, judge, name};
use crate::catalog::{Catalog, NearNames};
use crate::clock::{Time, rfc3339};
use crate::event::{Event, EventId, EventType, Seq};
use crate::store::log::{Logged, Page, TypeSet};
use crate::store::records::Refusal;
use crate::store::subscriptions::{Kind, SubscriptionId, SubscriptionState};
use crate::store::{self, ErrorCode, Store};
use crate::verdict::Code;

/// Most events judged: each costs two reads. The newest are.
const JUDGED_MAX: usize = 200;

/// Most events counted of the window.
const COUNTED_MAX: usize = 1_000;

/// A silent handler.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The subscription: its name, or `#` and its number.
    pub subscription: String,
    /// The type that should have come: constant or canonical value. None: all that it names.
    pub event_type: Option<String>,
    /// Only events with this key.
    pub key: Option<String>,
    /// Only events committed at or after this.
    pub since: Time,
}

/// Why a handler is silent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WhyNot {
    /// The subscription's number.
    pub id: SubscriptionId,
    /// Its name.
    pub subscription: String,
    /// The types asked about.
    pub types: TypeSet,
    /// The key asked about.
    pub key: Option<String>,
    /// What is in the way of every event, whichever it is.
    pub itself: Vec<Verdict>,
    /// What was published meanwhile.
    pub window: Window,
    /// What became of it, the worst first.
    pub groups: Vec<Group>,
    /// The last event of these types that the log has, if the window has none.
    pub last: Option<Told>,
    /// Types with a similar name that were published meanwhile, the most frequent first.
    pub near: Vec<NearType>,
    /// Publishes of a name like these types that were refused, and subscribes of this subscription.
    pub refused: Vec<Refusal>,
    /// Events of these types that stayed in their process.
    pub unbridged: Vec<Stayed>,
    /// What it all comes to.
    pub whole: Whole,
}

/// Events of a type that stayed in the process that published them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stayed {
    /// The type.
    #[serde(rename = "type")]
    pub event_type: EventType,
    /// The process.
    pub process: Author,
    /// How many since it started.
    pub count: u64,
    /// When the last was published, where that is kept.
    #[serde(serialize_with = "rfc3339")]
    pub last_at: Option<Time>,
}

/// The part of the log that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Window {
    /// From when on.
    #[serde(serialize_with = "rfc3339")]
    pub since: Time,
    /// How many events were published in it, at most 1,000.
    pub published: usize,
    /// Whether there were more.
    pub more: bool,
    /// How many were judged: the newest, at most 200.
    pub judged: usize,
    /// How many of those judged were deleted from the queue since.
    pub deleted: usize,
    /// From when on the log is kept, if that is later than what was asked for.
    #[serde(serialize_with = "rfc3339")]
    pub kept_since: Option<Time>,
    /// Why the look was cut short, if it was.
    pub cut: Option<String>,
}

/// Events that stand alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// Their code.
    pub code: Code,
    /// How many.
    pub count: usize,
    /// The newest one's number.
    pub seq: Option<Seq>,
    /// Its id.
    pub event: EventId,
    /// When it was published.
    #[serde(serialize_with = "rfc3339")]
    pub published_at: Time,
    /// Its verdict.
    pub newest: Standing,
}

/// A type whose name is similar to one that was asked about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NearType {
    /// Its name.
    #[serde(rename = "type")]
    pub event_type: EventType,
    /// How many were published, at most 1,000 of all similar types.
    pub published: usize,
    /// When the last was.
    #[serde(serialize_with = "rfc3339")]
    pub last_at: Time,
}

impl WhyNot {
    /// Looks for the reason. Blocks for a few reads an event, at most 200 events.
    ///
    /// # Errors
    /// An unknown or ambiguous name, and the store's.
    pub fn of(
        store: &dyn Store,
        catalog: &Catalog,
        asked: &Asked,
        now: Time,
    ) -> Result<WhyNot, Error> {
        let scenery = Arc::new(Scenery::read(store, now)?.by(catalog));
        let state = name::subscription(&scenery.subscriptions, &asked.subscription)?;
        let types = types(catalog, state, asked)?;
        let mut cut = None;
        let mut events = within_time(published(store, &types, asked), &mut cut)?;
        let more = events.len() == COUNTED_MAX;
        let gone = gone::deleted(store, &types, asked, JUDGED_MAX)?;
        let deleted = gone.len();
        events.extend(gone);
        events.sort_by_key(|logged| std::cmp::Reverse(logged.event.seq));
        let judged = &events[..events.len().min(JUDGED_MAX)];
        let groups = groups(store, &scenery, state, judged)?;
        let unbridged = unbridged(store, &scenery, &types)?;
        let itself = itself(catalog, &scenery, state, &types, &unbridged, asked);
        let last = match events.is_empty() {
            true => within_time(last(store, &types, asked), &mut cut)?.pop(),
            false => None,
        };
        let similar = similar(store, catalog, &types, asked.since);
        let near = counted(&within_time(similar, &mut cut)?);
        let window = Window {
            since: asked.since,
            published: events.len(),
            more,
            judged: judged.len(),
            deleted,
            kept_since: gone::kept_since(store, asked.since, now)?,
            cut,
        };
        Ok(WhyNot {
            id: state.id,
            subscription: state.current().name.clone(),
            whole: whole(&groups, &itself, &window),
            near,
            refused: refused(store, &catalog.near_names(), state, &types, asked.since)?,
            unbridged,
            types,
            key: asked.key.clone(),
            itself,
            window,
            groups,
            last: last.map(|logged| Told::of(&logged, &scenery)),
        })
    }
}

fn types(catalog: &Catalog, state: &SubscriptionState, asked: &Asked) -> Result<TypeSet, Error> {
    Ok(match &asked.event_type {
        Some(name) => TypeSet::only([catalog.resolve(name)?.event_type.clone()]),
        None => state.current().types.clone(),
    })
}

fn listed(types: &TypeSet) -> Vec<EventType> {
    match types {
        TypeSet::All => Vec::new(),
        TypeSet::Only(types) => types.clone(),
    }
}

/// What a look into the log found. One that took too long (millions of events without a match)
/// found nothing that may be told: the answer says so, and does not guess.
fn within_time(
    looked: Result<Vec<Logged>, store::Error>,
    cut: &mut Option<String>,
) -> Result<Vec<Logged>, Error> {
    match looked {
        Ok(events) => Ok(events),
        Err(error) if error.code == ErrorCode::TimedOut => {
            *cut = Some(format!("not all of the log was looked at: {error}"));
            Ok(Vec::new())
        }
        Err(error) => Err(error.into()),
    }
}

/// The newest events of the window.
fn published(
    store: &dyn Store,
    types: &TypeSet,
    asked: &Asked,
) -> Result<Vec<Logged>, store::Error> {
    let page = Page {
        types: listed(types),
        key: asked.key.clone(),
        since: Some(asked.since),
        newest_first: true,
        limit: COUNTED_MAX,
        ..Page::default()
    };
    store.list(page).wait()
}

/// The last event of these types, however old.
fn last(store: &dyn Store, types: &TypeSet, asked: &Asked) -> Result<Vec<Logged>, store::Error> {
    let page = Page {
        types: listed(types),
        key: asked.key.clone(),
        newest_first: true,
        limit: 1,
        ..Page::default()
    };
    store.list(page).wait()
}

/// What became of the events at this one subscription, alike ones together, the worst first.
fn groups(
    store: &dyn Store,
    scenery: &Arc<Scenery>,
    state: &SubscriptionState,
    events: &[Logged],
) -> Result<Vec<Group>, Error> {
    let mut groups: BTreeMap<Code, Group> = BTreeMap::new();
    for logged in events {
        let known = Known::within(store, logged.clone(), scenery)?;
        let standing = judge::of(&known, state).or_else(|| Some(judge::stranger(&known, state)?.1));
        let Some(standing) = standing else {
            continue;
        };
        let event: &Event = &known.logged.event;
        let code = standing.verdict.code;
        let group = groups.entry(code).or_insert_with(|| Group {
            code,
            count: 0,
            seq: event.seq,
            event: event.id,
            published_at: event.published_at,
            newest: standing,
        });
        group.count += 1;
    }
    let mut groups: Vec<Group> = groups.into_values().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.newest.verdict.side));
    Ok(groups)
}

/// What is in the way of an event of these types that would be published now.
fn itself(
    catalog: &Catalog,
    scenery: &Arc<Scenery>,
    state: &SubscriptionState,
    types: &TypeSet,
    unbridged: &[Stayed],
    asked: &Asked,
) -> Vec<Verdict> {
    let all = match types {
        TypeSet::Only(types) => types.clone(),
        TypeSet::All => vec![EventType::from_canonical("any")],
    };
    let mut found: Vec<Verdict> = Vec::new();
    for event_type in &all {
        let place = volatile_in(catalog, scenery, state, event_type, unbridged);
        let key = asked.key.clone();
        for verdict in dry::obstacle(scenery, state, event_type, key, place.as_deref()) {
            // What is in the way of all is said once.
            let same =
                |other: &Verdict| (other.code, &other.actual) == (verdict.code, &verdict.actual);
            if !found.iter().any(same) {
                found.push(verdict);
            }
        }
    }
    found
}

/// Where events of the type stay, if that is elsewhere than the subscription: in a living process
/// that published some, or in every other one, by this catalog.
fn volatile_in(
    catalog: &Catalog,
    scenery: &Scenery,
    state: &SubscriptionState,
    event_type: &EventType,
    unbridged: &[Stayed],
) -> Option<String> {
    let elsewhere = |stayed: &&Stayed| {
        let process = scenery.process(stayed.process.id);
        stayed.event_type == *event_type
            && Some(stayed.process.id) != state.process
            && process.is_some_and(lives)
    };
    let rule = catalog.resolve(event_type.as_str());
    let nowhere_else =
        state.current().kind == Kind::Durable && rule.is_ok_and(|entry| !entry.bridged);
    match unbridged.iter().find(elsewhere) {
        Some(stayed) => Some(stayed.process.to_string()),
        None => nowhere_else.then(|| "every process that publishes it".to_owned()),
    }
}

/// The newest events of types with similar names.
fn similar(
    store: &dyn Store,
    catalog: &Catalog,
    types: &TypeSet,
    since: Time,
) -> Result<Vec<Logged>, store::Error> {
    let TypeSet::Only(asked) = types else {
        return Ok(Vec::new());
    };
    let names = catalog.near_names();
    let is_near = |value: &EventType| {
        let near = |one: &EventType| names.near(one.as_str(), value.as_str()).is_some();
        !asked.contains(value) && asked.iter().any(near)
    };
    let all = catalog.types();
    let similar: Vec<EventType> = all
        .iter()
        .map(|entry| entry.event_type.clone())
        .filter(is_near)
        .collect();
    if similar.is_empty() {
        return Ok(Vec::new());
    }
    let page = Page {
        types: similar,
        since: Some(since),
        newest_first: true,
        limit: COUNTED_MAX,
        ..Page::default()
    };
    store.list(page).wait()
}

/// How many there are of each type, the most frequent first.
fn counted(events: &[Logged]) -> Vec<NearType> {
    let mut near: Vec<NearType> = Vec::new();
    for logged in events {
        let event_type = &logged.event.event_type;
        match near.iter_mut().find(|one| one.event_type == *event_type) {
            Some(one) => one.published += 1,
            None => near.push(NearType {
                event_type: event_type.clone(),
                published: 1,
                last_at: logged.event.published_at,
            }),
        }
    }
    near.sort_by_key(|one| std::cmp::Reverse(one.published));
    near
}

/// Refused publishes whose name may have meant one of these types, and refused subscribes by this
/// subscription's name.
fn refused(
    store: &dyn Store,
    names: &NearNames,
    state: &SubscriptionState,
    types: &TypeSet,
    since: Time,
) -> Result<Vec<Refusal>, Error> {
    let meant = |refusal: &Refusal| {
        let name = refusal.name.to_ascii_lowercase();
        listed(types).iter().any(|one| {
            refusal.nearest.as_deref() == Some(one.as_str())
                || names.near(&name, one.as_str()).is_some()
        })
    };
    let mut all = store.refusals().wait()?;
    all.retain(|refusal| {
        let own = !refusal.subscription.is_empty() && refusal.subscription == state.current().name;
        refusal.last_at >= since && (own || (refusal.subscription.is_empty() && meant(refusal)))
    });
    Ok(all)
}

fn unbridged(store: &dyn Store, scenery: &Scenery, types: &TypeSet) -> Result<Vec<Stayed>, Error> {
    let TypeSet::Only(types) = types else {
        return Ok(Vec::new());
    };
    let all = store.unbridged().wait()?;
    let of = all
        .into_iter()
        .filter(|one| types.contains(&one.event_type));
    Ok(of
        .map(|one| Stayed {
            process: Author::of(one.process, scenery),
            event_type: one.event_type,
            count: one.count,
            last_at: one.last.map(|(_, at)| at),
        })
        .collect())
}

fn whole(groups: &[Group], itself: &[Verdict], window: &Window) -> Whole {
    let worst = groups.iter().map(|group| group.newest.verdict.side).max();
    match worst {
        _ if !itself.is_empty() => Whole::NotWell,
        Some(Side::Done) => Whole::Well,
        Some(Side::Untold) => Whole::Unknown,
        None if window.kept_since.is_some() => Whole::Unknown,
        None | Some(Side::NotOwed | Side::Open | Side::Failed) => Whole::NotWell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_that_took_too_long_is_said_and_any_other_error_is_one() {
        let failed = |code| Err(store::Error::new(code, "a read took longer than 5 s"));
        let mut cut = None;
        let found = within_time(failed(ErrorCode::TimedOut), &mut cut);
        assert_eq!(found.unwrap(), []);
        let said = cut.unwrap();
        assert!(said.contains("not all of the log"), "{said}");
        let mut cut = None;
        assert!(within_time(failed(ErrorCode::Io), &mut cut).is_err());
        assert!(within_time(Ok(Vec::new()), &mut cut).is_ok());
        assert_eq!(cut, None);
    }
}
