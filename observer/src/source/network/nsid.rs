//! Which namespace a number means: each namespace counts those that it is connected to from 0 (`IFLA_LINK_NETNSID`).
//!
//! The kernel tells the number of a namespace, not the namespace of a number. So it is asked about one namespace after the
//! other until every number that is wanted has been found, and the answers are kept until the next look for namespaces.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    os::fd::{AsRawFd, RawFd},
    time::Instant,
};

use crate::source::{
    netlink::{
        Netlink, NetlinkError, Request,
        attribute::{find, u32_of},
    },
    netns::Namespace,
};

/// Bytes of `struct rtgenmsg`, aligned.
const RTGENMSG: usize = 4;
// Of linux/net_namespace.h.
const NETNSA_NSID: u16 = 1;
const NETNSA_FD: u16 = 3;

/// Numbers that were found.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    looked: Option<Instant>,
    /// By the inode of the namespace that counts: the inode that each of its numbers means.
    found: HashMap<u64, HashMap<u32, u64>>,
}

impl Numbers {
    /// Forgets what was found before that look for namespaces: a number is used again when a namespace has ended.
    pub(super) fn begin(&mut self, looked: Option<Instant>) {
        if self.looked != looked {
            self.found.clear();
            self.looked = looked;
        }
    }

    /// What each number means that the namespace `inode` uses, which the thread is in. `own` is observer's.
    pub(super) fn of(
        &mut self,
        inode: u64,
        wanted: &HashSet<u32>,
        netlink: &mut Netlink,
        own: &(u64, File),
        others: &[Namespace],
    ) -> Result<&HashMap<u32, u64>, NetlinkError> {
        let known = match self.found.entry(inode) {
            // Also if some were not found: they would not be found now.
            std::collections::hash_map::Entry::Occupied(known) => return Ok(known.into_mut()),
            std::collections::hash_map::Entry::Vacant(place) => place.insert(HashMap::new()),
        };
        let mut note = |netlink: &mut Netlink, inode, fd| -> Result<bool, NetlinkError> {
            if let Some(number) = number(netlink, fd)? {
                known.insert(number, inode);
            }
            Ok(wanted.iter().all(|number| known.contains_key(number)))
        };
        let mut done = wanted.is_empty() || note(netlink, own.0, own.1.as_raw_fd())?;
        for other in others.iter().filter(|other| other.inode != inode) {
            if done {
                break;
            }
            let Ok(file) = other.open() else { continue };
            done = note(netlink, other.inode, file.as_raw_fd())?;
        }
        Ok(known)
    }
}

/// The number of an open namespace in the one of the socket; `None` if they are not connected.
fn number(netlink: &mut Netlink, namespace: RawFd) -> Result<Option<u32>, NetlinkError> {
    let fd = namespace.to_ne_bytes();
    let mut request = Request::new("RTM_GETNSID", libc::RTM_GETNSID, &[0; RTGENMSG]).with(NETNSA_FD, &fd);
    let answer = netlink.ask(&mut request, |message| {
        let id = message.payload.get(RTGENMSG..).and_then(|attributes| find(attributes, NETNSA_NSID));
        // -1 says that there is none.
        Ok(id.and_then(u32_of).filter(|id| id.cast_signed() >= 0))
    })?;
    Ok(answer.flatten())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{netlink::Family, netns};

    #[test]
    fn a_namespace_that_is_connected_to_none_has_no_numbers() {
        let own = netns::own().unwrap();
        let mut netlink = Netlink::open(Family::Route).unwrap();
        let file = (own.inode, own.open().unwrap());
        let mut numbers = Numbers::default();
        let wanted = HashSet::from([4_000_000]);
        let found = numbers.of(own.inode, &wanted, &mut netlink, &file, &[]).unwrap();
        assert!(!found.contains_key(&4_000_000));
    }
}
