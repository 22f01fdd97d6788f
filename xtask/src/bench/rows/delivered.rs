//! Delivering: from a backlog, to another process as it happens, and within one process.

use super::{Row, Scene};
use crate::bench::Size;
use crate::bench::contestants::{
    CHANNELS, Class, Contestant, HONKER, HONKER_KERNEL, JETSTREAM, JETSTREAM_ALWAYS, LITEQUEUE,
    OURS, OURS_POWER, REDIS, REDIS_ALWAYS,
};
use crate::bench::goals::{Goal, number, times};
use crate::bench::measured::{Figure, IDLE, P50, P99, RATE};

const CURSOR: Contestant = Contestant::limit("SQLite, a saved cursor", Class::Process);
pub(super) const DOORBELL: Contestant = Contestant::limit("SQLite and a futex", Class::Process);
const DOORBELL_POWER: Contestant = Contestant::limit("SQLite FULL and a futex", Class::Power);
const IMMEDIATE: Contestant = Contestant::product("ours, immediate", Class::Memory);
const ASYNC: Contestant = Contestant::product("ours, async", Class::Memory);
const CALLS: Contestant = Contestant::limit("a direct call each", Class::Memory);

pub(super) fn rows(size: &Size) -> Vec<Row> {
    let mut rows = vec![
        consume(size),
        ten_durable(size),
        process_to_process(size),
        process_to_process_power(size),
    ];
    rows.extend([1, 10, 100].map(|subscriptions| in_process(size, subscriptions)));
    rows
}

fn row(
    size: &Size,
    (name, work): (&str, &str),
    figure: Figure,
    scenes: Vec<Scene>,
    goals: Vec<Goal>,
) -> Row {
    Row {
        name: name.to_owned(),
        work: work.to_owned(),
        figure,
        scenes,
        goals,
        rounds: size.rounds,
    }
}

/// A backlog that another process left.
fn backlog(contestant: Contestant, work: &str, events: usize, subscriptions: usize) -> Scene {
    let words = format!("{work} --count {events} --subscriptions {subscriptions}");
    let fill = match work {
        "consume" => "fill",
        _ => "limit-fill",
    };
    Scene::of(contestant, 1, &words).filled(format!("{fill} --count {events}"))
}

fn consume(size: &Size) -> Row {
    /// litequeue takes and settles one event after the other.
    const SLOW_MAX: usize = 2_000;
    let contestants = [OURS, HONKER, REDIS, JETSTREAM];
    let mut scenes: Vec<Scene> = contestants
        .map(|one| backlog(one, "consume", size.backlog, 1))
        .to_vec();
    let few = size.backlog.min(SLOW_MAX);
    scenes.push(backlog(LITEQUEUE, "consume", few, 1));
    scenes.push(backlog(CURSOR, "limit-cursor", size.backlog, 1));
    row(
        size,
        (
            "consume",
            "a backlog to a durable subscription: an immediate handler that does nothing, all settled",
        ),
        RATE,
        scenes,
        vec![
            number(RATE, 1_500_000.0),
            times(RATE, 4.0, "honker"),
            times(RATE, 4.0, "JetStream"),
        ],
    )
}

fn ten_durable(size: &Size) -> Row {
    row(
        size,
        (
            "ten-durable",
            "ten durable subscriptions on one log, deliveries of all",
        ),
        RATE,
        vec![
            backlog(OURS, "consume", size.backlog, 10),
            backlog(CURSOR, "limit-cursor", size.backlog, 10),
        ],
        vec![number(RATE, 3_000_000.0)],
    )
}

/// One process waits, another publishes with pauses.
pub(super) fn paced(size: &Size, contestant: Contestant, before: &str) -> Scene {
    let (count, idle) = (size.paced, size.idle.as_secs_f64());
    let kernel = match contestant == HONKER_KERNEL {
        true => " --handler kernel",
        false => "",
    };
    let receive = format!("{before}receive --count {count} --idle {idle}{kernel}");
    let pace = format!("{before}pace --count {count}");
    let mut scene = Scene::of(contestant, 1, &receive);
    scene.workers.push(pace);
    scene.first_counts = true;
    scene.filled(format!("{before}fill --count 0"))
}

fn process_to_process(size: &Size) -> Row {
    let contestants = [OURS, HONKER, HONKER_KERNEL, REDIS, JETSTREAM, LITEQUEUE];
    let mut scenes: Vec<Scene> = contestants.map(|one| paced(size, one, "")).to_vec();
    scenes.push(paced(size, DOORBELL, "limit-"));
    row(
        size,
        (
            "process-to-process",
            "from before the publish to the handler in another process, pauses of 3 to 11 ms",
        ),
        P50,
        scenes,
        vec![
            times(P50, 1.0 / 1.6, "Redis everysec"),
            times(P99, 1.0 / 1.5, "Redis everysec"),
            times(P50, 0.25, "honker"),
            number(IDLE, 0.1),
        ],
    )
}

fn process_to_process_power(size: &Size) -> Row {
    let contestants = [OURS_POWER, REDIS_ALWAYS, JETSTREAM_ALWAYS];
    let mut scenes: Vec<Scene> = contestants.map(|one| paced(size, one, "")).to_vec();
    scenes.push(paced(size, DOORBELL_POWER, "limit-"));
    row(
        size,
        (
            "power-process-to-process",
            "the same, when the publish outlives a loss of power",
        ),
        P50,
        scenes,
        vec![
            times(P50, 1.0, "Redis always"),
            times(P99, 1.0, "Redis always"),
        ],
    )
}

fn in_process(size: &Size, subscriptions: usize) -> Row {
    let seconds = size.lasts.as_secs_f64();
    let to = format!("--seconds {seconds} --subscriptions {subscriptions}");
    let scenes = [
        (IMMEDIATE, "in-process --handler immediate"),
        (ASYNC, "in-process --handler async"),
        (CHANNELS, "limit-channel"),
        (CALLS, "limit-call"),
    ];
    let scenes = scenes.map(|(one, work)| Scene::of(one, 1, &format!("{work} {to}")));
    row(
        size,
        (
            &format!("in-process-{subscriptions}"),
            &format!(
                "in one process, {subscriptions} live subscriptions, with time limit and panic guard"
            ),
        ),
        RATE,
        scenes.to_vec(),
        vec![
            times(RATE, 1.0, CHANNELS.name).of(ASYNC.name),
            times(RATE, 2.0, CHANNELS.name).of(IMMEDIATE.name),
        ],
    )
}
