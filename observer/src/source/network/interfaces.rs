//! Interfaces of a namespace, and the tunnels among them.

use std::{collections::HashSet, fs::File, time::Instant};

use super::{details::Details, nsid::Numbers, problems::Problems};
use crate::{
    snapshot::{
        coverage::Source,
        link::Links,
        network::Namespace,
        tunnel::{Kind, Tunnel},
    },
    source::{
        link::{self, Seen},
        netlink::{Family, Netlink, NetlinkError},
        netns,
    },
};

/// Reader of interfaces and tunnels, with what is worth keeping from one namespace and one reading to the next.
#[derive(Debug, Default)]
pub(super) struct Reader {
    numbers: Numbers,
    details: Details,
}

/// What is known of all namespaces while one is read.
#[derive(Debug)]
pub(super) struct Around<'a> {
    /// observer's own namespace, open.
    pub(super) own: (u64, File),
    /// All the others.
    pub(super) others: &'a [netns::Namespace],
}

impl Reader {
    /// Begins a round; `looked` is when namespaces were last looked for.
    pub(super) fn begin(&mut self, looked: Option<Instant>) {
        self.numbers.begin(looked);
        self.details.begin();
    }

    /// Fills in interfaces and tunnels of the namespace that the thread is in.
    pub(super) fn read_here(&mut self, to: &mut Namespace, around: &Around<'_>, problems: &mut Problems) {
        let opened = Netlink::open(Family::Route).and_then(|mut netlink| Ok((link::list(&mut netlink)?, netlink)));
        let Some((mut seen, mut netlink)) = problems.value(Source::NETWORK_LINKS, opened) else { return };
        let resolved = self.resolve(to.netns, &mut seen, &mut netlink, around);
        problems.value(Source::NETWORK_LINKS, resolved);
        let (mut links, mut tunnels) = (Vec::with_capacity(seen.len()), Vec::new());
        for Seen { link, parent_nsid, tunnel } in seen {
            tunnels.extend(tunnel.map(|tunnel| Tunnel {
                underlay_netns: match tunnel.kind {
                    // A process carries its packets on, wherever it likes; that of WireGuard is found by its socket.
                    Kind::Tun | Kind::Tap | Kind::Wireguard => None,
                    _ if parent_nsid.is_some() => link.parent_netns,
                    _ => Some(to.netns),
                },
                ..tunnel
            }));
            links.push(link);
        }
        self.details.fill(to.netns, &mut tunnels, &mut netlink, problems);
        to.links = Some(Links { list: links });
        to.tunnels = Some(tunnels);
    }

    /// Finds the namespaces of interfaces that lie elsewhere.
    fn resolve(
        &mut self,
        inode: u64,
        seen: &mut [Seen],
        netlink: &mut Netlink,
        around: &Around<'_>,
    ) -> Result<(), NetlinkError> {
        let wanted: HashSet<u32> = seen.iter().filter_map(|seen| seen.parent_nsid).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let meaning = self.numbers.of(inode, &wanted, netlink, &around.own, around.others)?;
        for seen in seen {
            seen.link.parent_netns = seen.parent_nsid.and_then(|number| meaning.get(&number).copied());
        }
        Ok(())
    }
}
