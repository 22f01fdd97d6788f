//! The pages of `docs/errors/`, as they were when this program was built.

mod built {
    include!(concat!(env!("OUT_DIR"), "/pages.rs"));
}

/// Each error code and its page, by code.
pub(crate) use built::PAGES;

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
    fn the_first_sentence_is_the_meaning() {
        assert_eq!(
            meaning("# X\n\nThe store\nis busy. Exit code 4.\n\nMore."),
            "The store is busy."
        );
    }
}
