//! What a look found, in words.

use serde::Serialize;

use super::sources::Place;

/// The kinds of findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Two names were meant to be one: what one side publishes, the other awaits under another.
    NearMiss,
    /// Events of this type stay in their process although others need them.
    Unbridged,
    /// A source uses a name that no catalog knows: the door refuses it.
    Unknown,
    /// Somebody subscribes, and nobody publishes.
    DeadSubscription,
    /// Somebody publishes, and nobody subscribes.
    Orphan,
}

impl Class {
    /// Every class, the gravest first.
    pub const ALL: [Class; 5] = [
        Class::NearMiss,
        Class::Unbridged,
        Class::Unknown,
        Class::DeadSubscription,
        Class::Orphan,
    ];

    /// Its word in a baseline, in JSON and in SARIF.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Class::NearMiss => "near_miss",
            Class::Unbridged => "unbridged",
            Class::Unknown => "unknown",
            Class::DeadSubscription => "dead_subscription",
            Class::Orphan => "orphan",
        }
    }

    /// The class of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Class> {
        Class::ALL.into_iter().find(|class| class.as_str() == word)
    }

    /// What it means, in one sentence.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Class::NearMiss => {
                "One name is published and a similar one is subscribed to: probably the same event was meant."
            }
            Class::Unbridged => {
                "Events of this type stay in the process that publishes them, and others need them."
            }
            Class::Unknown => {
                "A source uses a name that the catalog does not know: publishing or subscribing is refused."
            }
            Class::DeadSubscription => "Somebody subscribes to this type and nobody publishes it.",
            Class::Orphan => "Somebody publishes this type and nobody subscribes to it.",
        }
    }

    /// How grave it is.
    #[must_use]
    pub fn severity(self) -> Severity {
        match self {
            Class::NearMiss | Class::Unbridged | Class::Unknown => Severity::Error,
            Class::DeadSubscription => Severity::Warning,
            Class::Orphan => Severity::Note,
        }
    }
}

/// How grave a finding is, in the words that SARIF has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Events do not arrive.
    Error,
    /// Somebody waits in vain.
    Warning,
    /// Work for nobody.
    Note,
}

impl Severity {
    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        }
    }
}

/// What was seen of a name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// Events published in the time looked at.
    pub events: u64,
    /// Of those, events that stayed in their process.
    pub unbridged: u64,
    /// How often the door refused the name as an unknown one.
    pub refused: u64,
    /// How many processes published it.
    pub publishers: usize,
    /// The subscriptions that name it.
    pub subscribers: Vec<String>,
    /// How similar the partner is, in percent.
    pub similarity: Option<u32>,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its kind.
    pub class: Class,
    /// How grave it is.
    pub severity: Severity,
    /// The name it is about, as a canonical value, or as the source writes it.
    pub name: String,
    /// The name that was probably meant, or that waits for this one.
    pub partner: Option<String>,
    /// What is the matter, in one sentence.
    pub message: String,
    /// What was seen.
    pub evidence: Evidence,
    /// Where sources use it.
    pub places: Vec<Place>,
    /// What to run next.
    pub next: String,
    /// The baseline accepts it.
    pub accepted: bool,
}

impl Finding {
    /// What names it from one look to the next: its line in a baseline.
    #[must_use]
    pub fn entry(&self) -> String {
        match (&self.partner, self.class) {
            (Some(partner), Class::NearMiss) => {
                format!("{} {} {partner}", self.class.as_str(), self.name)
            }
            _ => format!("{} {}", self.class.as_str(), self.name),
        }
    }
}
