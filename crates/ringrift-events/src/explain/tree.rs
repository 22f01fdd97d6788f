//! What an event came from and what it led to, across processes.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use serde::Serialize;

use super::Error;
use super::explanation::{Author, Explanation};
use super::known::{Known, Scenery};
use super::whole::{Side, worst};
use super::{name, unlogged};
use crate::clock::{Time, rfc3339};
use crate::event::{EventId, EventType, Seq, made_at};
use crate::store::Store;
use crate::store::log::{EventRef, Logged};
use crate::verdict::Code;

/// Most generations above the asked event: as deep as handlers may publish.
const ANCESTORS_MAX: usize = 64;

/// Most events of one tree: each costs three reads.
const NODES_MAX: usize = 1_000;

/// A causal tree.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tree {
    /// The event that was asked about.
    pub asked: EventId,
    /// The earliest cause that is known.
    pub root: Node,
    /// Why the tree does not show everything, if it does not.
    pub cut: Option<String>,
}

/// One event of a tree.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Node {
    /// Its id.
    pub id: EventId,
    /// Its number; none when the log does not have it.
    pub seq: Option<Seq>,
    /// Its type, if the log has it.
    #[serde(rename = "type")]
    pub event_type: Option<EventType>,
    /// Its key.
    pub key: Option<String>,
    /// When it was published.
    #[serde(serialize_with = "rfc3339")]
    pub published_at: Option<Time>,
    /// How long after its parent, in microseconds; none for the root.
    pub after_us: Option<u64>,
    /// The process that published it.
    pub process: Option<Author>,
    /// The worst of its deliveries.
    pub state: Code,
    /// The subscription of that delivery.
    pub subscription: Option<String>,
    /// What its code means here, in one sentence.
    pub sentence: String,
    /// What that delivery comes to.
    #[serde(skip)]
    pub side: Side,
    /// The events that its handlers published.
    pub children: Vec<Node>,
}

impl Tree {
    /// The tree around the event that `text` names. Blocks for a few reads an event, at most 1,000
    /// events.
    ///
    /// # Errors
    /// As [`name::event`].
    pub fn of(store: &dyn Store, text: &str, now: Time) -> Result<Tree, Error> {
        let asked = match name::event(store, text) {
            Ok(logged) => logged,
            Err(error @ Error::EventUnknown { .. }) => {
                let found = match name::id(text) {
                    Some(id) => Tree::of_unlogged(store, id, now)?,
                    None => None,
                };
                return found.ok_or(error);
            }
            Err(error) => return Err(error),
        };
        let asked_id = asked.event.id;
        let scenery = Arc::new(Scenery::read(store, now)?);
        let mut cut = None;
        let (root, lost) = ancestor(store, asked, &mut cut)?;
        let nodes = descendants(store, &scenery, root, &mut cut)?;
        let root = grown(nodes);
        Ok(Tree {
            asked: asked_id,
            root: match lost {
                Some(parent) => beneath(store, parent, vec![root], now)?,
                None => root,
            },
            cut,
        })
    }

    /// The tree below an event that no log has, such as an edited one; `None` if nothing tells of
    /// it.
    fn of_unlogged(store: &dyn Store, id: EventId, now: Time) -> Result<Option<Tree>, Error> {
        let scenery = Arc::new(Scenery::read(store, now)?);
        let mut cut = None;
        let mut children = Vec::new();
        for child in store.children(id).wait()? {
            let nodes = descendants(store, &scenery, child, &mut cut)?;
            children.push(grown(nodes));
        }
        if children.is_empty() && unlogged::explain(store, id, now)?.is_none() {
            return Ok(None);
        }
        Ok(Some(Tree {
            asked: id,
            root: beneath(store, id, children, now)?,
            cut,
        }))
    }
}

/// The earliest ancestor in the log, and its parent if that is in no log.
fn ancestor(
    store: &dyn Store,
    from: Logged,
    cut: &mut Option<String>,
) -> Result<(Logged, Option<EventId>), Error> {
    let mut at = from;
    let mut seen = HashSet::from([at.event.id]);
    for _ in 0..ANCESTORS_MAX {
        let Some(parent) = at.event.parent_id else {
            return Ok((at, None));
        };
        if !seen.insert(parent) {
            *cut = Some(format!("{parent} is its own ancestor"));
            return Ok((at, None));
        }
        let Some(above) = store.find(EventRef::Id(parent)).wait()?.pop() else {
            return Ok((at, Some(parent)));
        };
        at = above;
    }
    *cut = Some(format!("more than {ANCESTORS_MAX} events lie above"));
    Ok((at, None))
}

