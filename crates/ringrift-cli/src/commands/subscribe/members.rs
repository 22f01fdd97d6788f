//! Whether anything of a process group still runs.

use std::fs;

use rustix::process::{Pid, test_kill_process_group};

/// Whether a process of the group runs. One that has ended and waits to be reaped does not: where
/// nobody reaps orphans, as in some containers, the kernel counts it for ever.
pub(super) fn any_runs(group: Pid) -> bool {
    if test_kill_process_group(group).is_err() {
        return false;
    }
    let Ok(processes) = fs::read_dir("/proc") else {
        return true;
    };
    processes.flatten().any(|process| {
        fs::read_to_string(process.path().join("stat")).is_ok_and(|stat| runs_in(&stat, group))
    })
}

/// `1234 (name) S parent group …`; the name may hold anything.
fn runs_in(stat: &str, group: Pid) -> bool {
    let Some((_, rest)) = stat.rsplit_once(')') else {
        return false;
    };
    let words: Vec<&str> = rest.split_whitespace().take(3).collect();
    let [state, _, its] = words.as_slice() else {
        return false;
    };
    its.parse() == Ok(group.as_raw_nonzero().get()) && !["Z", "X", "x"].contains(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_has_ended_runs_in_no_group() {
        let group = Pid::from_raw(77).expect("a number");
        assert!(runs_in("1 (a b) ) S 1 77 77 0", group));
        assert!(!runs_in("1 (a) Z 1 77 77 0", group));
        assert!(!runs_in("1 (a) S 77 78 77 0", group));
        assert!(!runs_in("", group));
    }
}
