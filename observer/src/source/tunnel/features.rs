//! Offloads of an interface, over generic netlink (linux/ethtool_netlink.h), as `ethtool -k` shows them.

use crate::{
    snapshot::{Name, link::Feature},
    source::netlink::{
        Netlink, NetlinkError, Request,
        attribute::{find, name_of, nested},
        generic::GENLMSGHDR,
    },
};

/// Name of the family.
pub const FAMILY: &[u8] = b"ethtool\0";

/// Features that decide how large the packets of a tunnel are, and who cuts them, puts them together, or encrypts them.
/// The names are the kernel's (`netdev_features_strings`).
const KEPT: &[&str] = &[
    "tx-scatter-gather",
    "tx-checksum-ip-generic",
    "tx-generic-segmentation",
    "tx-tcp-segmentation",
    "tx-tcp6-segmentation",
    "tx-gso-partial",
    "tx-gre-segmentation",
    "tx-gre-csum-segmentation",
    "tx-ipxip4-segmentation",
    "tx-ipxip6-segmentation",
    "tx-udp_tnl-segmentation",
    "tx-udp_tnl-csum-segmentation",
    "tx-udp-segmentation",
    "tx-esp-segmentation",
    "esp-hw-offload",
    "rx-gro",
    "rx-gro-hw",
    "rx-gro-list",
    "rx-udp-gro-forwarding",
    "rx-udp_tunnel-port-offload",
    "rx-lro",
];

/// Asks for those of one interface in the socket's namespace; `family` is the number of [`FAMILY`].
pub fn ask(netlink: &mut Netlink, family: u16, ifindex: u32) -> Result<Vec<Feature>, NetlinkError> {
    const ETHTOOL_MSG_FEATURES_GET: u8 = 11;
    const HEADER_DEV_INDEX: u16 = 1;
    const HEADER: u16 = 1;
    const NLA_F_NESTED: u16 = 0x8000;
    let index = ifindex.to_ne_bytes();
    let header: Vec<u8> =
        [8_u16.to_ne_bytes(), HEADER_DEV_INDEX.to_ne_bytes()].concat().into_iter().chain(index).collect();
    let mut request = Request::new("ETHTOOL_MSG_FEATURES_GET", family, &[ETHTOOL_MSG_FEATURES_GET, 1, 0, 0])
        .with(HEADER | NLA_F_NESTED, &header);
    let list = netlink.ask(&mut request, |message| Ok(features(message.payload)))?;
    Ok(list.unwrap_or_default())
}

/// What is kept of an answer, in the order of [`KEPT`].
fn features(payload: &[u8]) -> Vec<Feature> {
    /// All that the kernel knows; a bit is set if the interface lets it be switched.
    const HW: u16 = 2;
    const ACTIVE: u16 = 4;
    const NOCHANGE: u16 = 5;
    let attributes = payload.get(GENLMSGHDR..).unwrap_or_default();
    let set = |kind| find(attributes, kind).into_iter().flat_map(bits);
    let known: Vec<(Name, bool)> = set(HW).collect();
    // Of a list without a mask every bit that is named is set.
    let [active, never] = [ACTIVE, NOCHANGE].map(|kind| set(kind).map(|(name, _)| name).collect::<Vec<_>>());
    let feature = |name: &&str| {
        let (name, switched) = known.iter().find(|(known, _)| known.as_str() == *name)?;
        Some(Feature { name: name.clone(), on: active.contains(name), fixed: !switched || never.contains(name) })
    };
    KEPT.iter().filter_map(feature).collect()
}

/// Names in a set of bits, and whether each says that it is set.
fn bits(set: &[u8]) -> impl Iterator<Item = (Name, bool)> {
    const BITS: u16 = 3;
    const NAME: u16 = 2;
    const VALUE: u16 = 3;
    let list = find(set, BITS).unwrap_or_default();
    nested(list).filter_map(|(_, bit)| Some((find(bit, NAME).map(name_of)?, find(bit, VALUE).is_some())))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::source::netlink::{Family, generic, testing::attribute};

    fn bit(name: &str, set: bool) -> Vec<u8> {
        let value = if set { attribute(3, &[]) } else { Vec::new() };
        attribute(1, &[attribute(2, format!("{name}\0").as_bytes()), value].concat())
    }

    fn set(kind: u16, bits: &[Vec<u8>]) -> Vec<u8> {
        attribute(kind | 0x8000, &[attribute(2, &64_u32.to_ne_bytes()), attribute(3 | 0x8000, &bits.concat())].concat())
    }

    #[test]
    fn what_is_on_and_what_cannot_be_switched() {
        let known = [bit("rx-gro", true), bit("tx-gre-segmentation", false), bit("rx-all", true), bit("rx-lro", true)];
        let sets = [set(2, &known), set(4, &[bit("rx-gro", false)]), set(5, &[bit("rx-lro", false)])];
        let found = features(&[vec![0; 4], sets.concat()].concat());
        let found: Vec<_> = found.iter().map(|f| (f.name.as_str(), f.on, f.fixed)).collect();
        assert_eq!(found, [("tx-gre-segmentation", false, true), ("rx-gro", true, false), ("rx-lro", false, true)]);
    }

    #[test]
    fn the_loopback_has_features_and_what_is_not_there_has_none() {
        let mut netlink = Netlink::open(Family::Generic).unwrap();
        let family = generic::family(&mut netlink, FAMILY).unwrap();
        let found = ask(&mut netlink, family, 1).unwrap();
        assert!(found.iter().any(|f| f.name.as_str() == "rx-gro"), "{found:?}");
        let none = ask(&mut netlink, family, u32::MAX >> 1).unwrap_err();
        assert_eq!(none.refused(), Some(libc::ENODEV));
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_a_list(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = features(&bytes);
        }
    }
}
