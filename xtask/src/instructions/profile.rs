//! Reads what callgrind writes: how often each function was called, and the instructions of these
//! calls with everything that they called.

use std::collections::HashMap;

use anyhow::{Context, Result, bail};

/// Most names that an error offers instead of the one that is missing.
const OFFERED_MAX: usize = 5;

/// What became of one function in one run, on all threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Called {
    pub(super) calls: u64,
    pub(super) instructions: u64,
}

/// Every function that was called and returned.
pub(super) struct Profile(HashMap<String, Called>);

impl Profile {
    /// Reads the text of a `callgrind.out` file.
    ///
    /// Only what callers say of their calls is read. A name stands in full where it comes first, as
    /// `cfn=(12) name`, and is `cfn=(12)` from then on. After `calls=` comes a line with a place and
    /// the instructions of these calls.
    pub(super) fn parse(text: &str) -> Result<Profile> {
        let mut names: HashMap<&str, &str> = HashMap::new();
        let mut called: HashMap<&str, Called> = HashMap::new();
        let (mut callee, mut calls): (Option<&str>, Option<u64>) = (None, None);
        for line in text.lines() {
            if let Some(count) = calls.take() {
                let id = callee.context("calls of no function")?;
                let one: &mut Called = called.entry(id).or_default();
                one.calls += count;
                one.instructions += instructions(line)?;
            } else if let Some(name) = line.strip_prefix("cfn=") {
                callee = Some(named(name, &mut names)?);
            } else if let Some(name) = line.strip_prefix("fn=") {
                named(name, &mut names)?;
            } else if let Some(count) = line.strip_prefix("calls=") {
                let count = count.split(' ').next().unwrap_or_default();
                calls = Some(count.parse().with_context(|| line.to_owned())?);
            }
        }
        let mut functions: HashMap<String, Called> = HashMap::new();
        for (id, more) in called {
            let name = names.get(id).context("a function without a name")?;
            // A function that stands in several source files has several numbers.
            let whole = functions.entry((*name).to_owned()).or_default();
            whole.calls += more.calls;
            whole.instructions += more.instructions;
        }
        Ok(Profile(functions))
    }

    /// The function of this name.
    ///
    /// # Errors
    /// It was not called: it has another name now, or was inlined. Names the likeliest ones.
    pub(super) fn function(&self, name: &str) -> Result<Called> {
        if let Some(called) = self.0.get(name) {
            return Ok(*called);
        }
        let end = last_word(name);
        let mut like: Vec<&str> = self.0.keys().map(String::as_str).collect();
        like.retain(|other| last_word(other) == end && other.contains("ringrift"));
        like.sort_unstable();
        like.truncate(OFFERED_MAX);
        bail!(
            "{name} was not called, or has another name; there are: {}",
            like.join(", ")
        )
    }
}

/// The number of a function, whose name is kept if it stands here.
fn named<'a>(text: &'a str, names: &mut HashMap<&'a str, &'a str>) -> Result<&'a str> {
    let (id, name) = text.split_once(')').with_context(|| text.to_owned())?;
    if let Some(name) = name.strip_prefix(' ') {
        names.insert(id, name);
    }
    Ok(id)
}

/// The second number of a line `place instructions`; a call that cost nothing has none.
fn instructions(line: &str) -> Result<u64> {
    match line.split(' ').nth(1) {
        Some(count) => count.parse().with_context(|| line.to_owned()),
        None => Ok(0),
    }
}

/// What a path ends with: the name of a function, or of what encloses a closure.
fn last_word(name: &str) -> &str {
    let path = name.trim_end_matches("::{{closure}}");
    path.rsplit("::").next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUT: &str = "\
positions: line
events: Ir
fl=(1) a.rs
fn=(1) ringrift::main
10 5
cfn=(2) ringrift::run
calls=3 20
11 300
cfi=(2) b.rs
cfn=(3) other::run
calls=1 7
* 40

fn=(2)
20 290
cfn=(3)
calls=2 +4
+1 10
cfi=(3) c.rs
cfn=(4) ringrift::run
calls=1 1
12 50
cfn=(5) nothing
calls=1 1
13
";

    #[test]
    fn calls_of_all_callers_and_of_all_numbers_of_a_name_are_added() {
        let profile = Profile::parse(OUT).unwrap();
        let of = |name| {
            let called = profile.function(name).unwrap();
            (called.calls, called.instructions)
        };
        assert_eq!(of("ringrift::run"), (4, 350));
        assert_eq!(of("other::run"), (3, 50));
        assert_eq!(of("nothing"), (1, 0));
    }

    #[test]
    fn a_missing_function_is_named_with_what_may_be_meant() {
        let profile = Profile::parse(OUT).unwrap();
        let error = profile.function("moved::run").unwrap_err().to_string();
        assert_eq!(
            error,
            "moved::run was not called, or has another name; there are: ringrift::run"
        );
        // It calls others, but nobody called it.
        profile.function("ringrift::main").unwrap_err();
    }

    #[test]
    fn a_text_that_is_no_profile_is_refused() {
        assert!(Profile::parse("calls=1 2\n3 4\n").is_err());
        assert!(Profile::parse("cfn=(1) a\ncalls=x 2\n3 4\n").is_err());
        assert!(Profile::parse("cfn=(1)\ncalls=1 2\n3 4\n").is_err());
    }
}