/// The root and everything below it, breadth first, each with the place of its parent.
fn descendants(
    store: &dyn Store,
    scenery: &Arc<Scenery>,
    root: Logged,
    cut: &mut Option<String>,
) -> Result<Vec<(Option<usize>, Node)>, Error> {
    let mut nodes = Vec::new();
    let mut seen = HashSet::from([root.event.id]);
    let mut open = VecDeque::from([(None, root)]);
    while let Some((parent, logged)) = open.pop_front() {
        if nodes.len() == NODES_MAX {
            *cut = Some(format!("only the first {NODES_MAX} events are shown"));
            break;
        }
        let (id, at) = (logged.event.id, logged.event.published_at);
        let before: Option<&(_, Node)> = parent.and_then(|place: usize| nodes.get(place));
        let after = before
            .and_then(|(_, node)| node.published_at)
            .map(|earlier| u64::try_from(at.since(earlier).as_micros()).unwrap_or(u64::MAX));
        let known = Known::within(store, logged, scenery)?;
        nodes.push((parent, Node::of(&known, after)));
        let place = nodes.len() - 1;
        for child in store.children(id).wait()? {
            if seen.insert(child.event.id) {
                open.push_back((Some(place), child));
            }
        }
    }
    Ok(nodes)
}

/// The tree of nodes of which each stands after its parent.
fn grown(mut nodes: Vec<(Option<usize>, Node)>) -> Node {
    loop {
        // The caller gives at least the root.
        let Some((parent, mut node)) = nodes.pop() else {
            unreachable!("the first node has no parent")
        };
        node.children.reverse();
        match parent {
            None => return node,
            Some(place) => nodes[place].1.children.push(node),
        }
    }
}

/// Trees below an event that no log has.
fn beneath(
    store: &dyn Store,
    parent: EventId,
    children: Vec<Node>,
    now: Time,
) -> Result<Node, Error> {
    if let Some(told) = unlogged::explain(store, parent, now)? {
        return Ok(Node::unlogged(told, children));
    }
    Ok(Node {
        id: parent,
        seq: None,
        event_type: None,
        key: None,
        published_at: made_at(parent.0),
        after_us: None,
        process: None,
        state: Code::HnNoRecord,
        subscription: None,
        sentence: "The log does not have it: its type is volatile, or it is no longer kept."
            .to_owned(),
        side: Side::Untold,
        children,
    })
}

impl Node {
    fn of(known: &Known, after_us: Option<u64>) -> Node {
        let event = &known.logged.event;
        let standings = known.standings();
        let worst = worst(&standings);
        Node {
            id: event.id,
            seq: event.seq,
            event_type: Some(event.event_type.clone()),
            key: event.key.clone(),
            published_at: Some(event.published_at),
            after_us,
            process: Some(Author::of(event.origin, &known.scenery)),
            state: worst.map_or(Code::RtNoSubscribers, |one| one.verdict.code),
            subscription: worst.map(|one| one.name.clone()),
            sentence: worst.map_or_else(
                || Code::RtNoSubscribers.meaning().to_owned(),
                |one| one.verdict.sentence.clone(),
            ),
            side: worst.map_or(Side::Failed, |one| one.verdict.side),
            children: Vec::new(),
        }
    }

    /// An event that is in no log, as its traces tell of it.
    fn unlogged(told: Explanation, children: Vec<Node>) -> Node {
        let (event, findings) = (told.event, told.findings);
        let worst = worst(&findings.deliveries);
        let verdict = worst.map_or(&findings.publication, |one| &one.verdict);
        Node {
            id: event.id,
            seq: None,
            event_type: event.event_type,
            key: event.key,
            published_at: event.published_at,
            after_us: None,
            process: event.process,
            state: verdict.code,
            subscription: worst.map(|one| one.name.clone()),
            sentence: verdict.sentence.clone(),
            side: verdict.side,
            children,
        }
    }
}
