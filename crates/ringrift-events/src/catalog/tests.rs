use super::*;
use crate::coded::Coded;
use crate::event::EventType;

fn shared(table: &str) -> Option<String> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/catalog/");
    std::fs::read_to_string(format!("{root}{table}")).ok()
}

fn declared(name: &str, json: &str) -> TypeDeclaration {
    let mut declaration: TypeDeclaration = serde_json::from_str(json).unwrap();
    name.clone_into(&mut declaration.name);
    declaration
}

#[test]
fn every_row_of_the_tables_is_a_type_or_a_stage() {
    let catalog = Catalog::ringrift();
    assert_eq!(catalog.types().len(), 354);
    assert_eq!(catalog.types().len(), shipped::TYPES.lines().count() - 1);
    assert_eq!(catalog.stages().len(), shipped::STAGES.lines().count() - 1);
    for line in shipped::TYPES.lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let entry = catalog.resolve(columns[0]).unwrap();
        assert_eq!(entry.event_type.as_str(), columns[1]);
        assert_eq!(entry.event_type.constant(), columns[0]);
        assert_eq!(catalog.resolve(columns[1]).unwrap(), entry);
        assert_eq!(entry.bridged, columns[3] == "yes", "{line}");
        assert_eq!(entry.alert.is_some(), !columns[5].is_empty(), "{line}");
    }
    for stage in catalog.stages() {
        let data_event = catalog.get(&stage.data_event).unwrap();
        if stage.data_event.as_str() == stage.value {
            assert!(
                data_event.bridged,
                "{stage:?} publishes its own value, so it must be bridged"
            );
        }
    }
}

#[test]
fn the_embedded_tables_are_those_handed_over() {
    for (name, embedded) in [
        ("ringrift.tsv", shipped::TYPES),
        ("stages.tsv", shipped::STAGES),
    ] {
        if let Some(text) = shared(name) {
            assert_eq!(text, embedded, "{name}");
        }
    }
}

#[test]
fn the_pipeline_has_seven_steps_that_require_their_configuration() {
    let catalog = Catalog::ringrift();
    let steps: Vec<String> = catalog
        .pipeline()
        .steps()
        .iter()
        .map(EventType::constant)
        .collect();
    assert_eq!(
        steps,
        [
            "NEW_GAMES_AVAILABLE",
            "DATA_SYNC_COMPLETED",
            "NPZ_EXPORT_COMPLETE",
            "TRAINING_COMPLETED",
            "EVALUATION_COMPLETED",
            "MODEL_PROMOTED",
            "MODEL_DISTRIBUTION_COMPLETE"
        ]
    );
    let requiring = catalog
        .types()
        .into_iter()
        .filter(|entry| !entry.required.is_empty());
    assert_eq!(requiring.count(), 7);
    let training = catalog.resolve("training_completed").unwrap();
    assert_eq!(training.required, ["config_key"]);
    assert_eq!(training.required_policy, RequiredPolicy::Warn);
    assert_eq!(training.key_field.as_deref(), Some("config_key"));
    let next = catalog.pipeline().after(&training.event_type).unwrap();
    assert_eq!(next.as_str(), "evaluation_completed");
}

#[test]
fn five_types_raise_alerts() {
    let catalog = Catalog::ringrift();
    let alerts: Vec<(String, String)> = catalog
        .types()
        .iter()
        .filter_map(|entry| Some((entry.event_type.constant(), entry.alert?.to_string())))
        .collect();
    let expected = [
        ("DAEMON_PERMANENTLY_FAILED", "any"),
        ("DATA_SYNC_FAILED", ">3/1h"),
        ("REGRESSION_CRITICAL", "any"),
        ("SPLIT_BRAIN_DETECTED", "any"),
        ("TRAINING_FAILED", "any"),
    ];
    let alerts: Vec<(&str, &str)> = alerts
        .iter()
        .map(|(a, b)| (a.as_str(), b.as_str()))
        .collect();
    assert_eq!(alerts, expected);
}

#[test]
fn no_spelling_but_the_two_is_taken_and_the_nearest_is_named() {
    let catalog = Catalog::ringrift();
    for name in [
        "Training_Completed",
        "training-completed",
        " training_completed",
        "TrainingCompleted",
    ] {
        let error = catalog.resolve(name).unwrap_err();
        assert_eq!(error.code(), "TYPE_UNKNOWN");
        assert!(
            error
                .to_string()
                .contains("did you mean `training_completed`"),
            "{error}"
        );
        assert_eq!(
            error.next().unwrap(),
            "ringrift types show training_completed"
        );
    }
    assert_eq!(
        catalog.stage("sync_completed").unwrap_err().code(),
        "STAGE_UNKNOWN"
    );
    let huge = catalog.resolve(&"ß".repeat(1_000_000)).unwrap_err();
    assert!(huge.to_string().len() < 300);
}

