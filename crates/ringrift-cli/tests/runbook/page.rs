//! A page of the runbook: its blocks, and what each of them must print or leave behind.
//!
//! A block is a fence of `sh`, `sql`, `rust` or `python`. Comments above it, one a line, say what is expected:
//!
//! - `<!-- prints: TEXT -->` a line of its output contains this
//! - `<!-- leaves VALUE: SQL -->` afterwards the statement gives this value, and before it did not
//! - `<!-- exit N -->` it ends with this code instead of 0
//! - `<!-- answers N M -->` the blocks of the original runbook that it stands for
//! - `<!-- same N -->` it prints what that block of the original prints
//! - `<!-- anew -->` it runs in a fresh scene: blocks before it have changed the last one
//! - `<!-- anywhere -->` it brings what it looks at: it may hold in an empty home too
//!
//! A fence of `text` right below it is its whole output. In both, `…` stands for anything, and alone
//! on a line for any number of lines. `<!-- scene NAME -->` on top of a page names its scene.

/// How a block is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    /// By `bash -eu`.
    Shell,
    /// By the system's `sqlite3`.
    Sql,
    /// Compiled into this test.
    Rust,
    /// By the interpreter that has the package, where one is given.
    Python,
}

/// One block and its expectations.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) page: String,
    /// The line of its fence, from 1.
    pub(crate) line: usize,
    pub(crate) language: Language,
    pub(crate) text: String,
    pub(crate) wants: Wants,
}

/// What is said of a block.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wants {
    pub(crate) prints: Vec<String>,
    pub(crate) shown: Vec<String>,
    /// Value and statement.
    pub(crate) leaves: Vec<(String, String)>,
    pub(crate) exit: i32,
    pub(crate) answers: Vec<usize>,
    pub(crate) same: Option<usize>,
    pub(crate) anew: bool,
    pub(crate) anywhere: bool,
}

impl Wants {
    /// Whether anything would fail it.
    fn is_something(&self) -> bool {
        let says = |line: &String| !line.replace('…', "").trim().is_empty();
        self.prints.iter().all(says)
            && (self.shown.iter().any(says) || !self.prints.is_empty() || !self.leaves.is_empty())
    }

    fn take(&mut self, directive: &str) -> Result<(), String> {
        let (word, rest) = directive.split_once(' ').unwrap_or((directive, ""));
        let number = |text: &str| {
            text.parse::<usize>()
                .map_err(|_| format!("{text:?} is no number"))
        };
        match word {
            "prints:" => self.prints.push(rest.to_owned()),
            "leaves" => {
                let (value, sql) = rest.split_once(": ").ok_or("leaves VALUE: SQL")?;
                self.leaves.push((value.to_owned(), sql.to_owned()));
            }
            "exit" => self.exit = i32::try_from(number(rest)?).map_err(|_| "no exit code")?,
            "answers" => {
                let all: Result<Vec<usize>, String> = rest.split(' ').map(number).collect();
                self.answers.extend(all?);
            }
            "same" => self.same = Some(number(rest)?),
            "anew" => self.anew = true,
            "anywhere" => self.anywhere = true,
            other => return Err(format!("{other:?} is no directive")),
        }
        Ok(())
    }
}

/// One page.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(crate) scene: String,
    pub(crate) blocks: Vec<Block>,
}

