//! One security association.

use crate::{
    snapshot::{Name, tunnel::State},
    source::netlink::{
        Problem,
        attribute::{be16_of, be32_of, ip_of_family, name_of, nested, u8_of, u16_of, u32_of, u64_of},
    },
};

pub(super) const XFRM_MSG_NEWSA: u16 = 16;
pub(super) const XFRM_MSG_GETSA: u16 = 18;
/// Bytes of `struct xfrm_usersa_info`.
const XFRM_USERSA_INFO: usize = 224;
/// Bytes of a name of an algorithm.
const NAME: usize = 64;

/// Reads `struct xfrm_usersa_info` and its attributes, of which some hold keys: names and lengths alone are taken.
pub(super) fn read(payload: &[u8]) -> Result<State, Problem> {
    const ALG_AUTH: u16 = 1;
    const ALG_CRYPT: u16 = 2;
    const ENCAP: u16 = 4;
    const ALG_AEAD: u16 = 18;
    const ALG_AUTH_TRUNC: u16 = 20;
    const MARK: u16 = 21;
    const IF_ID: u16 = 31;
    let (info, attributes) = payload
        .split_at_checked(XFRM_USERSA_INFO)
        .ok_or_else(|| Problem::Garbled("a security association is too short".into()))?;
    let mut state = fixed(info).unwrap_or_default();
    for (kind, value) in nested(attributes) {
        match kind {
            // Name, bits of the key, bits of the result.
            ALG_AEAD => {
                state.cipher = algorithm(value);
                state.icv_bits = value.get(NAME + 4..NAME + 8).and_then(u32_of);
            }
            ALG_AUTH_TRUNC => {
                state.authentication = algorithm(value);
                state.icv_bits = value.get(NAME + 4..NAME + 8).and_then(u32_of);
            }
            ALG_AUTH if state.authentication.is_none() => state.authentication = algorithm(value),
            ALG_CRYPT => state.cipher = algorithm(value),
            // `struct xfrm_encap_tmpl`: kind, port of the source, port of the destination.
            ENCAP => state.nat_port = value.get(4..6).and_then(be16_of),
            MARK => state.mark = value.get(..4).and_then(u32_of),
            IF_ID => state.if_id = u32_of(value).filter(|id| *id != 0),
            _ => {}
        }
    }
    Ok(state)
}

fn algorithm(value: &[u8]) -> Option<Name> {
    Some(name_of(value.get(..NAME)?)).filter(|name| !name.is_empty())
}

/// The numbers at their places in `struct xfrm_usersa_info`.
fn fixed(info: &[u8]) -> Option<State> {
    const MODE_TUNNEL: u8 = 1;
    let family = u16_of(info.get(212..214)?)?;
    Some(State {
        destination: ip_of_family(family, info.get(56..72)?),
        spi: be32_of(info.get(72..76)?)?,
        protocol: u8_of(info.get(76..77)?)?,
        source: ip_of_family(family, info.get(80..96)?),
        bytes: u64_of(info.get(160..168)?)?,
        packets: u64_of(info.get(168..176)?)?,
        added_seconds: u64_of(info.get(176..184)?)?,
        replay_window: u32_of(info.get(192..196)?)?,
        replay: u32_of(info.get(196..200)?)?,
        integrity_failed: u32_of(info.get(200..204)?)?,
        reqid: u32_of(info.get(208..212)?)?,
        tunnel_mode: u8_of(info.get(214..215)?)? == MODE_TUNNEL,
        ..State::default()
    })
}
