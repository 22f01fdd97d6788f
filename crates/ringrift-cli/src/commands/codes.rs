//! `ringrift codes`: every verdict and error code, what it means, what to run next.

use clap::Args as ClapArgs;
use ringrift_events::verdict::Code;
use serde::Serialize;

use crate::call::Call;
use crate::failure::{Done, Error};
use crate::output::{Report, Text};
use crate::pages::{PAGES, meaning};
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
    /// The whole page, when one code was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<&'static str>,
}

#[derive(Serialize)]
struct Codes {
    verdicts: Vec<Verdict>,
    errors: Vec<ErrorRow>,
}

/// Lists them.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    let mut codes = Codes {
        verdicts: verdicts(),
        errors: errors(),
    };
    if let Some(wanted) = &args.code {
        let upper = wanted.to_ascii_uppercase();
        let all: Vec<&'static str> = codes
            .verdicts
            .iter()
            .map(|row| row.code)
            .chain(codes.errors.iter().map(|row| row.code))
            .collect();
        codes.verdicts.retain(|row| row.code == upper);
        codes.errors.retain(|row| row.code == upper);
        for row in &mut codes.errors {
            row.page = page(row.code);
        }
        if codes.verdicts.is_empty() && codes.errors.is_empty() {
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

fn errors() -> Vec<ErrorRow> {
    PAGES
        .iter()
        .map(|(code, page)| ErrorRow {
            code,
            meaning: meaning(page),
            page: None,
        })
        .collect()
}

fn page(code: &str) -> Option<&'static str> {
    PAGES
        .iter()
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
            ErrorRow {
                page: Some(page), ..
            },
        ] = self.errors.as_slice()
        {
            text.line(page.trim_end());
        } else if !self.errors.is_empty() {
            text.title("Errors");
            text.table(
                &["code", "meaning"],
                self.errors
                    .iter()
                    .map(|row| vec![row.code.into(), row.meaning.as_str().into()])
                    .collect(),
            );
        }
    }
}
