//! Taking out of network namespaces and tunnels what names their host and its peers.

use super::mask::Masker;
use super::mask_names::is_common_link;
use crate::snapshot::encapsulation::Encapsulation;
use crate::snapshot::link::Links;
use crate::snapshot::network::{Namespace, Network};
use crate::snapshot::tunnel::{Outer, Peer, Policy, Prefix, Route, State, Tunnel, Xfrm};
use crate::snapshot::{Name, tcp::Owner};

impl Masker {
    pub(super) fn mask_network(&mut self, network: &mut Network) {
        for namespace in network.namespaces.iter_mut().chain(&mut network.waiting) {
            let Namespace {
                netns: _,
                own: _,
                names,
                process,
                links,
                snmp: _,
                netstat: _,
                ip: _,
                ip6: _,
                udp: _,
                tunnels,
                xfrm,
            } = namespace;
            names.iter_mut().for_each(|name| *name = self.named("netns", name));
            self.mask_owner(process.as_mut());
            links.iter_mut().for_each(|links| self.mask_links(links));
            tunnels.iter_mut().flatten().for_each(|tunnel| self.mask_tunnel(tunnel));
            xfrm.iter_mut().for_each(|xfrm| self.mask_xfrm(xfrm));
        }
    }

    pub(super) fn mask_encapsulation(&mut self, encapsulation: &mut Encapsulation) {
        for flow in &mut encapsulation.flows {
            for header in std::iter::once(&mut flow.inner).chain(&mut flow.outer) {
                header.source.0 = self.address(header.source.0);
                header.destination.0 = self.address(header.destination.0);
            }
        }
    }

    pub(super) fn mask_links(&mut self, links: &mut Links) {
        links.list.iter_mut().for_each(|link| self.mask_link_name(&mut link.name));
    }

    fn mask_link_name(&mut self, name: &mut Name) {
        if !is_common_link(name.as_str()) {
            *name = self.named("link", name);
        }
    }

    fn mask_owner(&mut self, owner: Option<&mut Owner>) {
        owner.into_iter().for_each(|owner| self.mask_comm(&mut owner.comm));
    }

    fn mask_tunnel(&mut self, tunnel: &mut Tunnel) {
        let Tunnel {
            ifindex: _,
            name,
            kind: _,
            outer: Outer { local, .. },
            underlay_netns: _,
            underlay_ifindex: _,
            peers,
            peers_not_listed: _,
            holder,
            owner_uid: _,
            qdiscs: _,
        } = tunnel;
        self.mask_link_name(name);
        local.iter_mut().for_each(|address| *address = self.address(*address));
        self.mask_owner(holder.as_mut());
        for Peer { id, address, networks, route, .. } in peers {
            if !id.is_empty() {
                *id = self.named("peer", id);
            }
            address.iter_mut().for_each(|address| *address = self.address(*address));
            networks.iter_mut().for_each(|network| self.mask_prefix(network));
            if let Some(Route { ifindex: _, device, source, gateway, mtu: _, device_mtu: _ }) = route {
                self.mask_link_name(device);
                source.iter_mut().chain(gateway).for_each(|address| *address = self.address(*address));
            }
        }
    }

    fn mask_xfrm(&mut self, xfrm: &mut Xfrm) {
        let Xfrm { states, policies, counters: _ } = xfrm;
        for State { source, destination, .. } in states {
            source.iter_mut().chain(destination).for_each(|address| *address = self.address(*address));
        }
        for Policy { source, destination, tunnel_source, tunnel_destination, .. } in policies {
            source.iter_mut().chain(destination).for_each(|network| self.mask_prefix(network));
            let ends = tunnel_source.iter_mut().chain(tunnel_destination);
            ends.for_each(|address| *address = self.address(*address));
        }
    }

    fn mask_prefix(&mut self, network: &mut Prefix) {
        network.address = self.address(network.address);
    }
}
