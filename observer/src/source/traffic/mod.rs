//! What every TCP connection carries, added up by process, cgroup, remote network, service and device.
//!
//! Each connection is followed from look to look by its cookie, and what it has gained is credited once. What it gains
//! after the last look comes with the record of its end, and a connection that lived between two looks comes whole with
//! it. A connection that was open before observer looked for the first time counts from that look on.

mod followed;
mod groups;

use std::{collections::HashMap, net::IpAddr};

use crate::snapshot::{
    CgroupId, Name,
    tcp::{Device, Network, Owner, Service, Traffic, TrafficTotals},
};
pub use followed::Followed;
use groups::Groups;

/// How traffic is added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Bits of the prefix by which remote IPv4 addresses are one network.
    pub v4_prefix: u8,
    /// The same for IPv6: by default what a site has.
    pub v6_prefix: u8,
    /// Rows of each kind at most.
    pub rows: usize,
    /// Connections that are followed at most, at about a hundred bytes each.
    pub connections: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { v4_prefix: 24, v6_prefix: 48, rows: 100, connections: 262_144 }
    }
}

/// A process that holds, opened or closed a connection, as the kernel names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Holder {
    /// Process id.
    pub pid: u32,
    /// Its name, ends with NUL.
    pub comm: [u8; 16],
    /// Memory cgroup that it is in; 0 if unknown.
    pub cgroup: u64,
}

impl Holder {
    /// As a snapshot has it.
    pub fn owner(&self) -> Owner {
        Owner {
            pid: self.pid,
            comm: Name::from_c_bytes(&self.comm),
            cgroup: (self.cgroup != 0).then_some(CgroupId(self.cgroup)),
        }
    }
}

/// An open connection at one look.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// `SO_COOKIE`.
    pub cookie: u64,
    /// Inode in sockfs; 0 if no process holds it.
    pub inode: u64,
    /// Bytes that the peer acknowledged since it began.
    pub bytes_acked: u64,
    /// Bytes received since it began.
    pub bytes_received: u64,
    /// Segments sent again since it began.
    pub retrans: u32,
    /// Bytes that were written and are not acknowledged.
    pub waiting: u64,
    /// Memory cgroup that the socket is charged to; 0 if none.
    pub cgroup: u64,
    /// True if it surely began after observer did.
    pub born: bool,
    /// The process that opened it, where that was seen.
    pub opener: Option<Holder>,
    /// Where it leads.
    pub place: Place,
}

/// The end of a connection.
#[derive(Debug, Clone, Copy)]
pub struct End {
    /// `SO_COOKIE`.
    pub cookie: u64,
    /// Bytes that the peer acknowledged, all of them.
    pub bytes_acked: u64,
    /// Bytes received, all of them.
    pub bytes_received: u64,
    /// Segments sent again, all of them.
    pub retrans: u32,
    /// Memory cgroup; 0 if unknown.
    pub cgroup: u64,
    /// True if it surely began after observer did.
    pub born: bool,
    /// The process that opened or closed it, where that was seen.
    pub holder: Option<Holder>,
    /// Where it led.
    pub place: Place,
}

/// Where a connection leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Inode of the network namespace.
    pub netns: u64,
    /// Remote address.
    pub remote: IpAddr,
    /// What is done there.
    pub service: Service,
    /// Interface that its packets go out by, or else come in by; 0 if unknown.
    pub ifindex: u32,
}

/// What one connection has gained, and whose it is.
#[derive(Debug, Clone, Copy)]
struct Gain {
    holder: Option<Holder>,
    cgroup: u64,
    place: Place,
    totals: TrafficTotals,
}

/// All sums.
#[derive(Debug)]
struct Sums {
    options: Options,
    total: TrafficTotals,
    processes: Groups<Option<(u32, [u8; 16])>>,
    cgroups: Groups<u64>,
    networks: Groups<Network>,
    services: Groups<Service>,
    devices: Groups<Device>,
}

impl Sums {
    fn new(options: Options) -> Self {
        Self {
            options,
            total: TrafficTotals::default(),
            processes: Groups::new(options.rows),
            cgroups: Groups::new(options.rows),
            networks: Groups::new(options.rows),
            services: Groups::new(options.rows),
            devices: Groups::new(options.rows),
        }
    }

    /// Credits the gains of one round.
    fn credit(&mut self, gains: &[Gain]) {
        let Options { v4_prefix, v6_prefix, .. } = self.options;
        gains.iter().for_each(|gain| self.total.add(&gain.totals));
        self.processes.credit(by(gains, |g| g.holder.map(|h| (h.pid, h.comm))));
        self.cgroups.credit(by(gains, |g| g.cgroup));
        self.networks.credit(by(gains, |g| Network::of(g.place.remote, v4_prefix, v6_prefix)));
        self.services.credit(by(gains, |g| g.place.service));
        self.devices.credit(by(gains, |g| device(&g.place)));
    }

    /// Adds what belongs to nothing that is known.
    fn add(&mut self, totals: &TrafficTotals) {
        self.total.add(totals);
    }

    fn traffic(&self) -> Traffic {
        Traffic {
            total: self.total,
            processes: self
                .processes
                .shares(|key| key.map(|(pid, comm)| Owner { pid, comm: Name::from_c_bytes(&comm), cgroup: None })),
            cgroups: self.cgroups.shares(|id| (*id != 0).then_some(CgroupId(*id))),
            networks: self.networks.shares(|network| *network),
            services: self.services.shares(|service| *service),
            devices: self.devices.shares(|device| *device),
            ..Traffic::default()
        }
    }
}

fn device(place: &Place) -> Device {
    Device { netns: place.netns, index: (place.ifindex != 0).then_some(place.ifindex) }
}

fn by<K: Eq + std::hash::Hash>(gains: &[Gain], key: impl Fn(&Gain) -> K) -> HashMap<K, TrafficTotals> {
    let mut sums: HashMap<K, TrafficTotals> = HashMap::new();
    gains.iter().for_each(|gain| sums.entry(key(gain)).or_default().add(&gain.totals));
    sums
}
