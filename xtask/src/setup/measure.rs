//! Programs that kernel tests send real traffic with or translate its addresses with, and a WireGuard in userspace. Tests
//! that miss one say so.

use super::{apt, lock};
use crate::{exec, paths};
use anyhow::{Context, Result};
use std::fs;
use std::process::Command;

/// Programs with the packages they come in.
pub(crate) const PROGRAMS: [(&str, &str); 3] = [("iperf3", "iperf3"), ("wrk", "wrk"), ("nft", "nftables")];

/// Pinned: a test's tunnel should not change by itself.
const BORINGTUN: &str = "0.7.1";

/// Gets all of them, and says what could not be had.
pub(crate) fn get() {
    for done in [apt::need("tests with real traffic", &PROGRAMS), boringtun()] {
        if let Err(error) = done {
            exec::say(&format!("{error:#}"));
        }
    }
}

/// Builds boringtun-cli into the project's tools, unless it is there.
fn boringtun() -> Result<()> {
    let _lock = lock("boringtun")?;
    let tools = paths::tools();
    let program = tools.join("bin/boringtun-cli");
    let works = || exec::capture(Command::new(&program).arg("--version"));
    if works().is_ok_and(|text| text.trim().ends_with(BORINGTUN)) {
        return Ok(());
    }
    let build = tools.join("build-boringtun");
    let mut install = exec::cargo();
    install.args(["install", "boringtun-cli", "--version", BORINGTUN, "--locked", "--force"]);
    install.arg("--root").arg(&tools).arg("--target-dir").arg(&build);
    exec::step(&format!("building boringtun-cli {BORINGTUN}"), &mut install)?;
    works().context("boringtun-cli was built but does not start")?;
    // Only what was built matters from here on. Left behind it costs disk space, no more.
    let _ = fs::remove_dir_all(build);
    Ok(())
}
