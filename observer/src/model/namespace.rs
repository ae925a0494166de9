//! Network namespaces over an interval: the kernel's own totals of each.

use serde::Serialize;

use super::{
    interval::{Interval, sort_descending},
    tcp::OwnNamespace,
};
use crate::snapshot::{
    Name,
    ip::{Ip, Ip6},
    network::Namespace,
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
