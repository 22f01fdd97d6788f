use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::catalog::Catalog;
use crate::coded::Coded;
use crate::store::log::Durability;

fn load(text: &str, variables: &[(&str, &str)], flags: &[&str]) -> Result<Config, Error> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(HOME_FILE), text).unwrap();
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Config::load(ConfigSources {
        home: Home::at(folder.path()),
        variables: variables.iter().map(pair).collect(),
        flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
    })
}

fn refused(text: &str) -> Error {
    load(text, &[], &[]).unwrap_err()
}

fn line(error: &Error) -> usize {
    let (Error::KeyUnknown { place, .. }
    | Error::ValueInvalid { place, .. }
    | Error::Unreadable { place, .. }) = error
    else {
        panic!("no place in {error:?}");
    };
    let Place::File(path, line) = place else {
        panic!("no file and line in {error:?}");
    };
    assert!(path.ends_with(HOME_FILE));
    *line
}

#[test]
fn flag_wins_over_variable_over_file_over_default_and_the_origin_is_told() {
    let text = "[handler]\ntime_limit = \"10m\"\nslow = \"2s\"\nconcurrency = 4\n";
    let variables = [
        ("RINGRIFT_HANDLER_SLOW", "3s"),
        ("RINGRIFT_HANDLER_CONCURRENCY", "5"),
    ];
    let config = load(text, &variables, &["handler.concurrency=6"]).unwrap();
    let handler = &config.settings.handler;
    assert_eq!(handler.time_limit, Duration::from_secs(600));
    assert_eq!(handler.slow, Duration::from_secs(3));
    assert_eq!(handler.concurrency, 6);
    assert_eq!(handler.dedup_ttl, Handlers::DEDUP_TTL);
    let origin = |name: &str| {
        let setting = config
            .origins()
            .iter()
            .find(|setting| setting.name == name)
            .unwrap();
        (setting.value.clone(), setting.origin.clone())
    };
    assert_eq!(
        origin("handler.time_limit"),
        ("10m".into(), Origin::File(config.home.config_file(), 2))
    );
    assert_eq!(
        origin("handler.slow"),
        ("3s".into(), Origin::Env("RINGRIFT_HANDLER_SLOW".into()))
    );
    assert_eq!(origin("handler.concurrency"), ("6".into(), Origin::Flag));
    assert_eq!(origin("handler.dedup_ttl"), ("5m".into(), Origin::Default));
}

#[test]
fn every_default_is_within_its_limits_and_settable_by_its_own_text() {
    let defaults = Config::defaults(Home::at(Path::new("/")));
    assert!(defaults.origins().len() > 50, "the table was not walked");
    let variables: Vec<(&str, &str)> = defaults
        .origins()
        .iter()
        .map(|setting| (setting.variable.as_str(), setting.default.as_str()))
        .collect();
    let config = load("", &variables, &[]).unwrap();
    assert_eq!(config.settings, defaults.settings);
    for setting in config.origins() {
        assert_eq!(setting.origin, Origin::Env(setting.variable.clone()));
        assert!(
            setting.doc.ends_with('.'),
            "{}: {}",
            setting.name,
            setting.doc
        );
    }
    let mut names: Vec<&str> = variables.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(
        names.len(),
        variables.len(),
        "two settings share a variable"
    );
}

#[test]
fn the_quick_settings_of_tests_are_reachable_by_environment() {
    let config = load(
        "",
        &[
            ("RINGRIFT_STORE_LEASE", "2s"),
            ("RINGRIFT_HANDLER_DEDUP_TTL", "1s"),
            ("RINGRIFT_DLQ_BACKOFF_FIRST", "50ms"),
            ("RINGRIFT_DLQ_BACKOFF_MOST", "50ms"),
            ("RINGRIFT_STORE_DISK_FREE_MIN_PERCENT", "0"),
            ("RINGRIFT_STORE_DURABILITY", "power"),
            ("RINGRIFT_HOME", "/elsewhere"),
            ("RINGRIFT_EVENT_ID", "not a setting"),
            ("PATH", "/bin"),
        ],
        &[],
    )
    .unwrap();
    let settings = config.settings;
    assert_eq!(settings.store.lease, Duration::from_secs(2));
    assert_eq!(settings.handler.dedup_ttl, Duration::from_secs(1));
    assert_eq!(settings.dlq.backoff_first, Duration::from_millis(50));
    assert_eq!(settings.store.durability, Durability::Power);
}

