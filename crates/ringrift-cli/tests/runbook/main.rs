//! The runbook of `docs/runbook/`, run: each block as it is written, on a home with several real
//! processes, and judged by what the page says that it prints or leaves behind.

#![cfg(test)]

#[path = "../cli/home.rs"]
#[expect(
    dead_code,
    reason = "the command's own tests need more of a home than these"
)]
mod home;

mod original;
mod page;
mod run;
mod rust;
mod scene;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use page::{Block, Language, Page};
use scene::Scene;

/// What a child process runs; without its variables it is no child, and there is nothing to do.
#[test]
fn child() {
    rust::run_if_child();
    scene::run_if_child();
}

/// One test a page, so that they run beside each other.
macro_rules! pages {
    ($($test:ident: $page:literal;)*) => {
        const PAGES: &[&str] = &[$($page),*];

        $(#[test]
        fn $test() {
            run_page($page);
        })*
    };
}

pages! {
    the_first_page: "README.md";
    not_delivered: "symptoms/not-delivered.md";
    timing_out: "symptoms/timing-out.md";
    not_across_processes: "symptoms/not-across-processes.md";
    handled_twice: "symptoms/handled-twice.md";
    dead_letters: "symptoms/dead-letters.md";
    blocked: "symptoms/blocked.md";
    health: "watching/health.md";
    numbers: "watching/numbers.md";
    pipeline: "watching/pipeline.md";
    alerts: "watching/alerts.md";
    tracing: "watching/tracing.md";
    restart_router: "recovery/restart-router.md";
    resubscribe: "recovery/resubscribe.md";
    clear_queue: "recovery/clear-queue.md";
    reset_dedup: "recovery/reset-dedup.md";
    seek: "recovery/seek.md";
    replay: "recovery/replay.md";
    letters: "recovery/letters.md";
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/runbook")
}

fn read(page: &str) -> Page {
    let text = std::fs::read_to_string(root().join(page)).expect("a page");
    Page::parse(page, &text).unwrap_or_else(|wrong| panic!("{}", wrong.join("\n")))
}

fn run_page(name: &str) {
    let page = read(name);
    let empty = Scene::empty();
    let mut scene = Scene::of(&page.scene);
    let mut wrong = Vec::new();
    let (possible, others): (Vec<&Block>, Vec<&Block>) = page
        .blocks
        .iter()
        .partition(|block| run::is_possible(block));
    if !others.is_empty() {
        println!("{name}: its Python blocks are run by `cargo xtask python`");
    }
    for block in possible {
        if run::holds_anywhere(block, &empty) {
            let what = "what is expected of it holds in an empty home too";
            wrong.push(format!("{name}:{}: {what}", block.line));
        }
        if block.wants.anew {
            scene = Scene::of(&page.scene);
        }
        if let Err(why) = run::judge(block, &scene) {
            wrong.push(format!("{name}:{}: {why}", block.line));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn every_page_is_run() {
    let mut found = BTreeSet::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(root()).expect("below the root");
                found.insert(name.display().to_string());
            }
        }
    }
    let known: BTreeSet<String> = PAGES.iter().map(|page| (*page).to_owned()).collect();
    assert_eq!(found, known);
}

/// The headings of a page, without the first.
fn sections(page: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join(page)).expect("a page");
    let headings = text.lines().filter_map(|line| line.strip_prefix("## "));
    headings.map(str::to_owned).collect()
}

#[test]
fn pages_of_one_kind_go_the_same_way() {
    let symptom = [
        "What you see",
        "What it means",
        "How to look",
        "What to do",
        "How to see that it is mended",
    ];
    let procedure = [
        "What it touches",
        "Do it",
        "Undo",
        "How to see that it worked",
    ];
    for page in PAGES {
        if page.starts_with("symptoms/") {
            assert_eq!(sections(page), symptom, "{page}");
        } else if page.starts_with("recovery/") {
            assert_eq!(sections(page), procedure, "{page}");
        }
    }
}

#[test]
fn python_stands_beside_rust() {
    for page in PAGES {
        let blocks = read(page).blocks;
        for (index, block) in blocks.iter().enumerate() {
            let next = blocks.get(index + 1).map(|next| next.language);
            let alone = block.language == Language::Rust && next != Some(Language::Python);
            assert!(!alone, "{page}:{}: no Python block follows", block.line);
        }
    }
}

#[test]
fn every_cause_stands_on_a_page_of_a_symptom() {
    let findings = root().join("../findings/README.md");
    let findings = std::fs::read_to_string(findings).expect("a page");
    let symptoms = PAGES.iter().filter(|page| page.starts_with("symptoms/"));
    let symptoms: String = symptoms
        .map(|page| std::fs::read_to_string(root().join(page)).expect("a page"))
        .collect();
    let rows = findings.lines().filter(|line| line.starts_with("| [DR_"));
    let slugs: BTreeSet<&str> = rows.filter_map(|row| row.split('`').nth(1)).collect();
    assert_eq!(slugs.len(), 24, "{slugs:?}");
    for slug in slugs {
        assert!(symptoms.contains(&format!("`{slug}`")), "{slug}");
    }
}

#[test]
fn every_block_of_the_original_has_a_counterpart() {
    let blocks = PAGES.iter().flat_map(|page| read(page).blocks);
    let answered: BTreeSet<usize> = blocks.flat_map(|block| block.wants.answers).collect();
    let all: BTreeSet<usize> = (1..=original::BLOCKS).collect();
    assert_eq!(answered, all);
    match original::blocks() {
        Some(blocks) => assert_eq!(blocks.len(), original::BLOCKS),
        None => println!("the original is not there: its blocks were not counted"),
    }
}
