//! The homes in which blocks run: real processes, traffic, and what went wrong.

use std::io::Write as _;
use std::process::{Child, Command, Output, Stdio};

use ringrift_events::config::{Config, ConfigSources, Home as Place};
use ringrift_events::handler::Function;
use ringrift_events::router::Subscribe;
use ringrift_events::system::System;

use crate::home::{Home, LONG, Running, said, within};

/// The part that a child plays, if it is none of a block.
pub(crate) const PART: &str = "RUNBOOK_PART";

/// What every home begins with: what is told after seconds in an operator's home is told at once.
const SETTINGS: &str = r#"
[handler]
slow = "100ms"

[dlq]
backoff_first = "50ms"

[doctor]
disk_free_percent = 0
unhosted_after = "100ms"

[store]
disk_free_min_percent = 0
"#;

/// Fails for one key, is slow for another.
const EVALUATE: &str = r#"case $(cat) in
    *'"config_key":"bad"'*) echo "no GPU" >&2; exit 1;;
    *'"config_key":"slow"'*) sleep 0.3;;
esac"#;

/// A home with its processes; all of them end with it.
pub(crate) struct Scene {
    pub(crate) home: Home,
    // Dropped before the folder.
    running: Vec<Running>,
    parts: Vec<Part>,
}

/// A child of this test that plays a part.
struct Part(Child);

impl Drop for Part {
    fn drop(&mut self) {
        // It may have ended: that is what was wanted.
        if self.0.kill().is_ok() && self.0.wait().is_err() {}
    }
}

impl Scene {
    /// The scene of this name.
    pub(crate) fn of(name: &str) -> Scene {
        match name {
            "work" => Scene::work(),
            "poller-stopped" => Scene::poller_stopped(),
            "blocked" => Scene::blocked(),
            other => panic!("there is no scene {other:?}"),
        }
    }

    /// A home in which nothing has happened.
    pub(crate) fn empty() -> Scene {
        let home = Home::new();
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .open(home.file("ringrift.toml"))
            .expect("a file");
        file.write_all(SETTINGS.as_bytes()).expect("it is written");
        Scene {
            home,
            running: Vec::new(),
            parts: Vec::new(),
        }
    }

