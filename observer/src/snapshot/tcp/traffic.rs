//! What TCP carried, by whom and where to: of every connection, the ones that no list has room for included.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::Owner;
use crate::snapshot::CgroupId;

/// Traffic of all connections since observer began to look, by what it belongs to. What an open connection carried before is
/// not in it. Source: BPF iterator `iter/tcp`, and `tcp:tcp_destroy_sock` for what came after the last look.
///
/// Of each kind only the busiest have a row, which begins at zero when it gets its place: what is in no row is the growth of
/// the total less that of the rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Traffic {
    /// Everything.
    pub total: TrafficTotals,
    /// By the process that holds, opened or closed the connection; `None` where no process is known.
    pub processes: Vec<Share<Option<Owner>>>,
    /// By memory cgroup: the one that the socket is charged to, else that of the process.
    pub cgroups: Vec<Share<Option<CgroupId>>>,
    /// By network of the remote address.
    pub networks: Vec<Share<Network>>,
    /// By port of the service.
    pub services: Vec<Share<Service>>,
    /// By device that packets go out by; without a route the one that they come in by.
    pub devices: Vec<Share<Device>>,
    /// Open connections that are followed from look to look.
    pub followed: u64,
    /// Open connections beyond the limit of those: they are counted as a whole when they end.
    pub not_followed: u64,
    /// Connections that ended while the kernel side had no room to tell of them one by one: what they carried is in the total
    /// and in no row.
    pub untold: u64,
}

/// The part of the traffic that belongs to one thing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share<K> {
    /// What it belongs to.
    pub key: K,
    /// How much it is.
    #[serde(default)]
    pub totals: TrafficTotals,
}

/// Sums over connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrafficTotals {
    /// Bytes that the peers acknowledged.
    pub bytes_acked: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// Segments sent again.
    pub retrans_segs: u64,
    /// Connections that were seen to begin.
    pub began: u64,
    /// Connections that ended.
    pub ended: u64,
}

/// The network that a remote address is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Network {
    /// Its address, the bits beyond the prefix zero.
    pub address: IpAddr,
    /// Bits of the prefix.
    pub prefix: u8,
}

/// Ends of connections that do the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Service {
    /// The remote port of a connection that was begun here, the local one of a connection that was accepted.
    pub port: u16,
    /// True if it was begun here.
    pub outgoing: bool,
}

/// A device of a network namespace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Device {
    /// Inode of the network namespace.
    pub netns: u64,
    /// Interface index there; `None` if unknown.
    pub index: Option<u32>,
}

impl TrafficTotals {
    /// Bytes both ways.
    pub fn bytes(&self) -> u64 {
        self.bytes_acked.saturating_add(self.bytes_received)
    }

    /// True if nothing was counted.
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }

    /// Adds another sum.
    pub fn add(&mut self, other: &Self) {
        self.each(other, u64::saturating_add);
    }

    /// What was counted since `before`. `None` if anything shrank: it was counted anew.
    pub fn since(&self, before: &Self) -> Option<Self> {
        let whole = |now: &Self| [now.bytes_acked, now.bytes_received, now.retrans_segs, now.began, now.ended];
        if whole(self).iter().zip(whole(before)).any(|(now, before)| *now < before) {
            return None;
        }
        Some(self.less(before))
    }

    /// What is left without a part.
    #[must_use]
    pub fn less(&self, part: &Self) -> Self {
        let mut rest = *self;
        rest.each(part, u64::saturating_sub);
        rest
    }

    fn each(&mut self, other: &Self, combine: fn(u64, u64) -> u64) {
        let Self { bytes_acked, bytes_received, retrans_segs, began, ended } = self;
        for (to, from) in [
            (bytes_acked, other.bytes_acked),
            (bytes_received, other.bytes_received),
            (retrans_segs, other.retrans_segs),
            (began, other.began),
            (ended, other.ended),
        ] {
            *to = combine(*to, from);
        }
    }
}

impl Network {
    /// The network of an address, by the length of the prefix for each version of IP.
    pub fn of(address: IpAddr, v4: u8, v6: u8) -> Self {
        match address {
            IpAddr::V4(ip) => {
                let prefix = v4.min(32);
                let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
                Self { address: IpAddr::V4((ip.to_bits() & mask).into()), prefix }
            }
            IpAddr::V6(ip) => {
                let prefix = v6.min(128);
                let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
                Self { address: IpAddr::V6((ip.to_bits() & mask).into()), prefix }
            }
        }
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_no_bits_beyond_its_prefix() {
        let of = |ip: &str, v4, v6| Network::of(ip.parse().unwrap(), v4, v6).to_string();
        assert_eq!(of("192.0.2.77", 24, 48), "192.0.2.0/24");
        assert_eq!(of("192.0.2.77", 32, 48), "192.0.2.77/32");
        assert_eq!(of("192.0.2.77", 0, 48), "0.0.0.0/0");
        assert_eq!(of("2001:db8:1:2:3::4", 24, 48), "2001:db8:1::/48");
        assert_eq!(of("2001:db8:1:2:3::4", 24, 128), "2001:db8:1:2:3::4/128");
        assert_eq!(of("2001:db8::1", 24, 0), "::/0");
    }

    #[test]
    fn what_shrank_was_counted_anew() {
        let at = |acked, ended| TrafficTotals { bytes_acked: acked, ended, ..TrafficTotals::default() };
        assert_eq!(at(9, 3).since(&at(4, 1)), Some(at(5, 2)));
        assert_eq!(at(9, 0).since(&at(4, 1)), None);
        assert_eq!(at(9, 0).less(&at(4, 1)), at(5, 0));
    }
}
