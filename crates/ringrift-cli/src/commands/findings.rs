//! What became of one event, for people: the same lines wherever it is shown.

use ringrift_events::explain::{Findings, Side, Standing, Verdict, Whole, readable};
use ringrift_events::verdict::Code;

use crate::exit::Exit;
use crate::output::{Paint, Text, one_line, visible};

/// Characters of a piece of evidence that are shown; `--json` has all of it.
const EVIDENCE_CHARS: usize = 400;

/// Characters of the evidence of a recorded step that are shown.
const HISTORY_CHARS: usize = 240;

/// How a command ends that answers with it.
pub(crate) fn exit(whole: Whole) -> Exit {
    match whole {
        Whole::Well => Exit::Ok,
        Whole::NotWell => Exit::No,
        Whole::Unknown => Exit::Unknown,
    }
}

/// Writes the publication, then every subscription's word.
pub(crate) fn write(text: &mut Text, findings: &Findings) {
    text.title("Publication");
    line(text, "", &findings.publication);
    for duplicate in &findings.duplicates {
        line(text, "", duplicate);
    }
    text.title("Subscriptions");
    if let Some(nobody) = &findings.nobody {
        line(text, "nobody", nobody);
    }
    for standing in findings.deliveries.iter().chain(&findings.others) {
        write_standing(text, standing);
    }
    text.line("");
    let sum = sum(findings);
    let paint = match findings.whole {
        Whole::Well => Paint::Good,
        Whole::NotWell => Paint::Bad,
        Whole::Unknown => Paint::Odd,
    };
    let painted = text.paint(paint, &sum);
    text.line(painted);
}

/// Writes one subscription's word, and below it what became of earlier deliveries.
pub(crate) fn write_standing(text: &mut Text, standing: &Standing) {
    line(text, &standing.name, &standing.verdict);
    for recorded in &standing.history {
        let process = recorded.process.as_ref().map(|pid| format!(", {pid}"));
        let by = recorded.by.as_ref().map(|by| format!(", by {by}"));
        let code = recorded.code.map(|code| code.as_str());
        let line = format!(
            "    recorded  {} at {}{}{}: {}",
            code.or(recorded.act.as_deref()).unwrap_or_default(),
            text.moment(recorded.at),
            process.unwrap_or_default(),
            by.unwrap_or_default(),
            one_line(&text.told(&readable(&recorded.evidence)), HISTORY_CHARS)
        );
        let faint = text.paint(Paint::Faint, &visible(&line));
        text.line(faint);
    }
    for earlier in &standing.earlier {
        let before = format!(
            "    before, in generation {}: {} {}",
            earlier.generation.0,
            earlier.verdict.code,
            text.told(&earlier.verdict.sentence)
        );
        let faint = text.paint(Paint::Faint, &visible(&before));
        text.line(faint);
    }
}

/// One verdict: its line, and below it the evidence, unless all is well, and the next command.
pub(crate) fn line(text: &mut Text, name: &str, verdict: &Verdict) {
    let side = side(verdict.code, verdict.side);
    let (mark, paint) = mark(side);
    let code = text.paint(paint, &format!("{mark} {:<17}", verdict.code.as_str()));
    let name = match name {
        "" => String::new(),
        name => format!("{}  ", one_line(name, EVIDENCE_CHARS)),
    };
    text.line(format!(
        "{code}  {name}{}",
        visible(&text.told(&verdict.sentence))
    ));
    let shown = |text: &Text, evidence: &str| one_line(&text.told(evidence), EVIDENCE_CHARS);
    let next = match side == Side::Done && verdict.code != Code::HnDuplicate {
        true => String::new(),
        false => verdict.next.clone(),
    };
    for (what, value) in [
        ("is", shown(text, &verdict.actual)),
        ("expected", shown(text, &verdict.expected)),
        ("next", visible(&next)),
    ] {
        if !value.is_empty() {
            let what = text.paint(Paint::Faint, &format!("{what:<8}"));
            text.line(format!("    {what}  {value}"));
        }
    }
}

/// That nobody takes an event is no delivery that failed, and bad all the same; that somebody
/// would is good.
pub(crate) fn side(code: Code, side: Side) -> Side {
    if code == Code::RtNoSubscribers {
        Side::Failed
    } else if code == Code::RtMatched {
        Side::Done
    } else {
        side
    }
}

/// The mark of a side and its colour.
pub(crate) fn mark(side: Side) -> (char, Paint) {
    match side {
        Side::Done => ('✓', Paint::Good),
        Side::NotOwed => ('-', Paint::Faint),
        Side::Untold => ('?', Paint::Odd),
        Side::Open => ('·', Paint::Odd),
        Side::Failed => ('✗', Paint::Bad),
    }
}

fn sum(findings: &Findings) -> String {
    let count = |side: Side| {
        let all = findings.deliveries.iter();
        all.filter(|one| one.verdict.side == side).count()
    };
    let owed = findings.deliveries.len() - count(Side::NotOwed);
    let parts: Vec<String> = [
        (Side::Done, "done"),
        (Side::Open, "not done yet"),
        (Side::Failed, "failed or ended undone"),
        (Side::Untold, "without a record"),
    ]
    .into_iter()
    .filter(|(side, _)| count(*side) > 0)
    .map(|(side, words)| format!("{} {words}", count(side)))
    .collect();
    let word = match findings.whole {
        Whole::Well => "Well",
        Whole::NotWell => "Not well",
        Whole::Unknown => "Cannot tell",
    };
    match owed {
        0 => format!("{word}: no subscription took it."),
        1 => format!("{word}: 1 delivery, {}.", parts.join(", ")),
        _ => format!("{word}: {owed} deliveries, {}.", parts.join(", ")),
    }
}
