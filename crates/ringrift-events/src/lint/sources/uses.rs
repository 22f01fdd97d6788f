//! Where one source publishes and subscribes.

use std::collections::BTreeMap;

use super::Language;
use super::tokens::{Token, Word, tokens};

/// How a name is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Uses {
    Publishes,
    Subscribes,
}

/// A name as the source gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Given {
    /// In full.
    Name(String),
    /// By a constant.
    Constant(String),
}

impl Given {
    /// The name itself, looking constants up; `None` for one that nobody defines.
    pub(super) fn resolved(&self, look_up: impl Fn(&String) -> Option<String>) -> Option<String> {
        match self {
            Given::Name(name) => Some(name.clone()),
            Given::Constant(constant) => look_up(constant),
        }
    }
}

/// One use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Used {
    pub(super) name: Given,
    pub(super) uses: Uses,
    pub(super) line: usize,
    /// It cannot be anything but an event's name.
    pub(super) certain: bool,
}

/// What one source says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) uses: Vec<Used>,
    /// Constants that stand for a text.
    pub(super) constants: BTreeMap<String, String>,
    /// Calls of `emit_NAME`: line and NAME.
    pub(super) emitters: Vec<(usize, String)>,
}

/// The names of types that hold every event name as a member.
const MEMBERS_OF: [&str; 3] = ["DataEventType", "EventType", "RingRiftEventType"];

/// Most words of one call's arguments: beyond it, it is no call that names an event.
const ARGUMENT_WORDS_MAX: usize = 4_000;

/// Reads one source.
pub(super) fn uses(text: &str, language: Language) -> Found {
    let tokens = tokens(text, language);
    let mut found = Found::default();
    for at in 0..tokens.len() {
        found.constant(&tokens, at);
        found.call(&tokens, at, language);
        if language == Language::Python {
            found.table(&tokens, at);
        }
    }
    found
}

impl Found {
    /// `NAME = "value"`, `NAME = DataEventType.X`, `const NAME: &str = "value"`.
    fn constant(&mut self, tokens: &[Token], at: usize) {
        let Some(name) = tokens[at].name() else {
            return;
        };
        let upper = name.bytes().any(|b| b.is_ascii_uppercase())
            && !name.bytes().any(|b| b.is_ascii_lowercase());
        if !upper {
            return;
        }
        let mut next = at + 1;
        if is_at(tokens, next, ':') && !is_at(tokens, next + 1, ':') {
            // A type stands between name and value.
            let value = tokens[next..]
                .iter()
                .take(12)
                .position(|token| token.is('='));
            match value {
                Some(offset) => next += offset,
                None => return,
            }
        }
        if !is_at(tokens, next, '=') || is_at(tokens, next + 1, '=') {
            return;
        }
        let value = match tokens.get(next + 1).map(|token| &token.word) {
            Some(Word::Text(text)) => Some(text.clone()),
            Some(Word::Name(_)) => member(tokens, next + 1).map(|(member, _)| member),
            Some(Word::Mark(_)) | None => None,
        };
        if let Some(value) = value {
            self.constants.insert(name.to_owned(), value);
        }
    }

    /// A call of something that publishes or subscribes.
    fn call(&mut self, tokens: &[Token], at: usize, language: Language) {
        let Some(name) = tokens[at].name() else {
            return;
        };
        if !is_at(tokens, at + 1, '(') || is_definition(tokens, at) {
            return;
        }
        let arguments = enclosed(tokens, at + 1);
        let owner = owner(tokens, at);
        if language == Language::Rust && owner == Some("Subscribe") {
            self.chain(tokens, at + 1 + arguments.len() + 2);
            return;
        }
        if language == Language::Rust && owner == Some("Publish") && name == "new" {
            self.take(first(arguments), Uses::Publishes, true);
            return;
        }
        let bare = name.trim_start_matches('_');
        if let Some(of) = bare.strip_prefix("emit_") {
            self.emitters.push((tokens[at].line, of.to_owned()));
        }
        let Some(uses) = verb(bare, owner) else {
            return;
        };
        let typed = argument(
            arguments,
            &["event_type", "type", "event", "event_name", "event_types"],
        );
        let members = members(typed.unwrap_or(arguments));
        if !members.is_empty() {
            for (name, line) in members {
                self.add(Given::Name(name), uses, line, true);
            }
            return;
        }
        self.take(typed.unwrap_or_else(|| first(arguments)), uses, false);
    }

