//! IPsec: what ESP adds to a packet, by cipher (RFC 4303), and which security associations a tunnel uses.

use std::net::IpAddr;

use crate::snapshot::tunnel::{Kind, State, Tunnel, Xfrm};

/// IP protocol number of ESP.
const PROTOCOL: u8 = 50;
/// SPI and sequence number before the data, length of the padding and next header behind it.
const HEADER_AND_TRAILER: u32 = 10;
/// RFC 3948.
const UDP: u32 = 8;

/// What ESP adds in tunnel mode, the outer IP header left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Esp {
    /// Bytes that are there with every packet.
    pub(super) fixed: u32,
    /// The data and two bytes are padded to a multiple of this.
    pub(super) block: u32,
}

/// Ciphers by their names in the kernel: bytes of the initialisation vector, bytes of a block.
const CIPHERS: &[(&str, u32, u32)] = &[
    ("rfc4106(", 8, 4),
    ("rfc4309(", 8, 4),
    ("rfc4543(", 8, 4),
    ("rfc7539esp(", 8, 4),
    ("rfc3686(", 8, 4),
    ("cbc(aes)", 16, 16),
    ("cbc(camellia)", 16, 16),
    ("cbc(serpent)", 16, 16),
    ("cbc(twofish)", 16, 16),
    ("cbc(sm4)", 16, 16),
    ("cbc(des3_ede)", 8, 8),
    ("cbc(des)", 8, 8),
    ("cbc(blowfish)", 8, 8),
    ("cbc(cast5)", 8, 8),
    ("ecb(cipher_null)", 0, 4),
];

impl Esp {
    /// What a security association adds. `None` for another protocol, or a cipher whose sizes are not known here.
    pub(super) fn of(state: &State) -> Option<Self> {
        if state.protocol != PROTOCOL {
            return None;
        }
        // The kernel puts the mode of an IV generator around the name, as in `seqiv(rfc4106(gcm(aes)))`.
        let cipher = state.cipher.as_ref()?.as_str();
        let (_, iv, block) = CIPHERS.iter().find(|(name, ..)| cipher.contains(name))?;
        let icv = match state.icv_bits {
            Some(bits) => bits / 8,
            None if state.authentication.is_none() && *iv == 8 && *block == 4 => 16,
            None => return None,
        };
        let udp = if state.nat_port.is_some() { UDP } else { 0 };
        Some(Self { fixed: HEADER_AND_TRAILER + iv + icv + udp, block: *block })
    }
}

/// The security associations that carry a tunnel's packets to an address, newest first: the kernel uses the newest.
pub(super) fn states_to<'a>(xfrm: &'a Xfrm, tunnel: &Tunnel, peer: IpAddr) -> Vec<&'a State> {
    let bound = |state: &State| match tunnel.kind {
        Kind::Xfrm => state.if_id.map(u64::from) == tunnel.outer.id,
        _ => true,
    };
    let mut list: Vec<_> =
        xfrm.states.iter().filter(|s| s.tunnel_mode && s.destination == Some(peer) && bound(s)).collect();
    list.sort_by_key(|s| std::cmp::Reverse(s.added_seconds));
    list
}

/// True for the kinds that IPsec carries.
pub(super) fn is_ipsec(kind: &Kind) -> bool {
    matches!(kind, Kind::Xfrm | Kind::Vti | Kind::Vti6 | Kind::Ipsec)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Name;

    #[test]
    fn an_unknown_cipher_is_not_guessed() {
        let state = |cipher: &str, icv_bits| State {
            protocol: PROTOCOL,
            cipher: Some(Name::from(cipher)),
            authentication: Some(Name::from("hmac(sha256)")),
            icv_bits,
            ..State::default()
        };
        assert_eq!(Esp::of(&state("cbc(aes)", Some(128))), Some(Esp { fixed: 10 + 16 + 16, block: 16 }));
        assert_eq!(Esp::of(&state("echainiv(authenc(hmac(sha1),cbc(aes)))", Some(96))).unwrap().fixed, 38);
        assert_eq!(Esp::of(&state("xyz(aes)", Some(128))), None);
        assert_eq!(Esp::of(&state("cbc(aes)", None)), None);
        assert_eq!(Esp::of(&State { protocol: 51, ..state("cbc(aes)", Some(96)) }), None);
    }
}
