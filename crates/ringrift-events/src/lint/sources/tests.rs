use std::path::Path;

use super::Place;
use crate::catalog::Catalog;
use crate::lint::Wiring;

fn read(file: &str, text: &str) -> Wiring {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), file, text);
    let mut wiring = Wiring::default();
    wiring
        .read_sources(&Catalog::ringrift(), &[folder.path().to_owned()])
        .unwrap();
    wiring
}

fn write(folder: &Path, file: &str, text: &str) {
    let path = folder.join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn lines(places: &[Place]) -> Vec<usize> {
    places.iter().map(|place| place.line).collect()
}

#[track_caller]
fn published(wiring: &Wiring, name: &str, at: &[usize]) {
    let of = wiring.names.get(name);
    assert_eq!(
        of.map(|of| lines(&of.published_in)),
        Some(at.to_vec()),
        "{name} in {wiring:?}"
    );
}

#[track_caller]
fn subscribed(wiring: &Wiring, name: &str, at: &[usize]) {
    let of = wiring.names.get(name);
    assert_eq!(
        of.map(|of| lines(&of.subscribed_in)),
        Some(at.to_vec()),
        "{name} in {wiring:?}"
    );
}

#[test]
fn rust_names_are_found_where_they_are_published_and_subscribed_to() {
    let wiring = read(
        "src/main.rs",
        r##"
const DONE: &str = "training_completed";
// router.publish(Publish::new("model_promoted", "{}"));
/* and /* nested */ Publish::new("model_promoted", "{}") */
fn publish(name: &str) {}
fn main<'a>() {
    let c = '"';
    router.publish(Publish::new(DONE, r#"{"a": "b"}"#))?;
    router.publish(Publish::new("DATA_SYNC_COMPLETED", payload))?;
    let s = router.subscribe(
        Subscribe::durable("evaluator")
            .filter("elo__gte = 1500")
            .to(["training_completed", "trainign_started"]),
        function,
    )?;
    Subscribe::live("all").to(["*"]);
}
"##,
    );
    published(&wiring, "training_completed", &[8]);
    published(&wiring, "data_sync_completed", &[9]);
    subscribed(&wiring, "training_completed", &[13]);
    subscribed(&wiring, "trainign_started", &[13]);
    assert_eq!(wiring.names.len(), 3, "{wiring:?}");
}

#[test]
fn python_names_are_found_in_calls_decorators_and_tables() {
    let wiring = read(
        "trainer/main.py",
        r#"
"""publish("model_promoted") is only talked about here."""
from events import DataEventType, events
PROMOTED = DataEventType.MODEL_PROMOTED
STALE = "data_stale"

@events.on("training_completed")
async def on_training(event):
    await router.publish(
        event_type=DataEventType.EVALUATION_COMPLETED,
        payload={"x": "training_failed"},
    )
    bus.publish(DataEvent(event_type=PROMOTED, payload={}))
    emit_data_sync_completed(host="a")
    safe_emit_event(STALE, {})  # publish("game_synced")

class Handler:
    def _get_event_subscriptions(self):
        return {
            DataEventType.TRAINING_STARTED: self._on_started,
            DataEventType.TRAINING_FAILED.value: self._on_failed,
        }
    subscribed_types = [DataEventType.DATA_FRESH]
    def start(self):
        self.bus.subscribe(DataEventType.SYNC_TRIGGERED, self._on_sync)
        router.unsubscribe(DataEventType.SYNC_REQUEST, self._on_sync)
        client.publish("sensors/temperature", b"x")
"#,
    );
    published(&wiring, "evaluation_completed", &[10]);
    published(&wiring, "model_promoted", &[13]);
    published(&wiring, "data_sync_completed", &[14]);
    published(&wiring, "data_stale", &[15]);
    subscribed(&wiring, "training_completed", &[7]);
    subscribed(&wiring, "training_started", &[20]);
    subscribed(&wiring, "training_failed", &[21]);
    subscribed(&wiring, "data_fresh", &[23]);
    subscribed(&wiring, "sync_triggered", &[25]);
    assert_eq!(wiring.names.len(), 9, "{:?}", wiring.names.keys());
}

#[test]
fn ignored_files_and_tests_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let publish = "publish('training_completed', {})\n";
    for file in [
        "a.py",
        "built/b.py",
        "tests/test_c.py",
        "pkg/test_d.py",
        ".hidden/e.py",
        "n.txt",
    ] {
        write(folder.path(), file, publish);
    }
    write(folder.path(), ".gitignore", "built/\n");
    let mut wiring = Wiring::default();
    let read = wiring
        .read_sources(&Catalog::ringrift(), &[folder.path().to_owned()])
        .unwrap();
    assert_eq!((read.files, read.left_out), (1, 2));
    let places = &wiring.names["training_completed"].published_in;
    assert_eq!(places.len(), 1);
    assert!(places[0].file.ends_with("a.py"), "{places:?}");
}

#[test]
fn whatever_a_file_holds_reading_ends() {
    for text in [
        "publish(",
        "publish(\"",
        "publish('''never closed",
        "Subscribe::live(\"x\").to([",
        "'\\",
        "r#\"open",
        "/* /* open",
        "\u{0}\u{feff}ü('",
        "DataEventType.",
        "X: = \"",
    ] {
        for file in ["a.rs", "a.py"] {
            read(file, text);
        }
    }
}

#[test]
fn a_folder_that_is_not_there_is_refused() {
    let mut wiring = Wiring::default();
    let gone = Path::new("no/such/folder").to_owned();
    let error = wiring
        .read_sources(&Catalog::ringrift(), &[gone])
        .unwrap_err();
    assert!(error.to_string().contains("no/such/folder"), "{error}");
}