#[test]
fn an_unknown_key_names_file_line_and_the_nearest_key() {
    for (text, at, key, nearest) in [
        (
            "\n[handler]\ntime_limt = \"1s\"\n",
            3,
            "handler.time_limt",
            "handler.time_limit",
        ),
        (
            "[handlers]\ntime_limit = \"1s\"\n",
            2,
            "handlers.time_limit",
            "handler.time_limit",
        ),
        ("time_limit = \"1s\"", 1, "time_limit", "handler.time_limit"),
        (
            "[store]\n\n\nleese = \"1s\"",
            4,
            "store.leese",
            "store.lease",
        ),
        (
            "[[types]]\nname = \"A\"\nrequird = []",
            3,
            "types.requird",
            "types.required",
        ),
        (
            "[[expect]]\nhandlr = \"A\"",
            2,
            "expect.handlr",
            "expect.handler",
        ),
        ("[[type]]\nname = \"A\"", 1, "type", "types"),
    ] {
        let error = refused(text);
        assert_eq!(error.code(), "CONFIG_KEY_UNKNOWN", "{error}");
        assert_eq!(line(&error), at, "{error}");
        assert!(
            error
                .to_string()
                .contains(&format!("`{key}`; did you mean `{nearest}`?")),
            "{error}"
        );
    }
    let error = load("", &[("RINGRIFT_HANDLER_TIME_LIMT", "1s")], &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "environment variable RINGRIFT_HANDLER_TIME_LIMT: unknown key `RINGRIFT_HANDLER_TIME_LIMT`; \
         did you mean `RINGRIFT_HANDLER_TIME_LIMIT`?"
    );
}

#[test]
fn a_value_that_does_not_fit_is_refused_with_what_would() {
    for (text, at, part) in [
        ("[handler]\ntime_limit = 60", 2, "expected a time such as"),
        ("[handler]\ntime_limit = \"0s\"", 2, "expected 1ms to 7d"),
        ("[handler]\nconcurrency = 0", 2, "expected 1 to 10000"),
        ("[handler]\nconcurrency = 1.5", 2, "whole number"),
        ("[handler]\nconcurrency = [1]", 2, "one value"),
        ("[store]\ndurability = \"disk\"", 2, "`process` or `power`"),
        ("[log]\nlevel = true", 2, "`debug`"),
        (
            "[process]\nheartbeat = \"20s\"",
            2,
            "at most `process.hung_after`, which is `10s`",
        ),
        (
            "[store]\nlease = \"600ms\"",
            2,
            "at most `store.lease`, which is `600ms`",
        ),
        ("handler = 3", 1, "did you mean"),
        ("types = 3", 1, "`[[types]]`"),
        ("[[types]]\nname = \"A\"\nvolatile = \"yes\"", 1, "boolean"),
        ("[[types]]\ncategory = \"A\"", 1, "name"),
        ("[[types]]\nname = \"A\"\nalert = \"often\"", 1, ">3/1h"),
        ("[[expect]]\nhandler = 3", 1, "a handler's name"),
        ("\n[handler\n", 2, ""),
    ] {
        let error = refused(text);
        assert!(error.to_string().contains(part), "{text}: {error}");
        assert_eq!(line(&error), at, "{text}: {error}");
    }
    assert!(
        load("", &[], &["handler.slow"])
            .unwrap_err()
            .to_string()
            .contains("NAME=VALUE")
    );
}

#[test]
fn the_files_types_join_the_catalog_and_its_handlers_are_expected() {
    let text = "[[types]]\nname = \"AUDIT_DONE\"\nrequired = [\"a\"]\nalert = \">3/1h\"\n\n\
                [[types]]\nname = \"pulse\"\nvolatile = true\n\n[[expect]]\nhandler = \"evaluator\"\n";
    let config = load(text, &[], &[]).unwrap();
    let catalog = Catalog::ringrift();
    config.declare_types(&catalog).unwrap();
    assert_eq!(catalog.resolve("audit_done").unwrap().required, ["a"]);
    assert!(!catalog.resolve("PULSE").unwrap().bridged);
    assert_eq!(config.expected[0].handler, "evaluator");

    let twice = load(
        &format!("{text}[[types]]\nname = \"pulse\"\nrequired = [\"b\"]\n"),
        &[],
        &[],
    );
    let error = twice.map(drop).unwrap_err();
    assert_eq!(error.code(), "TYPE_DIFFERS");
    assert!(error.to_string().contains("ringrift.toml:12: "), "{error}");
}

#[test]
fn a_file_that_is_not_text_or_too_long_is_refused_and_none_is_fine() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::at(folder.path());
    let load = || {
        Config::load(ConfigSources {
            home: home.clone(),
            variables: Vec::new(),
            flags: Vec::new(),
        })
    };
    assert!(load().is_ok());
    fs::write(home.config_file(), b"\xff\xfe").unwrap();
    assert_eq!(load().unwrap_err().code(), "CONFIG_UNREADABLE");
    fs::write(home.config_file(), "#".repeat(2 << 20)).unwrap();
    assert_eq!(load().unwrap_err().code(), "CONFIG_UNREADABLE");
    fs::remove_file(home.config_file()).unwrap();
    fs::create_dir(home.config_file()).unwrap();
    assert_eq!(load().unwrap_err().code(), "CONFIG_UNREADABLE");
}

