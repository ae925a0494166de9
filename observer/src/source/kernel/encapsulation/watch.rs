//! Which interfaces are watched, and what their outer packets look like.

use std::collections::BTreeMap;

use observer_ebpf::abi::tunnel::Watch;

use crate::snapshot::{
    encapsulation::Device,
    network::Network,
    tunnel::{Kind, Tunnel},
};

const IPIP: u8 = 4;
const IPV6: u8 = 41;
const GRE: u8 = 47;
const ESP: u8 = 50;
const AH: u8 = 51;

/// An interface that is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watched {
    /// Which one.
    pub device: Device,
    /// True for a tunnel, false for an interface that outer packets go through.
    pub tunnel: bool,
    /// True for WireGuard, whose work is done by others.
    pub wireguard: bool,
    /// IP protocols of outer packets beside UDP; 0 for none.
    pub protocols: [u8; 2],
    /// True if outer packets may be UDP.
    pub udp: bool,
    /// UDP port that one of the two ends of an outer packet has; `None` for any.
    pub port: Option<u16>,
}

impl Watched {
    /// A tunnel; `None` if it has no interface.
    pub fn of(netns: u64, tunnel: &Tunnel) -> Option<Self> {
        let protocols = match tunnel.kind {
            Kind::Gre | Kind::Gretap | Kind::Ip6gre | Kind::Ip6gretap | Kind::Erspan | Kind::Ip6erspan => [GRE, 0],
            Kind::Ipip => [IPIP, 0],
            Kind::Sit | Kind::Ip6tnl => [IPV6, IPIP],
            Kind::Xfrm | Kind::Vti | Kind::Vti6 => [ESP, AH],
            // What goes into the others comes out as UDP, or as whatever a process sends.
            _ => [0, 0],
        };
        let in_udp = matches!(tunnel.kind, Kind::Vxlan | Kind::Geneve | Kind::Bareudp | Kind::Wireguard);
        Some(Self {
            device: (netns, tunnel.ifindex?),
            tunnel: true,
            wireguard: tunnel.kind == Kind::Wireguard,
            protocols,
            udp: in_udp || tunnel.outer.udp || protocols == [ESP, AH],
            port: if in_udp { tunnel.outer.port } else { None },
        })
    }

    fn below(device: Device) -> Self {
        Self { device, tunnel: false, wireguard: false, protocols: [0, 0], udp: false, port: None }
    }

    pub(super) fn raw(&self) -> Watch {
        Watch {
            protocols: self.protocols,
            udp: u8::from(self.udp),
            tunnel: u8::from(self.tunnel),
            port: self.port.unwrap_or(0),
            zero: 0,
        }
    }
}

/// Every tunnel that was found, and the interfaces that their outer packets go through.
pub fn watched(network: &Network) -> Vec<Watched> {
    let mut all = BTreeMap::new();
    let tunnels = || {
        let each = network.namespaces.iter().flat_map(|n| n.tunnels.iter().flatten().map(move |t| (n.netns, t)));
        each.filter_map(|(netns, tunnel)| Some((netns, tunnel, Watched::of(netns, tunnel)?)))
    };
    for (netns, tunnel, _) in tunnels() {
        let netns = tunnel.underlay_netns.unwrap_or(netns);
        let routes = tunnel.peers.iter().filter_map(|peer| Some(peer.route.as_ref()?.ifindex));
        for ifindex in tunnel.underlay_ifindex.into_iter().chain(routes) {
            all.insert((netns, ifindex), Watched::below((netns, ifindex)));
        }
    }
    // One that is both is a tunnel.
    all.extend(tunnels().map(|(.., watched)| (watched.device, watched)));
    all.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{
        network::Namespace,
        tunnel::{Outer, Peer, Route},
    };

    fn tunnel(ifindex: u32, kind: Kind) -> Tunnel {
        Tunnel { ifindex: Some(ifindex), kind, ..Tunnel::default() }
    }

    #[test]
    fn a_tunnel_below_another_is_watched_as_a_tunnel() {
        let route = Some(Route { ifindex: 3, ..Route::default() });
        let over = Tunnel {
            underlay_ifindex: Some(2),
            peers: vec![Peer { route, ..Peer::default() }],
            outer: Outer { port: Some(4789), ..Outer::default() },
            ..tunnel(4, Kind::Vxlan)
        };
        let none = Tunnel { kind: Kind::Ipsec, ..Tunnel::default() };
        let tunnels = Some(vec![over, tunnel(3, Kind::Wireguard), none]);
        let network =
            Network { namespaces: vec![Namespace { netns: 9, tunnels, ..Namespace::default() }], ..Network::default() };
        let all = watched(&network);
        let seen: Vec<_> = all.iter().map(|w| (w.device, w.tunnel, w.wireguard, w.port)).collect();
        let expected = [((9, 2), false, false, None), ((9, 3), true, true, None), ((9, 4), true, false, Some(4789))];
        assert_eq!(seen, expected);
    }

    #[test]
    fn what_a_process_sends_for_a_tun_device_is_not_looked_for() {
        let tun = Watched::of(1, &tunnel(2, Kind::Tun)).unwrap();
        assert_eq!((tun.protocols, tun.udp), ([0, 0], false));
        let sit = Watched::of(1, &tunnel(2, Kind::Sit)).unwrap();
        assert_eq!((sit.protocols, sit.udp), ([IPV6, IPIP], false));
    }
}
