//! Readers of what the kernel shows: files, cgroups, netlink. A source reads and never judges.
//!
//! Every parser is a pure function on bytes, so that it is tested on files of real kernels; every reader takes a
//! [`Root`], so that it also reads a folder that only looks like a host. What fails is a reason in the coverage, not an end.

pub mod capabilities;
pub mod cgroup;
pub mod collect;
pub mod container;
mod cost;
pub mod cpu;
pub mod doctor;
mod elf_copy;
pub mod error;
pub mod file;
#[cfg(test)]
pub(crate) mod fixtures;
pub mod host;
pub mod ip;
pub mod kallsyms;
pub mod kernel;
pub mod lines;
pub mod link;
pub mod memory;
pub mod netlink;
pub mod netns;
pub mod network;
pub mod oom_log;
pub mod oom_paths;
pub mod oom_record;
pub mod oom_watch;
mod perf_map;
pub mod pressure;
pub mod process;
pub mod profile;
pub mod recording;
pub mod sock_diag;
pub mod symbols;
pub mod tcp;
pub mod tcp_memory;
pub mod traffic;
pub mod tunnel;
pub mod xfrm;

pub use collect::{Collector, Options};
pub use error::{Malformed, SourceError};
pub use file::Root;
