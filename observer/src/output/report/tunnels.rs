//! Tunnels, as their interfaces show them, and what they do not show.

use super::{Page, name};
use crate::{
    model::link::Link,
    output::text::{Column, Cut, Paint, Table},
    snapshot::coverage::Source,
    units,
};

/// `IFLA_INFO_KIND` of interfaces that carry packets inside others.
pub(super) const KINDS: &[&str] = &[
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
    tunnels of other namespaces, IPsec without an interface, and which inner connection a packet belongs to.";

pub(super) fn write(out: &mut String, page: &Page<'_>) {
    page.title(out, "TUNNELS");
    let Some(links) = &page.model.links else {
        return page.not_read(out, "interfaces", Source::LINKS);
    };
    let tunnels: Vec<&Link> =
        links.iter().filter(|l| l.now.kind.as_ref().is_some_and(|k| KINDS.contains(&k.as_str()))).collect();
    if tunnels.is_empty() {
        out.push_str("  no tunnel interface in this network namespace\n");
    } else {
        interfaces(out, page, &tunnels);
    }
    if page.detailed || !tunnels.is_empty() {
        page.style.paragraph(out, "  ", 2, LIMITS);
    }
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
pub(super) fn interfaces(out: &mut String, page: &Page<'_>, links: &[&Link]) {
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
