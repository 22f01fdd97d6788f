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
}

impl Style {
    /// Neither colour nor wrapping: what a file or a pipe gets.
    #[cfg(test)]
    pub(crate) const PLAIN: Style = Style {
        color: false,
        width: None,
    };

    /// The style of standard output.
    pub(crate) fn of_stdout(choice: ColorChoice) -> Style {
        Style {
            width: comfy_table::Table::new()
                .width()
                .filter(|width| *width >= WIDTH_MIN),
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
        Style { color, width: None }
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
}
