//! What a publisher may get wrong.

use ringrift_events::coded::{Class, Coded as _};
use ringrift_events::config::HOME_FILE;
use ringrift_events::event::PAYLOAD_BYTES_MAX;
use ringrift_events::router::{Error, Publish};

use crate::ground::{Ground, Works};

/// Publishes what is to be refused, alone and between two good ones, and shows that nothing of it
/// happened.
#[track_caller]
fn refused(code: &str, event_type: &str, payload: impl Into<Vec<u8>>) -> Error {
    let payload = payload.into();
    let ground = Ground::new();
    let works = Works::open(&ground.home());
    works.publish("{}").unwrap();
    let bad = || Publish::new(event_type, payload.clone());
    let good = || Publish::new("TRAINING_COMPLETED", "{}");
    let router = works.system.router();
    let error = router.publish_blocking(bad()).unwrap_err();
    assert_eq!(error.code(), code, "{error}");
    assert_eq!(error.class(), Class::Refused);
    assert!(error.value().is_some(), "the value at fault");
    assert!(error.next().is_some(), "the next command");
    assert!(!error.may_have_applied() && !error.is_retryable());
    assert!(error.to_string().len() < 1_000, "an error is no payload");
    let many = router.publish_many(vec![good(), bad(), good()]);
    assert_eq!(many.err().unwrap().code(), code);
    assert_eq!(router.publish(bad()).err().unwrap().code(), code);
    works.publish("{}").unwrap();
    works.stands_at(2);
    works.close();
    error
}

#[test]
fn an_unknown_type_is_refused_with_the_nearest_names() {
    let error = refused("TYPE_UNKNOWN", "TRAINING_COMPLETE", "{}");
    assert!(error.to_string().contains("training_completed"), "{error}");
    let long = "X".repeat(100_000);
    refused("TYPE_UNKNOWN", &long, "{}");
    refused("TYPE_UNKNOWN", "", "{}");
    refused("TYPE_UNKNOWN", "training\u{0}completed", "{}");
}

#[test]
fn a_payload_that_is_no_object_is_refused() {
    for payload in ["[1, 2]", "\"text\"", "17", "null", "true"] {
        refused("PAYLOAD_NOT_OBJECT", "TRAINING_COMPLETED", payload);
    }
    for payload in ["", "{", "{}{}", "{\"a\":NaN}", "{\"a\":1,}"] {
        refused("PAYLOAD_NOT_JSON", "TRAINING_COMPLETED", payload);
    }
}

#[test]
fn a_payload_over_the_limit_is_refused_and_one_at_the_limit_kept_byte_for_byte() {
    let of = |bytes: usize| format!("{{\"x\":\"{}\"}}", "y".repeat(bytes - 8));
    let error = refused(
        "PAYLOAD_TOO_LARGE",
        "TRAINING_COMPLETED",
        of(PAYLOAD_BYTES_MAX + 1),
    );
    assert_eq!(error.value().unwrap(), (PAYLOAD_BYTES_MAX + 1).to_string());
    let ground = Ground::new();
    let works = Works::open(&ground.home());
    let largest = of(PAYLOAD_BYTES_MAX);
    let receipt = works.publish(&largest).unwrap();
    let found = works
        .system
        .store()
        .find(ringrift_events::store::log::EventRef::Id(receipt.id))
        .wait()
        .unwrap();
    assert_eq!(found[0].event.payload.as_str(), largest);
    works.stands_at(1);
    works.close();
}

#[test]
fn a_payload_that_is_not_utf8_is_refused() {
    refused(
        "PAYLOAD_NOT_UTF8",
        "TRAINING_COMPLETED",
        b"{\"x\":\"\xFF\xFE\"}".to_vec(),
    );
}

#[test]
fn a_payload_nested_ten_thousand_deep_is_refused_and_no_stack_overflows() {
    let objects = format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
    refused("PAYLOAD_TOO_DEEP", "TRAINING_COMPLETED", objects);
    let arrays = format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    refused("PAYLOAD_TOO_DEEP", "TRAINING_COMPLETED", arrays);
    let unclosed = "[".repeat(10_000);
    refused("PAYLOAD_TOO_DEEP", "TRAINING_COMPLETED", unclosed);
}

#[test]
fn a_missing_required_field_is_let_pass_warned_of_or_refused_as_the_type_says() {
    let ground = Ground::new();
    std::fs::create_dir(ground.home()).unwrap();
    let types = ["off", "warn", "reject"].map(|policy| {
        format!(
            "[[types]]\nname = \"AUDIT_{}\"\nrequired = [\"board\"]\n\
             required_policy = \"{policy}\"\n",
            policy.to_uppercase()
        )
    });
    std::fs::write(ground.home().join(HOME_FILE), types.concat()).unwrap();
    let works = Works::open(&ground.home());
    let publish = |name: &str, payload: &str| {
        let publish = Publish::new(name, payload);
        works.system.router().publish_blocking(publish)
    };
    publish("AUDIT_OFF", "{}").unwrap();
    let warned = publish("AUDIT_WARN", "{\"board\":null}").unwrap();
    let error = publish("AUDIT_REJECT", "{\"other\":1}").unwrap_err();
    assert_eq!(error.code(), "FIELDS_MISSING", "{error}");
    assert_eq!(error.value().unwrap(), "board");
    publish("AUDIT_REJECT", "{\"board\":\"hex8\"}").unwrap();
    works.stands_at(3);
    works.system.log().flush();
    let log = std::fs::read_to_string(ground.home().join("logs/coordination.log")).unwrap();
    let warnings: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("WARN") && line.contains("board"))
        .collect();
    assert!(
        warnings
            .iter()
            .any(|line| line.contains(&warned.id.to_string())),
        "{log}"
    );
    assert!(!log.contains("AUDIT_OFF missing"), "{log}");
    works.close();
}
