//! `ringrift publish --jsonl`: many events in input order, each answered once it is committed.
//!
//! Lines are read on a thread of their own and published as they come, many in flight, so that
//! they share commits; a slow writer still sees each answer at once.

use std::collections::{BTreeSet, VecDeque};
use std::io::{BufRead, BufReader, Read};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};

use ringrift_events::coded::Coded;
use ringrift_events::event::PAYLOAD_BYTES_MAX;
use ringrift_events::router::{Error as RouterError, Publish, Publishing};
use ringrift_events::system::System;
use ringrift_events::trace::Context;

use super::line::{Given, read};
use super::rest::Rest;
use super::{Args, Published, parent};
use crate::call::Call;
use crate::confirm::command_line;
use crate::exit::Exit;
use crate::failure::{Done, Error, Stop};
use crate::open;

/// Most publishes in flight: enough to fill a commit, few enough to stay in input order cheaply.
const IN_FLIGHT_MAX: usize = 1_000;

/// Lines read ahead.
const LINES_AHEAD: usize = 64;

/// Longest line: the largest payload, escaped and with what stands around it.
const LINE_BYTES_MAX: usize = 4 * PAYLOAD_BYTES_MAX;

/// The code of a refused line, whose error names it.
const LINE_REFUSED: &str = "LINE_REFUSED";

/// What the reading thread found.
enum Input {
    Line(Vec<u8>),
    TooLong,
    Failed(std::io::Error),
}

struct Stream<'a> {
    call: &'a Call,
    system: &'a System,
    context: Option<Context>,
    keep_going: bool,
    line: u64,
    published: u64,
    refused: u64,
    in_flight: VecDeque<(u64, Publishing)>,
    /// Lines that were sent and are not published. The first failure ends the reading, so they are
    /// few: what was in flight then.
    failed: BTreeSet<u64>,
}

/// Publishes every line.
pub(super) fn run(call: &Call, args: &Args) -> Done {
    let system = open::system(call)?;
    let done = publish_all(call, args, &system);
    system.close();
    done
}

fn publish_all(call: &Call, args: &Args, system: &System) -> Done {
    let lines = read_ahead()?;
    let given = Given {
        event_type: args.event_type.as_deref(),
        source: &args.source,
        key: args.key.as_deref(),
    };
    let mut stream = Stream {
        call,
        system,
        context: parent(system)?,
        keep_going: args.keep_going,
        line: 0,
        published: 0,
        refused: 0,
        in_flight: VecDeque::new(),
        failed: BTreeSet::new(),
    };
    if let Err(stop) = stream.all(&lines, &given) {
        return Err(stream.broken_off(stop));
    }
    if stream.refused > 0 {
        call.note(&format!(
            "{} of {} lines were refused, {} events are published",
            stream.refused, stream.line, stream.published
        ));
        return Ok(Exit::Refused);
    }
    Ok(Exit::Ok)
}

/// Reads standard input on a thread of its own; it ends with the process.
fn read_ahead() -> Result<Receiver<Input>, Stop> {
    let (sender, receiver) = sync_channel(LINES_AHEAD);
    std::thread::Builder::new()
        .name("lines".to_owned())
        .spawn(move || read_lines(&sender))
        .map_err(|source| Error::Io {
            what: "cannot start a thread for standard input".to_owned(),
            source,
        })?;
    Ok(receiver)
}

fn read_lines(sender: &SyncSender<Input>) {
    let mut stdin = BufReader::new(std::io::stdin().lock());
    loop {
        let mut line = Vec::new();
        let bound = LINE_BYTES_MAX as u64 + 1;
        let input = match stdin.by_ref().take(bound).read_until(b'\n', &mut line) {
            Ok(0) => return,
            Ok(count) if count > LINE_BYTES_MAX => {
                if let Err(error) = stdin.skip_until(b'\n') {
                    Input::Failed(error)
                } else {
                    Input::TooLong
                }
            }
            Ok(_) if line.trim_ascii().is_empty() => Input::Line(Vec::new()),
            Ok(_) => Input::Line(line),
            Err(error) => Input::Failed(error),
        };
        if sender.send(input).is_err() {
            return;
        }
    }
}

