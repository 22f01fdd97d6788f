//! The Rust blocks, each in a process of its own with the home's system open.

use ringrift_events::config::{Config, ConfigSources, Home};
use ringrift_events::system::System;

use crate::page::Block as Written;

/// The block that a child is to run, as `page:line`.
pub(crate) const BLOCK: &str = "RUNBOOK_BLOCK";

/// What the block itself prints stands between lines with this.
pub(crate) const MARK: &str = "@@ the block";

type Done = Result<(), Box<dyn std::error::Error>>;
type Block = fn(&System) -> Done;

include!(concat!(env!("OUT_DIR"), "/runbook.rs"));

/// The name by which a child is told to run a block.
pub(crate) fn name_of(block: &Written) -> String {
    format!("{}:{}", block.page, block.line)
}

/// Runs the block that this process was started for.
pub(crate) fn run_if_child() {
    let Ok(name) = std::env::var(BLOCK) else {
        return;
    };
    let named = |(page, line, _): &&(&str, usize, Block)| format!("{page}:{line}") == name;
    let (_, _, block) = BLOCKS.iter().find(named).expect("a block");
    let home = Home::at(&std::env::current_dir().expect("a folder"));
    let config = Config::load(ConfigSources::of_process(home)).expect("settings");
    let system = System::open(config).expect("a system");
    println!("\n{MARK}");
    let done = block(&system);
    println!("{MARK}");
    system.close();
    if let Err(error) = done {
        println!("{error}");
        std::process::exit(1);
    }
}
