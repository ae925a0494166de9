//! What a tunnel's own attributes do not say, asked in its namespace.

use std::time::{Duration, Instant};

use super::{aged::Aged, problems::Problems};
use crate::{
    snapshot::{
        coverage::Source,
        tunnel::{Kind, Peer, Tunnel},
    },
    source::{
        netlink::{Family, Netlink, generic},
        tunnel::{fdb, wireguard},
    },
};

/// Peers of one tunnel that are listed at most.
const MAX_PEERS: usize = 1024;
/// How long what is known of a forwarding database is kept.
const KEEP_FDB: Duration = Duration::from_secs(5);

/// Asks for details, and keeps what need not be asked for again.
#[derive(Debug)]
pub(super) struct Details {
    now: Instant,
    /// By namespace and interface.
    fdb: Aged<(u64, u32), Vec<Peer>>,
}

impl Default for Details {
    fn default() -> Self {
        Self { now: Instant::now(), fdb: Aged::new(KEEP_FDB) }
    }
}

impl Details {
    /// Begins a round.
    pub(super) fn begin(&mut self) {
        self.now = Instant::now();
        self.fdb.begin(self.now);
    }

    /// Fills in the tunnels of the namespace that the thread is in.
    pub(super) fn fill(&mut self, netns: u64, tunnels: &mut [Tunnel], netlink: &mut Netlink, problems: &mut Problems) {
        for tunnel in tunnels.iter_mut().filter(|tunnel| tunnel.kind == Kind::Vxlan) {
            let ask = |key: &(u64, u32)| fdb::destinations(netlink, key.1);
            let read = self.fdb.get_or_ask((netns, tunnel.ifindex.unwrap_or_default()), self.now, ask);
            if let Some(destinations) = problems.unless_gone(Source::FDB, read) {
                fdb::add(tunnel, destinations, MAX_PEERS);
            }
        }
        let mut wireguards = tunnels.iter_mut().filter(|tunnel| tunnel.kind == Kind::Wireguard).peekable();
        if wireguards.peek().is_none() {
            return;
        }
        let opened =
            Netlink::open(Family::Generic).and_then(|mut n| Ok((generic::family(&mut n, wireguard::FAMILY)?, n)));
        let Some((family, mut generic)) = problems.value(Source::WIREGUARD, opened) else { return };
        for tunnel in wireguards {
            let filled = wireguard::fill(tunnel, &mut generic, family, MAX_PEERS);
            problems.unless_gone(Source::WIREGUARD, filled);
        }
    }
}
