//! Families of generic netlink: they have a name, and a number that the kernel gives them as they are registered.

use super::{Netlink, NetlinkError, Problem, Request, attribute::find, attribute::u16_of};

/// Bytes of `struct genlmsghdr`, which stands before the attributes of every message.
pub const GENLMSGHDR: usize = 4;

/// Number of a family, which is there once its module is. `name` ends with NUL.
pub fn family(netlink: &mut Netlink, name: &[u8]) -> Result<u16, NetlinkError> {
    let head = [libc::CTRL_CMD_GETFAMILY as u8, 1, 0, 0];
    let mut request = Request::new("CTRL_CMD_GETFAMILY", libc::GENL_ID_CTRL as u16, &head)
        .with(libc::CTRL_ATTR_FAMILY_NAME as u16, name);
    let id = netlink.ask(&mut request, |message| {
        let id = message.payload.get(GENLMSGHDR..).and_then(|a| find(a, libc::CTRL_ATTR_FAMILY_ID as u16));
        id.and_then(u16_of).ok_or_else(|| Problem::Garbled("CTRL_CMD_GETFAMILY: no CTRL_ATTR_FAMILY_ID".into()))
    })?;
    Ok(id.unwrap_or_default())
}
