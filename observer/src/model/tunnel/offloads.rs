//! Which features of interfaces matter to a tunnel: those that decide who cuts its packets, and who puts them together.

use super::Tunnel;
use crate::{
    model::link::Link,
    snapshot::{link::Feature, tunnel::Kind},
};

/// Feature that puts received packets together in software.
pub const GRO: &str = "rx-gro";
/// Features of the tunnel's own interface that let large packets enter it: of TCP, and in software.
pub const ENTERS_LARGE: &[&str] = &["tx-tcp-segmentation", "tx-generic-segmentation"];

/// Features of an interface that cut the packets of such a tunnel: without and with a checksum outside. None where a
/// processor has to do it, since it encrypts packet by packet.
pub const fn cut_by(kind: &Kind) -> &'static [&'static str] {
    match kind {
        Kind::Vxlan | Kind::Geneve | Kind::Bareudp => &["tx-udp_tnl-segmentation", "tx-udp_tnl-csum-segmentation"],
        Kind::Gre | Kind::Gretap | Kind::Ip6gre | Kind::Ip6gretap => {
            &["tx-gre-segmentation", "tx-gre-csum-segmentation"]
        }
        Kind::Ipip | Kind::Sit => &["tx-ipxip4-segmentation"],
        Kind::Ip6tnl => &["tx-ipxip6-segmentation"],
        _ => &[],
    }
}

/// Features that encrypt, or cut what was encrypted.
const fn encrypted_by(kind: &Kind) -> &'static [&'static str] {
    match kind {
        Kind::Xfrm | Kind::Vti | Kind::Vti6 | Kind::Ipsec => &["tx-esp-segmentation", "esp-hw-offload"],
        _ => &[],
    }
}

impl Tunnel {
    /// Features that matter to it, by interface: its own one, and those that its packets leave by. Without those that are not
    /// known.
    pub fn offloads(&self) -> impl Iterator<Item = (&Link, Vec<&Feature>)> {
        let below = [cut_by(&self.kind), encrypted_by(&self.kind), &[GRO]].concat();
        let own = [ENTERS_LARGE, &[GRO]].concat();
        let of = |link, names: &[&str]| (link, features(link, names));
        let list: Vec<_> =
            self.link.iter().map(|l| of(l, &own)).chain(self.underlays.iter().map(|l| of(l, &below))).collect();
        list.into_iter().filter(|(_, features)| !features.is_empty())
    }
}

/// Those of some features that are known.
fn features<'a>(link: &'a Link, names: &[&str]) -> Vec<&'a Feature> {
    names.iter().filter_map(|name| link.now.feature(name)).collect()
}

impl Feature {
    /// `on`, `off`, or `off and fixed`.
    pub const fn state(&self) -> &'static str {
        match (self.on, self.fixed) {
            (true, _) => "on",
            (false, false) => "off",
            (false, true) => "off and fixed",
        }
    }
}
