//! The pages of `docs/errors/` and `docs/findings/`, as they were when this program was built.

/// Each error code and its page, by code.
pub(crate) const PAGES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/pages.rs"));

/// Each code of a finding and its page, by code.
pub(crate) const FINDINGS: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/findings.rs"));

/// The first sentence of a page: what the code means.
pub(crate) fn meaning(page: &str) -> String {
    let paragraph = page
        .split("\n\n")
        .map(str::trim)
        .find(|part| !part.is_empty() && !part.starts_with('#'))
        .unwrap_or_default()
        .replace('\n', " ");
    match paragraph.split_once(". ") {
        Some((sentence, _)) => format!("{sentence}."),
        None => paragraph,
    }
}

/// The command to run next where an error names none of its own: the first that the page's advice
/// names.
pub(crate) fn next(code: &str) -> Option<&'static str> {
    let (_, page) = PAGES
        .iter()
        .chain(FINDINGS)
        .find(|(known, _)| *known == code)?;
    let (_, advice) = page.split_once("**What to do.**")?;
    advice
        .split('`')
        .skip(1)
        .step_by(2)
        // A full disk is looked at with the system's own command.
        .find(|quoted| quoted.starts_with("ringrift ") || quoted.starts_with("df "))
}

#[cfg(test)]
mod tests {
    use ringrift_events::store::ErrorCode;

    use super::*;

    #[test]
    fn every_code_of_the_command_and_of_the_store_has_a_page() {
        let own = crate::failure::CODES.iter().copied();
        let store = ErrorCode::ALL.iter().map(|code| code.as_str());
        for code in own.chain(store).chain(["USAGE", "BUG"]) {
            let page = PAGES.iter().find(|(known, _)| *known == code);
            assert!(page.is_some(), "docs/errors/{code}.md is missing");
        }
    }

    #[test]
    fn every_page_names_the_next_command_as_the_grammar_knows_it() {
        use clap::CommandFactory;

        let grammar = crate::cli::Cli::command();
        for (code, _) in PAGES.iter().chain(FINDINGS) {
            let next = next(code).unwrap_or_else(|| panic!("{code} names no next command"));
            if !next.starts_with("ringrift ") {
                continue;
            }
            let mut at = &grammar;
            for word in next.split(' ').skip(1) {
                let plain = word.chars().all(|c| c.is_ascii_lowercase());
                if !plain || !at.has_subcommands() {
                    break;
                }
                at = at
                    .find_subcommand(word)
                    .unwrap_or_else(|| panic!("{code}: {next} is no command"));
            }
        }
    }

    #[test]
    fn the_first_sentence_is_the_meaning() {
        assert_eq!(
            meaning("# X\n\nThe store\nis busy. Exit code 4.\n\nMore."),
            "The store is busy."
        );
    }
}
