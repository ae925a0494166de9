//! The tunnels that security associations are: those of interfaces, and those of policies alone.

use std::net::IpAddr;

use crate::snapshot::{
    Name,
    tunnel::{Kind, Outer, Peer, Policy, State, Tunnel, Xfrm},
};

/// Direction of a policy for packets that leave.
const OUT: u8 = 1;

/// Gives interfaces of IPsec their peers, and adds a tunnel for each pair of ends that policies name without an interface.
pub fn add_to(tunnels: &mut Vec<Tunnel>, netns: u64, xfrm: &Xfrm) {
    for tunnel in tunnels.iter_mut() {
        match tunnel.kind {
            Kind::Xfrm => by_if_id(tunnel, xfrm),
            Kind::Vti | Kind::Vti6 => by_ends(tunnel, xfrm),
            _ => {}
        }
    }
    let without = |policy: &&Policy| {
        policy.direction == OUT && policy.if_id.is_none() && !tunnels.iter().any(|t| is_of_vti(t, policy))
    };
    let mut ends: Vec<(IpAddr, IpAddr)> = xfrm
        .policies
        .iter()
        .filter(without)
        .filter_map(|policy| policy.tunnel_source.zip(policy.tunnel_destination))
        .collect();
    ends.sort_unstable();
    ends.dedup();
    tunnels.extend(ends.into_iter().map(|(local, remote)| of_policies(netns, local, remote, xfrm)));
}

/// A tunnel of policies alone.
fn of_policies(netns: u64, local: IpAddr, remote: IpAddr, xfrm: &Xfrm) -> Tunnel {
    let mut tunnel = Tunnel {
        name: Name::from(format!("{local}-{remote}")),
        kind: Kind::Ipsec,
        outer: Outer { local: Some(local), ..Outer::default() },
        underlay_netns: Some(netns),
        ..Tunnel::default()
    };
    let states = xfrm.states.iter().filter(|state| state.tunnel_mode && state.if_id.is_none());
    set_peers(&mut tunnel, states, local, remote);
    if tunnel.peers.is_empty() {
        // Nothing was agreed upon yet, or it has ended.
        tunnel.peers.push(Peer { address: Some(remote), ..Peer::default() });
    }
    tunnel
}

/// Which of the two ends is here is what a policy says of packets that leave.
fn by_if_id(tunnel: &mut Tunnel, xfrm: &Xfrm) {
    let id = tunnel.outer.id.and_then(|id| u32::try_from(id).ok());
    let policies = xfrm.policies.iter().filter(|policy| policy.direction == OUT && policy.if_id == id);
    let mut ends: Vec<_> = policies.filter_map(|policy| policy.tunnel_source.zip(policy.tunnel_destination)).collect();
    ends.sort_unstable();
    ends.dedup();
    if let [(local, _)] = ends.as_slice() {
        tunnel.outer.local = Some(*local);
    }
    for (local, remote) in ends {
        set_peers(tunnel, xfrm.states.iter().filter(|state| state.if_id == id), local, remote);
    }
}

fn by_ends(tunnel: &mut Tunnel, xfrm: &Xfrm) {
    let remote = tunnel.peers.first().and_then(|peer| peer.address);
    let Some((local, remote)) = tunnel.outer.local.zip(remote) else { return };
    let configured = std::mem::take(&mut tunnel.peers);
    set_peers(tunnel, xfrm.states.iter(), local, remote);
    if tunnel.peers.is_empty() {
        tunnel.peers = configured;
    }
}

/// Adds a peer for each security association between two ends: one way each, named by its SPI.
fn set_peers<'a>(tunnel: &mut Tunnel, states: impl Iterator<Item = &'a State>, local: IpAddr, remote: IpAddr) {
    for state in states {
        let out = (state.source, state.destination) == (Some(local), Some(remote));
        if !out && (state.source, state.destination) != (Some(remote), Some(local)) {
            continue;
        }
        tunnel.outer.udp |= state.nat_port.is_some();
        tunnel.outer.port = tunnel.outer.port.or(state.nat_port);
        tunnel.peers.push(Peer {
            id: Name::from(format!("{} 0x{:08x}", if out { "out" } else { "in" }, state.spi)),
            address: Some(remote),
            port: state.nat_port,
            tx_bytes: out.then_some(state.bytes),
            rx_bytes: (!out).then_some(state.bytes),
            ..Peer::default()
        });
    }
}