#[test]
fn two_declarations_of_one_type_show_their_difference_and_change_nothing() {
    let catalog = Catalog::ringrift();
    let first = declared("MY_TYPE", r#"{"name":"","required":["a"]}"#);
    catalog.declare(&first, DeclaredIn::Code).unwrap();
    let before = catalog.text();
    catalog.declare(&first, DeclaredIn::Config).unwrap();
    let other = declared(
        "my_type",
        r#"{"name":"","required":["a","b"],"alert":"any"}"#,
    );
    let error = catalog.declare(&other, DeclaredIn::Store).unwrap_err();
    assert_eq!(error.code(), "TYPE_DIFFERS");
    assert_eq!(
        error.to_string(),
        "type `my_type` of code is declared differently in the store's catalog: \
         required is [\"a\"], not [\"a\", \"b\"]; alert is none, not any"
    );
    assert_eq!(catalog.text(), before);
}

#[test]
fn the_bridge_rule_alone_may_differ_by_process() {
    let (ours, theirs) = (Catalog::ringrift(), Catalog::ringrift());
    let volatile = declared("pulse", r#"{"name":"","volatile":true}"#);
    ours.declare(&volatile, DeclaredIn::Code).unwrap();
    for (value, text) in ours.declared() {
        theirs.learn(&value, &text).unwrap();
    }
    assert!(!ours.resolve("PULSE").unwrap().bridged);
    assert!(theirs.resolve("PULSE").unwrap().bridged);
    assert_eq!(
        theirs.declared(),
        [],
        "what was learnt is not declared again"
    );
    // What comes back from the store leaves this process's own rule alone.
    for (value, text) in ours.declared() {
        ours.learn(&value, &text).unwrap();
    }
    assert!(!ours.resolve("PULSE").unwrap().bridged);

    assert_ne!(ours.hash(), theirs.hash());
    let pulse = EventType::from_canonical("pulse");
    assert_eq!(Catalog::bridged_by(&ours.text(), &pulse), Some(false));
    assert!(ours.set_bridged(&pulse, true));
    assert_eq!(ours.hash(), theirs.hash());
    assert_eq!(
        Catalog::bridged_by(&ours.text(), &EventType::from_canonical("nothing")),
        None
    );
}

#[test]
fn the_homes_file_may_amend_what_ships_and_code_may_not() {
    let catalog = Catalog::ringrift();
    let amendment = declared(
        "TRAINING_COMPLETED",
        r#"{"name":"","required_policy":"reject"}"#,
    );
    assert_eq!(
        catalog
            .declare(&amendment, DeclaredIn::Code)
            .unwrap_err()
            .code(),
        "TYPE_DIFFERS"
    );
    catalog.declare(&amendment, DeclaredIn::Config).unwrap();
    catalog.declare(&amendment, DeclaredIn::Config).unwrap();
    let entry = catalog.resolve("training_completed").unwrap();
    assert_eq!(
        (entry.required_policy, entry.pipeline_position),
        (RequiredPolicy::Reject, Some(4))
    );
    assert_eq!(
        catalog.declared(),
        [],
        "what ships is not declared to the store"
    );
    let payload = payload::check(br#"{"config_key":null}"#).unwrap();
    let error = Catalog::enforce_required(&entry, &payload).unwrap_err();
    assert_eq!(
        error.to_string(),
        "payload of `training_completed` lacks required field `config_key`"
    );
}

#[test]
fn required_fields_follow_their_policy_and_keys_their_field() {
    let catalog = Catalog::ringrift();
    let declaration = declared(
        "t",
        r#"{"name":"","required":["a","b.c"],"key_field":"b.c"}"#,
    );
    let mut entry = catalog
        .declare(&declaration, DeclaredIn::Code)
        .unwrap()
        .as_ref()
        .clone();
    let payload = payload::check(br#"{"a":1,"b":{"c":7}}"#).unwrap();
    assert!(Catalog::check_required(&entry, &payload).is_empty());
    assert_eq!(key_of(&entry, &payload, None).as_deref(), Some("7"));
    assert_eq!(key_of(&entry, &payload, Some("")), None);
    let lacking = payload::check(br#"{"b":{}}"#).unwrap();
    assert_eq!(
        Catalog::enforce_required(&entry, &lacking).unwrap(),
        ["a", "b.c"]
    );
    entry.required_policy = RequiredPolicy::Off;
    assert!(
        Catalog::enforce_required(&entry, &lacking)
            .unwrap()
            .is_empty()
    );
}

#[test]
fn names_that_could_not_stand_in_a_log_line_are_refused() {
    let catalog = Catalog::ringrift();
    let long = "a".repeat(types::TYPE_NAME_BYTES_MAX + 1);
    for name in [
        "",
        "1a",
        "Mixed_case",
        "a b",
        "a-b",
        "ä",
        "_a",
        long.as_str(),
    ] {
        let error = catalog
            .declare(&TypeDeclaration::new(name), DeclaredIn::Code)
            .unwrap_err();
        assert_eq!(error.code(), "TYPE_NAME_INVALID", "{name}");
    }
}

#[test]
fn a_declaration_that_would_widen_every_table_is_refused() {
    let catalog = Catalog::ringrift();
    let long = "x".repeat(types::FIELD_BYTES_MAX + 1);
    let plain = || TypeDeclaration::new("AUDIT_DONE");
    for (declaration, what) in [
        (
            TypeDeclaration {
                category: Some(long.clone()),
                ..plain()
            },
            "201 bytes",
        ),
        (
            TypeDeclaration {
                key_field: Some(long.clone()),
                ..plain()
            },
            "201 bytes",
        ),
        (
            TypeDeclaration {
                required: Some(vec![long.clone()]),
                ..plain()
            },
            "201 bytes",
        ),
        (
            TypeDeclaration {
                required: Some(vec!["a".into(); 101]),
                ..plain()
            },
            "101 required",
        ),
    ] {
        let error = catalog.declare(&declaration, DeclaredIn::Code).unwrap_err();
        assert_eq!(error.code(), "TYPE_DECLARATION_INVALID");
        assert!(error.to_string().contains(what), "{error}");
    }
    assert!(catalog.resolve("AUDIT_DONE").is_err());
}
