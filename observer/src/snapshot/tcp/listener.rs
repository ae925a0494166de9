//! Sockets that listen.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::Owner;
use crate::snapshot::CgroupId;

/// One listening socket. Source: BPF iterator `iter/tcp` in every network namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// Names the socket for as long as the host is up (`SO_COOKIE`).
    pub cookie: u64,
    /// Inode of the network namespace.
    pub netns: u64,
    /// Address and port; an unspecified address takes connections to any.
    pub local: (IpAddr, u16),
    /// User that made it.
    pub uid: u32,
    /// Inode in sockfs.
    pub inode: u64,
    /// A process that holds it, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// Memory cgroup that it is charged to, where the kernel charges sockets.
    pub cgroup: Option<CgroupId>,
    /// Connections that wait to be accepted (`sk_ack_backlog`).
    pub queue: Option<u32>,
    /// Connections that may wait (`sk_max_ack_backlog`): what was given to listen(2), at most `net.core.somaxconn`. The queue
    /// is full when more than so many wait.
    pub limit: Option<u32>,
    /// Connections that it refused, for a full queue or another reason (`sk_drops`). The kernel counts the same in
    /// `ListenDrops` of the namespace, with those of sockets that are gone.
    pub drops: Option<u32>,
}
