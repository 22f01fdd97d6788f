//! `subscribe --exec` over a system in memory.

use std::path::Path;

use ringrift_events::router::Publish;
use ringrift_events::store::letters::{LetterFilter, LetterState};
use ringrift_events::system::System;

use super::handle;
use crate::cli::Command;
use crate::exit::Exit;
use crate::signals::Signals;
use crate::world::World;

/// Subscribes by a command line, publishes one event, and waits for the command's end.
fn run(line: &[&str], payload: &str) -> (System, Exit) {
    let world = World::empty();
    let (cli, call, system) = world.system(line);
    let Command::Subscribe(args) = &cli.command else {
        panic!("subscribe it is")
    };
    // A durable subscription begins before its first event, whoever is first at the store.
    let publisher = system.clone();
    let payload = payload.to_owned();
    let published = std::thread::spawn(move || {
        let mut seen = 0;
        while publisher
            .store()
            .subscriptions()
            .wait()
            .expect("reads")
            .is_empty()
        {
            seen = publisher
                .store()
                .wait_for_news(seen, std::time::Duration::from_millis(5));
        }
        let publish = Publish::new("NEW_GAMES_AVAILABLE", payload).source("test");
        publisher
            .router()
            .publish_blocking(publish)
            .expect("publishes")
    });
    let exit = handle(&call, args, &system, &Signals::deaf()).expect("ends");
    published.join().expect("published");
    (system, exit)
}

fn read(file: &Path) -> serde_json::Value {
    let text = std::fs::read_to_string(file).expect("the command ran");
    serde_json::from_str(&text).expect("one JSON line")
}

#[test]
fn a_command_gets_the_event_and_its_success_ends_the_count() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let file = folder.path().join("line");
    let command = format!("cat > {}", file.display());
    let line = [
        "subscribe",
        "new_games_available",
        "--exec",
        &command,
        "-n",
        "1",
        "--for",
        "30s",
    ];
    let (_, exit) = run(&line, r#"{"config_key":"hex8_2p"}"#);
    assert_eq!(exit, Exit::Ok);
    let line = read(&file);
    assert_eq!(line["type"], "new_games_available");
    assert_eq!(line["payload"]["config_key"], "hex8_2p");
    assert_eq!(line["attempt"], 1);
}

#[test]
fn a_command_over_its_timeout_leaves_a_letter_of_that_kind() {
    let line = [
        "subscribe",
        "NEW_GAMES_AVAILABLE",
        "--durable",
        "slow",
        "--exec",
        "sleep 30",
        "--timeout",
        "100ms",
        "--attempts",
        "1",
        "--for",
        "3s",
    ];
    let world = World::empty();
    let (cli, call, system) = world.system(&line);
    let Command::Subscribe(args) = &cli.command else {
        panic!("subscribe it is")
    };
    let publisher = system.clone();
    let looked = std::thread::spawn(move || {
        let store = std::sync::Arc::clone(publisher.store());
        let mut seen = 0;
        while store.subscriptions().wait().expect("reads").is_empty() {
            seen = store.wait_for_news(seen, std::time::Duration::from_millis(5));
        }
        let publish = Publish::new("NEW_GAMES_AVAILABLE", r#"{"config_key":"a"}"#);
        publisher
            .router()
            .publish_blocking(publish)
            .expect("publishes");
        for _ in 0..2_000 {
            let letters = store.letters(LetterFilter {
                limit: 10,
                ..LetterFilter::default()
            });
            if let Some(letter) = letters.wait().expect("reads").pop()
                && letter.state == LetterState::Dead
            {
                return letter;
            }
            seen = store.wait_for_news(seen, std::time::Duration::from_millis(5));
        }
        panic!("no dead letter")
    });
    handle(&call, args, &system, &Signals::deaf()).expect("ends");
    let letter = looked.join().expect("a letter");
    assert_eq!(letter.error_kind.as_str(), "timeout");
}
