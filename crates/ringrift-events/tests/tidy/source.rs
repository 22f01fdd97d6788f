//! One Rust file, with its comments and the contents of its strings blanked out, so that a check
//! sees code alone.

/// One Rust file.
pub(crate) struct Source {
    /// Its path from the root, with `/`.
    pub(crate) path: String,
    /// The file as it is.
    pub(crate) text: String,
    /// The same, character for character, with comments and the contents of strings as blanks.
    /// Line breaks stay.
    pub(crate) code: String,
    /// The contents of its string literals, each with the offset of its first character.
    pub(crate) strings: Vec<(usize, String)>,
}

impl Source {
    /// Reads a text as Rust.
    pub(crate) fn new(path: &str, text: &str) -> Source {
        // Characters outside ASCII become blanks of the same length, so that offsets agree.
        let mut reader = Reader {
            bytes: text.as_bytes(),
            at: 0,
            code: vec![b' '; text.len()],
            strings: Vec::new(),
        };
        reader.read();
        Source {
            path: path.to_owned(),
            text: text.to_owned(),
            code: String::from_utf8(reader.code).unwrap(),
            strings: reader.strings,
        }
    }

    /// `file:line` of an offset.
    pub(crate) fn place(&self, offset: usize) -> String {
        let line = self.text.as_bytes()[..offset]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        format!("{}:{}", self.path, line + 1)
    }

    /// Where the file's own module of tests begins; the file's end if its tests stand elsewhere.
    pub(crate) fn tests(&self) -> usize {
        self.code
            .match_indices("#[cfg(test)]")
            .find(|(at, attribute)| {
                let rest = self.code[at + attribute.len()..].trim_start();
                rest.strip_prefix("mod ").is_some_and(|rest| {
                    rest[identifier(rest).len()..].trim_start().starts_with('{')
                })
            })
            .map_or(self.code.len(), |(at, _)| at)
    }

    /// The offsets at which this stands in the code as whole words.
    pub(crate) fn words<'a>(&'a self, word: &'a str) -> impl Iterator<Item = usize> + 'a {
        self.code
            .match_indices(word)
            .map(|(at, _)| at)
            .filter(move |at| {
                let before = self.code[..*at].chars().next_back();
                let after = self.code[at + word.len()..].chars().next();
                let joins = |edge: Option<char>, other: Option<char>| {
                    edge.is_some_and(is_word) && other.is_some_and(is_word)
                };
                !joins(word.chars().next(), before) && !joins(word.chars().next_back(), after)
            })
    }
}

/// Whether a character may stand in an identifier.
pub(crate) fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The identifier that a text begins with, after blanks; empty if there is none.
pub(crate) fn identifier(text: &str) -> &str {
    let text = text.trim_start();
    let end = text.find(|c| !is_word(c)).unwrap_or(text.len());
    &text[..end]
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    code: Vec<u8>,
    strings: Vec<(usize, String)>,
}

