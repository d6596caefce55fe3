//! `ostler manual`: a page for every command, made of its help.

use std::path::Path;

use clap::CommandFactory as _;

use crate::args::Args;
use crate::failure::Failure;
use crate::output;

/// Writes `ostler.1`, `ostler-run.1` and so on.
pub fn write(folder: &Path) -> Result<(), Failure> {
    let at = |error: std::io::Error| {
        Failure::failed(format!("cannot write to {}: {error}", folder.display()))
    };
    std::fs::create_dir_all(folder).map_err(at)?;
    clap_mangen::generate_to(Args::command(), folder).map_err(at)?;
    output::print(&format!("the manual is in {}\n", folder.display()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page() {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path()).expect("written");
        for command in Args::command().get_subcommands().filter(|command| !command.is_hide_set()) {
            let page = folder.path().join(format!("ostler-{}.1", command.get_name()));
            let text = std::fs::read_to_string(&page).unwrap_or_default();
            assert!(text.contains(".SH SYNOPSIS"), "{}", page.display());
        }
    }
}
