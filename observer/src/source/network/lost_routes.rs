//! Which way a connection goes that has no route: after some time-outs the kernel gives up the one that it kept, and looks for
//! another at each try (`dst_negative_advice`). Just then it matters which tunnel the connection goes through.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use super::{aged::Aged, problems::Problems, underlay::is_in_use};
use crate::{
    snapshot::{
        coverage::Source,
        network::Network,
        tcp::{Socket, State},
    },
    source::{
        SourceError,
        netlink::{Family, Netlink},
        netns::Known,
        tunnel::route::{Answer, Question},
    },
};

/// How long a route is kept.
const KEEP: Duration = Duration::from_secs(5);
/// Connections at most whose way is looked for at a reading.
const MOST: usize = 64;

/// Reader of such routes.
#[derive(Debug)]
pub(super) struct Reader {
    /// By the inode of the namespace.
    routes: Aged<(u64, Question), Answer>,
}

impl Default for Reader {
    fn default() -> Self {
        Self { routes: Aged::new(KEEP) }
    }
}

impl Reader {
    /// Gives connections that wait for an acknowledgement the interface that their next try goes out by, in namespaces with a
    /// tunnel.
    pub(super) fn fill(&mut self, sockets: &mut [Socket], network: &Network, known: &Known, problems: &mut Problems) {
        let now = Instant::now();
        self.routes.begin(now);
        let with_tunnel: HashSet<u64> = network
            .namespaces
            .iter()
            .filter(|n| n.tunnels.iter().flatten().any(|tunnel| is_in_use(n, tunnel)))
            .map(|n| n.netns)
            .collect();
        let lost = |s: &&mut Socket| is_lost(s) && with_tunnel.contains(&s.netns);
        let mut lost: Vec<&mut Socket> = sockets.iter_mut().filter(lost).take(MOST).collect();
        let mut questions: HashMap<u64, HashSet<Question>> = HashMap::new();
        for socket in &lost {
            questions.entry(socket.netns).or_default().insert(question(socket));
        }
        if questions.is_empty() {
            return;
        }
        let places: HashSet<u64> = questions.keys().copied().collect();
        let routes = &mut self.routes;
        let mut told = Problems::default();
        let visits = known.visit_some(&places, |here| {
            let mut netlink = told.value(Source::ROUTES, Netlink::open(Family::Route))?;
            for question in questions.get(&here.inode).into_iter().flatten() {
                let asked = routes.get_or_ask((here.inode, question.clone()), now, |(_, q)| q.ask(&mut netlink));
                told.value(Source::ROUTES, asked)?;
            }
            Some(())
        });
        problems
            .value(Source::ROUTES, visits.map_err(|e| SourceError::io("visit", "network namespaces of tunnels", e)));
        problems.add(told);
        for socket in &mut lost {
            let answer = self.routes.get(&(socket.netns, question(socket)));
            socket.tx_ifindex = answer.and_then(|answer| answer.as_ref().ok()).map(|route| route.ifindex);
        }
    }
}

/// True for a connection that tries again and again, and has no route.
fn is_lost(socket: &Socket) -> bool {
    socket.state == State::Established && socket.tx_ifindex.is_none() && socket.info.backoff.is_some_and(|n| n > 0)
}

fn question(socket: &Socket) -> Question {
    Question::to(socket.remote.0, socket.local.0)
}
