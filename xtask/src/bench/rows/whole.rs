//! The product as a whole: a steady day, a large log, its size.

use super::{Row, Scene};
use crate::bench::Size;
use crate::bench::contestants::{Class, Contestant, OURS};
use crate::bench::goals::{number, times};
use crate::bench::measured::{AROUND, BUSY, CLAIM, EXPLAIN, KEPT, LOST, P99, PUBLISH, RESIDENT};

/// Processes of the steady load.
const PROCESSES: usize = 8;

/// Subscriptions of the steady load, and of the process that is weighed.
const SUBSCRIPTIONS: usize = 20;

/// Events of the log that a large one is compared with.
const SMALL: usize = 100_000;

const AT_SMALL: Contestant = Contestant::product("at 100,000 events", Class::Process);
const AT_LARGE: Contestant = Contestant::product("ours, at 10 million", Class::Process);

const KEEPS: Contestant = Contestant::product("without retention", Class::Process);
const LETS_GO: Contestant = Contestant::product("ours, keeping a second", Class::Process);

/// Events a second that come and go.
const COME_AND_GO: u32 = 5_000;

pub(super) fn rows(size: &Size) -> Vec<Row> {
    let mut rows = vec![steady(size)];
    rows.extend(size.large.map(large));
    rows.push(retained(size));
    rows.push(weighed(size));
    rows
}

fn steady(size: &Size) -> Row {
    let (lasts, rate) = size.steady;
    let seconds = lasts.as_secs_f64();
    let worker = |part| {
        format!(
            "steady --seconds {seconds} --rate {rate} --subscriptions {SUBSCRIPTIONS} \
             --part {part}/{PROCESSES}"
        )
    };
    let mut scene = Scene::of(OURS, 0, "").filled("fill --count 0".to_owned());
    scene.workers = (0..PROCESSES).map(worker).collect();
    scene.owed = Some(SUBSCRIPTIONS);
    Row {
        name: "steady".to_owned(),
        work: format!(
            "{PROCESSES} processes, {SUBSCRIPTIONS} durable subscriptions, {rate} events a second \
             for {seconds} s; publish to handler"
        ),
        figure: P99,
        scenes: vec![scene],
        goals: vec![number(LOST, 0.0), number(P99, 5_000.0), number(BUSY, 5.0)],
        rounds: 1,
    }
}

/// Each time beside ten million events in multiples of the one beside a hundred thousand.
fn large(events: usize) -> Row {
    let scene = |contestant, count| Scene::of(contestant, 1, &format!("large --count {count}"));
    let figures = [PUBLISH, CLAIM, EXPLAIN];
    Row {
        name: "ten-million".to_owned(),
        work: "a publish, a claim of 256 settled, an explain, beside ten million events".to_owned(),
        figure: PUBLISH,
        scenes: vec![scene(AT_SMALL, SMALL), scene(AT_LARGE, events)],
        goals: figures.map(|one| times(one, 1.3, AT_SMALL.name)).to_vec(),
        rounds: 1,
    }
}

/// Retention looks once a second for what is older than one: what is kept lies between one second
/// and two, and a little.
fn retained(size: &Size) -> Row {
    let seconds = size.retained.as_secs_f64();
    let scene = |contestant, kind| {
        let words = format!("retain --seconds {seconds} --rate {COME_AND_GO} --handler {kind}");
        Scene::of(contestant, 1, &words)
    };
    Row {
        name: "retention".to_owned(),
        work: format!(
            "publish {COME_AND_GO} a second, waiting for each, while retention deletes as many"
        ),
        figure: P99,
        scenes: vec![scene(KEEPS, "keeps"), scene(LETS_GO, "lets-go")],
        goals: vec![times(P99, 2.0, KEEPS.name), number(KEPT, 3.0)],
        rounds: size.rounds,
    }
}

fn weighed(size: &Size) -> Row {
    let words = format!(
        "size --count {} --subscriptions {SUBSCRIPTIONS}",
        size.weighed
    );
    Row {
        name: "size".to_owned(),
        work: format!(
            "a process with {SUBSCRIPTIONS} durable subscriptions after {} events, and its file once \
             it is closed",
            size.weighed
        ),
        figure: RESIDENT,
        scenes: vec![Scene::of(OURS, 1, &words)],
        goals: vec![number(RESIDENT, 30.0), number(AROUND, 200.0)],
        rounds: 1,
    }
}
