//! kswapd by node, and who woke it.

use super::{Page, bytes_rate, events, events_or_count, list, name, plural, share};
use crate::{
    model::kswapd::{Kswapd, Node},
    output::text::{Column, Cut},
    units,
};

pub(super) fn write(out: &mut String, page: &Page<'_>) {
    page.subject(out, "kswapd");
    let Some(kswapd) = &page.model.kswapd else { return page.not_seen(out, "kswapd", "kswapd") };
    kswapd.nodes.iter().for_each(|n| page.fact(out, &format!("node {}", n.node), &node(n)));
    if kswapd.nodes.is_empty() {
        out.push_str("  asleep since the probes were attached\n");
    } else if page.model.interval.is_some() && kswapd.nodes.iter().any(|n| n.scanned.is_none()) {
        page.not_seen(out, "what it took", "reclaim.scans");
    }
    requesters(out, page, kswapd);
}

fn node(node: &Node) -> String {
    let now = node
        .awake_for_seconds
        .map_or_else(|| "asleep now".to_owned(), |s| format!("at work now, for {} without a pause", units::seconds(s)));
    let under = |share: f64| node.cycle_ns.quantile_bound(share).map(|ns| units::seconds(ns / 1e9));
    let cycles = under(0.5).zip(under(0.99));
    let efficiency = node.efficiency.map_or(String::new(), |share| format!(" ({})", units::percent(share)));
    format!(
        "awake {} of the time, woken {}, {now}; took {} of {} looked at{efficiency}{}",
        share(node.awake_ratio),
        events(node.wakes),
        bytes_rate(node.reclaimed),
        bytes_rate(node.scanned),
        cycles.map_or(String::new(), |(half, most)| format!("; half of its cycles under {half}, 99 % under {most}"))
    )
}

const REQUESTERS: &[Column] = &[
    Column::right("pid"),
    Column::cut("asked by", Cut::End),
    Column::right("node"),
    Column::right("requests"),
    Column::right("last of order"),
    Column::cut("cgroup", Cut::Start),
];

fn requesters(out: &mut String, page: &Page<'_>, kswapd: &Kswapd) {
    if kswapd.other_requests > 0 {
        let text = plural(kswapd.other_requests, "request");
        page.fact(out, "others", &format!("{text} in no row"));
    }
    if kswapd.requesters.is_empty() {
        return;
    }
    list(out, page, REQUESTERS, &kswapd.requesters, |r| {
        [
            r.who.pid.to_string(),
            r.who.comm.to_string(),
            r.who.node.to_string(),
            events_or_count(r.per_second, r.requests_in_interval),
            r.who.last_order.to_string(),
            name(r.cgroup_path.as_ref()),
        ]
    });
}
