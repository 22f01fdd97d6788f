//! Exit codes: what scripts branch on. `ringrift --help` and `docs/errors/` list them.

use ringrift_events::coded::Class;
use ringrift_events::metrics::Level;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It worked, or the answer is yes.
    Ok,
    /// The answer is no: not healthy, not found by a search, not delivered.
    No,
    /// The command line could not be understood.
    Usage,
    /// The input was refused.
    Refused,
    /// The store or a process is not available; try again.
    Unavailable,
    /// The store is damaged or newer than this program.
    Damaged,
    /// It cannot be told, or time ran out.
    Unknown,
    /// A bug in this program.
    Bug,
    /// What `check` found, in the codes of monitoring plugins: 0 to 3.
    Checked(Level),
}

impl Exit {
    /// The number the operating system gets.
    pub(crate) fn code(self) -> u8 {
        match self {
            Exit::Ok => 0,
            Exit::No => 1,
            Exit::Usage => 2,
            Exit::Refused => 3,
            Exit::Unavailable => 4,
            Exit::Damaged => 5,
            Exit::Unknown => 6,
            Exit::Bug => 70,
            Exit::Checked(level) => level.code(),
        }
    }
}

impl From<Class> for Exit {
    fn from(class: Class) -> Exit {
        match class {
            Class::Refused => Exit::Refused,
            Class::Unavailable => Exit::Unavailable,
            Class::Damaged => Exit::Damaged,
            Class::Unknown => Exit::Unknown,
        }
    }
}

/// The table that `ringrift --help` ends with.
pub(crate) const HELP: &str = "\
Exit codes:
  0   it worked, or the answer is yes
  1   the answer is no (not healthy, not delivered, none of what was named could be changed)
  2   the command line could not be understood
  3   the input was refused
  4   the store or a process is not available: try again
  5   the store is damaged, or newer than this program
  6   it cannot be told, or time ran out
  70  a bug in this program
`ringrift check` alone: 0 within the limits, 1 warning, 2 critical, 3 unknown";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_of_error_has_the_documented_exit_code() {
        let codes = [
            Class::Refused,
            Class::Unavailable,
            Class::Damaged,
            Class::Unknown,
        ]
        .map(|class| Exit::from(class).code());
        assert_eq!(codes, [3, 4, 5, 6]);
    }

    #[test]
    fn the_help_names_every_code() {
        for exit in [
            Exit::Ok,
            Exit::No,
            Exit::Usage,
            Exit::Refused,
            Exit::Unavailable,
            Exit::Damaged,
            Exit::Unknown,
            Exit::Bug,
        ] {
            assert!(
                HELP.contains(&format!("\n  {:<4}", exit.code())),
                "{exit:?}"
            );
        }
    }
}
