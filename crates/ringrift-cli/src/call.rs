//! One call of the command: its global options, its clock, its zone and where its answer goes.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use ringrift_events::clock::{SharedClock, SystemClock, Time};
use ringrift_events::store::Store;
use serde::Serialize;

use crate::Line;
use crate::exit::Exit;
use crate::failure::{Done, Error, Failure, Stop};
use crate::open::{self, Access};
use crate::output::{
    ColorChoice, Moment, Paint, Report, Sink, Style, Text, Zone, failure_json, success_json,
};
use crate::when;

/// The options that every verb takes.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Global {
    /// The home: the folder with ringrift.toml, data/ and logs/.
    ///
    /// Without it: $RINGRIFT_HOME, else the nearest folder upwards that holds ringrift.toml, else
    /// the current folder.
    #[arg(
        long,
        global = true,
        value_name = "FOLDER",
        help_heading = "Global options"
    )]
    pub(crate) home: Option<PathBuf>,

    /// Print JSON: one envelope, or JSON lines for streams.
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) json: bool,

    /// Show and read times in UTC instead of the local zone.
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) utc: bool,

    /// When to use colour.
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "WHEN",
        help_heading = "Global options"
    )]
    pub(crate) color: ColorChoice,

    /// Override one setting, as `config show` names it; may be repeated.
    #[arg(
        long = "set",
        global = true,
        value_name = "NAME=VALUE",
        help_heading = "Global options"
    )]
    pub(crate) set: Vec<String>,
}

/// How a call comes to its store: by its home, or as a test says.
pub(crate) type Opener = Box<dyn Fn(&Call, Access) -> Result<Arc<dyn Store>, Stop>>;

/// One call of the command.
pub(crate) struct Call {
    /// The global options.
    pub(crate) global: Global,
    /// Where time comes from.
    pub(crate) clock: SharedClock,
    zone: Zone,
    style: Style,
    opener: Opener,
    /// The command line.
    line: Line,
    sink: RefCell<Sink>,
    notes: RefCell<Sink>,
    home: RefCell<Option<PathBuf>>,
    warnings: RefCell<Vec<String>>,
    forgives: Cell<bool>,
    told_of_refused: Cell<bool>,
}

impl Call {
    /// A call that answers on standard output.
    pub(crate) fn new(global: Global, line: Line) -> Call {
        let style = Style::of_stdout(global.color);
        let zone = if global.utc {
            Zone::utc()
        } else {
            Zone::local()
        };
        Call {
            global,
            clock: Arc::new(SystemClock),
            zone,
            style,
            opener: Box::new(open::of_home),
            line,
            sink: RefCell::new(Sink::stdout()),
            notes: RefCell::new(Sink::stderr()),
            home: RefCell::new(None),
            warnings: RefCell::new(Vec::new()),
            forgives: Cell::new(false),
            told_of_refused: Cell::new(false),
        }
    }

    /// A call of a test: its own clock and store, in UTC and without colour.
    #[cfg(test)]
    pub(crate) fn for_test(
        global: Global,
        clock: SharedClock,
        opener: Opener,
        line: Line,
        sink: Sink,
        notes: Sink,
    ) -> Call {
        Call {
            global,
            clock,
            zone: Zone::utc(),
            style: Style::PLAIN,
            opener,
            line,
            sink: RefCell::new(sink),
            notes: RefCell::new(notes),
            home: RefCell::new(None),
            warnings: RefCell::new(Vec::new()),
            forgives: Cell::new(false),
            told_of_refused: Cell::new(false),
        }
    }

    /// The same call at another home, which a verb has just made.
    pub(crate) fn with_home(&self, home: &Path) -> Call {
        let global = Global {
            home: Some(home.to_owned()),
            ..self.global.clone()
        };
        Call::new(global, self.line.clone())
    }

    /// The words of the command line after the program's name.
    pub(crate) fn words(&self) -> Vec<String> {
        let words = self.line.words.iter();
        words
            .map(|word| word.to_string_lossy().into_owned())
            .collect()
    }

    /// What starts this very program, also when its file was replaced meanwhile.
    pub(crate) fn itself(&self) -> &Path {
        &self.line.itself
    }

    /// What starts this command again.
    pub(crate) fn program(&self) -> &Path {
        &self.line.program
    }

    /// Opens the store of this call's home.
    pub(crate) fn open(&self, access: Access) -> Result<Arc<dyn Store>, Stop> {
        (self.opener)(self, access)
    }

    /// Now, by the wall clock.
    pub(crate) fn now(&self) -> Time {
        self.clock.now()
    }

    /// The zone in which this call speaks.
    pub(crate) fn zone(&self) -> Zone {
        self.zone.clone()
    }

    /// How this call dresses its text.
    pub(crate) fn style(&self) -> Style {
        self.style
    }

    /// The time as this call shows it.
    pub(crate) fn show(&self, time: Time) -> Moment {
        self.zone.show(time)
    }

    /// Who acts, for the audit: `USER@HOST pid N`.
    pub(crate) fn by(&self) -> String {
        let user = std::env::var("USER")
            .or_else(|_| std::env::var("LOGNAME"))
            .unwrap_or_else(|_| format!("uid {}", rustix::process::getuid().as_raw()));
        let names = rustix::system::uname();
        let host = names.nodename().to_string_lossy();
        let pid = std::process::id();
        ringrift_events::event::bounded_by(&format!("{user}@{host} pid {pid}"))
    }