    /// Four processes, ten events, two dead letters, and a handler that nobody runs.
    fn work() -> Scene {
        let mut scene = Scene::empty();
        scene.run(&["run"], "running in");
        let evaluator = ["--durable", "evaluator", "--where", "elo__gte = 1600"];
        let dedup = ["--dedup", "config_key", "--dedup", "model_path"];
        let exec = ["--attempts", "2", "--exec", EVALUATE];
        let of = ["subscribe", "TRAINING_COMPLETED"];
        scene.run(
            &[&of[..], &evaluator, &dedup, &exec].concat(),
            "subscribed to",
        );
        let exporter = ["subscribe", "DATA_SYNC_COMPLETED", "--durable", "exporter"];
        let exec = ["--attempts", "1", "--timeout", "1s", "--exec", "sleep 600"];
        scene.run(&[&exporter[..], &exec].concat(), "subscribed to");
        let live = ["subscribe", "TRAINING_COMPLETED", "--name", "progress"];
        scene.run(&live, "subscribed to");
        let promoter = ["subscribe", "EVALUATION_COMPLETED", "--durable", "promoter"];
        scene.ok(&[&promoter[..], &["--for", "1ms"]].concat());
        scene.publish(
            "NEW_GAMES_AVAILABLE",
            r#"{"config_key":"hex8_2p","games":412}"#,
        );
        scene.publish("DATA_SYNC_COMPLETED", r#"{"config_key":"hex8_2p"}"#);
        // The letters' numbers are part of the pages.
        scene.until(
            "SELECT COUNT(*) FROM dead_letter_queue WHERE status = 'dead'",
            1,
        );
        scene.publish("NPZ_EXPORT_COMPLETE", r#"{"config_key":"hex8_2p"}"#);
        for (key, model, elo) in [
            ("hex8_2p", 7, 1650),
            ("sq8_2p", 3, 1500),
            ("hex8_2p", 7, 1655),
            ("bad", 8, 1700),
            ("slow", 9, 1700),
        ] {
            let payload =
                format!(r#"{{"config_key":"{key}","model_path":"models/{model}.pt","elo":{elo}}}"#);
            scene.publish("TRAINING_COMPLETED", &payload);
        }
        for key in ["hex8_2p", "sq8_2p"] {
            let payload = format!(r#"{{"config_key":"{key}","elo":1650}}"#);
            scene.publish("EVALUATION_COMPLETED", &payload);
        }
        let refused = scene.ringrift(&["publish", "TRAINING_COMPLETE", "{}"]);
        assert!(!refused.status.success(), "it is no type");
        scene.until(
            "SELECT COUNT(*) FROM dead_letter_queue WHERE status = 'dead'",
            2,
        );
        scene.until(
            "SELECT COUNT(*) FROM cross_process_events WHERE acked = 0",
            2,
        );
        // What is told a moment after it happened.
        let ended = "SELECT COUNT(*) FROM verdicts WHERE code = 'HN_ABANDONED'";
        scene.until(ended, 1);
        let of = "SELECT COUNT(*) FROM daemons WHERE state = 'running' AND name =";
        for (name, running) in [
            ("CROSS_PROCESS_POLLER", 4),
            ("DLQ_RETRY", 4),
            ("SWEEPER", 1),
        ] {
            scene.until(&format!("{of} '{name}'"), running);
        }
        scene
    }

    /// The same, and somebody has stopped the evaluator's poller before an event came.
    fn poller_stopped() -> Scene {
        let scene = Scene::work();
        scene.ok(&["daemons", "stop", "CROSS_PROCESS_POLLER"]);
        let stopped = "SELECT COUNT(*) FROM daemons \
                       WHERE name = 'CROSS_PROCESS_POLLER' AND stopped_by LIKE 'uid%'";
        scene.until(stopped, 4);
        scene.publish(
            "TRAINING_COMPLETED",
            r#"{"config_key":"hex8_4p","model_path":"models/1.pt","elo":1800}"#,
        );
        scene
    }

    /// A process whose async handler reads a pipe that stays silent.
    fn blocked() -> Scene {
        let mut scene = Scene::empty();
        let own = std::env::current_exe().expect("this program lies somewhere");
        let mut child = scene.dressed(Command::new(own));
        child
            .args(["--exact", "child", "--nocapture", "--test-threads=1"])
            .env(PART, "blocked")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        scene.parts.push(Part(child.spawn().expect("it starts")));
        scene.until(
            "SELECT COUNT(*) FROM subscriptions WHERE name = 'trainer'",
            1,
        );
        for key in ["hex8_2p", "sq8_2p"] {
            scene.publish("TRAINING_STARTED", &format!(r#"{{"config_key":"{key}"}}"#));
        }
        let named = || {
            let text = std::fs::read_to_string(scene.home.file("logs/coordination.log"));
            let found = scene.ringrift(&["doctor"]).stdout;
            text.is_ok_and(|text| text.contains("blocks a runtime thread"))
                && String::from_utf8_lossy(&found).contains("DR_BLOCKING_IO")
        };
        assert!(within(LONG, named), "the blocked thread was not named");
        scene
    }

    /// Any program in this home: its folder, the command on the path, no other settings.
    pub(crate) fn dressed(&self, program: Command) -> Command {
        let mut command = self.home.dressed(program);
        let built = std::path::Path::new(env!("CARGO_BIN_EXE_ringrift"));
        let folder = built.parent().expect("a folder").display().to_string();
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .env("PATH", format!("{folder}:{path}"))
            .env("RUST_BACKTRACE", "0")
            .env_remove("RINGRIFT_STORE_LEASE")
            .env_remove("RINGRIFT_DLQ_BACKOFF_FIRST");
        command
    }

    /// Runs the command to its end.
    pub(crate) fn ringrift(&self, args: &[&str]) -> Output {
        let mut command = self.dressed(Command::new("ringrift"));
        command.args(args).output().expect("the command runs")
    }

    fn ok(&self, args: &[&str]) {
        let output = self.ringrift(args);
        let code = output.status.code();
        // 6 is the end of a time that was given.
        assert!(matches!(code, Some(0 | 6)), "{args:?}: {}", said(&output));
    }

    fn publish(&self, name: &str, payload: &str) {
        self.ok(&["publish", name, payload]);
    }

    /// Starts a command that goes on, and waits until it says so on either stream.
    fn run(&mut self, args: &[&str], says: &str) {
        // By its name, as an operator starts it: pages show command lines.
        let mut command = self.dressed(Command::new("ringrift"));
        command.args(args);
        let running = Running::of(command);
        match args {
            ["run", ..] => assert!(running.line().contains(says)),
            _ => drop(running.note(says)),
        }
        self.running.push(running);
    }

    /// One number from the store.
    pub(crate) fn number(&self, sql: &str) -> Option<String> {
        let sql = sql.to_owned();
        let output = self.ringrift(&["--json", "db", "sql", &sql]);
        let envelope: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
        let cell = &envelope["data"]["rows"][0][0];
        // A text stands without its quotes.
        let text = cell
            .as_str()
            .map_or_else(|| cell.to_string(), str::to_owned);
        (!cell.is_null()).then_some(text)
    }

    /// Waits until the store gives this number.
    pub(crate) fn until(&self, sql: &str, number: u64) {
        let is = || self.number(sql) == Some(number.to_string());
        assert!(
            within(LONG, is),
            "{sql}: {:?}, not {number}",
            self.number(sql)
        );
    }
}

/// Plays the part that this process was started for.
pub(crate) fn run_if_child() {
    if std::env::var(PART).is_err() {
        return;
    }
    let home = Place::at(&std::env::current_dir().expect("a folder"));
    let config = Config::load(ConfigSources::of_process(home)).expect("settings");
    let system = System::open(config).expect("a system");
    let blocking = Function::asynchronous(|_| async {
        let mut line = String::new();
        // The parent never writes to it: exactly what an async handler must not do.
        drop(std::io::stdin().read_line(&mut line));
        Ok(())
    });
    let wanted = Subscribe::durable("trainer").to(["TRAINING_STARTED"]);
    system
        .router()
        .subscribe(wanted, blocking)
        .expect("a subscription");
    loop {
        std::thread::park();
    }
}
