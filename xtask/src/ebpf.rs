//! Builds the eBPF object.

use crate::{exec, paths, setup};
use anyhow::{Context, Result};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

/// The target of the object: little-endian, as every host that is supported.
pub(crate) const TARGET: &str = "bpfel-unknown-none";

/// Builds the object that observer embeds, and returns its path.
pub(crate) fn build() -> Result<PathBuf> {
    let toolchain = setup::setup()?;
    let built = build_program(&toolchain, "observer-ebpf")?;
    let object = paths::ebpf_object();
    publish(&built, &object)?;
    // The build of observer compares this file's time with that of the sources, and runs again when it changes: so it
    // changes only with them.
    let stamp = target().join("built");
    let sources = newest(&paths::root().join("observer-ebpf/src"));
    if fs::metadata(&stamp).and_then(|meta| meta.modified()).ok() < sources {
        fs::write(&stamp, "").with_context(|| format!("cannot write {}", stamp.display()))?;
    }
    Ok(object)
}

/// When the last change to a file at or below `path` was made.
fn newest(path: &Path) -> Option<SystemTime> {
    match fs::read_dir(path) {
        Ok(entries) => entries.flatten().filter_map(|entry| newest(&entry.path())).max(),
        Err(_) => fs::metadata(path).and_then(|meta| meta.modified()).ok(),
    }
}

/// Builds the object of one eBPF package, and returns where cargo left it.
pub(crate) fn build_program(toolchain: &setup::Toolchain, package: &str) -> Result<PathBuf> {
    let mut cargo = Command::new(toolchain.compiler.bin("cargo"));
    configure(&mut cargo, toolchain)?;
    cargo.arg("build").args(arguments(package)).arg("--target-dir").arg(target());
    exec::step(&format!("building the eBPF object of {package}"), &mut cargo)?;
    Ok(target().join(TARGET).join("release").join(package))
}

/// What a build and a lint of an eBPF package have in common.
pub(crate) fn arguments(package: &str) -> [&str; 9] {
    ["--package", package, "--bin", package, "-Zbuild-std=core", "--target", TARGET, "--release", "--quiet"]
}

/// Gives a command of the eBPF toolchain what every compilation for the kernel needs.
pub(crate) fn configure(command: &mut Command, toolchain: &setup::Toolchain) -> Result<()> {
    toolchain.compiler.configure(command);
    let linker_dir = toolchain.linker.parent().context("bpf-linker has no folder")?;
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths(std::iter::once(linker_dir.to_owned()).chain(env::split_paths(&path)))
        .context("a folder in PATH has a colon in its name")?;
    // aya-ebpf picks the layout of the kernel's registers by bpf_target_arch.
    let flags = format!("--cfg=bpf_target_arch=\"{}\" -Cdebuginfo=2 -Clink-arg=--btf", env::consts::ARCH);
    command.env("PATH", path).env("RUSTFLAGS", flags);
    Ok(())
}

/// Cargo's target folder for the eBPF side; its own, so that builds of the host side do not wait for it.
pub(crate) fn target() -> PathBuf {
    paths::work().join("ebpf")
}

/// Puts the object where the build of observer looks for it: whole or not at all, and untouched when it is the same, so
/// that nothing is built again for it.
fn publish(built: &Path, object: &Path) -> Result<()> {
    let bytes = fs::read(built).with_context(|| format!("cannot read {}", built.display()))?;
    if fs::read(object).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    let fresh = object.with_extension(format!("o.{}", std::process::id()));
    fs::write(&fresh, bytes).with_context(|| format!("cannot write {}", fresh.display()))?;
    fs::rename(&fresh, object).with_context(|| format!("cannot rename {} to {}", fresh.display(), object.display()))
}
