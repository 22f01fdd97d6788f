//! The floors of the house: a room names only rooms of lower floors, never one beside it.

use crate::source::{Source, identifier, is_word};

/// The rooms, lowest floor first. Rooms on one floor never name each other, except on the lowest.
const FLOORS: &[&[&str]] = &[
    &["clock", "coded", "event", "verdict"],
    &["audit", "catalog", "trace"],
    &["store"],
    &["log"],
    &["bus", "dead_letters", "handler", "queue", "stages"],
    &["router"],
    &["daemons"],
    &[
        "explain", "health", "lint", "metrics", "pipeline", "recovery",
    ],
    &["alerts", "doctor"],
    &["config"],
    &["system"],
];

/// Rooms of one floor that are plain vocabulary and may name each other.
const VOCABULARY: usize = 0;

const SRC: &str = "crates/ringrift-events/src/";

/// Every place where a room names a room that it must not know.
pub(crate) fn check(source: &Source) -> Vec<String> {
    let Some(inside) = source.path.strip_prefix(SRC) else {
        return Vec::new();
    };
    if inside == "lib.rs" {
        return Vec::new();
    }
    let room = inside
        .split('/')
        .next()
        .unwrap_or(inside)
        .trim_end_matches(".rs");
    let Some(own) = floor(room) else {
        return vec![format!("{}:1: room {room} stands on no floor", source.path)];
    };
    named(source, module_depth(inside))
        .into_iter()
        .filter(|(_, other)| other != room)
        .filter_map(|(at, other)| {
            let place = source.place(at);
            match floor(&other) {
                None => Some(format!(
                    "{place}: crate::{other} is no room; name the item by its room"
                )),
                Some(its) if its < own || (its == own && own == VOCABULARY) => None,
                Some(its) if its == own => {
                    Some(format!("{place}: {room} and {other} share a floor"))
                }
                Some(_) => Some(format!(
                    "{place}: {room} names {other}, which stands above it"
                )),
            }
        })
        .collect()
}

/// Pages that draw the floors and leave out a room.
pub(crate) fn check_page(path: &str, text: &str) -> Vec<String> {
    let rooms = FLOORS.iter().flat_map(|rooms| rooms.iter());
    rooms
        .filter(|room| !text.split(|c| !is_word(c)).any(|word| word == **room))
        .map(|room| format!("{path}:1: leaves out the room {room}"))
        .collect()
}

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

/// How many `super` lead from this file to the root of the crate.
fn module_depth(inside: &str) -> usize {
    let parts = inside.split('/').count();
    if inside.ends_with("/mod.rs") {
        parts - 1
    } else {
        parts
    }
}

/// The rooms a file names through `crate::` or through enough `super::`, with their offsets.
fn named(source: &Source, depth: usize) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for at in source.words("crate") {
        let Some(rest) = source.code[at..].strip_prefix("crate::") else {
            continue;
        };
        if source.code[..at].ends_with('$') {
            continue;
        }
        for name in heads(rest) {
            found.push((at, name));
        }
    }
    let climb = "super::".repeat(depth);
    for at in source.words(&climb) {
        let rest = &source.code[at + climb.len()..];
        for name in heads(rest) {
            // From an inline module the same climb ends lower, at items of the room itself.
            if floor(&name).is_some() {
                found.push((at, name));
            }
        }
    }
    found
}

/// The first names of a path or of a group of paths: `a::b` gives a; `{a::{b, c}, d}` gives a, d.
fn heads(text: &str) -> Vec<String> {
    let Some(group) = text.strip_prefix('{') else {
        return vec![identifier(text).to_owned()];
    };
    let mut depth = 0_usize;
    let mut heads = vec![identifier(group).to_owned()];
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => heads.push(identifier(&group[at + 1..]).to_owned()),
            _ => {}
        }
    }
    heads.retain(|head| !head.is_empty());
    heads
}

#[cfg(test)]
fn findings(inside: &str, text: &str) -> Vec<String> {
    check(&Source::new(&format!("{SRC}{inside}"), text))
}

#[test]
fn a_room_that_looks_up_or_sideways_is_found() {
    let found = findings(
        "bus/mailbox.rs",
        "use crate::event::Event;\nuse crate::router::Router;",
    );
    assert_eq!(
        found,
        ["crates/ringrift-events/src/bus/mailbox.rs:2: bus names router, which stands above it"]
    );
    assert_eq!(
        findings("bus/mod.rs", "fn f(h: crate::handler::Handler) {}").len(),
        1
    );
    assert_eq!(
        findings(
            "stages/mod.rs",
            "use crate::{event::Event, queue::{Queue, A}};"
        )
        .len(),
        1
    );
    assert_eq!(
        findings("bus/mod.rs", "use super::handler::Handler;").len(),
        1
    );
    assert_eq!(
        findings("store/log.rs", "use super::super::router::Router;").len(),
        1
    );
    assert_eq!(findings("attic.rs", "").len(), 1);
    assert_eq!(findings("bus/mod.rs", "use crate::Event;").len(), 1);
}

#[test]
fn a_room_that_looks_down_is_not() {
    let text = "//! Not crate::router.\nuse crate::{clock::Time, store::{Store, Log}};\n\
        use super::super::event::Event;\npub(crate) fn f() { \"crate::system\"; }";
    assert_eq!(findings("bus/mailbox.rs", text), Vec::<String>::new());
    assert_eq!(
        findings("event.rs", "use crate::clock::Time;"),
        Vec::<String>::new()
    );
}

#[test]
fn a_page_that_leaves_out_a_room_is_found() {
    let all: Vec<&str> = FLOORS
        .iter()
        .flat_map(|rooms| rooms.iter().copied())
        .collect();
    assert_eq!(check_page("a.md", &all.join(", ")), Vec::<String>::new());
    assert_eq!(check_page("a.md", &all[1..].join(", ")).len(), 1);
}
