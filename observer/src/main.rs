//! Entry point: parse, dispatch, turn the outcome into an exit code.

use std::process::ExitCode;

use observer::cli::{self, Cli};

fn main() -> ExitCode {
    let cli = Cli::of_process();
    cli::start_log(cli.global.verbose);
    match cli::run(&cli) {
        Ok(code) => code,
        Err(error) => cli::failed(&error),
    }
}