    /// Reads a moment such as `1h` or `2026-11-23`.
    pub(crate) fn moment(&self, text: &str) -> Result<Time, Stop> {
        Ok(when::moment(text, self.now(), &self.zone)?)
    }

    /// Reads a moment from which on something is looked at: what has not come yet cannot be, and
    /// "nothing" would be no answer.
    pub(crate) fn since(&self, text: &str, next: &'static str) -> Result<Time, Stop> {
        let since = self.moment(text)?;
        if since > self.now() {
            return Err(Error::Input {
                what: format!("--since {text}"),
                why: "it lies in the future".to_owned(),
                next,
            }
            .into());
        }
        Ok(since)
    }

    /// Reads an optional moment.
    pub(crate) fn moment_option(&self, text: Option<&str>) -> Result<Option<Time>, Stop> {
        text.map(|text| self.moment(text)).transpose()
    }

    /// From now on a configuration that is refused in part is read for the rest.
    pub(crate) fn forgive(&self) {
        self.forgives.set(true);
    }

    /// Whether a configuration that is refused in part is read for the rest.
    pub(crate) fn forgives(&self) -> bool {
        self.forgives.get()
    }

    /// Says what of the configuration was passed over; once, however often it is read.
    pub(crate) fn warn_of_refused(&self, refused: &[String]) {
        if self.told_of_refused.replace(true) {
            return;
        }
        for one in refused {
            self.warn(format!("going on with defaults for what is refused: {one}"));
        }
    }

    /// Notes the home that was found, for the envelope.
    pub(crate) fn at_home(&self, home: &Path) {
        *self.home.borrow_mut() = Some(home.to_owned());
    }

    /// The home that was found, if the command needed one.
    pub(crate) fn home(&self) -> Option<PathBuf> {
        self.home.borrow().clone()
    }

    /// Says something that does not stop the command: in the envelope, else on standard error.
    pub(crate) fn warn(&self, warning: impl Into<String>) {
        let warning = warning.into();
        if self.global.json {
            self.warnings.borrow_mut().push(warning);
        } else {
            self.note(&format!("warning: {warning}"));
        }
    }

    /// Says something on standard error. Nobody may be listening: that is no failure.
    pub(crate) fn note(&self, text: &str) {
        drop(self.notes.borrow_mut().line(text));
    }

    /// Answers with a report: the envelope with `--json`, else text.
    pub(crate) fn answer<R: Report>(&self, command: &str, report: &R) -> Done {
        self.answer_as(command, report, Exit::Ok)
    }

    /// Answers with a report and ends with `exit`.
    pub(crate) fn answer_as<R: Report>(&self, command: &str, report: &R, exit: Exit) -> Done {
        if self.global.json {
            return self.answer_json(command, report, exit);
        }
        let mut text = Text::new(self.style, self.zone());
        report.write(&mut text);
        self.sink.borrow_mut().write(&text.finish())?;
        Ok(exit)
    }

    /// Answers with the envelope and ends with `exit`.
    pub(crate) fn answer_json<T: Serialize>(&self, command: &str, data: &T, exit: Exit) -> Done {
        let home = self.home().map(|home| home.display().to_string());
        let line =
            success_json(command, home, data, &self.warnings.borrow()).map_err(unwritable)?;
        self.line(&line)?;
        Ok(exit)
    }

    /// One line of a stream: JSON with `--json`, else the text. Flushed when it answers.
    pub(crate) fn stream<T: Serialize>(
        &self,
        item: &T,
        text: impl FnOnce(Style) -> String,
    ) -> Result<(), Stop> {
        if self.global.json {
            let line = serde_json::to_string(item).map_err(unwritable)?;
            self.line(&line)
        } else {
            self.line(&text(self.style))
        }
    }

    /// One line of data as it is.
    pub(crate) fn line(&self, text: &str) -> Result<(), Stop> {
        self.sink.borrow_mut().line(text)
    }

    /// Shows a failure: the envelope on standard output with `--json`, words on standard error
    /// otherwise.
    pub(crate) fn fail(&self, failure: &Failure) {
        if self.global.json && self.line(&failure_json(failure)).is_ok() {
            return;
        }
        let words = failure_text(failure, Style::of_stderr(self.global.color));
        self.note(&self.zone.told(&words));
    }
}

/// A failure in words: the message, then the value at fault and what to run next.
pub(crate) fn failure_text(failure: &Failure, style: Style) -> String {
    let head = style.paint(Paint::Bad, &format!("error[{}]", failure.code));
    let mut text = format!("{head}: {}", crate::output::visible(&failure.message));
    if failure.may_have_applied {
        text.push_str("\n  note: the change may have been made; look before you repeat it");
    }
    if let Some(next) = &failure.next {
        text.push_str(&format!("\n  next: {}", crate::output::visible(next)));
    }
    text
}

fn unwritable(error: serde_json::Error) -> Stop {
    Stop::from(crate::failure::Error::Io {
        what: "cannot write the answer as JSON".to_owned(),
        source: error.into(),
    })
}
