//! Reads how long connections took to open and to bring the first byte.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use aya::Ebpf;
use observer_ebpf::abi::{
    first_byte::{BUCKETS, BY_PEER, BY_PEER_V6, BY_PROCESS, FIRST_BUCKET, Key, NETWORK_V4, NETWORK_V6, Stage, Value},
    tcp::{INCOMING, OUTGOING},
};

use super::{cgroup, histogram, maps::Array, room::CgroupTable};
use crate::snapshot::{
    CgroupId, Log2Histogram, Name,
    tcp::{FirstByteGroup, FirstByteTotals, FirstBytes, StagesNs, Who},
};

/// Which of the probes are attached beside that of the states.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// `tcp_probe` and `tcp_rcv_space_adjust`, with the fields they need.
    pub(super) stages: bool,
    /// Those of soft interrupts.
    pub(super) softirq: bool,
}

/// Reader of the sums.
#[derive(Debug)]
pub(super) struct Reader {
    groups: CgroupTable<Key, Value>,
    other: Array<Value>,
    seen: Seen,
}

impl Reader {
    /// Opens the maps, the first of which keeps `capacity` rows.
    pub(super) fn open(ebpf: &Ebpf, capacity: u32, seen: Seen) -> io::Result<Self> {
        Ok(Self {
            groups: CgroupTable::open(ebpf, "obs_fb_groups", capacity)?,
            other: Array::open(ebpf, "obs_fb_rest")?,
            seen,
        })
    }

    /// Reads all sums; `is_gone` tells whether a cgroup surely is no more.
    pub(super) fn read(&mut self, is_gone: &dyn Fn(CgroupId) -> bool) -> io::Result<FirstBytes> {
        let rows = self.groups.read(|key| key.cgroup, is_gone)?;
        let mut list: Vec<_> = rows.iter().filter_map(|(key, value)| group(key, value)).collect();
        for (place, (by_process, outgoing)) in
            [(true, true), (true, false), (false, true), (false, false)].iter().enumerate()
        {
            let totals = totals(&self.other.get(u32::try_from(place).unwrap_or(u32::MAX))?);
            let who = if *by_process { Who::OtherProcesses } else { Who::OtherNetworks };
            if totals != FirstByteTotals::default() {
                list.push(FirstByteGroup { netns: 0, port: 0, outgoing: *outgoing, who, totals });
            }
        }
        Ok(FirstBytes { list, stages: self.seen.stages, softirq: self.seen.softirq })
    }
}

fn group(key: &Key, value: &Value) -> Option<FirstByteGroup> {
    let outgoing = match u16::from(key.direction) {
        OUTGOING => true,
        INCOMING => false,
        _ => return None,
    };
    let who = match key.by {
        BY_PROCESS => Who::Process { comm: Name::from_c_bytes(&key.who), cgroup: cgroup(key.cgroup) },
        BY_PEER => {
            let [a, b, c, d, ..] = key.who;
            Who::Network { address: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), bits: bits(NETWORK_V4) }
        }
        BY_PEER_V6 => Who::Network { address: IpAddr::V6(Ipv6Addr::from(key.who)), bits: bits(NETWORK_V6) },
        _ => return None,
    };
    Some(FirstByteGroup { netns: u64::from(key.netns), port: key.port, outgoing, who, totals: totals(value) })
}

fn bits(bytes: usize) -> u8 {
    u8::try_from(bytes * 8).unwrap_or(u8::MAX)
}

fn totals(raw: &Value) -> FirstByteTotals {
    let stage = |stage: Stage| raw.stages_ns.get(stage as usize).copied().unwrap_or(0);
    FirstByteTotals {
        connects: raw.connects,
        failed: raw.failed,
        syn_retrans: raw.syn_retrans,
        connect_ns_sum: raw.connect_ns,
        connect_ns: shifted(&raw.connect),
        first_bytes: raw.bytes,
        unstaged: raw.unstaged,
        stages: StagesNs {
            connect: stage(Stage::Connect),
            request: stage(Stage::Request),
            wire: stage(Stage::Wire),
            server: stage(Stage::Server),
            softirq: stage(Stage::Softirq),
            read: stage(Stage::Read),
        },
        total_ns: shifted(&raw.total),
        run_delay_ns: raw.run_delay_ns,
        run_delays: raw.run_delays,
    }
}

/// The histogram with the buckets before the first one.
fn shifted(buckets: &[u64; BUCKETS]) -> Log2Histogram {
    let mut all = vec![0; FIRST_BUCKET as usize];
    all.extend(buckets);
    histogram(&all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::kernel::maps::zeroed;

    #[test]
    fn networks_and_processes_are_told_apart() {
        let key = |by, who| Key { by, who, direction: OUTGOING as u8, port: 443, netns: 7, ..zeroed() };
        let who = |key: &Key| group(key, &zeroed()).map(|g| g.who);
        let mut four = [0; 16];
        four[..3].copy_from_slice(&[192, 0, 2]);
        let network = Who::Network { address: "192.0.2.0".parse().unwrap(), bits: 24 };
        assert_eq!(who(&key(BY_PEER, four)), Some(network));
        let mut six = [0; 16];
        six[..6].copy_from_slice(&[0x20, 1, 0xd, 0xb8, 0, 9]);
        let network = Who::Network { address: "2001:db8:9::".parse().unwrap(), bits: 48 };
        assert_eq!(who(&key(BY_PEER_V6, six)), Some(network));
        let process = Who::Process { comm: "curl".into(), cgroup: None };
        assert_eq!(who(&key(BY_PROCESS, *b"curl\0\0\0\0\0\0\0\0\0\0\0\0")), Some(process));
        assert_eq!(who(&key(9, six)), None);
    }

    #[test]
    fn buckets_are_those_of_nanoseconds() {
        let mut value: Value = zeroed();
        value.total[11] = 3;
        let totals = totals(&value);
        assert_eq!(totals.total_ns.quantile_bound(0.5), Some(f64::from(1 << 20)), "about a millisecond");
        assert_eq!(totals.connect_ns, Log2Histogram::default());
    }
}
