//! How an event came, or did not come, into the log.

use ringrift_events::coded::Coded;
use ringrift_events::explain::Draft;
use ringrift_events::router::{Error, Publish};
use ringrift_events::verdict::Code;

use crate::stage::{TYPE, change, explained, publish_one, volatile_type};
use crate::support::{World, until};

pub(crate) fn accepted(world: &World) {
    let system = world.process();
    let id = publish_one(&system);
    change(world, &system, "nobody");
    let said = explained(&system, id);
    assert_eq!(said.findings.publication.code, Code::PubAccepted);
    let pid = format!("pid {}", std::process::id());
    assert!(
        said.findings.publication.sentence.contains(&pid),
        "{said:?}"
    );
    system.close();
}

pub(crate) fn duplicate_of(world: &World) {
    let system = world.process();
    let publish = || {
        let publish = Publish::new(TYPE, r#"{"config_key":"a"}"#).idempotency_key("run-7");
        system.router().publish(publish).unwrap().wait().unwrap()
    };
    let original = publish().id;
    assert_eq!(publish().duplicate_of, Some(original));
    let is = || {
        let said = explained(&system, original).findings;
        let codes: Vec<Code> = said.duplicates.iter().map(|one| one.code).collect();
        codes == [Code::PubDuplicateOf]
    };
    until("the repeated publish is told", is);
    change(world, &system, "nobody");
    assert!(is());
    // By the key alone, too.
    assert_eq!(system.explain("key:run-7").unwrap().event.id, original);
    system.close();
}

/// What is refused at the door is told to the caller, in an answer with the code.
#[track_caller]
fn refused(error: Error, code: Code) {
    assert_eq!(error.code(), code.as_str(), "{error}");
    assert!(!error.to_string().is_empty());
}

pub(crate) fn rejected(world: &World) {
    let system = world.process();
    let nameless = Publish::new(TYPE, "{}").idempotency_key("");
    refused(
        system.router().publish(nameless).err().unwrap(),
        Code::PubRejected,
    );
    system.close();
}

/// A store in memory commits within the call: nothing is ever in flight.
pub(crate) fn backpressure(world: &World) {
    if !world.is_sqlite() {
        return;
    }
    let system = world.process_with(|settings| settings.publish.in_flight_max = 1);
    let publish = || system.router().publish(Publish::new(TYPE, "{}"));
    let over = (0..100_000).find_map(|_| publish().err());
    refused(over.expect("one is too many"), Code::PubBackpressure);
    system.close();
}

pub(crate) fn store_failed(world: &World) {
    let system = world.process();
    system.store().close();
    let answer = system.router().publish(Publish::new(TYPE, "{}"));
    refused(answer.unwrap().wait().err().unwrap(), Code::PubStoreFailed);
    system.close();
}

pub(crate) fn volatile(world: &World) {
    let system = world.process();
    let draft = Draft {
        event_type: volatile_type(&system),
        payload: b"{}".to_vec(),
        key: None,
        process: None,
    };
    let said = system.route(&draft).unwrap();
    assert_eq!(said.publication.code, Code::PubVolatile);
    system.close();
}
