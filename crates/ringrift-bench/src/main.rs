//! What `cargo xtask bench` runs: one kind of work a call.

fn main() {}
