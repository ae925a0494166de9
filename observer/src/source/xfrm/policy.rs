//! One policy.

use crate::{
    snapshot::tunnel::{Policy, Prefix},
    source::netlink::{
        Problem,
        attribute::{ip_any, ip_of_family, nested, u8_of, u16_of, u32_of},
    },
};

pub(super) const XFRM_MSG_NEWPOLICY: u16 = 19;
pub(super) const XFRM_MSG_GETPOLICY: u16 = 21;
/// Bytes of `struct xfrm_userpolicy_info`.
const XFRM_USERPOLICY_INFO: usize = 168;

/// Reads `struct xfrm_userpolicy_info` and its attributes.
pub(super) fn read(payload: &[u8]) -> Result<Policy, Problem> {
    const TMPL: u16 = 5;
    const MARK: u16 = 21;
    const IF_ID: u16 = 31;
    let (info, attributes) = payload
        .split_at_checked(XFRM_USERPOLICY_INFO)
        .ok_or_else(|| Problem::Garbled("a policy is too short".into()))?;
    let mut policy = fixed(info).unwrap_or_default();
    for (kind, value) in nested(attributes) {
        match kind {
            TMPL => template(&mut policy, value),
            MARK => policy.mark = value.get(..4).and_then(u32_of),
            IF_ID => policy.if_id = u32_of(value).filter(|id| *id != 0),
            _ => {}
        }
    }
    Ok(policy)
}

/// `struct xfrm_selector`, then limits and counters, then the direction.
fn fixed(info: &[u8]) -> Option<Policy> {
    let family = u16_of(info.get(40..42)?)?;
    let network = |address: &[u8], length: u8| {
        let bytes = if i32::from(family) == libc::AF_INET { 4 } else { 16 };
        Some(Prefix { address: ip_any(address.get(..bytes)?)?, length })
    };
    Some(Policy {
        destination: network(info.get(..16)?, u8_of(info.get(42..43)?)?),
        source: network(info.get(16..32)?, u8_of(info.get(43..44)?)?),
        direction: u8_of(info.get(160..161)?)?,
        ..Policy::default()
    })
}

/// The first `struct xfrm_user_tmpl` that has ends.
fn template(policy: &mut Policy, templates: &[u8]) {
    const XFRM_USER_TMPL: usize = 64;
    const MODE_TUNNEL: u8 = 1;
    for template in templates.chunks_exact(XFRM_USER_TMPL) {
        let part = |from: usize, to: usize| template.get(from..to).unwrap_or_default();
        let family = u16_of(part(24, 26)).unwrap_or_default();
        policy.reqid = u32_of(part(44, 48)).unwrap_or_default();
        if u8_of(part(48, 49)) == Some(MODE_TUNNEL) {
            policy.tunnel_destination = ip_of_family(family, part(0, 16));
            policy.tunnel_source = ip_of_family(family, part(28, 44));
            return;
        }
    }
}
