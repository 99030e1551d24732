//! The `sluice` program.

use std::process::ExitCode;

use clap::Parser;
use sluice::cli::{Cli, run};
use sluice::error::ErrorKind;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[expect(clippy::print_stderr, reason = "the person who started the program reads it")]
fn main() -> ExitCode {
    let Err(error) = run(Cli::parse()) else { return ExitCode::SUCCESS };
    eprintln!("sluice: {error}");
    if let Some(detail) = &error.fields().detail {
        eprintln!("DETAIL: {detail}");
    }
    if let Some(hint) = &error.fields().hint {
        eprintln!("HINT: {hint}");
    }
    ExitCode::from(if error.kind() == ErrorKind::Internal { 70 } else { 1 })
}
