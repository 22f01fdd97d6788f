//! What is left of an input that was published in part.

use std::collections::BTreeSet;

/// The lines that were sent in vain, and everything that was not read.
#[derive(Debug)]
pub(super) struct Rest {
    /// First and last line of each gap, in order.
    gaps: Vec<(u64, u64)>,
    read: u64,
}

impl Rest {
    /// The rest, when of the first `read` lines `failed` are not published.
    pub(super) fn of(failed: &BTreeSet<u64>, read: u64) -> Rest {
        let mut gaps: Vec<(u64, u64)> = Vec::new();
        for &line in failed {
            match gaps.last_mut() {
                Some((_, last)) if *last + 1 == line => *last = line,
                Some(_) | None => gaps.push((line, line)),
            }
        }
        Rest { gaps, read }
    }

    /// Which of the lines that were read are missing: `none`, `line 7`, `lines 3, 7 to 9`.
    pub(super) fn words(&self) -> String {
        let gaps: Vec<String> = self
            .gaps
            .iter()
            .map(|(first, last)| match first == last {
                true => first.to_string(),
                false => format!("{first} to {last}"),
            })
            .collect();
        match self.gaps.as_slice() {
            [] => "none".to_owned(),
            [(first, last)] if first == last => format!("line {first}"),
            _ => format!("lines {}", gaps.join(", ")),
        }
    }

    /// The rest as a script of `sed -n`.
    pub(super) fn sed(&self) -> String {
        let tail = format!("{},$p", self.read + 1);
        let mut parts: Vec<String> = self
            .gaps
            .iter()
            .map(|(first, last)| format!("{first},{last}p"))
            .collect();
        match self.gaps.last() {
            // The last gap reaches what was not read.
            Some((first, last)) if *last == self.read => {
                parts.pop();
                parts.push(format!("{first},$p"));
            }
            Some(_) | None => parts.push(tail),
        }
        parts.join(";")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(failed: &[u64], read: u64) -> (String, String) {
        let rest = Rest::of(&failed.iter().copied().collect(), read);
        (rest.words(), rest.sed())
    }

    #[test]
    fn gaps_are_named_and_cut_out_of_the_input() {
        let pair = |words: &str, sed: &str| (words.to_owned(), sed.to_owned());
        assert_eq!(rest(&[], 4), pair("none", "5,$p"));
        assert_eq!(rest(&[4], 4), pair("line 4", "4,$p"));
        assert_eq!(rest(&[2], 4), pair("line 2", "2,2p;5,$p"));
        assert_eq!(
            rest(&[2, 3, 7, 9, 10], 10),
            pair("lines 2 to 3, 7, 9 to 10", "2,3p;7,7p;9,$p")
        );
    }
}
