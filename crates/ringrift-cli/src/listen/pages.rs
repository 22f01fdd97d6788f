//! What the pages say.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hyper::StatusCode;
use ringrift_events::coded::Coded;
use ringrift_events::health::Status;
use ringrift_events::metrics::{self, Exporter, Family};
use ringrift_events::store::Error;
use ringrift_events::system::System;
use serde_json::json;

/// Numbers this young are given again: asking more often costs nothing.
const FRESH: Duration = Duration::from_secs(1);

/// The pages there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Page {
    Metrics,
    Healthz,
    Readyz,
}

impl Page {
    /// The page at a path.
    pub(super) fn of(path: &str) -> Option<Page> {
        match path {
            "/metrics" => Some(Page::Metrics),
            "/healthz" => Some(Page::Healthz),
            "/readyz" => Some(Page::Readyz),
            _ => None,
        }
    }
}

/// One answer.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) content_type: &'static str,
    pub(super) body: String,
}

/// What a listener shows of a system.
pub(crate) struct Pages {
    system: System,
    exported: Mutex<Exported>,
    /// Families of others, such as what became of exported spans.
    more: Box<dyn Fn() -> Vec<Family> + Send + Sync>,
}

struct Exported {
    exporter: Exporter,
    /// The last text and when it was made.
    text: Option<(Duration, String)>,
}

impl Pages {
    /// The pages of a system; `/metrics` counts from now on.
    pub(crate) fn of(
        system: System,
        more: impl Fn() -> Vec<Family> + Send + Sync + 'static,
    ) -> Result<Pages, Error> {
        let rules = system.config().settings.export_rules();
        let mut exporter = Exporter::new(rules);
        exporter.look(&**system.store(), &**system.clock())?;
        Ok(Pages {
            exported: Mutex::new(Exported {
                exporter,
                text: None,
            }),
            system,
            more: Box::new(more),
        })
    }

    /// Answers; blocks for a few bounded reads.
    pub(super) fn answer(&self, page: Page) -> Answer {
        match page {
            Page::Metrics => self.metrics(),
            Page::Healthz => self.healthz(),
            Page::Readyz => self.readyz(),
        }
    }

    fn metrics(&self) -> Answer {
        // One at a time: who comes meanwhile gets the same numbers.
        let mut exported = self.exported.lock().unwrap_or_else(PoisonError::into_inner);
        let (store, clock) = (self.system.store(), self.system.clock());
        let now = clock.monotonic();
        if let Some((at, text)) = &exported.text
            && now.saturating_sub(*at) < FRESH
        {
            return openmetrics(text.clone());
        }
        match exported.exporter.look(&**store, &**clock) {
            Ok(mut families) => {
                families.extend((self.more)());
                let text = metrics::text(&families);
                exported.text = Some((clock.monotonic(), text.clone()));
                openmetrics(text)
            }
            Err(error) => Answer {
                status: StatusCode::SERVICE_UNAVAILABLE,
                content_type: "text/plain; charset=utf-8",
                body: format!("{}: {error}\n", error.code()),
            },
        }
    }

    /// Whether the system works: 503 exactly when health says that it does not.
    fn healthz(&self) -> Answer {
        let health = self.system.health();
        let said = json!({
            "healthy": health.healthy,
            "status": health.status.as_str(),
            "message": health.message,
        });
        told(health.healthy, &said)
    }

    /// Whether it can be given work: it works, and its daemons are up.
    fn readyz(&self) -> Answer {
        let health = self.system.health();
        let up = matches!(health.status, Status::Running | Status::Degraded);
        let said = json!({
            "ready": health.healthy && up,
            "status": health.status.as_str(),
            "message": health.message,
        });
        told(health.healthy && up, &said)
    }
}

fn openmetrics(body: String) -> Answer {
    Answer {
        status: StatusCode::OK,
        content_type: metrics::CONTENT_TYPE,
        body,
    }
}

fn told(yes: bool, said: &serde_json::Value) -> Answer {
    let status = if yes {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    Answer {
        status,
        content_type: "application/json",
        body: format!("{said}\n"),
    }
}
