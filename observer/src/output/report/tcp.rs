//! TCP: the own namespace, the life cycle by namespace, connections with what limits them, and interfaces.

use std::net::SocketAddr;

use super::{
    Page, Section, buffers, drops, first_byte, listeners, name, namespaces as totals, plural, traffic, tunnels,
};
use crate::{
    diagnose::flow::Limit,
    model::tcp::{ClosedRow, Connection, Namespace, Open, OwnNamespace},
    output::text::{Column, Cut, Table},
    snapshot::{coverage::Source, tcp::ends},
    units,
};

/// Columns from which both ends of a connection are shown in full.
const WIDE: usize = 120;

pub(super) fn write(out: &mut String, page: &Page<'_>) {
    page.title(out, "TCP");
    let tcp = &page.model.tcp;
    own(out, page, &tcp.own);
    match &tcp.namespaces {
        Some(rows) if rows.is_empty() => page.fact(out, "opens", "no connection began or ended in any namespace"),
        Some(rows) => namespaces(out, page, rows),
        None => page.not_seen(out, "life cycle", "tcp.namespaces"),
    }
    match &tcp.sockets {
        Some(open) => connections(out, page, open),
        None => page.not_seen(out, "connections", "tcp.sockets"),
    }
    match &tcp.traffic {
        Some(carried) => traffic::write(out, page, carried),
        None => page.not_seen(out, "traffic", "tcp.sockets"),
    }
    match &tcp.closed {
        Some(rows) if rows.is_empty() => {}
        Some(rows) => closed(out, page, rows),
        None => page.not_seen(out, "closed connections", "tcp.closed"),
    }
    first_byte::write(out, page);
    listeners::write(out, page);
    buffers::write(out, page);
    drops::write(out, page);
    if page.detailed {
        totals::write(out, page);
        match &page.model.links {
            Some(links) => {
                out.push('\n');
                page.subtitle(out, "Interfaces");
                tunnels::interfaces(out, page, &links.iter().collect::<Vec<_>>());
            }
            None => page.not_read(out, "interfaces", Source::LINKS),
        }
    }
}

fn own(out: &mut String, page: &Page<'_>, own: &OwnNamespace) {
    let Some(established) = own.established else {
        return page.not_read(out, "own namespace", Source::SNMP);
    };
    let events = |r| units::or_unknown(r, units::per_second);
    let text = format!(
        "{established} established; opened from here {}, accepted {}, refused by listeners {}, resets sent {}",
        events(own.active_opens),
        events(own.passive_opens),
        events(own.listen_drops),
        events(own.resets_sent)
    );
    page.fact(out, "own netns", &text);
    let ratio = own.retrans_ratio.map_or(String::new(), |r| format!(" ({})", units::percent(r)));
    let text = format!(
        "{} sent, {} sent again{ratio}, time-outs {}",
        events(own.out_segs),
        events(own.retrans_segs),
        events(own.timeouts)
    );
    page.fact(out, "segments", &text);
}

const NAMESPACES: &[Column] = &[
    Column::cut("netns", Cut::End),
    Column::right("opens"),
    Column::right("closes"),
    Column::right("sent again"),
    Column::right("all opened"),
    Column::right("accepted"),
    Column::right("failed"),
    Column::right("reset"),
];

fn namespaces(out: &mut String, page: &Page<'_>, rows: &[Namespace]) {
    out.push('\n');
    page.subtitle(out, "Life cycle by network namespace (the last four since the probes were attached)");
    let count = |n: Option<u64>| units::or_unknown(n.map(|n| n as f64), units::count);
    let mut table = Table::new(NAMESPACES);
    for n in rows.iter().take(page.rows()) {
        table.row([
            page.netns(Some(n.now.netns)),
            units::or_unknown(n.opens, units::per_second),
            units::or_unknown(n.closes, units::per_second),
            units::or_unknown(n.retrans, units::per_second),
            count(Some(n.now.active_opens)),
            count(Some(n.now.passive_opens)),
            count(n.now.attempt_fails),
            count(n.now.estab_resets),
        ]);
    }
    table.render(out, page.style, 2);
    page.left_out(out, rows.len(), Section::Tcp);
}

const CONNECTIONS: &[Column] = &[
    Column::cut("connection", Cut::Start),
    Column::right("sent"),
    Column::right("received"),
    Column::right("rtt"),
    Column::right("again"),
    Column::left("limited by"),
];

