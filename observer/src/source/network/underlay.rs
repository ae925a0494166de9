//! What carries the outer packets: their routes, and the queues that they wait in. Both are asked in the namespace that
//! the packets leave by, which need not be that of the tunnel.

use std::{
    collections::{HashMap, HashSet},
    time::Instant,
};

use super::{
    features::Features,
    problems::Problems,
    routes::{Questions, Routes},
};
use crate::{
    snapshot::{
        coverage::Source,
        link::Link,
        network::{Namespace, Network},
        tunnel::{Qdisc, Tunnel},
    },
    source::{
        SourceError,
        netlink::{Family, Netlink},
        netns::Known,
        tunnel::{
            qdisc,
            route::{self, Question},
        },
    },
};

/// Reader of routes and queues.
#[derive(Debug, Default)]
pub(super) struct Reader {
    features: Features,
}

impl Reader {
    /// Completes every tunnel.
    pub(super) fn fill(&mut self, network: &mut Network, known: &Known, routes: &mut Routes, problems: &mut Problems) {
        let now = Instant::now();
        routes.begin(now);
        self.features.begin(now);
        let questions = questions(network);
        if questions.is_empty() {
            return;
        }
        let places: HashSet<u64> = questions.keys().copied().collect();
        let mut devices = devices(network);
        let features = &mut self.features;
        let mut told = Problems::default();
        let visits = known.visit_some(&places, |here| {
            let mut netlink = told.value(Source::ROUTES, Netlink::open(Family::Route))?;
            let devices = devices.entry(here.inode).or_default();
            let asked = questions.get(&here.inode).into_iter().flatten();
            devices.extend(routes.ask_here(&mut netlink, here.inode, asked, &mut told));
            features.ask_here(here.inode, devices, now, &mut told);
            told.value(Source::QDISCS, qdisc::list(&mut netlink, here.inode))
        });
        let failed = |e| SourceError::io("visit", "network namespaces of tunnels", e);
        let mut queues = HashMap::new();
        for (inode, list) in problems.value(Source::ROUTES, visits.map_err(failed)).into_iter().flatten() {
            let list = problems.value(Source::ROUTES, list.map_err(failed)).flatten();
            queues.insert(inode, list.unwrap_or_default());
        }
        problems.add(told);
        self.features.fill(network);
        let links: HashMap<u64, Vec<Link>> = places
            .iter()
            .filter_map(|inode| Some((*inode, of_inode(network, *inode)?.links.as_ref()?.list.clone())))
            .collect();
        let none = Vec::new();
        for namespace in &mut network.namespaces {
            let netns = namespace.netns;
            for tunnel in namespace.tunnels.iter_mut().flatten() {
                let underlay = tunnel.underlay_netns;
                let links = underlay.and_then(|inode| links.get(&inode)).unwrap_or(&none);
                add_routes(tunnel, links, routes);
                add_queues(tunnel, netns, &queues);
            }
        }
    }
}

fn add_routes(tunnel: &mut Tunnel, links: &[Link], routes: &Routes) {
    let questions: Vec<_> = tunnel.peers.iter().map(|peer| Question::of(tunnel, peer)).collect();
    let Some(underlay) = tunnel.underlay_netns else { return };
    for (peer, question) in tunnel.peers.iter_mut().zip(questions) {
        match question.and_then(|question| routes.get(underlay, question)) {
            Some(Ok(route)) => {
                let mut route = route.clone();
                route::by_link(&mut route, links);
                peer.route = Some(route);
            }
            Some(Err(reason)) => peer.no_route = Some(reason.clone()),
            None => {}
        }
    }
}

/// What is to be asked in which namespace. One in which there is a tunnel is listed even if there is no question: it has
/// queues.
fn questions(network: &Network) -> Questions {
    let mut questions = Questions::new();
    for namespace in &network.namespaces {
        for tunnel in namespace.tunnels.iter().flatten().filter(|tunnel| is_in_use(namespace, tunnel)) {
            questions.entry(namespace.netns).or_default();
            if let Some(underlay) = tunnel.underlay_netns {
                let asked = tunnel.peers.iter().filter_map(|peer| Question::of(tunnel, peer));
                questions.entry(underlay).or_default().extend(asked);
            }
        }
    }
    questions
}

/// Tunnels in use, and the interfaces that they are bound to, by namespace.
fn devices(network: &Network) -> HashMap<u64, HashSet<u32>> {
    let mut devices: HashMap<u64, HashSet<u32>> = HashMap::new();
    for namespace in &network.namespaces {
        for tunnel in namespace.tunnels.iter().flatten().filter(|tunnel| is_in_use(namespace, tunnel)) {
            devices.entry(namespace.netns).or_default().extend(tunnel.ifindex);
            let below = tunnel.underlay_netns.map(|netns| devices.entry(netns).or_default());
            below.into_iter().for_each(|devices| devices.extend(tunnel.underlay_ifindex));
        }
    }
    devices
}

/// False for an interface that is down. Some kinds are there in every namespace from the first use of their module on.
pub(super) fn is_in_use(namespace: &Namespace, tunnel: &Tunnel) -> bool {
    let links = namespace.links.iter().flat_map(|links| &links.list);
    tunnel.ifindex.is_none_or(|index| links.into_iter().any(|link| link.index == index && link.up))
}

fn of_inode(network: &Network, inode: u64) -> Option<&Namespace> {
    network.namespaces.iter().find(|namespace| namespace.netns == inode)
}

/// Adds the queues of the tunnel and of the interfaces that its packets leave by.
fn add_queues(tunnel: &mut Tunnel, netns: u64, queues: &HashMap<u64, Vec<Qdisc>>) {
    let below = tunnel.peers.iter().filter_map(|peer| Some((tunnel.underlay_netns?, peer.route.as_ref()?.ifindex)));
    let places: HashSet<(u64, u32)> = below.chain(tunnel.ifindex.map(|index| (netns, index))).collect();
    let mut found: Vec<Qdisc> = places
        .iter()
        .flat_map(|(inode, index)| queues.get(inode).into_iter().flatten().filter(|queue| queue.ifindex == *index))
        .cloned()
        .collect();
    // Those of the tunnel first.
    let own = |queue: &Qdisc| queue.netns == netns && Some(queue.ifindex) == tunnel.ifindex;
    found.sort_by_key(|queue| (!own(queue), queue.netns, queue.ifindex, queue.parent));
    tunnel.qdiscs = found;
}
