//! Network: TCP of observer's own namespace, connections and what limits them, namespaces, closed connections, links.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{
    Pane,
    buffers::{BUFFERS, buffers},
    connection,
    drops::{DROPS, drops},
    first_byte::{FIRST_BYTES, first_bytes},
    listeners::{LISTENERS, listeners},
    traffic::{TRAFFIC, traffic},
};
use crate::{
    diagnose::flow::Limit,
    model::tcp::Connection,
    output::tui::{
        cells,
        context::{Context, Facts},
        stack,
        strip::{About, Strip},
        table::{Cell, Column, Origin, Table},
        text::Cut,
        theme::Tone,
        vitals,
    },
    snapshot::{coverage::Source, tcp::ends},
};

pub(super) const PANE: Pane = Pane {
    name: "network",
    title: "Network",
    short: "Net",
    lists_findings: false,
    first_table: 0,
    tables: &[
        ("Connections", CONNECTIONS),
        ("Links", LINKS),
        ("Namespaces", NAMESPACES),
        ("Closed in this interval", CLOSED),
        ("Traffic of all connections", TRAFFIC),
        ("First bytes", FIRST_BYTES),
        ("Listening sockets", LISTENERS),
        ("Sockets without room", BUFFERS),
        ("Dropped packets", DROPS),
    ],
    draw,
};

fn draw(ctx: &Context<'_>, area: Rect, buf: &mut Buffer) -> Facts {
    let tables = [
        connections(ctx),
        links(ctx),
        namespaces(ctx),
        closed(ctx),
        traffic(ctx),
        first_bytes(ctx),
        listeners(ctx),
        buffers(ctx),
        drops(ctx),
    ];
    stack::draw(ctx, area, buf, &vitals::own_namespace(ctx), &tables)
}

pub(super) const CONNECTIONS: &[Column] = &[
    Column::text("connection", 24, "local and remote address and port: iter/tcp").cut(Cut::Middle),
    Column::word("state", 11, "state of the connection: iter/tcp sk_state").rank(6),
    Column::number("tx bit/s", 8, "bits a second acknowledged by the other side: tcp_sock bytes_acked"),
    Column::number("rx bit/s", 8, "bits a second received: tcp_sock bytes_received"),
    Column::word(
        "limited by",
        14,
        "what keeps it from being faster, over ten seconds: tcp_sock chrono_stat and others",
    ),
    Column::number("srtt", 7, "time, smoothed round trip: tcp_sock srtt_us"),
    Column::number("cwnd", 5, "segments that may be under way: tcp_sock snd_cwnd"),
    Column::number("retr", 5, "segments sent again since the connection began: tcp_sock total_retrans"),
    Column::text("process", 12, "process that holds it, by name: iter/task_file").rank(5),
    Column::number("pid", 7, "process that holds it, by number: iter/task_file").rank(6).from("tcp.owners", &[]),
    Column::number("busy", 6, "share of the interval with data to send: tcp_sock chrono_stat").rank(1),
    Column::number("rwnd", 6, "share of the interval limited by the receiver: tcp_sock chrono_stat").rank(2),
    Column::number("sndbuf", 6, "share of the interval limited by the send buffer: tcp_sock chrono_stat").rank(3),
    Column::number("unsent", 8, "bytes written and not yet sent: tcp_sock write_seq - snd_nxt").rank(4),
    Column::number("delivery", 8, "bits a second last delivered: tcp_sock rate_delivered").rank(5),
    Column::text("netns", 10, cells::NETNS).rank(7),
    Column::text("cgroup", 12, "memory cgroup of the socket, else of its process: sock sk_memcg")
        .cut(Cut::Start)
        .rank(7),
];

