//! Gets what building needs, once. A second call looks, finds everything there, and does nothing.

pub(crate) mod apt;
pub(crate) mod compiler;
mod linker;
pub(crate) mod measure;

use crate::{exec, paths};
use anyhow::{Context, Result};
use nix::fcntl::{Flock, FlockArg};
use std::fs::{self, File};
use std::path::PathBuf;

pub(crate) use compiler::Compiler;

/// What builds the eBPF object.
pub(crate) struct Toolchain {
    /// The compiler whose sysroot has the sources of `core`.
    pub(crate) compiler: Compiler,
    /// bpf-linker, linked against the same major version of LLVM as the compiler.
    pub(crate) linker: PathBuf,
}

/// Finds or installs the toolchain for the eBPF side.
pub(crate) fn setup() -> Result<Toolchain> {
    let _lock = lock("setup")?;
    let compiler = compiler::get()?;
    let linker = linker::get(&compiler)?;
    exec::say(&format!("eBPF toolchain: {compiler}, bpf-linker {}", linker::VERSION));
    Ok(Toolchain { compiler, linker })
}

/// Lets one process at a time through, so that two commands started together do not install the same thing twice.
pub(crate) fn lock(name: &str) -> Result<Flock<File>> {
    let dir = paths::work();
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let path = dir.join(format!(".xtask-{name}.lock"));
    let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    Flock::lock(file, FlockArg::LockExclusive)
        .map_err(|(_, errno)| errno)
        .with_context(|| format!("cannot lock {}", path.display()))
}
