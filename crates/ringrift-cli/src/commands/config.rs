//! `ringrift config show`: every setting, its value and where it came from.

use clap::{Args as ClapArgs, Subcommand};
use ringrift_events::config::{Origin, Setting};
use serde::Serialize;

use crate::call::Call;
use crate::exit::Exit;
use crate::failure::{Done, Error};
use crate::open;
use crate::output::{Cell, Paint, Report, Text};
use crate::resolve::nearest;

/// The arguments of `config`.
#[derive(ClapArgs, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show every setting
    Show(Show),
}

#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  ringrift config show --origin\n  ringrift config show handler\n  ringrift --set handler.time_limit=10m config show handler.time_limit --origin\n\nExits 1 when a part of the file or the environment is refused; the rest is shown."
)]
struct Show {
    /// Only settings whose name begins with this.
    #[arg(value_name = "NAME")]
    name: Option<String>,

    /// Say where each value came from, and how it is set.
    #[arg(long)]
    origin: bool,

    /// Only settings that somebody set.
    #[arg(long)]
    changed: bool,
}

#[derive(Serialize)]
struct Shown {
    settings: Vec<Row>,
    /// What was passed over of the file and the environment, in words.
    refused: Vec<String>,
    #[serde(skip)]
    origin: bool,
}

#[derive(Serialize)]
struct Row {
    name: &'static str,
    value: String,
    unit: &'static str,
    /// `default`, `FILE:LINE`, a variable's name or `command line`.
    origin: String,
    default: String,
    variable: String,
    meaning: &'static str,
    #[serde(skip)]
    changed: bool,
}

/// Shows it.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    let Verb::Show(show) = &args.verb;
    let config = open::config(call)?;
    let prefix = show.name.as_deref().unwrap_or("");
    let settings: Vec<Row> = config
        .origins()
        .iter()
        .filter(|setting| setting.name.starts_with(prefix))
        .map(Row::of)
        .filter(|row| !show.changed || row.changed)
        .collect();
    if settings.is_empty() && !show.changed {
        return Err(Error::NotFound {
            kind: "setting",
            value: prefix.to_owned(),
            hint: nearest(prefix, config.origins().iter().map(|setting| setting.name)),
            next: "ringrift config show",
        }
        .into());
    }
    let exit = match config.refused.is_empty() {
        true => Exit::Ok,
        false => Exit::No,
    };
    let shown = Shown {
        settings,
        refused: config.refused,
        origin: show.origin,
    };
    call.answer_as("config show", &shown, exit)
}

impl Row {
    fn of(setting: &Setting) -> Row {
        Row {
            name: setting.name,
            value: setting.value.clone(),
            unit: setting.unit,
            origin: setting.origin.to_string(),
            default: setting.default.clone(),
            variable: setting.variable.clone(),
            meaning: setting.doc,
            changed: setting.origin != Origin::Default,
        }
    }

    fn cells(&self, origin: bool) -> Vec<Cell> {
        let value = if self.changed {
            Cell::painted(Paint::Title, self.value.clone())
        } else {
            self.value.clone().into()
        };
        let mut cells = vec![self.name.into(), value];
        if origin {
            cells.push(self.origin.clone().into());
            cells.push(self.default.clone().into());
            cells.push(self.variable.clone().into());
        }
        cells.push(self.meaning.into());
        cells
    }
}

impl Report for Shown {
    fn write(&self, text: &mut Text) {
        let headings: &[&str] = if self.origin {
            &["name", "value", "origin", "default", "variable", "meaning"]
        } else {
            &["name", "value", "meaning"]
        };
        text.table(
            headings,
            self.settings
                .iter()
                .map(|row| row.cells(self.origin))
                .collect(),
        );
    }
}
