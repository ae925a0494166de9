//! Facts about the host that decide what observer can see on it. Facts only: [`crate::output::doctor`] judges them.

mod bpf_types;
mod host;

use std::path::PathBuf;

use serde::Serialize;

pub use bpf_types::{ProgramType, Refused};
pub use host::{CgroupMount, Memlock, Settings};

use super::{
    Collector, Options, Root,
    capabilities::{self, Capability},
    file::Buffer,
    kernel::btf::Btf,
};
use crate::snapshot::{Coverage, Host, Name};

/// What was found.
#[derive(Debug, Clone, Serialize)]
pub struct Facts {
    /// The machine and its kernel.
    pub host: Host,
    /// The kernel's type information. Source: /sys/kernel/btf/vmlinux.
    pub btf: Found<BtfFile>,
    /// Program types, each tried with a program that does nothing.
    pub program_types: Vec<ProgramType>,
    /// Settings of the kernel.
    pub settings: Settings,
    /// Capabilities that observer can use. Source: /proc/self/status CapEff.
    pub capabilities: Found<Vec<Capability>>,
    /// Effective user id.
    pub euid: u32,
    /// Where the memory controller is mounted. Source: /proc/self/mountinfo.
    pub cgroup: Found<CgroupMount>,
    /// Limit of locked memory, which bounds BPF maps before Linux 5.11. Source: getrlimit(2) `RLIMIT_MEMLOCK`.
    pub memlock: Found<Memlock>,
    /// What a real observer attached and read, and what it could not.
    pub coverage: Coverage,
    /// This program.
    pub executable: PathBuf,
}

/// A fact, or why it is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Found<T> {
    /// The fact.
    Value(T),
    /// Why it is not known.
    Missing(Name),
}

impl<T> Found<T> {
    /// The fact, where it is known.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Missing(_) => None,
        }
    }

    /// Why it is not known.
    pub fn missing(&self) -> Option<&Name> {
        match self {
            Self::Value(_) => None,
            Self::Missing(reason) => Some(reason),
        }
    }
}

impl<T, E: std::fmt::Display> From<Result<T, E>> for Found<T> {
    fn from(result: Result<T, E>) -> Self {
        match result {
            Ok(value) => Self::Value(value),
            Err(e) => Self::Missing(Name::from(e.to_string())),
        }
    }
}

/// The kernel's type information.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BtfFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
}

/// Finds out. Programs that are loaded for it are gone when it returns.
pub fn gather(options: Options) -> Facts {
    let path = options.kernel.btf.clone();
    let root = Root::default();
    let mut buffer = Buffer::default();
    let btf = Btf::read(&path);
    let program_types = bpf_types::try_all(btf.as_ref().ok());
    let snapshot = Collector::new(options).snapshot();
    Facts {
        btf: btf.map(|btf| BtfFile { path, bytes: btf.blob().len() as u64 }).into(),
        program_types,
        settings: Settings::read(&root),
        capabilities: capabilities::read(&root, &mut buffer).into(),
        euid: nix::unistd::geteuid().as_raw(),
        cgroup: host::memory_cgroup(&root, &mut buffer).into(),
        memlock: host::memlock().into(),
        coverage: snapshot.coverage,
        host: snapshot.host,
        executable: std::env::current_exe().unwrap_or_else(|_| PathBuf::from("observer")),
    }
}