pub(super) fn connections<'a>(ctx: &Context<'a>) -> Table<'a> {
    let table = Table::new("Connections", CONNECTIONS).from("tcp.sockets", &[]);
    let Some(open) = &ctx.model.tcp.sockets else {
        return table.empty(Strip::reason(ctx.no_data("tcp.sockets", &["tcp", "sockets"])));
    };
    let row = |(place, c): (usize, &Connection)| {
        let info = &c.now.info;
        let limit = ctx.diagnosis.flow(place, c).map_or(Limit::Unknown, |verdict| verdict.limit);
        vec![
            Cell::text(ends(&c.now)),
            Cell::text(connection::state(c.now.state)),
            cells::bit_rate(c.tx),
            cells::bit_rate(c.rx),
            connection::limit(limit),
            cells::seconds(info.srtt_ns.map(|ns| ns as f64 / 1e9)),
            cells::count(info.cwnd.map(u64::from)),
            cells::trouble(c.retrans_in_interval.map(|n| n as f64)),
            Cell::text(c.now.owner.as_ref().map_or("", |owner| owner.comm.as_str())),
            Cell::number(c.now.owner.as_ref().map(|owner| owner.pid.into()), |pid| format!("{pid:.0}")),
            cells::ratio(c.busy_ratio),
            cells::ratio(c.rwnd_limited_ratio).warn_from(0.1, 0.5),
            cells::ratio(c.sndbuf_limited_ratio).warn_from(0.1, 0.5),
            cells::bytes(info.notsent_bytes),
            cells::bit_rate(info.delivery_rate.map(|r| r as f64)),
            cells::netns(ctx, Some(c.now.netns)),
            cells::cgroup(c.in_cgroup.path.as_ref(), c.in_cgroup.id),
        ]
    };
    let note = Strip::default().count(&LISTENING, Some(open.listening)).label(" listening, ");
    let mut note = note.count(&OPEN_NAMESPACES, Some(open.namespaces)).label(" namespaces");
    if open.namespaces_not_read > 0 {
        note = note.label(", ").count(&NOT_READ, Some(open.namespaces_not_read)).label(" not readable");
    }
    if open.namespaces_waiting > 0 {
        note = note.label(", ").count(&WAITING, Some(open.namespaces_waiting)).label(" had no turn yet");
    }
    if open.not_listed > 0 {
        note = note.label(", ").count(&NOT_LISTED, Some(open.not_listed)).label(" more in no row");
    }
    let held = *ctx;
    let all = move |i| open.list.get(i).map(|c| connection::details(&held, c, held.diagnosis.flow(i, c)));
    table
        .rows(open.list.iter().enumerate().map(row))
        .note(note)
        .empty("no open connection")
        .details(move |i| all(i).unwrap_or_default())
}

pub(super) const SOCKETS: Origin = ("tcp.sockets", &[]);
const LISTENING: About =
    About::new("listening", "number of sockets that listen, in all namespaces", "iter/tcp", SOCKETS);
const OPEN_NAMESPACES: About =
    About::new("namespaces", "number of network namespaces that were read", "/proc/PID/ns/net", SOCKETS);
const NOT_READ: About =
    About::new("not readable", "number of network namespaces that could not be entered", "setns(2)", SOCKETS);
const WAITING: About = About::new(
    "had no turn yet",
    "number of network namespaces that are read with a later snapshot",
    "setns(2)",
    SOCKETS,
);
const NOT_LISTED: About = About::new(
    "in no row",
    "number of connections that are left out of the snapshot, those that carry least now",
    "iter/tcp",
    SOCKETS,
);

const LINKS: &[Column] = &[
    Column::text("link", 10, "name of the interface: rtnetlink IFLA_IFNAME"),
    Column::word("kind", 8, "kind of the interface: rtnetlink IFLA_INFO_KIND").rank(3),
    Column::word("up", 4, "state of the link: rtnetlink IFLA_OPERSTATE"),
    Column::number("rx bit/s", 8, "bits a second received: rtnetlink rx_bytes"),
    Column::number("tx bit/s", 8, "bits a second sent: rtnetlink tx_bytes"),
    Column::number("rx pkt/s", 8, "packets a second received: rtnetlink rx_packets").rank(1),
    Column::number("tx pkt/s", 8, "packets a second sent: rtnetlink tx_packets").rank(1),
    Column::number("trouble/s", 9, "packets a second dropped or in error: rtnetlink IFLA_STATS64"),
    Column::number("mtu", 6, "bytes of the largest packet: rtnetlink IFLA_MTU").rank(2),
    Column::number("drops", 7, "packets dropped since the interface came: rtnetlink IFLA_STATS64").rank(4),
    Column::number("errors", 7, "packets in error since the interface came: rtnetlink IFLA_STATS64").rank(4),
];

fn links<'a>(ctx: &Context<'a>) -> Table<'a> {
    let list = ctx.model.links.as_deref();
    Table::new("Links", LINKS)
        .from("links", &[Source::LINKS])
        .rows(list.unwrap_or_default().iter().map(|l| {
            vec![
                Cell::text(l.now.name.as_str()),
                Cell::text(l.now.kind.as_ref().map_or("", |k| k.as_str())).tone(Tone::Dim),
                if l.now.up { Cell::text("up") } else { Cell::text("down").tone(Tone::Dim) },
                cells::bit_rate(l.rx),
                cells::bit_rate(l.tx),
                cells::rate(l.rx_packets_rate),
                cells::rate(l.tx_packets_rate),
                cells::trouble(l.trouble),
                Cell::number(l.now.mtu.map(f64::from), |n| format!("{n:.0}")),
                cells::count(Some(l.now.rx_dropped + l.now.tx_dropped)),
                cells::count(Some(l.now.rx_errors + l.now.tx_errors)),
            ]
        }))
        .empty(match list {
            Some(_) => "no interface".into(),
            None => Strip::reason(ctx.no_data("links", &[Source::LINKS])),
        })
}

