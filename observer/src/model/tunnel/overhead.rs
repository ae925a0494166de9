//! What a tunnel adds to each packet, by the formats of the headers.

use std::net::IpAddr;

use serde::Serialize;

use super::esp::Esp;
use crate::snapshot::tunnel::{Kind, Tunnel};

const IPV4: u32 = 20;
const IPV6: u32 = 40;
const UDP: u32 = 8;
/// An inner Ethernet header: the interface's MTU does not count it, the outer packet carries it.
const ETHERNET: u32 = 14;
/// RFC 7348, RFC 8926 without options.
const VXLAN: u32 = 8;
const GENEVE: u32 = 8;
/// RFC 2784, and what each option of RFC 2890 adds.
const GRE: u32 = 4;
const GRE_OPTION: u32 = 4;
/// Header of generic UDP encapsulation without options.
const GUE: u32 = 4;
/// Type, receiver, counter and authentication tag of a data message.
const WIREGUARD: u32 = 32;
/// Data is padded to this.
const WIREGUARD_BLOCK: u32 = 16;
/// Destination options that carry the limit of encapsulations (RFC 2473).
const ENCAP_LIMIT: u32 = 8;

/// Bytes that a tunnel adds to a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Nominal {
    /// At least.
    pub least: u32,
    /// At most: with all padding.
    pub most: u32,
    #[serde(skip)]
    padding: Padding,
}

/// How the size of a packet changes what is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Padding {
    None,
    /// The inner packet to a multiple, though not beyond the interface's MTU.
    WireGuard,
    /// The inner packet and two bytes to a multiple.
    Esp(u32),
}

impl Nominal {
    fn fixed(bytes: u32) -> Self {
        Self { least: bytes, most: bytes, padding: Padding::None }
    }

    /// What a tunnel adds to packets to an outer address; `esp` is the security association that it uses. `None` where only
    /// a process or the packets know.
    pub(super) fn of(tunnel: &Tunnel, peer: Option<IpAddr>, esp: Option<&Esp>) -> Option<Self> {
        let outer = &tunnel.outer;
        let over = match tunnel.kind {
            Kind::Gre | Kind::Gretap | Kind::Erspan | Kind::Ipip | Kind::Sit | Kind::Vti => IPV4,
            Kind::Ip6gre | Kind::Ip6gretap | Kind::Ip6erspan | Kind::Ip6tnl | Kind::Vti6 => IPV6,
            _ => match peer.or(outer.local).filter(|a| !a.is_unspecified()) {
                Some(IpAddr::V4(_)) => IPV4,
                Some(IpAddr::V6(_)) => IPV6,
                // Where packets bring their own addresses it is IPv4 as a rule, and not known.
                None => return None,
            },
        };
        let options =
            [outer.checksum, outer.key, outer.sequence].iter().map(|on| u32::from(*on) * GRE_OPTION).sum::<u32>();
        let limit = if outer.encap_limit { ENCAP_LIMIT } else { 0 };
        let wrapped = match (outer.udp, outer.gue) {
            (true, true) => UDP + GUE,
            (true, false) => UDP,
            (false, _) => 0,
        };
        let ethernet = if outer.layer3 { 0 } else { ETHERNET };
        // Version 0 has no header of its own, and no sequence number.
        let session = match outer.erspan_version {
            Some(0) => 0,
            Some(2) => GRE_OPTION + 12,
            _ => GRE_OPTION + 8,
        };
        Some(match tunnel.kind {
            Kind::Vxlan => Self::fixed(over + UDP + VXLAN + ethernet),
            Kind::Geneve => Self::fixed(over + UDP + GENEVE + ethernet),
            Kind::Bareudp => Self::fixed(over + UDP),
            Kind::Gre | Kind::Ip6gre => Self::fixed(over + GRE + options + limit + wrapped),
            Kind::Gretap | Kind::Ip6gretap => Self::fixed(over + GRE + options + limit + wrapped + ETHERNET),
            Kind::Erspan | Kind::Ip6erspan => Self::fixed(over + GRE + session + limit + ETHERNET),
            Kind::Ipip | Kind::Sit | Kind::Ip6tnl => Self::fixed(over + limit + wrapped),
            Kind::Wireguard => {
                let least = over + UDP + WIREGUARD;
                Self { least, most: least + WIREGUARD_BLOCK - 1, padding: Padding::WireGuard }
            }
            Kind::Xfrm | Kind::Vti | Kind::Vti6 | Kind::Ipsec => {
                let esp = esp?;
                let least = over + esp.fixed;
                Self { least, most: least + esp.block - 1, padding: Padding::Esp(esp.block) }
            }
            Kind::Tun | Kind::Tap | Kind::Other => return None,
        })
    }

