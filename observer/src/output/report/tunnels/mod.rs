//! Tunnels of every network namespace: what goes through them, what they add, where packets are lost, and what limits them.

mod interfaces;
mod one;

pub(super) use interfaces::interfaces;

use super::{Page, Section, plural, share};
use crate::{
    diagnose::tunnel::Limit,
    model::tunnel::{Tunnel, Tunnels},
    output::text::{Column, Cut, Table},
    snapshot::coverage::Source,
    units,
};

pub(super) fn write(out: &mut String, page: &Page<'_>) {
    page.title(out, "TUNNELS");
    let Some(tunnels) = page.model.tunnels.as_ref().filter(|t| t.namespaces > 0) else {
        if !interfaces::tunnels(out, page) {
            page.not_read(out, "tunnels", Source::NETWORK);
        }
        return;
    };
    let unread = match tunnels.namespaces_not_read {
        0 => String::new(),
        n => format!(", {n} could not be read"),
    };
    let namespaces = format!("{}{unread}", plural(tunnels.namespaces, "network namespace"));
    if tunnels.list.is_empty() {
        out.push_str(&format!("  no tunnel in {namespaces}\n"));
        return;
    }
    page.fact(out, "seen", &format!("{} in {namespaces}", plural(tunnels.list.len() as u64, "tunnel")));
    totals(out, page, tunnels);
    table(out, page, &tunnels.list);
    if page.detailed {
        tunnels.list.iter().take(page.rows()).for_each(|t| one::write(out, page, t));
        work(out, page, tunnels);
    } else {
        tunnels
            .list
            .iter()
            .filter(|t| limit(page, t).is_named())
            .take(page.rows())
            .for_each(|t| one::verdict(out, page, t));
    }
}

fn totals(out: &mut String, page: &Page<'_>, tunnels: &Tunnels) {
    let both = |t: Option<crate::model::tunnel::Traffic>| {
        let rate = |r: Option<f64>| units::or_unknown(r, units::bits_per_second);
        t.map(|t| format!("{} in, {} out", rate(t.rx), rate(t.tx)))
    };
    let outside = both(tunnels.outside).unwrap_or_else(|| "no device leads out of the host".to_owned());
    let carried = both(tunnels.carried).unwrap_or_else(|| units::UNKNOWN.to_owned());
    page.fact(
        out,
        "traffic",
        &format!("through tunnels {carried}; by devices that leave the host {outside}. Each packet once"),
    );
}

pub(super) fn limit(page: &Page<'_>, tunnel: &Tunnel) -> Limit {
    page.diagnosis.tunnel(tunnel).map_or(Limit::Unknown, |v| v.limit)
}

const TUNNELS: &[Column] = &[
    Column::cut("tunnel", Cut::End),
    Column::cut("netns", Cut::End),
    Column::right("in"),
    Column::right("out"),
    Column::right("MTU/fits"),
    Column::right("lost"),
    Column::left("limited by"),
];

fn table(out: &mut String, page: &Page<'_>, list: &[Tunnel]) {
    let mut table = Table::new(TUNNELS);
    for t in list.iter().take(page.rows()) {
        let rate = |r: Option<f64>| units::or_unknown(r, units::bits_per_second);
        let lost = t.drops.iter().filter_map(|d| d.per_second).reduce(|a, b| a + b);
        let down = t.link.as_ref().is_some_and(|l| !l.now.up);
        table.row([
            t.name.to_string(),
            page.netns(Some(t.netns)),
            if down { "down".to_owned() } else { rate(t.inner.rx) },
            rate(t.inner.tx),
            one::mtu_in_short(t),
            units::or_unknown(lost, units::per_second),
            limit(page, t).words().to_owned(),
        ]);
    }
    table.render(out, page.style, 2);
    page.left_out(out, list.len(), Section::Tunnels);
}

/// Work of processors that is done for all tunnels together.
fn work(out: &mut String, page: &Page<'_>, tunnels: &Tunnels) {
    let busy: Vec<String> = tunnels
        .crypto
        .iter()
        .flatten()
        .filter(|c| c.busy_ratio.is_some_and(|r| r > 0.0))
        .take(page.rows())
        .map(|c| format!("{} on CPU {} {}", c.now.function, c.now.cpu, share(c.busy_ratio)))
        .collect();
    let polls: Vec<String> = tunnels
        .polls
        .iter()
        .flatten()
        .filter(|p| p.packets.is_some_and(|n| n > 0.0))
        .take(page.rows())
        .map(|p| {
            let tunnel = p.device.and_then(|(netns, index)| tunnels.by_interface(netns, index));
            let device = tunnel.map(|t| format!("{} in netns {}", t.name, page.netns(Some(t.netns))));
            let device = device.or_else(|| p.device.map(|(_, index)| format!("interface {index}")));
            let packets = units::or_unknown(p.packets, units::per_second);
            format!(
                "CPU {} {} {packets}, {} used up",
                p.cpu,
                device.unwrap_or_else(|| "backlog".to_owned()),
                share(p.full_ratio)
            )
        })
        .collect();
    if busy.is_empty() && polls.is_empty() {
        return;
    }
    page.subject(out, "Processors");
    if !busy.is_empty() {
        page.fact(out, "ciphers", &busy.join("; "));
    }
    if !polls.is_empty() {
        page.fact(out, "polls", &polls.join("; "));
    }
}
