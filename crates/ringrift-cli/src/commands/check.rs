//! `ringrift check`: one number against two limits, for monitoring systems.
//!
//! It alone ends with the exit codes of monitoring plugins: 0 within the limits, 1 warning,
//! 2 critical, 3 unknown. Whatever goes wrong on the way is unknown.

use std::time::Duration;

use clap::{Args as ClapArgs, ValueEnum};
use ringrift_events::metrics::{
    self, CheckAsk, CheckRules, Checked, Family, Kind, Level, Limits, Measure,
};

use crate::call::Call;
use crate::exit::Exit;
use crate::failure::{Done, Error, Stop};
use crate::open;
use crate::output::{Report, Text};
use crate::when;

/// The arguments of `check`.
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  ringrift check backlog --warn 1000 --crit 10000\n  ringrift check lag --subscription evaluator --warn 1m --crit 10m\n  ringrift check health --format prometheus > /var/lib/node_exporter/ringrift.prom\n\nExit codes, of this verb alone: 0 within the limits, 1 warning, 2 critical, 3 unknown (also\nwhen the command line was not understood or the store could not be read).\nA number above a limit has met it. Without --warn and --crit the limits are those of\n`ringrift config show`: health.*, check.*, store.wal_max."
)]
pub(crate) struct Args {
    /// What to measure.
    #[arg(value_enum)]
    what: What,
    /// Above this it is a warning; a duration for lag, in bytes for wal.
    #[arg(long, value_name = "N")]
    warn: Option<String>,
    /// Above this it is critical.
    #[arg(long, value_name = "N")]
    crit: Option<String>,
    /// Only this durable subscription, for lag.
    #[arg(long, value_name = "NAME")]
    subscription: Option<String>,
    /// How far back failures looks.
    #[arg(long, default_value = "1h", value_name = "TIME", value_parser = when::duration_option)]
    since: Duration,
    /// What to print.
    #[arg(long, value_enum, default_value_t = Format::Nagios)]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    /// Events that somebody still owes.
    Backlog,
    /// Dead letters.
    Dlq,
    /// Age of the oldest event that some durable subscription has not settled.
    Lag,
    /// Failed attempts since --since.
    Failures,
    /// Daemons that should run and do not.
    Daemons,
    /// Processes whose heartbeat stopped.
    Processes,
    /// Durable subscriptions that owe events which no live process takes.
    Hosts,
    /// Size of the WAL.
    Wal,
    /// All of these but failures, each at its own limits; and pipelines that stand still.
    Health,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One line with performance data, as monitoring plugins print it.
    Nagios,
    /// Series for a textfile collector.
    Prometheus,
    /// The JSON envelope, as --json prints it.
    Json,
}

impl What {
    fn measure(self) -> Measure {
        match self {
            What::Backlog => Measure::Backlog,
            What::Dlq => Measure::Dlq,
            What::Lag => Measure::Lag,
            What::Failures => Measure::Failures,
            What::Daemons => Measure::Daemons,
            What::Processes => Measure::Processes,
            What::Hosts => Measure::Hosts,
            What::Wal => Measure::Wal,
            What::Health => Measure::Health,
        }
    }
}

/// Measures, judges and says so; a failure on the way is unknown.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    let measure = args.what.measure();
    let checked = match look(call, args) {
        Ok(checked) => checked,
        Err(Stop::ReaderGone) => return Err(Stop::ReaderGone),
        Err(Stop::Failed(failure)) => {
            let next = failure.next.as_deref();
            let next = next
                .map(|next| format!("; next: {next}"))
                .unwrap_or_default();
            Checked {
                check: measure,
                level: Level::Unknown,
                value: None,
                limits: Limits {
                    warn: 0.0,
                    crit: None,
                },
                message: format!("{}: {}{next}", failure.code, failure.message),
                details: Vec::new(),
            }
        }
    };
    let exit = Exit::Checked(checked.level);
    let shown = Shown { checked };
    match args.format {
        _ if call.global.json => call.answer_as("check", &shown, exit),
        Format::Nagios => {
            call.line(&nagios(&shown.checked))?;
            Ok(exit)
        }
        Format::Prometheus => {
            call.line(metrics::text(&series(&shown.checked)).trim_end())?;
            Ok(exit)
        }
        Format::Json => call.answer_json("check", &shown, exit),
    }
}

