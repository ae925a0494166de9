//! Format, lints of both sides and links of the documentation with warnings as errors, and what dependencies are allowed to
//! be. Needs no network once its tools are there. Every check runs, also after one has failed.

use crate::setup::{self, Toolchain, apt};
use crate::{ebpf, exec, paths};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Checks dependencies against `deny.toml`.
const DENY: &str = "0.20.2";

/// One check.
type Check = fn() -> Result<()>;

/// The command `lint`.
pub(crate) fn lint() -> Result<ExitCode> {
    let checks: [(&str, Check); 5] = [
        ("format", format),
        ("clippy of the host side", clippy),
        ("clippy of the eBPF side", clippy_ebpf),
        ("documentation", documentation),
        ("dependencies", deny),
    ];
    let mut failed = Vec::new();
    for (name, check) in checks {
        if let Err(error) = check() {
            eprintln!("error: {name}: {error:#}");
            failed.push(name);
        }
    }
    if failed.is_empty() {
        exec::say("lint: everything is clean");
        return Ok(ExitCode::SUCCESS);
    }
    bail!("lint failed: {}", failed.join(", "))
}

fn format() -> Result<()> {
    exec::step("checking the format", exec::cargo().args(["fmt", "--all", "--check"]))
}

fn clippy() -> Result<()> {
    // The build script of observer wants the object.
    ebpf::build()?;
    let arguments = ["clippy", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"];
    exec::step("clippy of the host side", exec::cargo().args(arguments))
}

/// Builds the documentation of the host side, private items included: a link that leads nowhere is an error.
fn documentation() -> Result<()> {
    let mut command = exec::cargo();
    command.args(["doc", "--workspace", "--no-deps", "--document-private-items", "--quiet"]);
    exec::step("links of the documentation", command.env("RUSTDOCFLAGS", "--deny warnings"))
}

/// The eBPF package is linted for its own target, by the clippy that belongs to the compiler which builds it.
fn clippy_ebpf() -> Result<()> {
    let toolchain = setup::setup()?;
    let driver = clippy_of(&toolchain)?;
    for package in ["observer-ebpf", "bench-ebpf"] {
        let mut command = Command::new(&driver);
        ebpf::configure(&mut command, &toolchain)?;
        command.env("CARGO", toolchain.compiler.bin("cargo"));
        command.arg("clippy").args(ebpf::arguments(package)).arg("--target-dir").arg(ebpf::target());
        command.args(["--", "--deny", "warnings"]);
        // A program gets its context by value: that is how aya's macros call it.
        command.args(["--allow", "clippy::needless_pass_by_value"]);
        exec::step(&format!("clippy of {package}"), &mut command)?;
    }
    Ok(())
}

/// `cargo-clippy` of the toolchain, installed where that is possible. Started by its path: cargo would take the first in
/// PATH, which may belong to another compiler.
fn clippy_of(toolchain: &Toolchain) -> Result<PathBuf> {
    let clippy = toolchain.compiler.bin("cargo-clippy");
    if clippy.exists() {
        return Ok(clippy);
    }
    if toolchain.compiler.sysroot == Path::new("/usr") {
        apt::install("clippy of the eBPF side", &["rust-web-clippy"])?;
    } else if let (Some(rustup), Some(name)) = (paths::program("rustup"), toolchain.compiler.sysroot.file_name()) {
        let mut add = Command::new(rustup);
        exec::step("adding clippy by rustup", add.args(["component", "add", "clippy", "--toolchain"]).arg(name))?;
    }
    if !clippy.exists() {
        bail!("{} has no clippy", toolchain.compiler);
    }
    Ok(clippy)
}

fn deny() -> Result<()> {
    let deny = install_deny()?;
    let mut command = Command::new(deny);
    exec::clean(&mut command);
    command.current_dir(paths::root()).args(["--offline", "--locked", "check", "--hide-inclusion-graph"]);
    exec::step("checking licenses, bans and sources", command.args(["bans", "licenses", "sources"]))
}

fn install_deny() -> Result<PathBuf> {
    let _lock = setup::lock("deny")?;
    let tools = paths::tools();
    let deny = tools.join("bin/cargo-deny");
    let version = exec::capture(Command::new(&deny).arg("--version"));
    if version.is_ok_and(|text| text.trim() == format!("cargo-deny {DENY}")) {
        return Ok(deny);
    }
    fs::create_dir_all(&tools).with_context(|| format!("cannot create {}", tools.display()))?;
    let build = tools.join("build-deny");
    let mut install = exec::cargo();
    install
        .args(["install", "cargo-deny", "--version", DENY, "--locked", "--force", "--no-default-features"])
        .arg("--root")
        .arg(&tools)
        .arg("--target-dir")
        .arg(&build)
        // It runs for a second: time spent on optimising it is lost.
        .args(["--profile", "dev"])
        .env("CARGO_PROFILE_DEV_DEBUG", "false");
    exec::step(&format!("building cargo-deny {DENY}"), &mut install)?;
    let _ = fs::remove_dir_all(build);
    Ok(deny)
}