fn connections(out: &mut String, page: &Page<'_>, open: &Open) {
    let total = open.list.len() as u64 + open.not_listed;
    let mut unread = match open.namespaces_not_read {
        0 => String::new(),
        n => format!(", {n} could not be entered"),
    };
    if open.namespaces_waiting > 0 {
        unread.push_str(&format!(", {} had no turn yet", open.namespaces_waiting));
    }
    let namespaces = plural(open.namespaces, "network namespace");
    let text = format!("{total} open, {} listening, in {namespaces}{unread}", open.listening);
    out.push('\n');
    page.fact(out, "sockets", &text);
    if open.list.is_empty() {
        return;
    }
    page.subtitle(out, "Connections with the most traffic");
    let mut table = Table::new(CONNECTIONS);
    for (place, c) in open.list.iter().take(page.rows()).enumerate() {
        table.row([
            connection_ends(c, page.style.width),
            units::or_unknown(c.tx, units::bits_per_second),
            units::or_unknown(c.rx, units::bits_per_second),
            units::or_unknown(c.now.info.srtt_ns.map(|ns| ns as f64 / 1e9), units::seconds),
            units::or_unknown(c.retrans_ratio, units::percent),
            page.diagnosis.flow(place, c).map_or(Limit::Unknown, |v| v.limit).words().to_owned(),
        ]);
    }
    table.render(out, page.style, 2);
    let all = usize::try_from(total).unwrap_or(usize::MAX);
    page.left_out(out, all, Section::Tcp);
    if page.detailed {
        limits(out, page, open);
    }
}

/// Why each of them is no faster, with the numbers.
fn limits(out: &mut String, page: &Page<'_>, open: &Open) {
    let judged = open.list.iter().enumerate().filter_map(|(place, c)| Some((c, page.diagnosis.flow(place, c)?)));
    let mut rows = judged.filter(|(_, v)| v.limit.is_named()).take(page.rows()).peekable();
    if rows.peek().is_none() {
        return;
    }
    page.subject(out, "What limits them");
    for (c, verdict) in rows {
        let ceiling = verdict.ceiling().map_or(String::new(), |c| format!(": {}", c.formula));
        let said: Vec<String> = verdict.evidence().iter().map(|e| format!("{} {}", e.what, e.value)).collect();
        let ends = connection_ends(c, page.style.width);
        let owner = c.now.owner.as_ref().map_or(String::new(), |o| format!(" of {} (pid {})", o.comm, o.pid));
        let cgroup =
            c.in_cgroup.path.as_ref().map_or(String::new(), |_| format!(" in {}", traffic::cgroup(&c.in_cgroup)));
        page.style.paragraph(out, "  ", 4, &format!("{ends}{owner}{cgroup}  {}{ceiling}", verdict.limit.words()));
        page.style.paragraph(out, "    ", 4, &said.join("; "));
        if let Some(advice) = verdict.advice() {
            page.style.paragraph(out, "    ", 4, advice);
        }
    }
}

/// Both ends; where the line is short, the port alone of the end that is here.
fn connection_ends(connection: &Connection, width: Option<usize>) -> String {
    let socket = &connection.now;
    if width.is_none_or(|w| w >= WIDE) {
        return ends(socket).to_string();
    }
    format!(":{} -> {}", socket.local.1, SocketAddr::from(socket.remote))
}

const CLOSED: &[Column] = &[
    Column::right("port"),
    Column::left("from"),
    Column::right("closed"),
    Column::right("sent"),
    Column::right("received"),
    Column::right("sent again"),
    Column::right("rtt"),
    Column::cut("cgroup", Cut::Start),
];

fn closed(out: &mut String, page: &Page<'_>, rows: &[ClosedRow]) {
    out.push('\n');
    page.subtitle(out, "Closed connections by service");
    let mut table = Table::new(CLOSED);
    for row in rows.iter().take(page.rows()) {
        let totals = row.group.totals;
        table.row([
            row.group.port.to_string(),
            if row.group.outgoing { "here" } else { "there" }.to_owned(),
            units::count(totals.connections as f64),
            units::bytes(totals.bytes_acked as f64),
            units::bytes(totals.bytes_received as f64),
            units::count(totals.retrans_segs as f64),
            units::or_unknown(row.mean_srtt_seconds, units::seconds),
            name(row.cgroup_path.as_ref()),
        ]);
    }
    table.render(out, page.style, 2);
    page.left_out(out, rows.len(), Section::Tcp);
}