impl Page {
    /// Reads a page; every mistake is one line.
    pub(crate) fn parse(name: &str, text: &str) -> Result<Page, Vec<String>> {
        let mut page = Page {
            scene: "work".to_owned(),
            blocks: Vec::new(),
        };
        let (mut wants, mut wrong) = (Wants::default(), Vec::new());
        let mut lines = text.lines().enumerate();
        // Whether nothing stood between the last block and here.
        let mut is_below = false;
        while let Some((index, line)) = lines.next() {
            let at = |what: &str| format!("{name}:{}: {what}", index + 1);
            if let Some(language) = line.strip_prefix("```") {
                let body = lines.by_ref().map(|(_, line)| line.to_owned());
                let body: Vec<String> = body.take_while(|line| line != "```").collect();
                match (language, page.blocks.last_mut()) {
                    ("text", Some(block)) if is_below => block.wants.shown = body,
                    ("text", _) => wrong.push(at("output without a block above it")),
                    (language, _) => match language_of(language) {
                        Some(language) => page.blocks.push(Block {
                            page: name.to_owned(),
                            line: index + 1,
                            language,
                            text: body.join("\n"),
                            wants: std::mem::take(&mut wants),
                        }),
                        None => wrong.push(at(&format!("{language:?} is run by nobody"))),
                    },
                }
                is_below = true;
            } else if let Some(comment) = line.strip_prefix("<!-- ") {
                let comment = comment.trim_end_matches("-->").trim();
                match comment.strip_prefix("scene ") {
                    Some(scene) => page.scene = scene.to_owned(),
                    None => wrong.extend(wants.take(comment).err().map(|why| at(&why))),
                }
                is_below = false;
            } else if !line.trim().is_empty() {
                is_below = false;
            }
        }
        for block in &page.blocks {
            if !block.wants.is_something() {
                wrong.push(format!("{name}:{}: nothing is expected of it", block.line));
            }
        }
        match wrong.is_empty() {
            true => Ok(page),
            false => Err(wrong),
        }
    }
}

fn language_of(word: &str) -> Option<Language> {
    match word {
        "sh" => Some(Language::Shell),
        "sql" => Some(Language::Sql),
        "rust" => Some(Language::Rust),
        "python" => Some(Language::Python),
        _ => None,
    }
}

/// Whether these lines are what was shown: `…` alone is any number of lines.
pub(crate) fn is_shown(shown: &[String], lines: &[String]) -> bool {
    match (shown.split_first(), lines.split_first()) {
        (None, None) => true,
        (None, Some(_)) => false,
        (Some((first, rest)), _) if first.trim() == "…" => {
            (0..=lines.len()).any(|skipped| is_shown(rest, &lines[skipped..]))
        }
        (Some(_), None) => false,
        (Some((first, rest)), Some((line, others))) => {
            is_line(first, line) && is_shown(rest, others)
        }
    }
}

/// Whether a line is this, whatever stands for `…` and however wide its gaps are.
pub(crate) fn is_line(pattern: &str, line: &str) -> bool {
    let (pattern, line) = (narrow(pattern), narrow(line));
    let mut parts = pattern.split('…');
    let Some(mut rest) = line.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, between)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in between {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// One space between words.
pub(crate) fn narrow(line: &str) -> String {
    line.split_whitespace().collect::<Vec<&str>>().join(" ")
}

#[test]
fn a_block_without_an_expectation_is_a_mistake() {
    let wrong = Page::parse("p", "```sh\ntrue\n```\n").expect_err("refused");
    assert_eq!(wrong, ["p:1: nothing is expected of it"]);
    for empty in [
        "<!-- prints: … -->\n```sh\n```\n",
        "```sh\n```\n```text\n…\n```\n",
    ] {
        Page::parse("p", empty).expect_err("refused");
    }
    let wrong = Page::parse("p", "<!-- hopes: x -->\n```cobol\n```\n").expect_err("refused");
    assert_eq!(wrong.len(), 2, "{wrong:?}");
}

#[test]
fn output_is_compared_whole() {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<String>>();
    let shown = lines("id  name\n1  …\n…\nend of 3");
    assert!(is_shown(&shown, &lines("id name\n1 a\n2 b\nend of 3")));
    assert!(is_shown(&shown, &lines("id name\n1 a\nend  of 3")));
    assert!(!is_shown(&shown, &lines("id name\n2 a\nend of 3")));
    assert!(!is_shown(&shown, &lines("id name\n1 a\nend of 3\nmore")));
    assert!(is_line("a … b … c", "a x b y c") && !is_line("a … b … c", "a x c y c"));
    assert!(!is_line("a … a", "a a a b"));
}
