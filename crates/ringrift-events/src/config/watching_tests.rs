use super::*;
use crate::catalog::Catalog;

/// What a file with these lines is refused with: the line, and the rest of the message.
fn refused_watching(text: &str) -> (usize, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(HOME_FILE), text).unwrap();
    let sources = ConfigSources {
        home: Home::at(folder.path()),
        variables: Vec::new(),
        flags: Vec::new(),
    };
    let error = Config::load(sources).expect_err("a refusal");
    let (Error::ValueInvalid { place, .. } | Error::KeyUnknown { place, .. }) = &error else {
        panic!("no place in {error}");
    };
    let Place::File(_, line) = place else {
        panic!("no line in {error}");
    };
    let text = error.to_string();
    let (_, said) = text.split_once(": ").expect("a place and what is wrong");
    (*line, said.to_owned())
}

/// Each is refused at its line, with a message that begins and goes on like this.
fn check_refusals(cases: impl IntoIterator<Item = (String, usize, &'static str, &'static str)>) {
    for (text, line, begins, ends) in cases {
        let (at, said) = refused_watching(&text);
        assert_eq!(at, line, "{text}{said}");
        let plain = said.replace('`', "");
        assert!(
            plain.starts_with(begins) && said.contains(ends),
            "{text}{said}"
        );
    }
}

#[test]
fn a_malformed_rule_names_its_line_its_value_and_the_nearest_valid_one() {
    let rule = |line: &str| format!("[[alert]]\nname = \"mine\"\n{line}\n");
    let cases = [
        (
            rule("type = \"TRAINING_FAILED\"\nwhen = \"> 3 in 1 hour\""),
            4,
            "alert.when is > 3 in 1 hour;",
            "the nearest is `>3/1h`",
        ),
        (
            rule("type = \"TRAINING_FAIL\"\nwhen = \"any\""),
            3,
            "alert.type is TRAINING_FAIL;",
            "the nearest is `TRAINING_FAILED`",
        ),
        (
            rule("types = [\"TRAINING_FAILED\", \"REGRESION_CRITICAL\"]\nwhen = \"any\""),
            3,
            "alert.types is REGRESION_CRITICAL;",
            "the nearest is `REGRESSION_CRITICAL`",
        ),
        (
            rule("type = \"DATA_STARVATION_CRITICAL\"\nwhen = \"any\""),
            3,
            "alert.type is DATA_STARVATION_CRITICAL;",
            "a bridged type",
        ),
        (
            rule("when = \"any\""),
            1,
            "alert.type is ;",
            "at least one type",
        ),
        (
            "[[alert]]\nname = \"TRAINING_FAILD\"\nenabled = false\n".to_owned(),
            2,
            "alert.name is TRAINING_FAILD;",
            "the nearest is `TRAINING_FAILED`",
        ),
    ];
    check_refusals(cases);
}

#[test]
fn what_qualifies_a_rule_is_judged_too() {
    let whole = |line: &str| {
        format!("[[alert]]\nname = \"mine\"\ntype = \"TRAINING_FAILED\"\nwhen = \"any\"\n{line}\n")
    };
    check_refusals([
        (
            whole("severity = \"kritical\""),
            5,
            "alert.severity is kritical;",
            "the nearest is `critical`",
        ),
        (
            whole("sinks = [\"lgo\"]"),
            5,
            "alert.sinks is lgo;",
            "the nearest is `log`",
        ),
        (
            whole("dedup = \"soon\""),
            5,
            "alert.dedup is soon;",
            "a time such as `10m`",
        ),
        (
            whole("filter = \"elo >>\""),
            5,
            "alert.filter is elo >>;",
            "a filter",
        ),
        (
            whole("by_key = \"yes\""),
            5,
            "alert.by_key is yes;",
            "true or false",
        ),
        (
            whole("severty = \"info\""),
            5,
            "unknown key alert.severty;",
            "alert.severity",
        ),
    ]);
}

#[test]
fn a_malformed_sink_or_pipeline_does_so_too() {
    check_refusals([
        (
            "[[sink]]\nname = \"ops\"\nwebhook = \"hooks.example.org/x\"\n".to_owned(),
            3,
            "sink.webhook is hooks.example.org/x;",
            "the nearest is `https://hooks.example.org/x`",
        ),
        (
            "[[sink]]\nname = \"ops\"\nfile = \"a\"\nlog = true\n".to_owned(),
            2,
            "sink.name is ops;",
            "it has 2",
        ),
        (
            "[[pipeline]]\nname = \"ringrift\"\nlimits = { TRAINING_COMPLETE = \"6h\" }\n"
                .to_owned(),
            3,
            "pipeline.limits.TRAINING_COMPLETE is",
            "the nearest is `TRAINING_COMPLETED`",
        ),
        (
            "[[pipeline]]\nname = \"ringrift\"\nlimits = { TRAINING_COMPLETED = \"long\" }\n"
                .to_owned(),
            3,
            "pipeline.limits.TRAINING_COMPLETED is long;",
            "a time such as `6h`",
        ),
        (
            "[[pipeline]]\nname = \"mine\"\nsteps = [\"TRAINING_STARTED\", \"TRAINING_DONE\"]\n"
                .to_owned(),
            3,
            "pipeline.steps is TRAINING_DONE;",
            "a known type",
        ),
        (
            "[[pipeline]]\nname = \"mine\"\n".to_owned(),
            2,
            "pipeline.name is mine;",
            "`steps` for one of your own",
        ),
    ]);
}

#[test]
fn the_file_adds_replaces_and_switches_off_rules() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[[alert]]\nname = \"TRAINING_FAILED\"\nenabled = false\n\n\
        [[alert]]\nname = \"DATA_SYNC_FAILED\"\ntype = \"DATA_SYNC_FAILED\"\nwhen = \">1/5m\"\n\n\
        [[alert]]\nname = \"mine\"\ntype = \"AUDIT_DONE\"\nwhen = \"none/6h\"\n\n\
        [[types]]\nname = \"AUDIT_DONE\"\n\n\
        [[types]]\nname = \"AUDIT_FAILED\"\nalert = \">2/1h\"\n";
    std::fs::write(folder.path().join(HOME_FILE), text).unwrap();
    let sources = ConfigSources {
        home: Home::at(folder.path()),
        variables: Vec::new(),
        flags: Vec::new(),
    };
    let config = Config::load(sources).unwrap();
    let catalog = Catalog::ringrift();
    config.declare_types(&catalog).unwrap();
    let rules = config.alert_rules(&catalog).unwrap().rules;
    let mut shown: Vec<String> = rules
        .iter()
        .map(|rule| format!("{} {}", rule.name, rule.when))
        .collect();
    shown.sort();
    assert_eq!(
        shown,
        [
            "AUDIT_FAILED >2/1h",
            "DAEMON_PERMANENTLY_FAILED any",
            "DATA_SYNC_FAILED >1/5m",
            "REGRESSION_CRITICAL any",
            "SPLIT_BRAIN_DETECTED any",
            "mine none/6h",
        ]
    );
}
