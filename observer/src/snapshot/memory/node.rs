//! NUMA nodes.

use serde::{Deserialize, Serialize};

use crate::snapshot::fields::kernel_fields;

/// One node. Source: /sys/devices/system/node/nodeN.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Node {
    /// Its number.
    pub node: u32,
    /// Use of its RAM. Source: `meminfo`.
    pub meminfo: Option<NodeMeminfo>,
    /// Where allocations went. Source: `numastat`.
    pub numastat: Option<NumaStat>,
}

kernel_fields! {
    /// Use of a node's RAM in bytes. Source: /sys/devices/system/node/nodeN/meminfo.
    pub struct NodeMeminfo {
        /// RAM of the node.
        "MemTotal" => total (one),
        /// Free RAM of the node.
        "MemFree" => free (one),
        /// Anonymous and tmpfs pages recently used.
        "Active(anon)" => active_anon (one),
        /// Anonymous and tmpfs pages not recently used.
        "Inactive(anon)" => inactive_anon (one),
        /// File pages recently used.
        "Active(file)" => active_file (one),
        /// File pages not recently used.
        "Inactive(file)" => inactive_file (one),
        /// Page cache with tmpfs.
        "FilePages" => file_pages (one),
        /// Anonymous memory mapped by processes.
        "AnonPages" => anon_pages (one),
        /// tmpfs and shared memory.
        "Shmem" => shmem (one),
        /// Slab, all.
        "Slab" => slab (one),
        /// Page tables.
        "PageTables" => page_tables (one),
    }
}

kernel_fields! {
    /// Where allocations went, in pages since boot. Source: /sys/devices/system/node/nodeN/numastat.
    pub struct NumaStat {
        /// Allocated here as meant.
        "numa_hit" => hit (one),
        /// Allocated here though another node was meant.
        "numa_miss" => miss (one),
        /// Meant for this node and allocated on another.
        "numa_foreign" => foreign (one),
        /// Allocated here by a policy that interleaves.
        "interleave_hit" => interleave_hit (one),
        /// Allocated here by a task that ran here.
        "local_node" => local (one),
        /// Allocated here by a task that ran on another node.
        "other_node" => other (one),
    }
}