    /// Bytes of the largest inner packet that fits into an outer one.
    pub(super) fn room(&self, outer: u32) -> u32 {
        let room = outer.saturating_sub(self.least);
        match self.padding {
            Padding::None | Padding::WireGuard => room,
            // `least` counts the two bytes behind the padding.
            Padding::Esp(block) => ((room + 2) / block * block).saturating_sub(2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{
        Name,
        tunnel::{Outer, State},
    };

    const FOUR: &str = "192.0.2.1";
    const SIX: &str = "2001:db8::1";

    fn nominal(kind: Kind, to: &str, outer: Outer) -> (u32, u32) {
        let tunnel = Tunnel { kind, outer, ..Tunnel::default() };
        let n = Nominal::of(&tunnel, Some(to.parse().unwrap()), None).unwrap();
        (n.least, n.most)
    }

    #[test]
    fn every_kind_adds_what_its_headers_have() {
        let plain = Outer::default;
        for (kind, four, six) in [(Kind::Vxlan, 50, 70), (Kind::Geneve, 50, 70), (Kind::Bareudp, 28, 48)] {
            assert_eq!(nominal(kind.clone(), FOUR, plain()), (four, four));
            assert_eq!(nominal(kind, SIX, plain()), (six, six));
        }
        assert_eq!(nominal(Kind::Gre, FOUR, plain()).0, 24);
        assert_eq!(nominal(Kind::Ip6gre, SIX, plain()).0, 44);
        let all = Outer { checksum: true, key: true, sequence: true, ..plain() };
        assert_eq!(nominal(Kind::Gre, FOUR, all.clone()).0, 36);
        assert_eq!(nominal(Kind::Ip6gre, SIX, Outer { encap_limit: true, ..all }).0, 64);
        assert_eq!(nominal(Kind::Gretap, FOUR, plain()).0, 38);
        assert_eq!(nominal(Kind::Ip6gretap, SIX, plain()).0, 58);
        assert_eq!(nominal(Kind::Ipip, FOUR, plain()).0, 20);
        assert_eq!(nominal(Kind::Sit, FOUR, Outer { udp: true, ..plain() }).0, 28);
        assert_eq!(nominal(Kind::Ipip, FOUR, Outer { udp: true, gue: true, ..plain() }).0, 32);
        assert_eq!(nominal(Kind::Vxlan, FOUR, Outer { layer3: true, ..plain() }).0, 36);
        assert_eq!(nominal(Kind::Erspan, FOUR, Outer { erspan_version: Some(2), ..plain() }).0, 54);
        assert_eq!(nominal(Kind::Ip6tnl, SIX, Outer { encap_limit: true, ..plain() }).0, 48);
        assert_eq!(nominal(Kind::Wireguard, FOUR, plain()), (60, 75));
        assert_eq!(nominal(Kind::Wireguard, SIX, plain()), (80, 95));
    }

    #[test]
    fn esp_depends_on_the_cipher() {
        let gcm = State {
            protocol: 50,
            cipher: Some(Name::from("rfc4106(gcm(aes))")),
            icv_bits: Some(128),
            ..State::default()
        };
        let of = |to: &str, state: &State| {
            let tunnel = Tunnel { kind: Kind::Ipsec, ..Tunnel::default() };
            Nominal::of(&tunnel, Some(to.parse().unwrap()), Some(&Esp::of(state).unwrap())).unwrap()
        };
        let four = of(FOUR, &gcm);
        assert_eq!((four.least, four.most), (54, 57));
        assert_eq!((of(SIX, &gcm).least, of(SIX, &gcm).most), (74, 77));
        let natted = State { nat_port: Some(4500), ..gcm };
        assert_eq!(of(FOUR, &natted).least, 62);
        // 1446 and two bytes are a multiple of four: 1446 + 54 = 1500.
        assert_eq!(four.room(1500), 1446);
        assert_eq!(four.room(1499), 1442);
    }

    #[test]
    fn what_only_a_process_knows_is_not_known() {
        let tun = Tunnel { kind: Kind::Tun, ..Tunnel::default() };
        assert_eq!(Nominal::of(&tun, Some(FOUR.parse().unwrap()), None), None);
        let external = Tunnel { kind: Kind::Vxlan, ..Tunnel::default() };
        assert_eq!(Nominal::of(&external, None, None), None, "the packets bring their addresses");
    }
}
