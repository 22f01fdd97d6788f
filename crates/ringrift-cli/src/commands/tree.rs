//! `ringrift tree`: what an event came from and what it led to, across processes.

use std::time::Duration;

use clap::Args as ClapArgs;
use ringrift_events::explain::{Node, Tree};
use serde::Serialize;

use super::findings;
use crate::call::Call;
use crate::failure::Done;
use crate::open;
use crate::output::{Paint, Report, Text, Zone, duration_text, one_line};

/// Characters of a key or of a program's name that a node shows.
const NAME_CHARS: usize = 40;

/// The arguments of `tree`.
#[derive(ClapArgs, Debug)]
#[command(after_help = "Examples:\n  ringrift tree 019ab3c4\n  ringrift tree 120441 --json")]
pub(crate) struct Args {
    /// An id, its first digits, a number of the log, or an idempotency key.
    #[arg(value_name = "EVENT")]
    event: String,
}

#[derive(Serialize)]
#[serde(transparent)]
struct Shown {
    tree: Tree,
    #[serde(skip)]
    zone: Zone,
}

/// Shows it.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    let store = open::reading(call)?;
    let tree = Tree::of(&*store, &args.event, call.now())?;
    let zone = call.zone();
    call.answer("tree", &Shown { tree, zone })
}

impl Report for Shown {
    fn write(&self, text: &mut Text) {
        let mut lines = Vec::new();
        self.node(text, &self.tree.root, "", "", &mut lines);
        for line in lines {
            text.line(line);
        }
        if let Some(cut) = &self.tree.cut {
            let faint = text.paint(Paint::Odd, cut);
            text.line(faint);
        }
    }
}

impl Shown {
    /// One line a node, `first` before it and `rest` before what hangs below it. The depth is
    /// bounded by the tree's.
    fn node(&self, text: &Text, node: &Node, first: &str, rest: &str, lines: &mut Vec<String>) {
        lines.push(format!("{first}{}", self.line(text, node)));
        let last = node.children.len().saturating_sub(1);
        for (place, child) in node.children.iter().enumerate() {
            let (branch, below) = match place == last {
                true => ("└─ ", "   "),
                false => ("├─ ", "│  "),
            };
            self.node(
                text,
                child,
                &format!("{rest}{branch}"),
                &format!("{rest}{below}"),
                lines,
            );
        }
    }

    fn line(&self, text: &Text, node: &Node) -> String {
        let (mark, paint) = findings::mark(findings::side(node.state, node.side));
        let name = node.event_type.as_ref().map(|one| one.constant());
        let name = text.paint(
            Paint::Title,
            &name.unwrap_or_else(|| "(not in the log)".into()),
        );
        let key = node.key.as_deref();
        let key = key.map(|key| format!(" {}", one_line(key, NAME_CHARS)));
        let when = match (node.after_us, node.published_at) {
            (Some(after), _) => format!("+{}", duration_text(Duration::from_micros(after))),
            (None, Some(at)) => self.zone.show(at).to_string(),
            (None, None) => String::new(),
        };
        let pid = node.process.as_ref().and_then(|process| process.pid);
        let pid = pid.map(|pid| format!(" pid {pid}"));
        let at = node.subscription.as_deref();
        let at = at.map(|name| format!(" {}", one_line(name, NAME_CHARS)));
        let place = match node.seq {
            Some(seq) => format!("event {seq}"),
            None => node.id.to_string(),
        };
        let asked = match node.id == self.tree.asked {
            true => " ◀",
            false => "",
        };
        format!(
            "{name}{} {} {}{}{asked}",
            key.unwrap_or_default(),
            text.paint(
                paint,
                &format!("{mark} {}{}", node.state, at.unwrap_or_default())
            ),
            text.paint(Paint::Faint, &format!("{place} {when}")),
            text.paint(Paint::Faint, &pid.unwrap_or_default()),
        )
    }
}
