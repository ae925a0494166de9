//! Reads kswapd by node, and who woke it.

use std::io;

use aya::Ebpf;
use observer_ebpf::abi::kswapd::{NODES, Node, Requester, RequesterKey};

use super::{
    cgroup, histogram,
    living::Liveness,
    maps::{Array, Table},
};
use crate::snapshot::{
    Name,
    kswapd::{Kswapd, KswapdNode, KswapdRequester},
};

/// Reader of the kswapd maps.
#[derive(Debug)]
pub(super) struct Reader {
    /// `None` if begin and end are not both seen.
    nodes: Option<Array<Node>>,
    requesters: Table<RequesterKey, Requester>,
    other: Array<u64>,
    liveness: Liveness,
    /// Requests of processes that have ended and were taken out to make room.
    ended: u64,
    capacity: u32,
}

impl Reader {
    /// Opens the maps; `capacity` is the number of requesters that the kernel side keeps, `nodes` tells whether the probes
    /// by node are attached.
    pub(super) fn open(ebpf: &Ebpf, capacity: u32, nodes: bool) -> io::Result<Self> {
        Ok(Self {
            nodes: nodes.then(|| Array::open(ebpf, "obs_kswapd_node")).transpose()?,
            requesters: Table::open(ebpf, "obs_kswapd_reqs")?,
            other: Array::open(ebpf, "obs_kswapd_rest")?,
            liveness: Liveness::new(),
            ended: 0,
            capacity,
        })
    }

    /// Reads all counts.
    pub(super) fn read(&mut self) -> io::Result<Kswapd> {
        let (rows, gone) = self.liveness.rows(&mut self.requesters, self.capacity, |key| (key.tgid, key.start_ns))?;
        self.ended += gone.iter().map(|(_, value)| value.requests).sum::<u64>();
        Ok(Kswapd {
            nodes: self.nodes()?,
            requesters: rows.iter().map(|(key, value)| requester(key, value)).collect(),
            other_requests: self.other.get(0)? + self.ended,
        })
    }

    /// Nodes whose kswapd was seen; node 0 always, which every machine has.
    fn nodes(&self) -> io::Result<Vec<KswapdNode>> {
        let mut nodes = Vec::new();
        let Some(map) = &self.nodes else { return Ok(nodes) };
        for index in 0..NODES as u32 {
            let node = map.get(index)?;
            if index == 0 || node.wakes + node.sleeps > 0 {
                nodes.push(KswapdNode {
                    node: index,
                    wakes: node.wakes,
                    sleeps: node.sleeps,
                    awake_ns: node.awake_ns,
                    awake_since_ns: (node.awake_since_ns != 0).then_some(node.awake_since_ns),
                    cycle_ns: histogram(&node.cycles),
                });
            }
        }
        Ok(nodes)
    }
}

fn requester(key: &RequesterKey, value: &Requester) -> KswapdRequester {
    KswapdRequester {
        node: key.node,
        pid: key.tgid,
        comm: Name::from_c_bytes(&value.comm),
        cgroup: cgroup(key.cgroup),
        requests: value.requests,
        last_order: value.order,
        last_gfp: value.gfp,
    }
}
