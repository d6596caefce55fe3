//! `cargo xtask tidy`: the rules of the house that neither the compiler nor clippy can keep.

mod tidy;

use std::path::Path;
use std::process::ExitCode;

fn main() -> anyhow::Result<ExitCode> {
    let task = std::env::args().nth(1);
    match task.as_deref() {
        Some("tidy") => tidy_up(),
        _ => {
            eprintln!("usage: cargo xtask tidy   check the rules of CONTRIBUTING.md");
            Ok(ExitCode::from(2))
        }
    }
}

fn tidy_up() -> anyhow::Result<ExitCode> {
    let report = tidy::check(root())?;
    for finding in &report.findings {
        println!("{finding}");
    }
    println!("tidy: {} files, {} findings", report.files, report.findings.len());
    Ok(if report.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The workspace: the folder above this crate.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
