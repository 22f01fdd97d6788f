//! Publish from anywhere: plain threads, several runtimes, handlers, and all of them at once.

use std::sync::{Arc, Barrier};

use ringrift_events::handler::{Function, NotDone};
use ringrift_events::router::{Publish, Router, Subscribe};
use ringrift_events::system::System;

use crate::support::{Seen, World, until};

over_both_stores! {
    a_publish_from_a_plain_thread_counts_although_nobody_waits_for_it;
    publishing_from_threads_runtimes_and_handlers_at_once_loses_nothing;
}

fn numbered(number: u64) -> Publish {
    Publish::new(
        "MODEL_PROMOTED",
        format!("{{\"config_key\":\"k\",\"number\":{number}}}"),
    )
}

fn watched(world: &World) -> (System, System, Seen, Seen) {
    let (publisher, other) = (world.process(), world.process());
    let (live, durable) = (Seen::default(), Seen::default());
    let to = ["MODEL_PROMOTED"];
    publisher
        .router()
        .subscribe(Subscribe::live("here").to(to), live.noting())
        .unwrap();
    other
        .router()
        .subscribe(Subscribe::durable("there").to(to), durable.noting())
        .unwrap();
    (publisher, other, live, durable)
}

/// B12: publishing from a thread without a running loop dropped the event, logged at debug.
fn a_publish_from_a_plain_thread_counts_although_nobody_waits_for_it(world: &World) {
    let (publisher, other, live, durable) = watched(world);
    for number in 0..50 {
        let router = publisher.router().clone();
        let thread = std::thread::spawn(move || router.publish(numbered(number)).map(drop));
        thread.join().unwrap().unwrap();
    }
    until("all fifty came to both", || {
        live.count() >= 50 && durable.count() >= 50
    });
    publisher.close();
    other.close();
    assert_eq!((live.distinct(), durable.distinct()), (50, 50));
    assert_eq!((live.count(), durable.count()), (50, 50));
}

const EACH: u64 = 150;

fn from_a_thread(router: Router, first: u64, start: Arc<Barrier>) {
    start.wait();
    for number in first..first + EACH {
        match number % 3 {
            0 => drop(router.publish(numbered(number)).unwrap()),
            1 => drop(router.publish(numbered(number)).unwrap().wait().unwrap()),
            _ => drop(router.publish_blocking(numbered(number)).unwrap()),
        }
        std::thread::yield_now();
    }
}

fn from_a_runtime(router: Router, first: u64, start: Arc<Barrier>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    start.wait();
    runtime.block_on(async {
        for number in first..first + EACH {
            match number % 3 {
                0 => drop(router.publish(numbered(number)).unwrap()),
                1 => drop(router.publish(numbered(number)).unwrap().await.unwrap()),
                _ => drop(router.publish_async(numbered(number)).await.unwrap()),
            }
            tokio::task::yield_now().await;
        }
    });
}

/// Publishes `EACH` numbers from inside one run of a handler.
fn in_a_handler(router: Router, first: u64) -> Function {
    Function::asynchronous(move |_| {
        let router = router.clone();
        async move {
            for number in first..first + EACH {
                let publishing = router.publish(numbered(number)).map_err(NotDone::from)?;
                if number % 2 == 0 {
                    publishing.await?;
                }
            }
            Ok(())
        }
    })
}

/// The same on a thread of the handler's own.
fn in_a_blocking_handler(router: Router, first: u64) -> Function {
    Function::blocking(move |_| {
        for number in first..first + EACH {
            router.publish_blocking(numbered(number))?;
        }
        Ok(())
    })
}

/// B17: locks of one event loop were shared between threads and loops; 432 of 3,200 were delivered,
/// then everything hung.
fn publishing_from_threads_runtimes_and_handlers_at_once_loses_nothing(world: &World) {
    let (publisher, other, live, durable) = watched(world);
    let router = publisher.router();
    let start = Arc::new(Barrier::new(11));
    let begin = |name: &str, function| {
        let subscribe = Subscribe::live(name).to(["TRAINING_STARTED"]);
        router.subscribe(subscribe, function).unwrap();
    };
    begin("async", in_a_handler(router.clone(), 10 * EACH));
    begin("plain", in_a_blocking_handler(router.clone(), 11 * EACH));
    let threads: Vec<_> = (0..10)
        .map(|number| {
            let (router, start) = (router.clone(), Arc::clone(&start));
            std::thread::spawn(move || {
                if number % 2 == 0 {
                    from_a_thread(router, number * EACH, start);
                } else {
                    from_a_runtime(router, number * EACH, start);
                }
            })
        })
        .collect();
    start.wait();
    crate::support::publish(&publisher, "TRAINING_STARTED", r#"{"config_key":"k"}"#);
    for thread in threads {
        thread.join().unwrap();
    }
    let all = usize::try_from(12 * EACH).unwrap();
    until("everything came to both", || {
        live.count() >= all && durable.count() >= all
    });
    publisher.close();
    other.close();
    assert_eq!((live.distinct(), durable.distinct()), (all, all));
    assert_eq!((live.count(), durable.count()), (all, all));
}
