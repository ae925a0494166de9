//! The network of that snapshot: a tunnel, first bytes, listening sockets, drops, CPUs.

use super::{HOSTILE, SECOND};
use crate::{
    model::tunnel::testing::{NETNS, TUNNEL, interface, namespace, tunnel, vxlan},
    snapshot::{
        Log2Histogram, Name, Snapshot,
        buffers::{Buffers, Full, Room},
        cpu::{Cpu, CpuTimes, Cpus, Softnet},
        drops::{Drop, Drops},
        encapsulation::{self, Encapsulation, Packets},
        tcp::{FirstByteGroup, FirstByteTotals, FirstBytes, Listener, StagesNs, TcpMemory, Who},
    },
};

pub(super) fn fill(snapshot: &mut Snapshot, n: u64) {
    let mut other = vxlan(n);
    tunnel(&mut other).name = Name::from_bytes(HOSTILE);
    let peer = &mut tunnel(&mut other).peers[0];
    peer.id = Name::from_bytes(HOSTILE);
    peer.last_handshake_ns = Some(1_700_000_000 * SECOND);
    interface(&mut other, TUNNEL).tx_dropped = 7 * n;
    let ip = namespace(&mut other).ip.as_mut().unwrap();
    (ip.frag_creates, ip.reasm_oks) = (Some(2 * n), Some(n));
    (snapshot.links, snapshot.network) = (other.links, other.network);
    let packets = Packets { packets: n, large: 0, segments: n, bytes: 1450 * n };
    let row = encapsulation::Interface {
        device: (NETNS, TUNNEL),
        tunnel: true,
        entered: packets,
        left: packets,
        sized: n,
        inner_bytes: 1450 * n,
        outer_bytes: 1500 * n,
        latency_ns_sum: 20_000 * n,
        latency: Log2Histogram { buckets: (0..20).map(|i| if i == 15 { n } else { 0 }).collect() },
        ..encapsulation::Interface::default()
    };
    snapshot.encapsulation = Some(Encapsulation { every: 64, interfaces: vec![row], ..Encapsulation::default() });
    snapshot.cpus = Some(Cpus { list: vec![cpu(0, n), cpu(1, 3 * n)] });
    let dropped = |reason: &[u8], protocol| Drop {
        reason: Some(Name::from_bytes(reason)),
        function: Some("tcp_v4_rcv".into()),
        protocol,
        packets: n,
        ..Drop::default()
    };
    let list = vec![dropped(HOSTILE, Some(0x0800)), dropped(b"not_specified", None)];
    snapshot.drops = Some(Drops { list, other: n });
    let full = Full {
        room: Room::SendMemory,
        protocol: "TCP".into(),
        port: Some(443),
        netns: Some(NETNS),
        events: n,
        ..Full::default()
    };
    let unnamed = Full { room: Room::ReceiveBuffer, protocol: Name::from_bytes(HOSTILE), port: None, ..full.clone() };
    snapshot.buffers = Some(Buffers { list: vec![full, unnamed], other: n });
    snapshot.tcp.first_bytes = Some(first_bytes(n));
    snapshot.tcp.listeners = Some([1, 2].map(|cookie| listener(cookie, n as u32)).to_vec());
    snapshot.tcp.memory = Some(TcpMemory {
        used: Some(4096),
        pressure: Some(3 << 20),
        max: Some(4 << 20),
        low: Some(2 << 20),
        orphans: Some(1),
        allocated: Some(9),
    });
}

fn cpu(cpu: u32, n: u64) -> Cpu {
    let times = CpuTimes { softirq_ns: n * SECOND / 10, steal_ns: n * SECOND / 100, irq_ns: n, ..CpuTimes::default() };
    let softnet = Softnet { processed: 100 * n, dropped: n, time_squeeze: n, flow_limit: n, ..Softnet::default() };
    Cpu { cpu, times, softnet: Some(softnet) }
}

/// Each connection by its process and by its network.
fn first_bytes(n: u64) -> FirstBytes {
    let at = |i: usize| Log2Histogram { buckets: (0..30).map(|b| if b == i { n } else { 0 }).collect() };
    let totals = FirstByteTotals {
        connects: n,
        failed: n,
        syn_retrans: n,
        connect_ns_sum: 1_000_000 * n,
        connect_ns: at(20),
        first_bytes: n,
        stages: StagesNs { connect: 1_000_000 * n, server: 2_000_000 * n, ..StagesNs::default() },
        total_ns: at(22),
        run_delay_ns: 1000 * n,
        run_delays: n,
        unstaged: 0,
    };
    let group = |who| FirstByteGroup { netns: NETNS, port: 443, outgoing: true, who, totals: totals.clone() };
    let list = vec![
        group(Who::Process { comm: Name::from_bytes(HOSTILE), cgroup: None }),
        group(Who::Network { address: [192, 0, 2, 0].into(), bits: 24 }),
        group(Who::OtherProcesses),
        group(Who::OtherNetworks),
    ];
    FirstBytes { list, stages: true, softirq: true }
}

/// Two sockets share the address.
fn listener(cookie: u64, n: u32) -> Listener {
    Listener {
        cookie,
        netns: NETNS,
        local: ([0, 0, 0, 0].into(), 80),
        uid: 0,
        inode: cookie,
        owner: None,
        cgroup: None,
        queue: Some(2),
        limit: Some(128),
        drops: Some(5 * n),
    }
}
