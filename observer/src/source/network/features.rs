//! Offloads of tunnels and of the interfaces that their packets leave by.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use super::{aged::Aged, problems::Problems};
use crate::{
    snapshot::{coverage::Source, link::Feature, network::Network},
    source::{
        netlink::{Family, Netlink, generic},
        tunnel::features,
    },
};

/// How long the features of an interface are kept: people switch them, programs do not.
const KEEP: Duration = Duration::from_secs(5);

/// Reader of features.
#[derive(Debug)]
pub(super) struct Features {
    /// By the inode of the namespace, and the interface.
    known: Aged<(u64, u32), Vec<Feature>>,
}

impl Default for Features {
    fn default() -> Self {
        Self { known: Aged::new(KEEP) }
    }
}

impl Features {
    /// Begins a round.
    pub(super) fn begin(&mut self, now: Instant) {
        self.known.begin(now);
    }

    /// Asks for those of some interfaces of the namespace that the thread is in.
    pub(super) fn ask_here(&mut self, netns: u64, indexes: &HashSet<u32>, now: Instant, problems: &mut Problems) {
        let mut new = indexes.iter().filter(|index| self.known.get(&(netns, **index)).is_none()).peekable();
        if new.peek().is_none() {
            return;
        }
        let opened =
            Netlink::open(Family::Generic).and_then(|mut n| Ok((generic::family(&mut n, features::FAMILY)?, n)));
        let Some((family, mut netlink)) = problems.value(Source::FEATURES, opened) else { return };
        let new: Vec<u32> = new.copied().collect();
        for index in new {
            let ask = |key: &(u64, u32)| features::ask(&mut netlink, family, key.1);
            problems.unless_gone(Source::FEATURES, self.known.get_or_ask((netns, index), now, ask).map(|_| ()));
        }
    }

    /// Gives every interface that was asked its features.
    pub(super) fn fill(&self, network: &mut Network) {
        for namespace in &mut network.namespaces {
            for link in namespace.links.iter_mut().flat_map(|links| &mut links.list) {
                link.features = self.known.get(&(namespace.netns, link.index)).cloned();
            }
        }
    }
}