#[test]
fn what_is_well_is_in_force_beside_what_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let text = "[handler]\ntime_limt = \"1s\"\nslow = \"2s\"\n[store]\nlease = \"1ms\"\n\
                [process]\nheartbeat = \"20s\"\nhung_after = \"10s\"\n\
                [[types]]\nname = \"two words\"\n[[types]]\nname = \"own_type\"\n\
                [[alert]]\nname = \"x\"\nwhen = \"never\"\n[[expect]]\nhandler = \"h\"\n";
    std::fs::write(home.path().join(HOME_FILE), text).unwrap();
    let sources = |flags: &[&str]| ConfigSources {
        home: Home::at(home.path()),
        variables: vec![("RINGRIFT_HANDLER_CONCURENCY".into(), "5".into())],
        flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
    };
    let config = Config::load_what_is_well(sources(&[])).unwrap();
    assert_eq!(config.settings.handler.slow, Duration::from_secs(2));
    assert_eq!(config.types.len(), 1);
    assert_eq!(config.expected.len(), 1);
    let defaults = Config::defaults(Home::at(home.path()));
    let (process, usual) = (&config.settings.process, &defaults.settings.process);
    assert_eq!(process.hung_after, usual.hung_after);
    for part in ["time_limt", "CONCURENCY", "two words", "heartbeat", "never"] {
        let told = config.refused.iter().filter(|text| text.contains(part));
        assert_eq!(told.count(), 1, "{part}: {:#?}", config.refused);
    }
    let catalog = Catalog::ringrift();
    config.declare_types(&catalog).unwrap();
    config.alert_rules(&catalog).unwrap();
    let typed = Config::load_what_is_well(sources(&["handler.slow=soon"]));
    assert_eq!(typed.unwrap_err().code(), "CONFIG_VALUE_INVALID");
    Config::load(sources(&[])).unwrap_err();
}

#[test]
fn the_nearest_folder_upwards_is_the_home_and_finding_makes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    let deep = root.join("a/b/c");
    fs::create_dir_all(&deep).unwrap();
    let none = Home::find(None, None, &deep).unwrap();
    assert_eq!(
        (none.root(), none.named_by(), none.is_made()),
        (deep.as_path(), NamedBy::Current, false)
    );
    assert_eq!(fs::read_dir(&deep).unwrap().count(), 0);

    fs::write(root.join(HOME_FILE), "").unwrap();
    fs::write(root.join("a").join(HOME_FILE), "").unwrap();
    let found = Home::find(None, Some(Path::new("")), &deep).unwrap();
    assert_eq!(
        (found.root(), found.named_by()),
        (root.join("a").as_path(), NamedBy::Folder)
    );
    let by_variable = Home::find(None, Some(&root), &deep).unwrap();
    assert_eq!(
        (by_variable.root(), by_variable.named_by()),
        (root.as_path(), NamedBy::Variable)
    );
    let by_flag = Home::find(Some(Path::new("../..")), Some(Path::new("/nowhere")), &deep).unwrap();
    assert_eq!(
        (by_flag.root(), by_flag.named_by()),
        (root.join("a").as_path(), NamedBy::Flag),
        "a relative name starts at the current folder"
    );
}

#[test]
fn a_named_home_that_is_no_folder_is_refused_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("nothing");
    let error = Home::find(None, Some(&missing), folder.path()).unwrap_err();
    assert_eq!(error.code(), "HOME_MISSING");
    assert!(error.to_string().contains("RINGRIFT_HOME"), "{error}");
    assert!(!missing.exists());
}

#[test]
fn making_a_home_can_be_repeated_and_keeps_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("home");
    let first = Home::create(&root).unwrap();
    assert!(first.new && first.home.is_made());
    assert!(root.join("data/coordination").is_dir() && root.join("logs").is_dir());
    let settings = Config::load(ConfigSources {
        home: first.home,
        variables: Vec::new(),
        flags: Vec::new(),
    });
    assert_eq!(settings.unwrap().settings, Settings::default());
    fs::write(root.join(HOME_FILE), "# mine").unwrap();
    assert!(!Home::create(&root).unwrap().new);
    assert_eq!(fs::read_to_string(root.join(HOME_FILE)).unwrap(), "# mine");
    let below = Home::find(None, None, &root.join("logs")).unwrap();
    assert_eq!(below.root(), root.canonicalize().unwrap());
}

#[test]
fn a_home_that_cannot_be_made_says_which_path() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("data"), "a file in the way").unwrap();
    let error = Home::create(folder.path()).unwrap_err();
    assert_eq!(error.code(), "HOME_UNWRITABLE");
    assert!(error.to_string().contains("data"), "{error}");
}

#[test]
fn a_shared_home_hands_its_group_on() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("shared");
    let gid = fs::metadata(folder.path()).unwrap().gid();
    let made = Home::create_shared(&root, &gid.to_string()).unwrap();
    for path in ["", "data", "data/coordination", "logs"] {
        let meta = fs::metadata(root.join(path)).unwrap();
        assert_eq!(
            (meta.permissions().mode() & 0o7777, meta.gid()),
            (0o2770, gid),
            "{path}"
        );
    }
    assert_eq!(
        fs::metadata(root.join(HOME_FILE))
            .unwrap()
            .permissions()
            .mode()
            & 0o777,
        0o660
    );
    assert!(made.home.is_shared());
    let error = Home::create_shared(&root, "no-such-group-here").unwrap_err();
    assert_eq!(error.code(), "HOME_GROUP_INVALID");
}
