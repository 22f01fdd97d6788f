//! Publishing: from one process and several, waiting and not.

use super::{Row, Scene};
use crate::bench::Size;
use crate::bench::contestants::{
    By, Class, Contestant, HONKER, JETSTREAM, JETSTREAM_ALWAYS, LITEQUEUE, OURS, OURS_POWER, REDIS,
    REDIS_ALWAYS,
};
use crate::bench::goals::{Goal, number, times};
use crate::bench::measured::{P99, RATE, WORST};

/// Publishes in flight of one who does not wait for each.
const IN_FLIGHT: usize = 256;

pub(super) const ROW_BY_ROW: Contestant =
    Contestant::limit("SQLite, one index, 1 row", Class::Process);
const BY_THOUSANDS: Contestant = Contestant::limit("SQLite, one index, 1,000 rows", Class::Process);
const SYNC: Contestant = Contestant::limit("fdatasync of one file", Class::Power);
const SYNCED_ROWS: Contestant = Contestant::limit("SQLite FULL, 256 rows", Class::Power);
const PIPELINED: Contestant = Contestant::product("ours, 256 in flight", Class::Process);
const BATCHES: Contestant =
    Contestant::product("ours, 2 publish_many of 1,000 in flight", Class::Process);
const BATCHES_POWER: Contestant =
    Contestant::product("ours, 2 publish_many of 1,000 in flight", Class::Power);

pub(super) fn rows(size: &Size) -> Vec<Row> {
    let seconds = size.lasts.as_secs_f64();
    let publish = format!("publish --seconds {seconds}");
    let mut rows = vec![waiting(size, &publish), together(size, &publish, 4)];
    if size.eight {
        rows.push(together(size, &publish, 8));
    }
    rows.extend([
        pipelined(size, &publish),
        power(size, &publish),
        power_pipelined(size, &publish),
    ]);
    rows
}

/// A peer's store is made before; ours and the limits' make themselves.
fn scene(contestant: Contestant, processes: usize, words: &str) -> Scene {
    let scene = Scene::of(contestant, processes, words);
    if contestant.by == By::Limit {
        return scene;
    }
    scene.filled("fill --count 0".to_owned())
}

fn row(size: &Size, name: &str, work: &str, scenes: Vec<Scene>, goals: Vec<Goal>) -> Row {
    Row {
        name: name.to_owned(),
        work: work.to_owned(),
        figure: RATE,
        scenes,
        goals,
        rounds: size.rounds,
    }
}

fn waiting(size: &Size, publish: &str) -> Row {
    let peers = [OURS, HONKER, REDIS, JETSTREAM, LITEQUEUE];
    let mut scenes: Vec<Scene> = peers.map(|one| scene(one, 1, publish)).to_vec();
    scenes.push(Scene::of(ROW_BY_ROW, 1, &limit_rows(size, 1)));
    row(
        size,
        "publish-waiting",
        "publish, one process that waits for each",
        scenes,
        vec![times(RATE, 1.2, "honker")],
    )
}

fn together(size: &Size, publish: &str, processes: usize) -> Row {
    let peers = [OURS, HONKER, REDIS, JETSTREAM];
    let mut scenes: Vec<Scene> = peers.map(|one| scene(one, processes, publish)).to_vec();
    let limit = Scene::of(ROW_BY_ROW, processes, &limit_rows(size, 1));
    scenes.push(limit.filled("limit-fill --count 1".to_owned()));
    let goals = vec![
        times(RATE, 1.3, "honker"),
        number(P99, 2_000.0),
        number(WORST, 25_000.0),
    ];
    row(
        size,
        &format!("publish-{processes}-processes"),
        &format!("publish, {processes} processes, each waiting for each"),
        scenes,
        goals,
    )
}

fn pipelined(size: &Size, publish: &str) -> Row {
    let flying = format!("{publish} --in-flight {IN_FLIGHT}");
    let scenes = vec![
        scene(PIPELINED, 1, &flying),
        scene(BATCHES, 1, &format!("{publish} --batch 1000 --in-flight 2")),
        scene(HONKER, 1, &format!("{publish} --batch 100")),
        scene(REDIS, 1, &flying),
        scene(JETSTREAM, 1, &flying),
        Scene::of(BY_THOUSANDS, 1, &limit_rows(size, 1_000)),
    ];
    row(
        size,
        "publish-pipelined",
        "publish, 256 in flight or many a transaction (honker: 100)",
        scenes,
        vec![
            times(RATE, 0.7, BY_THOUSANDS.name),
            times(RATE, 3.0, "honker"),
            times(RATE, 2.0, "JetStream"),
        ],
    )
}

fn power(size: &Size, publish: &str) -> Row {
    let contestants = [OURS_POWER, REDIS_ALWAYS, JETSTREAM_ALWAYS];
    let mut scenes: Vec<Scene> = contestants.map(|one| scene(one, 4, publish)).to_vec();
    let sync = format!("limit-sync --seconds {}", size.lasts.as_secs_f64());
    scenes.push(Scene::of(SYNC, 4, &sync));
    row(
        size,
        "power-4-processes",
        "publish that outlives a loss of power, 4 processes, each waiting for each",
        scenes,
        vec![
            times(RATE, 1.2, "Redis always"),
            times(RATE, 3.0, "JetStream always"),
            number(WORST, 25_000.0),
        ],
    )
}

fn power_pipelined(size: &Size, publish: &str) -> Row {
    let flying = format!("{publish} --in-flight {IN_FLIGHT}");
    let contestants = [OURS_POWER, REDIS_ALWAYS, JETSTREAM_ALWAYS];
    let mut scenes: Vec<Scene> = contestants.map(|one| scene(one, 1, &flying)).to_vec();
    let batches = format!("{publish} --batch 1000 --in-flight 2");
    scenes.insert(1, scene(BATCHES_POWER, 1, &batches));
    scenes.push(Scene::of(SYNCED_ROWS, 1, &limit_rows(size, IN_FLIGHT)));
    row(
        size,
        "power-pipelined",
        "publish that outlives a loss of power, 256 in flight or many a transaction",
        scenes,
        vec![times(RATE, 1.2, "Redis always")],
    )
}

/// SQLite alone, so many rows a transaction.
pub(super) fn limit_rows(size: &Size, rows: usize) -> String {
    format!(
        "limit-rows --seconds {} --batch {rows}",
        size.lasts.as_secs_f64()
    )
}
