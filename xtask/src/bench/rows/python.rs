//! The same from Python, on one interpreter: the product's package, other systems', `sqlite3` alone.

use super::delivered::{DOORBELL, paced};
use super::published::{ROW_BY_ROW, limit_rows};
use super::{Row, Scene};
use crate::bench::Size;
use crate::bench::contestants::{
    PACKAGE, PACKAGE_AWAITED, PACKAGE_TOGETHER, PLAIN_CURSOR, PLAIN_QUEUE, PY_HONKER, PY_REDIS,
};
use crate::bench::goals::times;
use crate::bench::measured::{P50, RATE};

/// Events of a backlog at most: filling is no part of the work, and takes as long.
const BACKLOG_MAX: usize = 100_000;

pub(super) fn rows(size: &Size) -> Vec<Row> {
    vec![publish(size), consume(size), process_to_process(size)]
}

fn publish(size: &Size) -> Row {
    let seconds = size.lasts.as_secs_f64();
    let words = format!("publish --seconds {seconds}");
    let made = |one| Scene::of(one, 1, &words).filled("fill --count 0".to_owned());
    let mut scenes = vec![
        made(PACKAGE),
        Scene::of(
            PACKAGE_AWAITED,
            1,
            &format!("publish-awaited --seconds {seconds}"),
        ),
    ];
    scenes.extend([PLAIN_QUEUE, PY_HONKER, PY_REDIS].map(made));
    scenes.push(Scene::of(ROW_BY_ROW, 1, &limit_rows(size, 1)));
    Row {
        name: "python-publish".to_owned(),
        work: "from Python: publish, one process that waits for each".to_owned(),
        figure: RATE,
        scenes,
        goals: vec![times(RATE, 2.0, PLAIN_QUEUE.name)],
        rounds: size.rounds,
    }
}

fn consume(size: &Size) -> Row {
    let count = size.backlog.min(BACKLOG_MAX);
    let backlog = |one, work| {
        let scene = Scene::of(one, 1, &format!("{work} --count {count}"));
        scene.filled(format!("fill --count {count}"))
    };
    Row {
        name: "python-consume".to_owned(),
        work: "from Python: a backlog to a durable subscription, an async function, all settled"
            .to_owned(),
        figure: RATE,
        scenes: vec![
            backlog(PACKAGE, "consume"),
            backlog(PACKAGE_TOGETHER, "consume-together"),
            backlog(PY_HONKER, "consume"),
            backlog(PY_REDIS, "consume"),
            backlog(PLAIN_CURSOR, "consume"),
        ],
        goals: vec![
            times(RATE, 3.0, PY_HONKER.name),
            times(RATE, 6.0, PY_REDIS.name),
        ],
        rounds: size.rounds,
    }
}

fn process_to_process(size: &Size) -> Row {
    let mut scenes = [PACKAGE, PY_HONKER, PY_REDIS]
        .map(|one| paced(size, one, ""))
        .to_vec();
    scenes.push(paced(size, DOORBELL, "limit-"));
    Row {
        name: "python-process-to-process".to_owned(),
        work: "from Python: from before the publish to the async function in another process, \
               pauses of 3 to 11 ms"
            .to_owned(),
        figure: P50,
        scenes,
        goals: vec![times(P50, 0.5, PY_REDIS.name)],
        rounds: size.rounds,
    }
}
