//! Interfaces, and tunnels as their interfaces alone show them where nothing else was read.

use super::super::{Page, name};
use crate::{
    model::link::Link,
    output::text::{Column, Cut, Paint, Table},
    units,
};

/// `IFLA_INFO_KIND` of interfaces that carry packets inside others.
const KINDS: &[&str] = &[
    "amt",
    "bareudp",
    "erspan",
    "fou",
    "geneve",
    "gre",
    "gretap",
    "gtp",
    "ip6erspan",
    "ip6gre",
    "ip6gretap",
    "ip6tnl",
    "ipip",
    "l2tpeth",
    "ovpn",
    "ppp",
    "sit",
    "tun",
    "vti",
    "vti6",
    "vxlan",
    "wireguard",
    "xfrm",
];

/// What an interface's counters cannot tell.
const LIMITS: &str = "Seen: the kernel's counters of the tunnel interfaces in observer's own network namespace. Not seen: \
    tunnels of other namespaces, IPsec without an interface, peers, routes, and which connection a packet belongs to.";

/// Tunnel interfaces of observer's own namespace. False if there is none.
pub(super) fn tunnels(out: &mut String, page: &Page<'_>) -> bool {
    let is_tunnel = |l: &&Link| l.now.kind.as_ref().is_some_and(|k| KINDS.contains(&k.as_str()));
    let tunnels: Vec<&Link> = page.model.links.iter().flatten().filter(is_tunnel).collect();
    if tunnels.is_empty() {
        return false;
    }
    interfaces(out, page, &tunnels);
    page.style.paragraph(out, "  ", 2, LIMITS);
    true
}

const INTERFACES: &[Column] = &[
    Column::cut("interface", Cut::End),
    Column::left("kind"),
    Column::right("MTU"),
    Column::right("in"),
    Column::right("out"),
    Column::right("packets"),
    Column::right("bad"),
    Column::right("bad in all"),
];

/// A table of interfaces. Bad is what was dropped or had an error, both ways.
pub(in crate::output::report) fn interfaces(out: &mut String, page: &Page<'_>, links: &[&Link]) {
    let mut table = Table::new(INTERFACES);
    for l in links.iter().take(page.rows()) {
        let packets = l.rx_packets_rate.zip(l.tx_packets_rate).map(|(rx, tx)| rx + tx);
        let bad = l.now.rx_errors + l.now.tx_errors + l.now.rx_dropped + l.now.tx_dropped;
        table.row([
            l.now.name.to_string(),
            l.now.kind.as_ref().map_or_else(|| "-".to_owned(), |k| name(Some(k))),
            l.now.mtu.map_or_else(|| units::UNKNOWN.to_owned(), |m| m.to_string()),
            if l.now.up { units::or_unknown(l.rx, units::bits_per_second) } else { "down".to_owned() },
            units::or_unknown(l.tx, units::bits_per_second),
            units::or_unknown(packets, units::per_second),
            units::or_unknown(l.trouble, units::per_second),
            units::count(bad as f64),
        ]);
    }
    table.render(out, page.style, 2);
    if links.len() > page.rows() {
        let line = format!("  {} more not shown", links.len() - page.rows());
        out.push_str(&format!("{}\n", page.style.paint(Paint::Faint, &line)));
    }
}
