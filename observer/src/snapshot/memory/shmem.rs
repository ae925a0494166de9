//! Memory of tmpfs and shared memory, which counts as page cache and can only go to swap.

use serde::{Deserialize, Serialize};

use crate::snapshot::Name;

/// tmpfs by mount, and System V segments.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Shmem {
    /// When tmpfs were read, in nanoseconds of `CLOCK_MONOTONIC`: where reading is slow they are not read for every
    /// snapshot.
    pub read_ns: u64,
    /// Every tmpfs once, whatever number of mounts shows it. Source: mountinfo of each mount namespace, statfs(2).
    pub tmpfs: Vec<Tmpfs>,
    /// System V segments. Source: /proc/sysvipc/shm of observer's own IPC namespace.
    pub sysv: Option<SysvShm>,
    /// Mount namespaces that were not looked into.
    pub namespaces_not_read: u64,
}

/// One tmpfs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tmpfs {
    /// Where it is mounted, in the first mount namespace that shows it.
    pub mount_point: Name,
    /// Its device number, as mountinfo writes it: `0:27`.
    pub device: Name,
    /// Pid of a process of the mount namespace; `None` for observer's own.
    pub seen_by_pid: Option<u32>,
    /// Bytes in use. `None` without a limit: the kernel counts them only against one.
    pub used: Option<u64>,
    /// Bytes that it may hold; `None` without a limit.
    pub size: Option<u64>,
    /// Files, folders and links in it.
    pub inodes: Option<u64>,
}

/// System V shared memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SysvShm {
    /// Segments.
    pub segments: u64,
    /// Bytes in RAM.
    pub rss: u64,
    /// Bytes in swap.
    pub swap: u64,
    /// Bytes in RAM of segments that no process is attached to.
    pub unattached_rss: u64,
}