    /// `.to(["a", "b"])` behind `Subscribe::live("name")`.
    fn chain(&mut self, tokens: &[Token], mut at: usize) {
        while is_at(tokens, at, '.') {
            let Some(name) = tokens.get(at + 1).and_then(Token::name) else {
                return;
            };
            if !is_at(tokens, at + 2, '(') {
                at += 2;
                continue;
            }
            let arguments = enclosed(tokens, at + 2);
            if name == "to" {
                self.take(arguments, Uses::Subscribes, true);
            }
            at += 2 + arguments.len() + 2;
        }
    }

    /// A table of subscriptions: `DataEventType.X: self.on_x`, or a list or set that is called one.
    fn table(&mut self, tokens: &[Token], at: usize) {
        if let Some((name, next)) = member(tokens, at)
            && is_at(tokens, next, ':')
            && tokens.get(next + 1).and_then(Token::name).is_some()
            && !matches!(before(tokens, at), Some(word) if word.name().is_some())
        {
            self.add(Given::Name(name), Uses::Subscribes, tokens[at].line, true);
        }
        let Some(name) = tokens[at].name() else {
            return;
        };
        let about = name.to_ascii_lowercase();
        if !about.contains("subscri") || about.contains("unsubscri") || !is_at(tokens, at + 1, '=')
        {
            return;
        }
        if ['[', '{', '(']
            .iter()
            .any(|open| is_at(tokens, at + 2, *open))
        {
            let inside = enclosed(tokens, at + 2);
            for (name, line) in members(inside) {
                self.add(Given::Name(name), Uses::Subscribes, line, true);
            }
        }
    }

    /// Every text and constant among these words.
    fn take(&mut self, words: &[Token], uses: Uses, certain: bool) {
        let named = members(words);
        for (name, line) in &named {
            self.add(Given::Name(name.clone()), uses, *line, true);
        }
        if !named.is_empty() {
            return;
        }
        // Only what stands alone or in a list: `"a" + name` is no name.
        let plain = words.iter().all(|token| match &token.word {
            Word::Text(_) | Word::Name(_) => true,
            Word::Mark(mark) => "[]{}(),.:&*".contains(*mark),
        });
        if !plain {
            return;
        }
        for token in words {
            match &token.word {
                Word::Text(text) => self.add(Given::Name(text.clone()), uses, token.line, certain),
                Word::Name(name) => {
                    self.add(Given::Constant(name.clone()), uses, token.line, certain);
                }
                Word::Mark(_) => {}
            }
        }
    }

    fn add(&mut self, name: Given, uses: Uses, line: usize, certain: bool) {
        if name == Given::Name("*".to_owned()) {
            return;
        }
        self.uses.push(Used {
            name,
            uses,
            line,
            certain,
        });
    }
}

/// What a called name does, if it publishes or subscribes. `owner` is what stands before its dot.
fn verb(name: &str, owner: Option<&str>) -> Option<Uses> {
    let lower = name.to_ascii_lowercase();
    if lower.contains("unsubscribe") {
        return None;
    }
    let publishes = [
        "publish",
        "emit",
        "safe_publish",
        "safe_emit",
        "fire_event",
        "dispatch_event",
    ];
    if publishes
        .iter()
        .any(|verb| lower == *verb || lower.starts_with(&format!("{verb}_")))
        || name == "DataEvent"
    {
        return Some(Uses::Publishes);
    }
    if lower.contains("subscribe") && !lower.ends_with("subscribers") {
        return Some(Uses::Subscribes);
    }
    let of_events = owner.is_some_and(|owner| {
        let owner = owner.to_ascii_lowercase();
        ["event", "bus", "router"]
            .iter()
            .any(|word| owner.contains(word))
    });
    (lower == "on" && of_events).then_some(Uses::Subscribes)
}

