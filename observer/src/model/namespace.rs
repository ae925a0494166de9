//! Network namespaces over an interval: the kernel's own totals of each.

use std::collections::HashMap;

use serde::Serialize;

use super::{
    interval::{Interval, sort_descending},
    tcp::OwnNamespace,
};
use crate::snapshot::{
    Name,
    ip::{Ip, Ip6},
    network::{Namespace, Network},
    tcp::Owner,
};

/// One network namespace. Source: its /proc/net/snmp, netstat and snmp6.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NetNamespace {
    /// Its inode.
    pub netns: u64,
    /// True for the one that observer is in.
    pub own: bool,
    /// Names that it was given.
    pub names: Vec<Name>,
    /// A process that is in it.
    pub process: Option<Owner>,
    /// TCP.
    pub tcp: OwnNamespace,
    /// IP, both versions together.
    pub ip: IpRates,
}

/// IP of one namespace, both versions together; what one of them does not tell is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct IpRates {
    /// Packets a second received.
    pub in_receives: Option<f64>,
    /// Packets a second that were to be sent.
    pub out_requests: Option<f64>,
    /// Packets a second that were to be sent and were dropped, or that no route led out.
    pub out_drops: Option<f64>,
    /// Fragments a second made.
    pub frag_creates: Option<f64>,
    /// Packets a second that were too large and might not be cut; with IPv6 also those that were to be forwarded.
    pub frag_fails: Option<f64>,
    /// Packets a second put together from fragments.
    pub reasm_oks: Option<f64>,
    /// Packets a second that could not be put together.
    pub reasm_fails: Option<f64>,
}

/// What the namespace is called that observer is in.
const OWN: &str = "own";

/// What to call each network namespace: numbers tell a person nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Titles(HashMap<u64, Name>);

impl Titles {
    pub(super) fn new(network: Option<&Network>) -> Self {
        let all = || network.iter().flat_map(|network| network.namespaces.iter().chain(&network.waiting));
        let foreign = || all().filter(|n| !n.own).filter_map(|n| Some((n, title(n)?)));
        let mut times: HashMap<Name, u32> = HashMap::from([(OWN.into(), 1)]);
        foreign().for_each(|(_, title)| *times.entry(title).or_default() += 1);
        let told = foreign().map(|(n, title)| {
            let stands = times.get(&title) == Some(&1) && !misleads(n);
            (n.netns, if stands { title } else { Name::from(format!("{title} ({})", n.netns)) })
        });
        Self(all().filter(|n| n.own).map(|n| (n.netns, OWN.into())).chain(told).collect())
    }

    /// `own` for the one that observer is in, its first name for any other, else a process in it, else its inode. What others
    /// have too, or could be taken for another, has the inode behind it.
    pub fn of(&self, netns: u64) -> String {
        self.0.get(&netns).map_or_else(|| netns.to_string(), Name::to_string)
    }

    /// The same, always with the inode.
    pub fn with_inode(&self, netns: u64) -> String {
        let inode = netns.to_string();
        match self.of(netns) {
            title if title == inode || title.ends_with(&format!(" ({inode})")) => title,
            title => format!("{title} ({inode})"),
        }
    }
}

/// The first name of a namespace, else a process in it.
pub(super) fn title(namespace: &Namespace) -> Option<Name> {
    let process = || namespace.process.as_ref().map(|p| Name::from(format!("{} (pid {})", p.comm, p.pid)));
    namespace.names.first().cloned().or_else(process)
}

/// True if what a namespace is called by was chosen such that it looks like what another one is called: a bare number, or
/// words with something in brackets behind.
fn misleads(namespace: &Namespace) -> bool {
    let chosen = namespace.names.first().or_else(|| namespace.process.as_ref().map(|process| &process.comm));
    chosen.is_some_and(|name| name.as_str().contains('(') || name.as_str().bytes().all(|b| b.is_ascii_digit()))
}

/// All namespaces, those with the most segments and packets first.
pub(super) fn rank(now: &[Namespace], before: Option<&[Namespace]>, interval: Option<Interval>) -> Vec<NetNamespace> {
    let old = |netns| before.unwrap_or_default().iter().find(|n| n.netns == netns);
    let mut rows: Vec<_> = now.iter().map(|n| NetNamespace::new(n, old(n.netns), interval)).collect();
    sort_descending(&mut rows, |r| {
        let all = [r.tcp.out_segs, r.ip.in_receives, r.ip.out_requests];
        all.iter().flatten().sum()
    });
    rows
}

impl NetNamespace {
    fn new(now: &Namespace, before: Option<&Namespace>, interval: Option<Interval>) -> Self {
        Self {
            netns: now.netns,
            own: now.own,
            names: now.names.clone(),
            process: now.process.clone(),
            tcp: OwnNamespace::of(
                (now.snmp.as_ref(), now.netstat.as_ref()),
                before.map(|b| (b.snmp.as_ref(), b.netstat.as_ref())),
                interval,
            ),
            ip: IpRates::new(now, before, interval),
        }
    }
}

type OfIp = fn(&Ip) -> Option<u64>;
type OfIp6 = fn(&Ip6) -> Option<u64>;

