//! Attributes of netlink messages, as bytes and as numbers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::NlasIterator;

use super::Problem;
use crate::snapshot::Name;

/// Every attribute: its kind and its value. What does not look like one is an error, and the end.
pub fn all(bytes: &[u8]) -> impl Iterator<Item = Result<(u16, &[u8]), Problem>> {
    NlasIterator::new(bytes).map(|attribute| {
        let attribute = attribute.map_err(|e| Problem::Garbled(e.to_string()))?;
        let (kind, length) = (attribute.kind(), usize::from(attribute.length()));
        Ok((kind, attribute.into_inner().get(4..length).unwrap_or_default()))
    })
}

/// Attributes inside another one; they end at the first that does not look like one.
pub fn nested(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    all(bytes).map_while(Result::ok)
}

/// Value of the first attribute of a kind.
pub fn find(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    nested(bytes).find_map(|(k, value)| (k == kind).then_some(value))
}

/// A byte.
pub fn u8_of(bytes: &[u8]) -> Option<u8> {
    bytes.first().copied()
}

/// A number in the order of this machine.
pub fn u16_of(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.try_into().ok()?))
}

/// A number in network order, such as a port.
pub fn be16_of(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.try_into().ok()?))
}

/// A number in the order of this machine.
pub fn u32_of(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

/// A number in network order, such as an SPI.
pub fn be32_of(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

/// A number in the order of this machine.
pub fn u64_of(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.try_into().ok()?))
}

/// An address of either family, by its length. The unspecified address is none.
pub fn ip_of(bytes: &[u8]) -> Option<IpAddr> {
    ip_any(bytes).filter(|address| !address.is_unspecified())
}

/// An address of either family, by its length, also the unspecified one: that of a network may be it.
pub fn ip_any(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(<[u8; 4]>::try_from(bytes).ok()?.into()),
        16 => Some(<[u8; 16]>::try_from(bytes).ok()?.into()),
        _ => None,
    }
}

/// An address in a field that has room for either family. The unspecified address is none.
pub fn ip_of_family(family: u16, bytes: &[u8]) -> Option<IpAddr> {
    ip_of(bytes.get(..if i32::from(family) == libc::AF_INET { 4 } else { 16 })?)
}

/// Address and port of a `struct sockaddr_in` or `sockaddr_in6`.
pub fn endpoint_of(bytes: &[u8]) -> Option<(IpAddr, u16)> {
    let address = match i32::from(u16_of(bytes.get(..2)?)?) {
        libc::AF_INET => ip_of(bytes.get(4..8)?)?,
        libc::AF_INET6 => ip_of(bytes.get(8..24)?)?,
        _ => return None,
    };
    Some((address, be16_of(bytes.get(2..4)?)?))
}

/// A name that ends at the first NUL.
pub fn name_of(bytes: &[u8]) -> Name {
    Name::from_c_bytes(bytes)
}

/// The bytes of an address, as a request holds them.
pub fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => Ipv4Addr::octets(&address).to_vec(),
        IpAddr::V6(address) => Ipv6Addr::octets(&address).to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::testing::attribute, *};

    #[test]
    fn attributes_are_found_and_their_flags_do_not_count() {
        let bytes = [attribute(1, b"ab"), attribute(2 | 0x8000, &attribute(7, &[9]))].concat();
        assert_eq!(find(&bytes, 1), Some(&b"ab"[..]));
        assert_eq!(find(&bytes, 2).and_then(|inner| find(inner, 7)), Some(&[9][..]));
        assert_eq!(find(&bytes, 3), None);
        assert_eq!(all(&bytes[..bytes.len() - 1]).filter(Result::is_err).count(), 1);
    }

    #[test]
    fn addresses_of_both_families() {
        assert_eq!(ip_of(&[10, 0, 0, 1]), Some("10.0.0.1".parse().unwrap()));
        assert_eq!((ip_of(&[0; 4]), ip_of(&[1; 5])), (None, None));
        let wide = [[0xfd; 1].as_slice(), &[0; 14], &[1]].concat();
        assert_eq!(ip_of_family(libc::AF_INET as u16, &wide), Some("253.0.0.0".parse().unwrap()));
        assert_eq!(ip_of_family(libc::AF_INET6 as u16, &wide), Some("fd00::1".parse().unwrap()));
        let v6 = [&(libc::AF_INET6 as u16).to_ne_bytes()[..], &[0xca, 0x6c], &[0; 4], &wide, &[0; 4]].concat();
        assert_eq!(endpoint_of(&v6), Some(("fd00::1".parse().unwrap(), 51820)));
        assert_eq!(ip_of(&octets("fd00::1".parse().unwrap())), Some("fd00::1".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_a_value_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = all(&bytes).count();
            let _ = (ip_of(&bytes), endpoint_of(&bytes), ip_of_family(2, &bytes), find(&bytes, 1));
            let _ = (u16_of(&bytes), be16_of(&bytes), u32_of(&bytes), be32_of(&bytes), u64_of(&bytes), u8_of(&bytes));
        }
    }
}
