//! Tunnels over an interval: what goes in, what comes out at the other side, and where it is lost.

mod carried;
mod drops;
mod esp;
mod host;
pub mod offloads;
mod overhead;
mod peer;
mod samples;
mod silent;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod totals;

use serde::Serialize;

pub use carried::Carried;
pub use drops::{Dropped, Qdisc, Stage};
pub use overhead::Nominal;
pub use peer::{Budget, Peer};
pub use samples::{CryptoRate, PollRate, Samples};
pub use totals::Traffic;

use super::{
    interval::{Interval, rate, sort_descending},
    link::Link,
    tcp::Open,
};
use crate::snapshot::{
    Name, Snapshot,
    tcp::Owner,
    tunnel::{Kind, Outer},
};
use host::Host;

/// Tunnels of all network namespaces that were read.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Tunnels {
    /// Most traffic first.
    pub list: Vec<Tunnel>,
    /// Traffic that leaves or enters the host: that of its own devices alone, so that a packet is counted once.
    pub outside: Option<Traffic>,
    /// Traffic that tunnels carry, those alone whose outer packets go through no further tunnel.
    pub carried: Option<Traffic>,
    /// Polls of network devices by device and CPU, most packets first; `None` where they are not counted.
    pub polls: Option<Vec<PollRate>>,
    /// Work of ciphers by function and CPU, most time first; `None` where it is not counted.
    pub crypto: Option<Vec<CryptoRate>>,
    /// Network namespaces whose tunnels were read.
    pub namespaces: u64,
    /// Network namespaces that were found and whose tunnels could not be read.
    pub namespaces_not_read: u64,
}

/// One tunnel.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Tunnel {
    /// Inode of the network namespace that it is in.
    pub netns: u64,
    /// What that namespace is called, if it has a name; else the process that is in it.
    pub namespace: Option<Name>,
    /// True if observer is in that namespace.
    pub own: bool,
    /// A process that is in it.
    pub process: Option<Owner>,
    /// Index of its interface; `None` for IPsec policies without one.
    pub ifindex: Option<u32>,
    /// Name of its interface, or the policy's ends.
    pub name: Name,
    /// What it is.
    pub kind: Kind,
    /// What an outer packet looks like, as far as the tunnel itself fixes it.
    pub outer: Outer,
    /// Inode of the namespace that the outer packets go through.
    pub underlay_netns: u64,
    /// For a tun or tap device: who made it.
    pub holder: Option<Owner>,
    /// Peers beyond the limit of a snapshot.
    pub peers_not_listed: u64,
    /// Its interface; `None` without one.
    pub link: Option<Link>,
    /// What goes through it, without what it adds: as its interface counts, without one as its security associations do.
    pub inner: Traffic,
    /// The interfaces that its outer packets leave by.
    pub underlays: Vec<Link>,
    /// The other ends, most traffic first.
    pub peers: Vec<Peer>,
    /// Queues of packets before the tunnel and before its underlay.
    pub qdiscs: Vec<Qdisc>,
    /// Packets lost, by where, in the order of the packet's way.
    pub drops: Vec<Dropped>,
    /// Fragments a second that the underlay's namespace made of packets that were too large for their way.
    pub fragments: Option<f64>,
    /// Fragments made in the interval.
    pub fragments_in_interval: Option<u64>,
    /// Packets that were put together from fragments in the interval, in the underlay's namespace.
    pub reassembled_in_interval: Option<u64>,
    /// What sampled packets tell; `None` where none are sampled.
    pub samples: Option<Samples>,
    /// Open connections that go through it, in the order of the list of connections.
    pub flows: Vec<Carried>,
}

impl Tunnel {
    /// What it adds to a packet; where its peers differ, the largest. `None` if that is not known.
    pub fn overhead(&self) -> Option<Nominal> {
        self.peers.iter().filter_map(|p| p.overhead).max_by_key(|o| (o.least, o.most))
    }

    /// The budget of the peer that leaves least room.
    pub fn budget(&self) -> Option<(&Peer, Budget)> {
        self.peers.iter().filter_map(|p| Some((p, p.budget?))).min_by_key(|(_, b)| (b.headroom, b.most))
    }

    /// True if it is the same tunnel as another model's.
    pub fn is(&self, other: &Self) -> bool {
        self.netns == other.netns && self.ifindex == other.ifindex && self.name == other.name
    }

    /// The word for its kind.
    pub const fn kind_name(&self) -> &'static str {
        self.kind.label()
    }

    /// Its kind, and what tells it from others of that kind.
    pub fn format_words(&self) -> String {
        let id = self.outer.id.map_or(String::new(), |id| format!(", id {id}"));
        let port = self.outer.port.map_or(String::new(), |port| format!(", port {port}"));
        format!("{}{id}{port}", self.kind_name())
    }

    /// Packets lost in one place.
    pub fn dropped(&self, stage: Stage) -> Option<&Dropped> {
        self.drops.iter().find(|d| d.stage == stage)
    }

    /// Seconds since the last handshake of its peers, the newest; `None` if there was none.
    pub fn handshake_age(&self) -> Option<f64> {
        self.peers.iter().filter_map(|p| p.handshake_age_seconds).reduce(f64::min)
    }
}

impl Tunnels {
    /// Tunnels of a snapshot, `None` where no namespace was read.
    pub(super) fn new(
        now: &Snapshot,
        before: Option<&Snapshot>,
        interval: Option<Interval>,
        open: Option<&Open>,
    ) -> Option<Self> {
        let network = now.network.as_ref()?;
        let host = Host { now, before, interval };
        let read = network.namespaces.iter().filter(|n| n.tunnels.is_some()).count() as u64;
        let unread = network.namespaces.len() as u64 - read + network.not_read;
        let mut list: Vec<_> = network
            .namespaces
            .iter()
            .flat_map(|n| n.tunnels.iter().flatten().map(move |t| (n, t)))
            .map(|(namespace, tunnel)| host.tunnel(namespace, tunnel))
            .collect();
        sort_descending(&mut list, |t| t.inner.bytes());
        if let Some(open) = open {
            carried::assign(&mut list, open);
        }
        Some(Self {
            outside: totals::outside(&host),
            carried: totals::carried(&list),
            list,
            polls: samples::polls(&host),
            crypto: samples::crypto(&host),
            namespaces: read,
            namespaces_not_read: unread,
        })
    }

    /// The tunnel of a namespace with that interface.
    pub fn by_interface(&self, netns: u64, ifindex: u32) -> Option<&Tunnel> {
        self.list.iter().find(|t| t.netns == netns && t.ifindex == Some(ifindex))
    }
}

/// What grew, per second and as it is.
fn growth(interval: Option<Interval>, now: Option<u64>, before: Option<u64>) -> (Option<f64>, Option<u64>) {
    (rate(interval, now, before), now.zip(before).and_then(|(now, before)| now.checked_sub(before)))
}
