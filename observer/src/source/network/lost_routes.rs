//! Which way a connection goes that has no route: after some time-outs the kernel gives up the one that it kept, and looks for
//! another at each try (`dst_negative_advice`). Just then it matters which tunnel the connection goes through.

use std::collections::HashSet;

use super::{
    problems::Problems,
    routes::{Questions, Routes},
    underlay::is_in_use,
};
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
        tunnel::route::Question,
    },
};

/// Connections at most whose way is looked for at a reading.
const MOST: usize = 64;

/// Gives connections that wait for an acknowledgement the interface that their next try goes out by, in namespaces with a
/// tunnel.
pub(super) fn find(
    sockets: &mut [Socket],
    network: &Network,
    known: &Known,
    routes: &mut Routes,
    problems: &mut Problems,
) {
    let with_tunnel: HashSet<u64> = network
        .namespaces
        .iter()
        .filter(|n| n.tunnels.iter().flatten().any(|tunnel| is_in_use(n, tunnel)))
        .map(|n| n.netns)
        .collect();
    let lost = |s: &&mut Socket| is_lost(s) && with_tunnel.contains(&s.netns);
    let mut lost: Vec<&mut Socket> = sockets.iter_mut().filter(lost).take(MOST).collect();
    let mut questions = Questions::new();
    for socket in &lost {
        questions.entry(socket.netns).or_default().insert(question(socket));
    }
    if questions.is_empty() {
        return;
    }
    let places: HashSet<u64> = questions.keys().copied().collect();
    let mut told = Problems::default();
    let visits = known.visit_some(&places, |here| {
        let mut netlink = told.value(Source::ROUTES, Netlink::open(Family::Route))?;
        routes.ask_here(&mut netlink, here.inode, questions.get(&here.inode).into_iter().flatten(), &mut told);
        Some(())
    });
    problems.value(Source::ROUTES, visits.map_err(|e| SourceError::io("visit", "network namespaces of tunnels", e)));
    problems.add(told);
    for socket in &mut lost {
        let answer = routes.get(socket.netns, question(socket));
        socket.tx_ifindex = answer.and_then(|answer| answer.as_ref().ok()).map(|route| route.ifindex);
    }
}

/// True for a connection that tries again and again, and has no route.
fn is_lost(socket: &Socket) -> bool {
    socket.state == State::Established && socket.tx_ifindex.is_none() && socket.info.backoff.is_some_and(|n| n > 0)
}

fn question(socket: &Socket) -> Question {
    Question::to(socket.remote.0, socket.local.0)
}
