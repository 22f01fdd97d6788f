//! What `route` says beforehand is what happens: random events, subscriptions and filters, over
//! subscriptions that come, go, change, pause and lose their process meanwhile.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends with the first thing that fails"
)]

#[macro_use]
mod support;

use std::collections::BTreeMap;

use ringrift_events::event::EventType;
use ringrift_events::explain::{Draft, Foreseen};
use ringrift_events::router::{Publish, Subscribe, Subscription};
use ringrift_events::store::subscriptions::Kind;
use ringrift_events::system::System;
use ringrift_events::verdict::Code;
use support::{Seen, World, number_from, until};

/// Events between two changes of the subscriptions.
const ROUND: u64 = 50;

/// Most subscriptions at once.
const MEMBERS_MAX: usize = 14;

/// The type that every subscription takes, whatever else it does: what was published before it has
/// been handled once it has been.
const LAST: &str = "daemon_started";

#[test]
fn route_predicts_ten_thousand_events_in_memory() {
    // Worlds of their own: each begins with other subscriptions, on as many threads as there are
    // processors on the smallest machine.
    let five = |from: u64| {
        let mut all = Compared::default();
        for number in from..from + 5 {
            all.add(run(&World::new(), 1_000, seed() + number));
        }
        all
    };
    let mut all = Compared::default();
    std::thread::scope(|scope| {
        let other = scope.spawn(|| five(5));
        all.add(five(0));
        all.add(other.join().unwrap());
    });
    all.means_something(10_000);
}

#[test]
fn route_predicts_a_thousand_events_on_sqlite() {
    run(&World::sqlite(), 1_000, seed()).means_something(1_000);
}

/// What was compared.
#[derive(Clone, Copy, Default)]
struct Compared {
    taken: u64,
    turned_away: u64,
}

impl Compared {
    fn add(&mut self, more: Compared) {
        self.taken += more.taken;
        self.turned_away += more.turned_away;
    }

    fn means_something(self, events: u64) {
        assert!(self.taken > events / 2, "only {} deliveries", self.taken);
        let away = self.turned_away;
        assert!(away > events / 2, "filters turned only {away} away");
    }
}

struct Member {
    name: String,
    kind: Kind,
    home: usize,
    types: Vec<String>,
    filter: String,
    seen: Seen,
    handle: Subscription,
    hosted: bool,
}

struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    fn of<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

struct Run {
    draw: Draw,
    systems: Vec<System>,
    members: Vec<Member>,
    made: u64,
    bridged: Vec<String>,
    volatile: Vec<String>,
    /// A bridged type that its publisher keeps to itself for this round.
    kept: Option<EventType>,
}

fn seed() -> u64 {
    number_from("RINGRIFT_SEED").unwrap_or(0x5eed)
}

fn run(world: &World, events: u64, seed: u64) -> Compared {
    let systems = vec![world.process(), world.process()];
    let types = systems[0].catalog().types();
    let some = |bridged: bool, count: usize| -> Vec<String> {
        let of = types.iter().filter(|entry| entry.bridged == bridged);
        let of = of.filter(|entry| entry.event_type.as_str() != LAST);
        let step = of.clone().count() / count;
        let names = of.step_by(step).take(count);
        names.map(|entry| entry.event_type.to_string()).collect()
    };
    let mut run = Run {
        draw: Draw(seed),
        bridged: some(true, 5),
        volatile: some(false, 2),
        systems,
        members: Vec::new(),
        kept: None,
        made: 0,
    };
    for _ in 0..6 {
        run.add();
    }
    let (mut number, mut compared) = (1, Compared::default());
    while number <= events {
        run.change();
        compared.add(run.round(number, seed));
        number += ROUND;
    }
    for system in &run.systems {
        system.close();
    }
    compared
}

