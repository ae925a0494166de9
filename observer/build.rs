//! Embeds the eBPF object, after looking at what it holds.

#[path = "src/elf.rs"]
#[expect(unreachable_pub, reason = "it is a public part of the library")]
mod elf;

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use std::{env, fs};

/// Where `cargo xtask build-ebpf` leaves the object, from the root of the project.
const OBJECT: &str = "target/ebpf/observer-ebpf.o";
/// Written by every build of the object, also one that changes nothing.
const STAMP: &str = "target/ebpf/built";
/// What the object is built from.
const SOURCES: &str = "observer-ebpf/src";

fn main() -> Result<()> {
    let package = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").context("cargo sets CARGO_MANIFEST_DIR")?);
    let root = package.parent().context("the package has no parent folder")?;
    let object = root.join(OBJECT);
    for path in [&object, &root.join(STAMP), &root.join(SOURCES)] {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    if !object.exists() {
        println!("cargo::error=no eBPF object at {OBJECT}: run `cargo xtask build-ebpf` first");
        return Ok(());
    }
    let bytes = fs::read(&object).with_context(|| format!("cannot read {}", object.display()))?;
    let summary = elf::summarize(&bytes).with_context(|| object.display().to_string())?;
    let problems = summary.problems();
    if !problems.is_empty() {
        bail!("{} cannot be embedded: {}", object.display(), problems.join("; "));
    }
    let built = fs::metadata(root.join(STAMP)).and_then(|meta| meta.modified()).ok();
    if built.zip(newest(&root.join(SOURCES))).is_some_and(|(built, changed)| changed > built) {
        println!("cargo::warning=the eBPF object is older than {SOURCES}: run `cargo xtask build-ebpf`");
    }
    let embedded = PathBuf::from(env::var_os("OUT_DIR").context("cargo sets OUT_DIR")?).join("observer-ebpf.o");
    fs::write(&embedded, bytes).with_context(|| format!("cannot write {}", embedded.display()))
}

/// When the last change to a file below `path` was made.
fn newest(path: &Path) -> Option<SystemTime> {
    match fs::read_dir(path) {
        Ok(entries) => entries.flatten().filter_map(|entry| newest(&entry.path())).max(),
        Err(_) => fs::metadata(path).and_then(|meta| meta.modified()).ok(),
    }
}
