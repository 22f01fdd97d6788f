//! Colour: only where a terminal reads, and never against the reader's wish.

use std::io::IsTerminal;

use clap::ValueEnum;

/// When to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What a word means; the colour follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paint {
    /// A heading.
    Title,
    /// All is well.
    Good,
    /// Somebody should look.
    Odd,
    /// Something failed.
    Bad,
    /// Less important than what stands beside it.
    Faint,
}

/// Below this many columns a table would be a column of letters; some pseudo-terminals say 0.
const WIDTH_MIN: u16 = 60;

/// How text is dressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Style {
    /// Colour is wanted.
    pub(crate) color: bool,
    /// The columns of the terminal that reads: tables fit them.
    pub(crate) width: Option<u16>,
    /// A terminal reads that shows Unicode: plots may use its blocks.
    pub(crate) unicode: bool,
}

impl Style {
    /// Neither colour nor wrapping: what a file or a pipe gets.
    #[cfg(test)]
    pub(crate) const PLAIN: Style = Style {
        color: false,
        width: None,
        unicode: false,
    };

    /// The style of standard output.
    pub(crate) fn of_stdout(choice: ColorChoice) -> Style {
        Style {
            width: comfy_table::Table::new()
                .width()
                .filter(|width| *width >= WIDTH_MIN),
            unicode: std::io::stdout().is_terminal() && is_utf8(|name| std::env::var(name).ok()),
            ..Style::of(std::io::stdout().is_terminal(), choice)
        }
    }

    /// The style of standard error.
    pub(crate) fn of_stderr(choice: ColorChoice) -> Style {
        Style::of(std::io::stderr().is_terminal(), choice)
    }

    fn of(terminal: bool, choice: ColorChoice) -> Style {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        let color = match choice {
            ColorChoice::Auto => terminal && !refused,
            ColorChoice::Always => true,
            ColorChoice::Never => false,
        };
        Style {
            color,
            width: None,
            unicode: false,
        }
    }

    /// The text in the colour of `paint`, or as it is.
    pub(crate) fn paint(self, paint: Paint, text: &str) -> String {
        if !self.color {
            return text.to_owned();
        }
        let code = match paint {
            Paint::Title => "1",
            Paint::Good => "32",
            Paint::Odd => "33",
            Paint::Bad => "31",
            Paint::Faint => "2",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// Whether the locale's text is UTF-8: the first of these variables that says anything decides.
fn is_utf8(variable: impl Fn(&str) -> Option<String>) -> bool {
    let said = ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .filter_map(|name| variable(name))
        .find(|value| !value.is_empty());
    said.is_some_and(|value| {
        let value = value.to_ascii_lowercase();
        value.contains("utf-8") || value.contains("utf8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_for_terminals_or_on_demand() {
        assert!(!Style::of(false, ColorChoice::Auto).color);
        assert!(Style::of(false, ColorChoice::Always).color);
        assert!(!Style::of(true, ColorChoice::Never).color);
        assert_eq!(Style::PLAIN.paint(Paint::Bad, "dead"), "dead");
    }

    #[test]
    fn the_first_variable_that_says_anything_decides_about_unicode() {
        let of = |all: &'static str, lang: &'static str| {
            is_utf8(move |name| match name {
                "LC_ALL" => Some(all.to_owned()),
                "LANG" => Some(lang.to_owned()),
                _ => None,
            })
        };
        assert!(of("", "de_DE.UTF-8"));
        assert!(of("C.utf8", "C"));
        assert!(!of("C", "de_DE.UTF-8"));
        assert!(!of("", ""));
    }
}
