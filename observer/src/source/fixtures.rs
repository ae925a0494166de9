//! Files of real kernels for the tests of the parsers.

use std::path::{Path, PathBuf};

/// A host with every controller in version 1 and an empty cgroup2: Linux 6.18.
pub(crate) const V1_6_18: &str = "host-v1-6.18";
/// A host with cgroup version 2 only: Debian's Linux 6.12.
pub(crate) const V2_6_12: &str = "host-v2-6.12";
/// A host with cgroup version 2 only: Debian's Linux 6.1.
pub(crate) const V2_6_1: &str = "host-v2-6.1";

/// The folder that stands for the host's `/`.
pub(crate) fn host(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// A file under that host's /proc.
pub(crate) fn proc_file(host_name: &str, path: &str) -> Vec<u8> {
    std::fs::read(host(host_name).join("proc").join(path)).unwrap()
}