impl Reader<'_> {
    fn read(&mut self) {
        while self.at < self.bytes.len() {
            let rest = &self.bytes[self.at..];
            if rest.starts_with(b"//") {
                self.skip_while(|byte| byte != b'\n');
            } else if rest.starts_with(b"/*") {
                self.block_comment();
            } else if let Some(hashes) = self.raw_string() {
                self.string(Some(hashes));
            } else if rest[0] == b'"' {
                self.string(None);
            } else if rest[0] == b'\'' && self.is_char_literal() {
                self.char_literal();
            } else {
                self.keep();
            }
        }
        for (at, byte) in self.bytes.iter().enumerate() {
            if *byte == b'\n' {
                self.code[at] = b'\n';
            }
        }
    }

    fn keep(&mut self) {
        if self.bytes[self.at].is_ascii() {
            self.code[self.at] = self.bytes[self.at];
        }
        self.at += 1;
    }

    fn skip_while(&mut self, wanted: impl Fn(u8) -> bool) {
        while self.bytes.get(self.at).is_some_and(|byte| wanted(*byte)) {
            self.at += 1;
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0_usize;
        while self.at < self.bytes.len() {
            let rest = &self.bytes[self.at..];
            if rest.starts_with(b"/*") {
                depth += 1;
                self.at += 2;
            } else if rest.starts_with(b"*/") {
                depth -= 1;
                self.at += 2;
                if depth == 0 {
                    return;
                }
            } else {
                self.at += 1;
            }
        }
    }

    /// The number of hashes if a raw string begins here.
    fn raw_string(&self) -> Option<usize> {
        let rest = &self.bytes[self.at..];
        let joined = self.at > 0 && is_word(char::from(self.bytes[self.at - 1]));
        if rest[0] != b'r' || (joined && self.bytes[self.at - 1] != b'b') {
            return None;
        }
        let hashes = rest[1..].iter().take_while(|byte| **byte == b'#').count();
        (rest.get(1 + hashes) == Some(&b'"')).then_some(hashes)
    }

    fn string(&mut self, raw: Option<usize>) {
        if let Some(hashes) = raw {
            self.at += 1 + hashes;
        }
        self.keep();
        let start = self.at;
        let mut end = vec![b'"'];
        end.extend(std::iter::repeat_n(b'#', raw.unwrap_or(0)));
        while self.at < self.bytes.len() && !self.bytes[self.at..].starts_with(&end) {
            let escape = raw.is_none() && self.bytes[self.at] == b'\\';
            self.at += 1 + usize::from(escape);
        }
        let stop = self.at.min(self.bytes.len());
        let content = String::from_utf8_lossy(&self.bytes[start..stop]).into_owned();
        self.strings.push((start, content));
        if self.at < self.bytes.len() {
            self.keep();
            self.at += end.len() - 1;
        }
    }

    /// `'a'` and `'\n'` are characters, `'a` alone is a lifetime.
    fn is_char_literal(&self) -> bool {
        let rest = &self.bytes[self.at + 1..];
        match rest.first() {
            Some(b'\\') => true,
            Some(first) if first.is_ascii() => rest.get(1) == Some(&b'\''),
            Some(_) => true,
            None => false,
        }
    }

    fn char_literal(&mut self) {
        self.at += 1;
        if self.bytes.get(self.at) == Some(&b'\\') {
            self.at += 2;
        }
        self.skip_while(|byte| byte != b'\'');
        self.at += 1;
    }
}

#[test]
fn comments_and_strings_are_blank_and_the_rest_stays_in_place() {
    let text =
        "a(\"x // \\\" y\", 'b', '\"'); // c\nlet r: &'a str = r#\"d\"e\"#; /* f /* g */ h */ i";
    let source = Source::new("f.rs", text);
    assert_eq!(source.code.len(), text.len());
    let squeezed: String = source.code.split_whitespace().collect();
    assert_eq!(squeezed, "a(\"\",,);letr:&'astr=\"\";i");
    let strings: Vec<&str> = source
        .strings
        .iter()
        .map(|(_, text)| text.as_str())
        .collect();
    assert_eq!(strings, ["x // \\\" y", "d\"e"]);
    assert_eq!(source.place(text.find("let").unwrap()), "f.rs:2");
}

#[test]
fn words_are_whole() {
    let source = Source::new("f.rs", "unsafe_code; unsafe { } not_unsafe");
    assert_eq!(source.words("unsafe").collect::<Vec<_>>(), [13]);
}

#[test]
fn only_an_inline_module_of_tests_ends_the_code() {
    let text = "#[cfg(test)]\nmod elsewhere;\nfn f() {}\n#[cfg(test)]\nmod tests {}";
    let source = Source::new("f.rs", text);
    assert_eq!(source.tests(), text.rfind("#[cfg").unwrap());
    let text = "#[cfg(test)]\nmod elsewhere;\nfn f() {}";
    assert_eq!(Source::new("f.rs", text).tests(), text.len());
}