impl Stream<'_> {
    fn all(&mut self, lines: &Receiver<Input>, given: &Given<'_>) -> Result<(), Stop> {
        while let Some(input) = self.next(lines)? {
            self.line += 1;
            match self.take(input, given) {
                Ok(Ok(())) => {}
                Ok(Err(why)) => self.refuse(why)?,
                Err(stop) => {
                    self.failed.insert(self.line);
                    return Err(stop);
                }
            }
        }
        while self.answer_oldest()? {}
        Ok(())
    }

    /// The next input; while there is none, what is in flight is answered.
    fn next(&mut self, lines: &Receiver<Input>) -> Result<Option<Input>, Stop> {
        loop {
            match lines.try_recv() {
                Ok(input) => return Ok(Some(input)),
                Err(TryRecvError::Disconnected) => return Ok(None),
                Err(TryRecvError::Empty) if self.answer_oldest()? => {}
                Err(TryRecvError::Empty) => return Ok(lines.recv().ok()),
            }
        }
    }

    /// Publishes one line. The inner error is the line's own fault.
    fn take(&mut self, input: Input, given: &Given<'_>) -> Result<Result<(), String>, Stop> {
        let line = match input {
            Input::Line(line) if line.is_empty() => return Ok(Ok(())),
            Input::Line(line) => line,
            Input::TooLong => {
                return Ok(Err(format!("it is longer than {LINE_BYTES_MAX} bytes")));
            }
            Input::Failed(source) => {
                return Err(Error::Io {
                    what: "cannot read standard input".to_owned(),
                    source,
                }
                .into());
            }
        };
        let publish = match read(&line, given) {
            Ok(publish) => publish,
            Err(why) => return Ok(Err(why)),
        };
        let publish = match self.context {
            Some(context) => publish.context(context),
            None => publish,
        };
        self.send(publish)
    }

    fn send(&mut self, publish: Publish) -> Result<Result<(), String>, Stop> {
        loop {
            if self.in_flight.len() >= IN_FLIGHT_MAX {
                self.answer_oldest()?;
            }
            match self.system.router().publish(publish.clone()) {
                Ok(publishing) => {
                    self.in_flight.push_back((self.line, publishing));
                    return Ok(Ok(()));
                }
                // Too much is in flight: the oldest answer makes room.
                Err(RouterError::Backpressure { .. }) if self.answer_oldest()? => {}
                Err(error) if error.class() == ringrift_events::coded::Class::Refused => {
                    return Ok(Err(format!("{}: {error}", error.code())));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits for the oldest publish and prints its line; says whether there was one.
    fn answer_oldest(&mut self) -> Result<bool, Stop> {
        let Some((line, publishing)) = self.in_flight.pop_front() else {
            return Ok(false);
        };
        match publishing.wait() {
            Ok(receipt) => {
                self.published += 1;
                let published = Published::of(&receipt);
                let said = self.call.stream(&published, |_| published.line());
                said.map_err(|stop| self.unread(stop))?;
            }
            // The same key with another payload shows only at the commit.
            Err(error) if error.class() == ringrift_events::coded::Class::Refused => {
                self.refuse_line(line, format!("{}: {error}", error.code()))?;
            }
            Err(error) => {
                self.failed.insert(line);
                return Err(error.into());
            }
        }
        Ok(true)
    }

    /// Waits for what is in flight, whose ids belong to the answer, and completes the failure with
    /// where it stands and how to go on.
    fn broken_off(&mut self, stop: Stop) -> Stop {
        let mut answered = self.answer_oldest();
        while !matches!(answered, Ok(false)) {
            answered = self.answer_oldest();
        }
        let Stop::Failed(mut failure) = stop else {
            return stop;
        };
        let itself = match (&failure.value, failure.may_have_applied) {
            (Some(id), true) => format!(" (`ringrift events show {id}` tells whether it is)"),
            (_, true) => " (it may be)".to_owned(),
            (_, false) => String::new(),
        };
        let rest = Rest::of(&self.failed, self.line);
        let standing = match self.failed.len() {
            0 => "all are published".to_owned(),
            1 => format!("all but {} are published{itself}", rest.words()),
            _ => format!("all but {} are published", rest.words()),
        };
        failure.message = format!(
            "{}; of the {} lines that were read {standing}",
            failure.message, self.line
        );
        if failure.code != LINE_REFUSED {
            let mend = failure.next.take();
            let mend = mend
                .map(|mend| format!("{mend}; then "))
                .unwrap_or_default();
            let again = command_line(&self.call.words());
            failure.next = Some(format!("{mend}sed -n '{}' INPUT | {again}", rest.sed()));
        }
        Stop::Failed(failure)
    }

    /// Nobody reads the ids: the rest of the input is not published, and a script must see that.
    fn unread(&self, stop: Stop) -> Stop {
        match stop {
            Stop::ReaderGone => Error::Io {
                what: format!(
                    "nobody reads the ids any more: {} were printed, what was on its way is committed too, and the rest is not read",
                    self.published
                ),
                source: std::io::Error::from(std::io::ErrorKind::BrokenPipe),
            }
            .into(),
            failed @ Stop::Failed(_) => failed,
        }
    }

    fn refuse(&mut self, why: String) -> Result<(), Stop> {
        if !self.keep_going {
            while self.answer_oldest()? {}
        }
        self.refuse_line(self.line, why)
    }

    fn refuse_line(&mut self, line: u64, why: String) -> Result<(), Stop> {
        self.refused += 1;
        if !self.keep_going {
            self.failed.insert(line);
        }
        let refusal = Error::Line {
            line,
            why,
            published: self.published,
        };
        if !self.keep_going {
            return Err(refusal.into());
        }
        self.call.note(&format!("error[LINE_REFUSED]: {refusal}"));
        Ok(())
    }
}