fn is_at(tokens: &[Token], at: usize, mark: char) -> bool {
    tokens.get(at).is_some_and(|token| token.is(mark))
}

fn before(tokens: &[Token], at: usize) -> Option<&Token> {
    at.checked_sub(1).and_then(|at| tokens.get(at))
}

/// `def publish(…)`, `fn publish(…)`.
fn is_definition(tokens: &[Token], at: usize) -> bool {
    let word = before(tokens, at).and_then(Token::name);
    matches!(word, Some("def" | "fn" | "class"))
}

/// What stands before the `.` or `::` of a name.
fn owner(tokens: &[Token], at: usize) -> Option<&str> {
    let dot = before(tokens, at)?;
    let name_at = if dot.is('.') {
        at.checked_sub(2)?
    } else if dot.is(':') && is_at(tokens, at.checked_sub(2)?, ':') {
        at.checked_sub(3)?
    } else {
        return None;
    };
    tokens[name_at].name()
}

/// The words between the bracket at `open` and the one that closes it.
fn enclosed(tokens: &[Token], open: usize) -> &[Token] {
    let mut depth = 0_usize;
    for (offset, token) in tokens[open..].iter().take(ARGUMENT_WORDS_MAX).enumerate() {
        match &token.word {
            Word::Mark('(' | '[' | '{') => depth += 1,
            Word::Mark(')' | ']' | '}') => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return &tokens[open + 1..open + offset];
                }
            }
            Word::Mark(_) | Word::Name(_) | Word::Text(_) => {}
        }
    }
    &[]
}

/// The arguments of a call, at its own depth.
fn arguments(words: &[Token]) -> Vec<&[Token]> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0_usize, 0);
    for (at, token) in words.iter().enumerate() {
        match &token.word {
            Word::Mark('(' | '[' | '{') => depth += 1,
            Word::Mark(')' | ']' | '}') => depth = depth.saturating_sub(1),
            Word::Mark(',') if depth == 0 => {
                parts.push(&words[start..at]);
                start = at + 1;
            }
            Word::Mark(_) | Word::Name(_) | Word::Text(_) => {}
        }
    }
    if start < words.len() {
        parts.push(&words[start..]);
    }
    parts
}

fn first(words: &[Token]) -> &[Token] {
    arguments(words).into_iter().next().unwrap_or(&[])
}

/// The value of the first of these keyword arguments.
fn argument<'t>(words: &'t [Token], names: &[&str]) -> Option<&'t [Token]> {
    arguments(words).into_iter().find_map(|part| {
        let name = part.first()?.name()?;
        let is = names.contains(&name) && is_at(part, 1, '=') && !is_at(part, 2, '=');
        is.then(|| &part[2..])
    })
}

/// `DataEventType.X` or `DataEventType::X` at this place: X, and the place after it.
fn member(tokens: &[Token], at: usize) -> Option<(String, usize)> {
    let of = tokens.get(at)?.name()?;
    if !MEMBERS_OF.contains(&of) {
        return None;
    }
    let name_at = if is_at(tokens, at + 1, '.') {
        at + 2
    } else if is_at(tokens, at + 1, ':') && is_at(tokens, at + 2, ':') {
        at + 3
    } else {
        return None;
    };
    let name = tokens.get(name_at)?.name()?;
    let upper = name
        .bytes()
        .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    let value = is_at(tokens, name_at + 1, '.')
        && tokens.get(name_at + 2).and_then(Token::name) == Some("value");
    upper.then(|| (name.to_owned(), name_at + if value { 3 } else { 1 }))
}

/// Every such member among these words, with its line.
fn members(words: &[Token]) -> Vec<(String, usize)> {
    (0..words.len())
        .filter_map(|at| Some((member(words, at)?.0, words[at].line)))
        .collect()
}
