//! Sockets that listen, and first bytes: parts of a snapshot with names and addresses.

use std::net::IpAddr;

use crate::snapshot::{
    CgroupId, Log2Histogram, Name,
    tcp::{FirstByteGroup, FirstByteTotals, FirstBytes, Listener, Owner, StagesNs, Who},
};

/// A group of each kind.
pub(super) fn first_bytes(comm: &Name) -> FirstBytes {
    let process = Who::Process { comm: comm.clone(), cgroup: Some(CgroupId(77)) };
    let network = Who::Network { address: IpAddr::from([203, 0, 113, 0]), bits: 24 };
    let kinds = [process, network, Who::OtherProcesses, Who::OtherNetworks];
    FirstBytes { list: kinds.into_iter().map(group).collect(), stages: true, softirq: true }
}

fn group(who: Who) -> FirstByteGroup {
    let histogram = || Log2Histogram { buckets: vec![0, 1, u64::MAX] };
    let totals = FirstByteTotals {
        connects: 1,
        failed: 2,
        syn_retrans: 3,
        connect_ns_sum: 4,
        connect_ns: histogram(),
        first_bytes: 5,
        unstaged: 6,
        stages: StagesNs { connect: 7, request: 8, wire: 9, server: 10, softirq: 11, read: 12 },
        total_ns: histogram(),
        run_delay_ns: 13,
        run_delays: 14,
    };
    FirstByteGroup { netns: 1, port: 443, outgoing: true, who, totals }
}

/// A socket that listens.
pub(super) fn listener(comm: &Name) -> Listener {
    Listener {
        cookie: 5,
        netns: 1,
        local: (IpAddr::from([192, 0, 2, 7]), 443),
        uid: 6,
        inode: 7,
        owner: Some(Owner { pid: 7, comm: comm.clone(), cgroup: None }),
        cgroup: Some(CgroupId(77)),
        queue: Some(8),
        limit: Some(9),
        drops: Some(10),
    }
}
