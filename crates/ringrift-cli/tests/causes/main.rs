//! The runbook's 24 causes, each brought about in a system of several processes on a home of its
//! own, and what `ringrift doctor --json` then says: the cause by its slug with who is at fault,
//! nothing else, the same again once every process has stopped, and nothing at all one step below
//! the threshold or in a healthy busy system.
//!
//! `cargo xtask causes` runs this and prints the matrix. `RINGRIFT_CAUSES=slug,slug` runs these
//! alone, `RINGRIFT_CAUSES_AT_ONCE=1` one after the other, `RINGRIFT_CAUSES_KEEP=1` keeps the homes.

#![cfg(test)]

mod cause;
mod doctor;
mod healthy;
mod injections;
mod matrix;
mod part;
mod run;
mod scene;
mod twice;

/// What a child process runs; without its variables it is no child, and there is nothing to do.
#[test]
fn child() {
    part::run_if_child();
}

#[test]
fn every_cause_is_named_and_no_other() {
    if part::is_child() {
        return;
    }
    let trials = run::chosen();
    let outcomes = run::all(&trials);
    let report = matrix::Report::of(&outcomes);
    println!("{report}");
    assert!(report.is_good(), "{}", report.what_is_wrong());
}

#[test]
fn the_list_of_causes_is_whole() {
    let mut slugs: Vec<&str> = injections::ALL.iter().map(|cause| cause.slug).collect();
    assert_eq!(slugs.len(), 24);
    slugs.sort_unstable();
    slugs.dedup();
    assert_eq!(slugs.len(), 24, "a slug stands twice");
    for companion in cause::COMPANIONS {
        let of = companion.of.trim_start_matches("below ");
        assert!(slugs.contains(&of), "{of}");
        assert!(slugs.contains(&companion.beside), "{}", companion.beside);
    }
    for slug in cause::NOT_YET {
        assert!(slugs.contains(slug), "{slug}");
    }
}