fn look(call: &Call, args: &Args) -> Result<Checked, Stop> {
    let measure = args.what.measure();
    let rules = open::config(call)?.settings.check_rules();
    let limits = limits(args, &rules, measure)?;
    let store = open::reading(call)?;
    let only = match &args.subscription {
        None => None,
        Some(name) => {
            let found = crate::resolve::subscription(&*store, name)?;
            Some(found.current().name.clone())
        }
    };
    let ask = CheckAsk {
        measure,
        limits,
        subscription: only,
        since: args.since,
    };
    Ok(metrics::check(&*store, &*call.clock, &rules, &ask)?)
}

/// The limits that were given; one alone leaves the other as it is set.
fn limits(args: &Args, rules: &CheckRules, measure: Measure) -> Result<Option<Limits>, Stop> {
    if args.warn.is_none() && args.crit.is_none() {
        return Ok(None);
    }
    let set = rules.limits(measure);
    let read = |text: &String| limit(text, measure);
    let warn = args.warn.as_ref().map(read).transpose()?;
    let crit = args.crit.as_ref().map(read).transpose()?;
    if let (Some(warn), Some(crit)) = (warn, crit)
        && warn > crit
    {
        return Err(Error::Input {
            what: format!("limit {:?}", args.warn.as_deref().unwrap_or_default()),
            why: "it warns only where it is critical already".to_owned(),
            next: "ringrift check --help",
        }
        .into());
    }
    let crit = crit.or(set.crit);
    // Whoever only says what is critical is not warned above it.
    let warn = warn.unwrap_or_else(|| crit.map_or(set.warn, |crit| set.warn.min(crit)));
    Ok(Some(Limits {
        warn,
        crit: crit.map(|crit| {
            if args.crit.is_none() {
                crit.max(warn)
            } else {
                crit
            }
        }),
    }))
}

fn limit(text: &str, measure: Measure) -> Result<f64, Stop> {
    if measure == Measure::Lag {
        return Ok(when::duration(text)?.as_secs_f64());
    }
    let number = text.trim().parse::<f64>().ok();
    let number = number.filter(|number| number.is_finite() && *number >= 0.0);
    number.ok_or_else(|| {
        Stop::from(Error::Input {
            what: format!("limit {text:?}"),
            why: "it is no number from 0 on".to_owned(),
            next: "ringrift check --help",
        })
    })
}

#[derive(serde::Serialize)]
struct Shown {
    #[serde(flatten)]
    checked: Checked,
}

impl Report for Shown {
    fn write(&self, text: &mut Text) {
        text.line(nagios(&self.checked));
    }
}

/// `RINGRIFT BACKLOG OK - 12 events pending | backlog=12;1000;10000;0`.
fn nagios(checked: &Checked) -> String {
    let name = checked.check.as_str();
    // A bar would begin the performance data, a line feed the next line.
    let message = checked.message.replace('|', "/").replace('\n', " ");
    let message = crate::output::visible(&message);
    let (upper, word) = (name.to_uppercase(), checked.level.word());
    let mut line = format!("RINGRIFT {upper} {word} - {message}");
    if let Some(value) = checked.value {
        let crit = checked.limits.crit.map(plain).unwrap_or_default();
        let (value, unit) = (plain(value), checked.check.unit());
        let warn = plain(checked.limits.warn);
        line.push_str(&format!(" | {name}={value}{unit};{warn};{crit};0"));
    }
    line
}

/// A number without an exponent, with at most three digits after the point.
fn plain(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn series(checked: &Checked) -> Vec<Family> {
    let labels = [("check", checked.check.as_str())];
    let mut value = Family::new(
        "ringrift_check_value",
        Kind::Gauge,
        "",
        "What ringrift check measured.",
    );
    if let Some(number) = checked.value {
        value.add(&labels, number);
    }
    let mut level = Family::new(
        "ringrift_check_level",
        Kind::Gauge,
        "",
        "How it stands: 0 ok, 1 warning, 2 critical, 3 unknown.",
    );
    level.add(&labels, f64::from(checked.level.code()));
    let mut limit = Family::new(
        "ringrift_check_limit",
        Kind::Gauge,
        "",
        "The limits it was held against.",
    );
    if checked.value.is_some() {
        limit.add(&[labels[0], ("level", "warning")], checked.limits.warn);
        if let Some(crit) = checked.limits.crit {
            limit.add(&[labels[0], ("level", "critical")], crit);
        }
    }
    vec![value, level, limit]
}