impl Run {
    /// Predicts, publishes, and compares with what the handlers saw.
    fn round(&mut self, from: u64, seed: u64) -> Compared {
        let drafts: Vec<Draft> = (from..from + ROUND)
            .map(|number| self.draft(number))
            .collect();
        let mut foreseen: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        let mut turned_away = 0;
        for (number, draft) in (from..).zip(&drafts) {
            let prediction = self.systems[0].route(draft).unwrap();
            let taking = prediction.routes.iter().filter(|one| one.takes);
            assert_eq!(taking.clone().count(), prediction.reached);
            let filtered = |one: &&Foreseen| one.verdict.code == Code::RtFilterFalse;
            turned_away += prediction.routes.iter().filter(filtered).count() as u64;
            for one in taking {
                foreseen
                    .entry(one.subscription.clone())
                    .or_default()
                    .push(number);
            }
        }
        let before: Vec<usize> = self.members.iter().map(|one| one.seen.count()).collect();
        let publishes = drafts.into_iter().map(|draft| {
            let publish = Publish::new(draft.event_type, draft.payload);
            match draft.key {
                Some(key) => publish.key(key),
                None => publish,
            }
        });
        let router = self.systems[0].router();
        router
            .publish_many(publishes.collect())
            .unwrap()
            .wait()
            .unwrap();
        self.restore();
        let (last, mut taken) = (from + ROUND - 1, 0);
        support::publish(&self.systems[0], LAST, r#"{"last":true,"number":0}"#);
        for (member, before) in self.members.iter().zip(before) {
            until(
                &format!("{} saw the last of round {last}", member.name),
                || {
                    member.seen.all()[before..]
                        .iter()
                        .any(|sight| sight.number == 0)
                },
            );
            let all = member.seen.all();
            let mut saw: Vec<u64> = all[before..].iter().map(|sight| sight.number).collect();
            saw.retain(|number| *number != 0);
            saw.sort_unstable();
            let said = foreseen.remove(&member.name).unwrap_or_default();
            let (name, filter) = (&member.name, &member.filter);
            taken += saw.len() as u64;
            assert_eq!(
                saw, said,
                "{name} {:?} where {filter:?}, seed {seed}, round to {last}",
                member.types
            );
        }
        assert!(
            foreseen.is_empty(),
            "nobody bears these names: {foreseen:?}"
        );
        Compared { taken, turned_away }
    }

    fn draft(&mut self, number: u64) -> Draft {
        let all: Vec<&str> = self
            .bridged
            .iter()
            .chain(&self.volatile)
            .map(String::as_str)
            .collect();
        let event_type = self.draw.of(&all).to_owned();
        let key = self.draw.of(&["", "hex8", "sq8"]);
        let a = self
            .draw
            .of(&["1", "2", "3.5", "\"x\"", "\"yes\"", "null", "true"]);
        let b = self
            .draw
            .of(&["[1,2]", "[\"x\"]", "{\"c\":2}", "{\"c\":\"x\"}", "\"x2\""]);
        let payload = match self.draw.below(5) {
            0 => format!(r#"{{"number":{number},"a":{a}}}"#),
            1 => format!(r#"{{"number":{number},"b":{b}}}"#),
            _ => format!(r#"{{"number":{number},"config_key":"hex8","a":{a},"b":{b}}}"#),
        };
        Draft {
            event_type,
            payload: payload.into_bytes(),
            key: (!key.is_empty()).then(|| key.to_owned()),
            process: None,
        }
    }

    fn filter(&mut self, depth: usize) -> String {
        if depth > 0 && self.draw.below(3) > 0 {
            let (one, other) = (self.filter(depth - 1), self.filter(depth - 1));
            return match self.draw.below(3) {
                0 => format!("({one} and {other})"),
                1 => format!("({one} or {other})"),
                _ => format!("not ({one})"),
            };
        }
        let field = self
            .draw
            .of(&["a", "b", "b.c", "b.0", "config_key", "gone"]);
        let value = self.draw.of(&["1", "2", "3.5", "x", "null", "true"]);
        match self.draw.of(&[
            "eq",
            "ne",
            "lt",
            "lte",
            "gt",
            "gte",
            "in",
            "contains",
            "startswith",
            "exists",
        ]) {
            "in" => format!("{field}__in = [1, 2, \"x\", null]"),
            "exists" => {
                let there = self.draw.of(&["true", "false"]);
                format!("{field}__exists = {there}")
            }
            "startswith" => format!("{field}__startswith = x"),
            operator @ ("lt" | "lte" | "gt" | "gte") => {
                let bound = self.draw.of(&["1", "2", "3.5", "x"]);
                format!("{field}__{operator} = {bound}")
            }
            operator => format!("{field}__{operator} = {value}"),
        }
    }

    fn definition(&mut self, kind: Kind) -> (Vec<String>, String) {
        let mut types = vec![LAST.to_owned()];
        for _ in 0..=self.draw.below(4) {
            let from = match (kind, self.draw.below(3)) {
                (Kind::Live, 0) => &self.volatile,
                _ => &self.bridged,
            };
            types.push(from[self.draw.below(from.len())].clone());
        }
        types.sort();
        types.dedup();
        let filter = match self.draw.below(4) {
            0 => "last__exists = true or number__exists = true".to_owned(),
            _ => format!("last__exists = true or {}", self.filter(2)),
        };
        (types, filter)
    }

    fn add(&mut self) {
        self.made += 1;
        let kind = match self.draw.below(2) {
            0 => Kind::Live,
            _ => Kind::Durable,
        };
        let home = self.draw.below(2);
        let name = format!("{kind:?}-{}", self.made).to_lowercase();
        let (types, filter) = self.definition(kind);
        let seen = Seen::default();
        let handle = self.subscribe(&name, kind, home, &types, &filter, &seen);
        self.members.push(Member {
            name,
            kind,
            home,
            types,
            filter,
            seen,
            handle,
            hosted: true,
        });
    }

    fn subscribe(
        &self,
        name: &str,
        kind: Kind,
        home: usize,
        types: &[String],
        filter: &str,
        seen: &Seen,
    ) -> Subscription {
        let subscribe = match kind {
            Kind::Live => Subscribe::live(name),
            Kind::Durable => Subscribe::durable(name).replace(),
        };
        let subscribe = subscribe.to(types.iter().cloned()).filter(filter);
        self.systems[home]
            .router()
            .subscribe(subscribe, seen.noting())
            .unwrap()
    }

    /// One of the things that happen to subscriptions.
    fn change(&mut self) {
        let place = self.draw.below(self.members.len());
        let durable = self.members[place].kind == Kind::Durable;
        match self.draw.below(6) {
            0 | 1 if self.members.len() < MEMBERS_MAX => self.add(),
            0 | 2 if self.members.len() > 4 => {
                let gone = self.members.swap_remove(place);
                gone.handle.unsubscribe().unwrap();
                if durable {
                    let store = self.systems[gone.home].store();
                    store
                        .remove(gone.handle.id(), "test".to_owned(), false)
                        .wait()
                        .unwrap();
                }
            }
            3 if durable => {
                self.members[place].handle.pause("test").unwrap();
            }
            4 if durable => self.unhost(place),
            _ if durable => {
                self.unhost(place);
                let (types, filter) = self.definition(Kind::Durable);
                (self.members[place].types, self.members[place].filter) = (types, filter);
                self.host(place);
            }
            _ => {}
        }
        if self.draw.below(3) == 0 {
            let kept = &self.bridged[self.draw.below(self.bridged.len())];
            let kept = EventType::from_canonical(kept);
            self.systems[0].catalog().set_bridged(&kept, false);
            self.kept = Some(kept);
        }
    }

    fn host(&mut self, place: usize) {
        let one = &self.members[place];
        let handle = self.subscribe(
            &one.name,
            one.kind,
            one.home,
            &one.types,
            &one.filter,
            &one.seen,
        );
        self.members[place].handle = handle;
        self.members[place].hosted = true;
    }

    fn unhost(&mut self, place: usize) {
        self.members[place].handle.unsubscribe().unwrap();
        self.members[place].hosted = false;
    }

    /// What was paused goes on, what lost its process is hosted again, and what was kept is not
    /// any more.
    fn restore(&mut self) {
        if let Some(kept) = self.kept.take() {
            self.systems[0].catalog().set_bridged(&kept, true);
        }
        for place in 0..self.members.len() {
            if self.members[place].kind == Kind::Durable {
                self.members[place].handle.resume("test").unwrap();
            }
            if !self.members[place].hosted {
                self.host(place);
            }
        }
    }
}
