//! What every operator-facing error can say of itself: a code, the value at fault, what to run
//! next, and how a script should take it.

use std::borrow::Cow;

/// How a caller should take an error; the command's exit code follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// The input is at fault (exit 3).
    Refused,
    /// The store or a process is not available; try again (exit 4).
    Unavailable,
    /// The store is damaged or newer than this program (exit 5).
    Damaged,
    /// It cannot be told, or time ran out (exit 6).
    Unknown,
}

/// An error with a code that has a page in `docs/errors/`.
pub trait Coded: std::error::Error {
    /// The code, such as `STORE_BUSY`.
    fn code(&self) -> &'static str;

    /// How to take it.
    fn class(&self) -> Class;

    /// The value at fault.
    fn value(&self) -> Option<Cow<'_, str>> {
        None
    }

    /// The next command to run.
    fn next(&self) -> Option<Cow<'_, str>> {
        None
    }

    /// The outcome is unknown: the change may have been made.
    fn may_have_applied(&self) -> bool {
        false
    }
}

/// A word as a POSIX shell takes it. Every command that is printed for somebody to run names values
/// in this way: a key or a name may hold whatever its author wrote, and nobody reads a line twice
/// that says `run`.
///
/// Control characters come as `$'…'`, which bash, zsh and POSIX 2024 read: raw ones would break the
/// line that shows the command. A shell that does not know the form takes it as one harmless word.
#[must_use]
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+#".contains(c);
    // At the beginning `#` is a comment and `=` a command's path to zsh.
    let begins = |c: char| c != '#' && c != '=';
    if word.starts_with(begins) && word.chars().all(plain) {
        return word.to_owned();
    }
    if !word.contains(char::is_control) {
        return format!("'{}'", word.replace('\'', r"'\''"));
    }
    let mut text = String::from("$'");
    for c in word.chars() {
        match c {
            '\n' => text.push_str(r"\n"),
            '\t' => text.push_str(r"\t"),
            // As a number: a shell without the form would end the word at a quote.
            '\'' => text.push_str(r"\047"),
            '\\' => text.push_str(r"\\"),
            c if c.is_control() => {
                let mut bytes = [0; 4];
                for byte in c.encode_utf8(&mut bytes).bytes() {
                    text.push_str(&format!("\\{byte:03o}"));
                }
            }
            c => text.push(c),
        }
    }
    text.push('\'');
    text
}

/// Words as one line that a shell takes apart into the same words.
pub fn command_line(words: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let words: Vec<String> = words
        .into_iter()
        .map(|word| quoted(word.as_ref()))
        .collect();
    words.join(" ")
}

/// A value as a command's last argument, also one that begins like a flag.
#[must_use]
pub fn last_argument(word: &str) -> String {
    match word.starts_with('-') {
        true => format!("-- {}", quoted(word)),
        false => quoted(word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_reaches_a_command_as_it_is() {
        for word in [
            "hex8_2p",
            "app.main.<locals>.on_event",
            "x; touch /tmp/pwned #",
            "n__lt = 50",
            "it's",
            "$HOME `id` \"x\" \\n",
            "two\nlines, it's\ta \u{1b}[31m\u{85} \\ tab",
            "#1",
            "=ls",
            "~",
            "prüfer",
            "",
        ] {
            let line = format!("printf '%s.' {}", quoted(word));
            assert!(!line.contains(char::is_control), "{line:?}");
            let mut shell = std::process::Command::new("bash");
            let came = shell.arg("-c").arg(&line).output().unwrap().stdout;
            assert_eq!(String::from_utf8(came).unwrap(), format!("{word}."));
        }
    }

    #[test]
    fn a_line_of_words_keeps_its_words() {
        let words = ["ringrift", "subscribe", "--where", "n__lt = 50"];
        assert_eq!(
            command_line(words),
            "ringrift subscribe --where 'n__lt = 50'"
        );
    }

    #[test]
    fn what_needs_no_quotes_has_none() {
        assert_eq!(quoted("TRAINING_COMPLETED"), "TRAINING_COMPLETED");
        assert_eq!(quoted("node-3:trainer/x@y"), "node-3:trainer/x@y");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(last_argument("-5; id"), "-- '-5; id'");
        assert_eq!(last_argument("a-b"), "a-b");
    }
}
