//! How outer packets leave (`RTM_GETROUTE`), as `ip route get` tells it.

use std::net::IpAddr;

use crate::{
    snapshot::{
        Name,
        link::Link,
        tunnel::{Peer, Route, Tunnel},
    },
    source::netlink::{
        Netlink, NetlinkError, Problem, Request,
        attribute::{find, ip_of, nested, octets, u16_of, u32_of},
    },
};

/// Bytes of `struct rtmsg`: family, bits of destination and source, the rest zeros.
const RTMSG: usize = 12;

/// What decides about a route.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Question {
    destination: IpAddr,
    source: Option<IpAddr>,
    mark: Option<u32>,
    ifindex: Option<u32>,
}

/// A route, or why there is none, in the words of the kernel.
pub type Answer = Result<Route, Name>;

impl Question {
    /// How the packets of a tunnel get to a peer; `None` if its address is not known.
    pub fn of(tunnel: &Tunnel, peer: &Peer) -> Option<Self> {
        let destination = peer.address?;
        let source = tunnel.outer.local.filter(|source| source.is_ipv4() == destination.is_ipv4());
        Some(Self { destination, source, mark: tunnel.outer.mark, ifindex: tunnel.underlay_ifindex })
    }

    /// How the packets of a connection get to the other end.
    pub fn to(destination: IpAddr, source: IpAddr) -> Self {
        Self { destination, source: Some(source), mark: None, ifindex: None }
    }

    /// Asks the kernel, in the namespace of the socket. The route has no name of its interface yet, and only an MTU that is
    /// its own: see [`by_link`].
    pub fn ask(&self, netlink: &mut Netlink) -> Result<Answer, NetlinkError> {
        let (family, bits) = if self.destination.is_ipv4() { (libc::AF_INET, 32) } else { (libc::AF_INET6, 128) };
        let source_bits = if self.source.is_some() { bits } else { 0 };
        let mut head = [0; RTMSG];
        head.iter_mut().zip([family as u8, bits, source_bits]).for_each(|(to, from)| *to = from);
        let mut request =
            Request::new("RTM_GETROUTE", libc::RTM_GETROUTE, &head).with(libc::RTA_DST, &octets(self.destination));
        for (kind, value) in [
            (libc::RTA_SRC, self.source.map(octets)),
            (libc::RTA_MARK, self.mark.map(|mark| mark.to_ne_bytes().to_vec())),
            (libc::RTA_OIF, self.ifindex.map(|index| index.to_ne_bytes().to_vec())),
        ] {
            if let Some(value) = value {
                request = request.with(kind, &value);
            }
        }
        match netlink.ask(&mut request, |message| route(message.payload)) {
            // The kernel does not repeat a source that it was given.
            Ok(Some(route)) => Ok(Ok(Route { source: route.source.or(self.source), ..route })),
            Ok(None) => Ok(Err("the kernel named no route".into())),
            Err(NetlinkError { problem: Problem::Refused { cause, .. }, .. }) => Ok(Err(Name::from(cause.to_string()))),
            Err(e) => Err(e),
        }
    }
}

fn route(payload: &[u8]) -> Result<Route, Problem> {
    /// Next hop of the other family: `struct rtvia`.
    const RTA_VIA: u16 = 18;
    const RTAX_MTU: u16 = 2;
    let attributes = payload.get(RTMSG..).ok_or_else(|| Problem::Garbled("a route message is too short".into()))?;
    let mut route = Route::default();
    let mut index = None;
    for (kind, value) in nested(attributes) {
        match kind {
            libc::RTA_OIF => index = u32_of(value),
            libc::RTA_PREFSRC => route.source = ip_of(value),
            libc::RTA_GATEWAY => route.gateway = ip_of(value),
            RTA_VIA => route.gateway = value.get(..2).and_then(u16_of).and_then(|_| ip_of(value.get(2..)?)),
            libc::RTA_METRICS => route.mtu = find(value, RTAX_MTU).and_then(u32_of).filter(|mtu| *mtu != 0),
            _ => {}
        }
    }
    route.ifindex = index.ok_or_else(|| Problem::Garbled("a route has no RTA_OIF".into()))?;
    Ok(route)
}

/// Completes a route by the interface that it leaves by.
pub fn by_link(route: &mut Route, links: &[Link]) {
    let Some(link) = links.iter().find(|link| link.index == route.ifindex) else { return };
    route.device = link.name.clone();
    route.device_mtu = link.mtu;
    route.mtu = route.mtu.or(link.mtu);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::source::netlink::{Family, testing::attribute};

    #[test]
    fn a_route_has_its_own_mtu_or_that_of_its_interface() {
        let metrics = attribute(libc::RTA_METRICS, &attribute(2, &1400u32.to_ne_bytes()));
        let out = attribute(libc::RTA_OIF, &3u32.to_ne_bytes());
        let gateway = attribute(libc::RTA_GATEWAY, &[10, 0, 0, 1]);
        let mut own = route(&[&[0; RTMSG][..], &out, &gateway, &metrics].concat()).unwrap();
        let mut other = route(&[&[0; RTMSG][..], &out].concat()).unwrap();
        let links = [Link { index: 3, name: "eth0".into(), mtu: Some(1500), ..Link::default() }];
        by_link(&mut own, &links);
        by_link(&mut other, &links);
        assert_eq!((own.mtu, own.device_mtu, own.device.as_str()), (Some(1400), Some(1500), "eth0"));
        assert_eq!(own.gateway, Some("10.0.0.1".parse().unwrap()));
        assert_eq!((other.mtu, other.gateway), (Some(1500), None));
        assert!(route(&[0; RTMSG]).is_err() && route(&[0; 3]).is_err());
    }

    #[test]
    fn this_host_reaches_itself_over_the_loopback() {
        let mut netlink = Netlink::open(Family::Route).unwrap();
        let to = Peer { address: Some("127.0.0.1".parse().unwrap()), ..Peer::default() };
        let question = Question::of(&Tunnel::default(), &to).unwrap();
        let route = question.ask(&mut netlink).unwrap().unwrap();
        assert_eq!((route.ifindex, route.source), (1, to.address));
        let marked = Question { ifindex: Some(u32::MAX >> 1), ..question };
        assert!(marked.ask(&mut netlink).unwrap().is_err(), "there is no such interface");
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_a_route_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = route(&bytes);
        }
    }
}