const NAMESPACES: &[Column] = &[
    Column::text("network namespace", 12, cells::NETNS),
    Column::number("opens/s", 8, "connections a second opened, both ways: tracepoint sock:inet_sock_set_state"),
    Column::number("closes/s", 8, "connections a second closed: tracepoint sock:inet_sock_set_state"),
    Column::number("retrans/s", 9, "segments a second sent again: tracepoint tcp:tcp_retransmit_skb"),
    Column::number(
        "connects",
        8,
        "connections opened from here since the probes were attached: sock:inet_sock_set_state",
    )
    .rank(1),
    Column::number("accepts", 8, "connections accepted since the probes were attached: sock:inet_sock_set_state")
        .rank(1),
    Column::number(
        "fails",
        7,
        "connections that failed to open since the probes were attached: sock:inet_sock_set_state",
    ),
    Column::number("resets", 7, "connections reset since the probes were attached: sock:inet_sock_set_state"),
    Column::number("rst out", 7, "resets sent since the probes were attached: tracepoint tcp:tcp_send_reset").rank(2),
    Column::number("rst in", 7, "resets received since the probes were attached: tracepoint tcp:tcp_receive_reset")
        .rank(2),
];

fn namespaces<'a>(ctx: &Context<'a>) -> Table<'a> {
    let list = ctx.model.tcp.namespaces.as_deref();
    Table::new("Namespaces", NAMESPACES)
        .from("tcp.namespaces", &[])
        .rows(list.unwrap_or_default().iter().map(|n| {
            vec![
                cells::netns(ctx, Some(n.now.netns)),
                cells::rate(n.opens),
                cells::rate(n.closes),
                cells::trouble(n.retrans),
                cells::count(Some(n.now.active_opens)),
                cells::count(Some(n.now.passive_opens)),
                cells::count(n.now.attempt_fails),
                cells::count(n.now.estab_resets),
                cells::count(n.now.resets_sent),
                cells::count(n.now.resets_received),
            ]
        }))
        .note(if list.is_some() { "counts since the probes were attached" } else { "" })
        .empty(match list {
            Some(_) => "no connection was opened or closed since the probes were attached".into(),
            None => Strip::reason(ctx.no_data("tcp.namespaces", &["tcp"])),
        })
}

const CLOSED: &[Column] = &[
    Column::number("port", 6, "port of the server: tracepoint tcp:tcp_destroy_sock"),
    Column::word("way", 3, "who opened it: tracepoint sock:inet_sock_set_state"),
    Column::number("closed", 7, "connections that ended in the interval: tracepoint tcp:tcp_destroy_sock"),
    Column::number("sent", 9, "bytes acknowledged by the other side: tracepoint tcp:tcp_destroy_sock"),
    Column::number("received", 9, "bytes received: tracepoint tcp:tcp_destroy_sock"),
    Column::number("segments", 8, "segments sent: tracepoint tcp:tcp_destroy_sock").rank(2),
    Column::number("retrans", 7, "segments sent again: tracepoint tcp:tcp_destroy_sock"),
    Column::number("srtt", 8, "time, mean smoothed round trip at the end: tracepoint tcp:tcp_destroy_sock"),
    Column::text("cgroup", 12, "memory cgroup of the socket: sock sk_memcg").cut(Cut::Start).rank(1),
    Column::text("netns", 10, cells::NETNS).rank(3),
];

fn closed<'a>(ctx: &Context<'a>) -> Table<'a> {
    let list = ctx.model.tcp.closed.as_deref();
    Table::new("Closed in this interval", CLOSED)
        .from("tcp.closed", &[])
        .rows(list.unwrap_or_default().iter().map(|c| {
            let totals = &c.group.totals;
            vec![
                cells::id(c.group.port.into()),
                Cell::text(if c.group.outgoing { "out" } else { "in" }),
                cells::count(Some(totals.connections)),
                cells::bytes(Some(totals.bytes_acked)),
                cells::bytes(Some(totals.bytes_received)),
                cells::count(Some(totals.segs_out)),
                cells::trouble(Some(totals.retrans_segs as f64)),
                cells::seconds(c.mean_srtt_seconds),
                cells::cgroup(c.cgroup_path.as_ref(), c.group.cgroup),
                cells::netns(ctx, Some(c.group.netns)),
            ]
        }))
        .empty(match list {
            Some(_) => "no connection closed".into(),
            None => Strip::reason(ctx.no_data("tcp.closed", &["tcp"])),
        })
}
