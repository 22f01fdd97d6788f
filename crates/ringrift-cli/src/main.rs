//! The program `ringrift`: the command line as the system gave it.

use std::process::ExitCode;

fn main() -> ExitCode {
    let line = ringrift::Line {
        // Where even that cannot be told, the name finds it on the path.
        program: std::env::current_exe().unwrap_or_else(|_| "ringrift".into()),
        itself: "/proc/self/exe".into(),
        words: std::env::args_os().skip(1).collect(),
    };
    ExitCode::from(ringrift::run(&line))
}
