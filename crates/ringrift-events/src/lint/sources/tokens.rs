//! The words of a source: identifiers, strings and marks, each with its line. Comments are gone.

use super::Language;

/// One word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// An identifier or a keyword.
    Name(String),
    /// A string literal's content, escapes left as they are.
    Text(String),
    /// Any other character.
    Mark(char),
}

/// A word and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) word: Word,
    pub(super) line: usize,
}

impl Token {
    pub(super) fn is(&self, mark: char) -> bool {
        self.word == Word::Mark(mark)
    }

    pub(super) fn name(&self) -> Option<&str> {
        match &self.word {
            Word::Name(name) => Some(name),
            Word::Text(_) | Word::Mark(_) => None,
        }
    }
}

/// Reads a whole source. Whatever it is, reading ends: what is not understood is a mark.
pub(super) fn tokens(text: &str, language: Language) -> Vec<Token> {
    let mut reader = Reader {
        text,
        at: 0,
        line: 1,
        found: Vec::new(),
    };
    while let Some(c) = reader.peek() {
        match language {
            Language::Rust => reader.rust(c),
            Language::Python => reader.python(c),
        }
    }
    reader.found
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    line: usize,
    found: Vec<Token>,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Goes on by `bytes`, which end at a character's border, counting lines.
    fn skip(&mut self, bytes: usize) {
        let passed = &self.text.as_bytes()[self.at..self.at + bytes];
        self.line += passed.iter().filter(|byte| **byte == b'\n').count();
        self.at += bytes;
    }

    /// Goes on to after `end`, or to the end of the text.
    fn skip_past(&mut self, end: &str) {
        let to = self.rest().find(end).map(|at| at + end.len());
        self.skip(to.unwrap_or(self.rest().len()));
    }

    fn push(&mut self, word: Word, line: usize) {
        self.found.push(Token { word, line });
    }

    fn rust(&mut self, c: char) {
        let rest = self.rest();
        if rest.starts_with("//") {
            return self.skip_past("\n");
        }
        if rest.starts_with("/*") {
            return self.block_comment();
        }
        if let Some(hashes) = raw_hashes(rest) {
            let open = rest.find('"').map_or(rest.len(), |at| at + 1);
            let close = format!("\"{}", "#".repeat(hashes));
            return self.raw_text(open, &close);
        }
        if c == '\'' {
            // A character, or a lifetime: neither names an event.
            return self.quote();
        }
        if rest.starts_with("b\"") || rest.starts_with("c\"") {
            self.skip(1);
            return self.quoted("\"");
        }
        match c {
            '"' => self.quoted("\""),
            _ => self.plain(c),
        }
    }

    fn python(&mut self, c: char) {
        if c == '#' {
            return self.skip_past("\n");
        }
        let rest = self.rest();
        let prefix = rest
            .bytes()
            .take(3)
            .take_while(|byte| b"rRbBuUfFtT".contains(byte))
            .count();
        let after = &rest[prefix..];
        let starts_word = self.at == 0
            || !self.text[..self.at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        if let Some(quote) = ["\"\"\"", "'''", "\"", "'"]
            .into_iter()
            .find(|quote| after.starts_with(quote))
            && (prefix == 0 || starts_word)
        {
            self.skip(prefix);
            return self.quoted(quote);
        }
        self.plain(c);
    }

    /// A string that a backslash can go on in.
    fn quoted(&mut self, quote: &str) {
        let line = self.line;
        self.skip(quote.len());
        let rest = self.rest();
        let mut end = rest.len();
        let mut escaped = false;
        for (at, c) in rest.char_indices() {
            if escaped {
                escaped = false;
            } else if c == '\\' {
                escaped = true;
            } else if rest[at..].starts_with(quote) {
                end = at;
                break;
            }
        }
        let text = rest[..end].to_owned();
        let whole = (end + quote.len()).min(rest.len());
        self.skip(whole);
        self.push(Word::Text(text), line);
    }

    fn raw_text(&mut self, open: usize, close: &str) {
        let line = self.line;
        self.skip(open);
        let rest = self.rest();
        let end = rest.find(close).unwrap_or(rest.len());
        let text = rest[..end].to_owned();
        let whole = (end + close.len()).min(rest.len());
        self.skip(whole);
        self.push(Word::Text(text), line);
    }

    fn block_comment(&mut self) {
        let mut depth = 0_usize;
        loop {
            let rest = self.rest();
            if rest.starts_with("/*") {
                depth += 1;
                self.skip(2);
            } else if rest.starts_with("*/") {
                depth -= 1;
                self.skip(2);
            } else {
                match rest.chars().next() {
                    Some(c) => self.skip(c.len_utf8()),
                    None => return,
                }
            }
            if depth == 0 {
                return;
            }
        }
    }

    fn quote(&mut self) {
        let mut chars = self.rest().chars().skip(1);
        let (first, second) = (chars.next(), chars.next());
        match (first, second) {
            (Some('\\'), Some(escaped)) => {
                self.skip(2 + escaped.len_utf8());
                self.skip_past("'");
            }
            (Some(c), Some('\'')) => self.skip(2 + c.len_utf8()),
            _ => self.skip(1),
        }
    }

    fn plain(&mut self, c: char) {
        if c.is_whitespace() {
            return self.skip(c.len_utf8());
        }
        let line = self.line;
        if c.is_alphabetic() || c == '_' {
            let rest = self.rest();
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
            let name = rest[..end.unwrap_or(rest.len())].to_owned();
            self.skip(name.len());
            return self.push(Word::Name(name), line);
        }
        self.skip(c.len_utf8());
        self.push(Word::Mark(c), line);
    }
}

/// The number of `#` of a raw string that begins here.
fn raw_hashes(rest: &str) -> Option<usize> {
    let after = rest
        .strip_prefix("br")
        .or_else(|| rest.strip_prefix("cr"))
        .or_else(|| rest.strip_prefix('r'))?;
    let hashes = after.bytes().take_while(|byte| *byte == b'#').count();
    after[hashes..].starts_with('"').then_some(hashes)
}
