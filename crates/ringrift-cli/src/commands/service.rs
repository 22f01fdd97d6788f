//! `ringrift service`: a systemd unit for `ringrift run`, printed and not installed.

use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use ringrift_events::config::Home;
use serde::Serialize;

use crate::call::Call;
use crate::failure::{Done, Error};
use crate::open;
use crate::output::{Report, Text};

/// How much longer than `shutdown_grace` systemd waits before it kills, in seconds: the hand-back
/// and the checkpoint come after the grace.
const STOP_MARGIN_S: u64 = 10;

/// The arguments of `service`.
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  ringrift --home /srv/ringrift service --user ringrift > /etc/systemd/system/ringrift.service\n  ringrift service --name ringrift-eval --run 'subscribe TRAINING_COMPLETED --durable evaluator --exec ./evaluate'"
)]
pub(crate) struct Args {
    /// The user it runs as; the one systemd runs it for otherwise.
    #[arg(long, value_name = "USER", value_parser = plain_word)]
    user: Option<String>,

    /// The group it runs as.
    #[arg(long, value_name = "GROUP", value_parser = plain_word)]
    group: Option<String>,

    /// What the unit is called.
    #[arg(long, value_name = "NAME", default_value = "ringrift", value_parser = plain_word)]
    name: String,

    /// What it runs: the arguments of `ringrift` after the home.
    #[arg(long, value_name = "ARGUMENTS", default_value = "run", value_parser = one_line)]
    run: String,
}

#[derive(Serialize)]
struct Unit {
    name: String,
    text: String,
}

/// Prints it.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    let home = home(call)?;
    call.at_home(&home);
    let config = open::config_of(call, Home::at(&home))?;
    let grace = config.settings.process.shutdown_grace.as_secs();
    let unit = Unit {
        name: format!("{}.service", args.name),
        text: unit_text(call.program(), &home, args, grace),
    };
    call.answer("service", &unit)
}

/// The home by `--home` or `RINGRIFT_HOME`, else the current folder: a unit needs an absolute one.
fn home(call: &Call) -> Result<PathBuf, Error> {
    let given = call
        .global
        .home
        .clone()
        .or_else(|| std::env::var_os("RINGRIFT_HOME").map(PathBuf::from))
        .unwrap_or_else(|| PathBuf::from("."));
    std::path::absolute(&given).map_err(|source| Error::Io {
        what: format!("cannot tell where {} lies", given.display()),
        source,
    })
}

fn unit_text(program: &Path, home: &Path, args: &Args, grace_s: u64) -> String {
    let who = [("User", &args.user), ("Group", &args.group)]
        .into_iter()
        .filter_map(|(name, value)| value.as_ref().map(|value| format!("{name}={value}\n")))
        .collect::<String>();
    let home = unit_word(&home.display().to_string());
    format!(
        "# /etc/systemd/system/{name}.service
[Unit]
Description=RingRift Events ({what})
After=local-fs.target
StartLimitIntervalSec=600
StartLimitBurst=10

[Service]
Type=exec
{who}ExecStart={program} --home {home} {run}
Restart=on-failure
RestartSec=2
# Refused input and a damaged store do not mend themselves.
RestartPreventExitStatus=2 3 5
KillSignal=SIGTERM
# Handlers get shutdown_grace to finish, then their events are handed back.
TimeoutStopSec={stop}
LimitNOFILE=65536

[Install]
WantedBy=multi-user.target
",
        name = args.name,
        what = args.run.replace('%', "%%"),
        // Neither systemd's specifiers nor its variables: the arguments mean what they say.
        run = args.run.replace('%', "%%").replace('$', "$$"),
        program = unit_word(&program.display().to_string()),
        stop = grace_s + STOP_MARGIN_S,
    )
}

/// A user, a group or a unit: a word that means the same to systemd.
fn plain_word(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.@:".contains(c);
    if text.is_empty() || !text.chars().all(plain) {
        return Err("letters, digits, and any of - _ . @ : make a name".to_owned());
    }
    Ok(text.to_owned())
}

/// One line of a unit: another one would be another setting.
fn one_line(text: &str) -> Result<String, String> {
    if text.trim().is_empty() || text.chars().any(char::is_control) {
        return Err("it must be one line that is not empty".to_owned());
    }
    Ok(text.to_owned())
}

/// A word as systemd takes it: `%` starts a specifier, blanks split words.
fn unit_word(word: &str) -> String {
    let escaped = word.replace('%', "%%");
    if escaped.contains(char::is_whitespace) {
        format!("\"{escaped}\"")
    } else {
        escaped
    }
}

impl Report for Unit {
    fn write(&self, text: &mut Text) {
        for line in self.text.lines() {
            text.line(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_runs_this_program_on_this_home_and_waits_for_its_end() {
        let args = Args {
            user: Some("ringrift".into()),
            group: None,
            name: "ringrift".into(),
            run: "run".into(),
        };
        insta::assert_snapshot!(unit_text(
            Path::new("/usr/bin/ringrift"),
            Path::new("/srv/ring rift"),
            &args,
            10
        ));
    }

    #[test]
    fn what_it_runs_is_taken_literally_and_is_one_line() {
        let args = Args {
            user: None,
            group: None,
            name: "ringrift".into(),
            run: "subscribe X --exec 'date +%F > $HOME/a'".into(),
        };
        let unit = unit_text(Path::new("/r"), Path::new("/h"), &args, 10);
        assert!(unit.contains("'date +%%F > $$HOME/a'"), "{unit}");
        assert!(one_line("run\nUser=root").is_err());
        assert!(plain_word("a b").is_err() && plain_word("").is_err());
    }
}