/// True if a policy belongs to an interface that marks its packets.
fn is_of_vti(tunnel: &Tunnel, policy: &Policy) -> bool {
    matches!(tunnel.kind, Kind::Vti | Kind::Vti6)
        && policy.mark.is_some()
        && policy.mark.map(u64::from) == tunnel.outer.id
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> Option<IpAddr> {
        Some([10, 0, 0, last].into())
    }

    fn state(from: u8, to: u8, if_id: Option<u32>, spi: u32) -> State {
        State {
            source: ip(from),
            destination: ip(to),
            spi,
            if_id,
            tunnel_mode: true,
            bytes: u64::from(spi),
            ..State::default()
        }
    }

    fn policy(from: u8, to: u8, if_id: Option<u32>, direction: u8) -> Policy {
        Policy { tunnel_source: ip(from), tunnel_destination: ip(to), if_id, direction, ..Policy::default() }
    }

    #[test]
    fn policies_without_an_interface_are_one_tunnel_for_each_pair_of_ends() {
        let xfrm = Xfrm {
            states: vec![state(1, 2, None, 7), state(2, 1, None, 8), state(1, 3, None, 9), state(1, 2, Some(5), 10)],
            policies: vec![policy(1, 2, None, OUT), policy(1, 2, None, OUT), policy(2, 1, None, 0)],
            ..Xfrm::default()
        };
        let mut tunnels = Vec::new();
        add_to(&mut tunnels, 99, &xfrm);
        let [tunnel] = tunnels.as_slice() else { panic!("{tunnels:?}") };
        assert_eq!((tunnel.name.as_str(), &tunnel.kind, tunnel.ifindex), ("10.0.0.1-10.0.0.2", &Kind::Ipsec, None));
        let peers: Vec<_> = tunnel.peers.iter().map(|p| (p.id.as_str(), p.tx_bytes, p.rx_bytes)).collect();
        assert_eq!(peers, [("out 0x00000007", Some(7), None), ("in 0x00000008", None, Some(8))]);
        assert!(tunnel.peers.iter().all(|peer| peer.address == ip(2)));
    }

    #[test]
    fn an_interface_has_those_of_its_number_and_a_marked_policy_is_that_of_its_interface() {
        let mut marked = policy(1, 4, None, OUT);
        marked.mark = Some(6);
        let xfrm = Xfrm {
            states: vec![state(1, 2, Some(5), 7), state(1, 2, None, 8), state(1, 4, None, 9)],
            policies: vec![policy(1, 2, Some(5), OUT), marked],
            ..Xfrm::default()
        };
        let of = |kind, id| Tunnel { kind, outer: Outer { id: Some(id), ..Outer::default() }, ..Tunnel::default() };
        let mut vti = of(Kind::Vti, 6);
        vti.outer.local = ip(1);
        vti.peers.push(Peer { address: ip(4), ..Peer::default() });
        let mut tunnels = vec![of(Kind::Xfrm, 5), vti];
        add_to(&mut tunnels, 99, &xfrm);
        let ids: Vec<Vec<_>> = tunnels.iter().map(|t| t.peers.iter().map(|p| p.id.as_str()).collect()).collect();
        assert_eq!(ids, [["out 0x00000007"], ["out 0x00000009"]]);
        assert_eq!(tunnels.first().and_then(|t| t.outer.local), ip(1));
    }

    #[test]
    fn a_policy_without_an_association_has_a_peer_that_carries_nothing() {
        let xfrm = Xfrm { policies: vec![policy(1, 2, None, OUT)], ..Xfrm::default() };
        let mut tunnels = Vec::new();
        add_to(&mut tunnels, 99, &xfrm);
        let peers: Vec<_> = tunnels.iter().flat_map(|t| &t.peers).collect();
        assert!(matches!(peers.as_slice(), [Peer { tx_bytes: None, rx_bytes: None, .. }]), "{peers:?}");
    }
}