impl IpRates {
    fn new(now: &Namespace, before: Option<&Namespace>, interval: Option<Interval>) -> Self {
        let grown = |v4: OfIp, v6: OfIp6| {
            let four = v4(now.ip.as_ref()?)?.checked_sub(v4(before?.ip.as_ref()?)?)?;
            // A kernel without IPv6 has sent none.
            let six = match &now.ip6 {
                Some(ip6) => v6(ip6)?.checked_sub(v6(before?.ip6.as_ref()?)?)?,
                None => 0,
            };
            Some(interval?.per_second(four + six))
        };
        Self {
            in_receives: grown(|i| i.in_receives, |i| i.in_receives),
            out_requests: grown(|i| i.out_requests, |i| i.out_requests),
            out_drops: grown(
                |i| Some(i.out_discards? + i.out_no_routes?),
                |i| Some(i.out_discards? + i.out_no_routes?),
            ),
            frag_creates: grown(|i| i.frag_creates, |i| i.frag_creates),
            frag_fails: grown(|i| i.frag_fails, |i| Some(i.frag_fails? + i.in_too_big_errors?)),
            reasm_oks: grown(|i| i.reasm_oks, |i| i.reasm_oks),
            reasm_fails: grown(|i| i.reasm_fails, |i| i.reasm_fails),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::tcp::Snmp;

    fn at(netns: u64, segments: u64, cut: (u64, Option<u64>)) -> Namespace {
        let snmp = Snmp { out_segs: Some(segments), retrans_segs: Some(segments / 10), ..Snmp::default() };
        Namespace {
            netns,
            snmp: Some(snmp),
            ip: Some(Ip { frag_creates: Some(cut.0), ..Ip::default() }),
            ip6: cut.1.map(|n| Ip6 { frag_creates: Some(n), ..Ip6::default() }),
            ..Namespace::default()
        }
    }

    #[test]
    fn a_namespace_is_called_by_its_name_a_process_or_its_number() {
        let process = Some(Owner { pid: 7, comm: "nginx".into(), cgroup: None });
        let named =
            Namespace { netns: 2, names: vec!["site".into()], process: process.clone(), ..Namespace::default() };
        let read = vec![Namespace { netns: 1, own: true, names: vec!["x".into()], ..Namespace::default() }, named];
        let waiting = vec![
            Namespace { netns: 3, process, ..Namespace::default() },
            Namespace { netns: 4, ..Namespace::default() },
        ];
        let titles = Titles::new(Some(&Network { namespaces: read, not_read: 2, waiting }));
        assert_eq!([1, 2, 3, 4, 5].map(|n| titles.of(n)), ["own", "site", "nginx (pid 7)", "4", "5"]);
        assert_eq!([1, 2, 4].map(|n| titles.with_inode(n)), ["own (1)", "site (2)", "4"]);
    }

    #[test]
    fn a_name_that_others_have_does_not_stand_alone() {
        let called = |netns, name: &str| Namespace { netns, names: vec![name.into()], ..Namespace::default() };
        let own = Namespace { netns: 1, own: true, ..Namespace::default() };
        let process = Some(Owner { pid: 7, comm: "b (60".into(), cgroup: None });
        let namespaces = vec![
            own,
            called(20, "a"),
            called(30, "a"),
            called(40, "own"),
            called(50, "1"),
            called(60, "a (20)"),
            Namespace { netns: 70, process, ..Namespace::default() },
        ];
        let titles = Titles::new(Some(&Network { namespaces, ..Network::default() }));
        let all = [1, 20, 30, 40, 50, 60, 70].map(|n| titles.of(n));
        assert_eq!(all, ["own", "a (20)", "a (30)", "own (40)", "1 (50)", "a (20) (60)", "b (60 (pid 7) (70)"]);
        assert_eq!(titles.with_inode(30), "a (30)");
    }

    #[test]
    fn each_namespace_grows_by_itself_and_the_busiest_is_first() {
        let before = [at(1, 100, (4, Some(1))), at(2, 1000, (0, None))];
        let now = [at(1, 150, (4, Some(1))), at(2, 2000, (8, None)), at(3, 9, (9, Some(9)))];
        let rows = rank(&now, Some(&before), Some(Interval { seconds: 2.0 }));
        assert_eq!(rows.iter().map(|r| r.netns).collect::<Vec<_>>(), [2, 1, 3]);
        assert_eq!(rows.iter().map(|r| r.tcp.out_segs).collect::<Vec<_>>(), [Some(500.0), Some(25.0), None]);
        assert_eq!(rows.iter().map(|r| r.ip.frag_creates).collect::<Vec<_>>(), [Some(4.0), Some(0.0), None]);
        assert_eq!(rows.first().and_then(|r| r.tcp.retrans_ratio), Some(100.0 / 1100.0));
        assert_eq!(rows.first().and_then(|r| r.ip.reasm_oks), None, "what is not told is not zero");
    }

    #[test]
    fn without_an_interval_there_is_no_rate() {
        let rows = rank(&[at(1, 150, (4, None))], None, None);
        assert_eq!(rows.first().map(|r| (r.tcp.out_segs, r.ip.frag_creates)), Some((None, None)));
    }
}
