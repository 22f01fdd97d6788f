//! `ringrift codes`: every verdict, finding and error code, what it means, what to run next.

use clap::Args as ClapArgs;
use ringrift_events::doctor::FindingCode;
use ringrift_events::verdict::Code;
use serde::Serialize;

use crate::call::Call;
use crate::failure::{Done, Error};
use crate::output::{Report, Text};
use crate::pages::{FINDINGS, PAGES, meaning, next};
use crate::resolve::nearest;

/// The arguments of `codes`.
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  ringrift codes\n  ringrift codes HN_TIMEOUT\n  ringrift codes STORE_BUSY\n  ringrift codes --json | jq -r '.data.verdicts[].code'"
)]
pub(crate) struct Args {
    /// One code only.
    #[arg(value_name = "CODE")]
    code: Option<String>,
}

#[derive(Serialize)]
struct Verdict {
    code: &'static str,
    meaning: &'static str,
    next: &'static str,
}

#[derive(Serialize)]
struct ErrorRow {
    code: &'static str,
    meaning: String,
    /// The command to run next where the error itself names none.
    next: Option<&'static str>,
    /// The whole page, when one code was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<&'static str>,
}

#[derive(Serialize)]
struct FindingRow {
    code: &'static str,
    severity: &'static str,
    /// The runbook's cause, by its slug.
    cause: Option<&'static str>,
    meaning: &'static str,
    next: Option<&'static str>,
    /// The whole page, when one code was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<&'static str>,
}

#[derive(Serialize)]
struct Codes {
    verdicts: Vec<Verdict>,
    findings: Vec<FindingRow>,
    errors: Vec<ErrorRow>,
}

/// Lists them.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    let mut codes = Codes {
        verdicts: verdicts(),
        findings: findings(),
        errors: errors(),
    };
    if let Some(wanted) = &args.code {
        let upper = wanted.to_ascii_uppercase();
        let all: Vec<&'static str> = codes
            .verdicts
            .iter()
            .map(|row| row.code)
            .chain(codes.findings.iter().map(|row| row.code))
            .chain(codes.errors.iter().map(|row| row.code))
            .collect();
        codes.verdicts.retain(|row| row.code == upper);
        codes.findings.retain(|row| row.code == upper);
        codes.errors.retain(|row| row.code == upper);
        for row in &mut codes.findings {
            row.page = page(row.code);
        }
        for row in &mut codes.errors {
            row.page = page(row.code);
        }
        if codes.verdicts.is_empty() && codes.findings.is_empty() && codes.errors.is_empty() {
            return Err(Error::NotFound {
                kind: "code",
                value: wanted.clone(),
                hint: nearest(&upper, all.into_iter()),
                next: "ringrift codes",
            }
            .into());
        }
    }
    call.answer("codes", &codes)
}

fn verdicts() -> Vec<Verdict> {
    Code::ALL
        .iter()
        .map(|code| Verdict {
            code: code.as_str(),
            meaning: code.meaning(),
            next: code.next(),
        })
        .collect()
}

fn findings() -> Vec<FindingRow> {
    let row = |code: &FindingCode| FindingRow {
        code: code.as_str(),
        severity: code.severity().as_str(),
        cause: code.cause(),
        meaning: code.meaning(),
        next: next(code.as_str()),
        page: None,
    };
    FindingCode::ALL.iter().map(row).collect()
}

fn errors() -> Vec<ErrorRow> {
    PAGES
        .iter()
        .map(|(code, page)| ErrorRow {
            code,
            meaning: meaning(page),
            next: next(code),
            page: None,
        })
        .collect()
}

fn page(code: &str) -> Option<&'static str> {
    let mut pages = PAGES.iter().chain(FINDINGS);
    pages
        .find(|(known, _)| *known == code)
        .map(|(_, page)| *page)
}

impl Report for Codes {
    fn write(&self, text: &mut Text) {
        if !self.verdicts.is_empty() {
            text.title("Verdicts");
            text.table(
                &["code", "meaning", "next"],
                self.verdicts
                    .iter()
                    .map(|row| vec![row.code.into(), row.meaning.into(), row.next.into()])
                    .collect(),
            );
        }
        if let [
            FindingRow {
                page: Some(page), ..
            },
        ] = self.findings.as_slice()
        {
            text.line(page.trim_end());
        } else if !self.findings.is_empty() {
            text.title("Findings");
            text.table(
                &["code", "severity", "cause", "meaning"],
                self.findings
                    .iter()
                    .map(|row| {
                        vec![
                            row.code.into(),
                            row.severity.into(),
                            row.cause.unwrap_or_default().into(),
                            row.meaning.into(),
                        ]
                    })
                    .collect(),
            );
        }
        if let [
            ErrorRow {
                page: Some(page), ..
            },
        ] = self.errors.as_slice()
        {
            text.line(page.trim_end());
        } else if !self.errors.is_empty() {
            text.title("Errors");
            text.table(
                &["code", "meaning", "next"],
                self.errors
                    .iter()
                    .map(|row| {
                        vec![
                            row.code.into(),
                            row.meaning.as_str().into(),
                            row.next.unwrap_or_default().into(),
                        ]
                    })
                    .collect(),
            );
        }
    }
}
