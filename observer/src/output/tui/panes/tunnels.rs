//! Tunnels of every network namespace: what limits them, the connections that they carry, their other ends.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{Pane, connection, tunnel};
use crate::{
    diagnose::{flow, tunnel::Limit},
    model::{
        tcp::Connection,
        tunnel::{Peer, Traffic, Tunnel},
    },
    output::tui::{
        cells,
        context::{Context, Facts},
        stack,
        strip::{About, Strip},
        table::{Cell, Column, Origin, Table},
        text::Cut,
        theme::Tone,
    },
    snapshot::{coverage::Source, tcp::ends},
    units,
};

pub(super) const PANE: Pane = Pane {
    name: "tunnels",
    title: "Tunnels",
    short: "Tun",
    lists_findings: false,
    first_table: 0,
    tables: &[("Tunnels", TUNNELS), ("Connections in tunnels", CONNECTIONS), ("Other ends", PEERS)],
    draw,
};

/// Where it all comes from.
pub(super) const FROM: Origin = ("network", &[Source::NETWORK]);

fn draw(ctx: &Context<'_>, area: Rect, buf: &mut Buffer) -> Facts {
    stack::draw(ctx, area, buf, &[totals(ctx)], &[tunnels(ctx), connections(ctx), peers(ctx)])
}

const IN_TUNNELS: About = About::new(
    "through tunnels",
    "bits a second in and out of tunnels, those alone that lie in no further one",
    "rtnetlink IFLA_STATS64",
    FROM,
);
const OUTSIDE: About = About::new(
    "outside",
    "bits a second of the devices that leave the host: each packet once",
    "rtnetlink IFLA_STATS64",
    FROM,
);
const UNREAD: About =
    About::new("not readable", "number of network namespaces whose tunnels could not be read", "setns(2)", FROM);

fn totals(ctx: &Context<'_>) -> Strip {
    let sign = Strip::sign("Traffic");
    let Some(tunnels) = &ctx.model.tunnels else { return sign.missing(&IN_TUNNELS, ctx) };
    let both = |t: Option<Traffic>| t.and_then(|t| Some(t.rx? + t.tx?));
    let sign = sign
        .label("through tunnels ")
        .number(&IN_TUNNELS, both(tunnels.carried), units::bits_per_second)
        .label(", out of the host ")
        .number(&OUTSIDE, both(tunnels.outside), units::bits_per_second);
    match tunnels.namespaces_not_read {
        0 => sign,
        n => sign.label(", ").count(&UNREAD, Some(n)).label(" namespaces not readable"),
    }
}

const TUNNELS: &[Column] = &[
    Column::text("tunnel", 12, "name of the interface, or the ends of the policies: rtnetlink IFLA_IFNAME"),
    Column::word("kind", 9, "name of its kind: rtnetlink IFLA_INFO_KIND").rank(1),
    Column::text("netns", 10, cells::NETNS).rank(2),
    Column::number("rx bit/s", 8, "bits a second received, without what the tunnel adds: rtnetlink rx_bytes"),
    Column::number("tx bit/s", 8, "bits a second sent, without what the tunnel adds: rtnetlink tx_bytes"),
    Column::word(
        "limited by",
        15,
        "what keeps it from being faster or loses packets, over ten seconds: docs/tunnels.md",
    ),
    Column::number("lost/s", 7, "packets a second lost in all places that count them: netlink, /proc/net"),
    Column::number("adds", 6, "bytes that it adds to a packet, measured or by its headers: net:net_dev_start_xmit")
        .rank(3),
    Column::number("mtu", 6, "bytes of the largest packet that it takes: rtnetlink IFLA_MTU").rank(2),
    Column::number("fits", 6, "bytes of the largest packet that its underlay has room for: RTM_GETROUTE").rank(2),
    Column::number("latency", 8, "time, mean from the entry to the interface below: net:net_dev_start_xmit").rank(3),
    Column::number(
        "handsh.",
        8,
        "time since the last handshake of any other end: WireGuard WGPEER_A_LAST_HANDSHAKE_TIME",
    )
    .rank(4),
    Column::number("conns", 5, "number of open connections that it carries: iter/tcp").rank(1),
];

fn tunnels<'a>(ctx: &Context<'a>) -> Table<'a> {
    let table = Table::new("Tunnels", TUNNELS).from(FROM.0, FROM.1);
    let Some(tunnels) = &ctx.model.tunnels else {
        return table.empty(Strip::reason(ctx.no_data(FROM.0, FROM.1)));
    };
    let row = |t: &Tunnel| {
        let limit = ctx.diagnosis.tunnel(t).map_or(Limit::Unknown, |v| v.limit);
        let budget = t.budget().map(|(_, b)| b);
        let fits = cells_plain(budget.map(|b| b.most));
        let samples = t.samples.as_ref();
        let adds = samples.and_then(|s| s.overhead_bytes).or(t.overhead().map(|o| o.least.into()));
        vec![
            Cell::text(t.name.as_str()),
            Cell::text(t.kind_name()).tone(Tone::Dim),
            cells::netns(ctx, Some(t.netns)),
            cells::bit_rate(t.inner.rx),
            cells::bit_rate(t.inner.tx),
            tunnel::limit(limit),
            cells::trouble(t.drops.iter().filter_map(|d| d.per_second).reduce(|a, b| a + b)),
            Cell::number(adds, |n| format!("{n:.0}")),
            cells_plain(t.link.as_ref().and_then(|l| l.now.mtu)),
            if budget.is_some_and(|b| b.headroom.is_some_and(|h| h < 0)) { fits.tone(Tone::Warn) } else { fits },
            cells::seconds(samples.and_then(|s| s.latency_mean_seconds)),
            cells::seconds(t.handshake_age()),
            cells::count(Some(t.flows.len() as u64)),
        ]
    };
    let held = *ctx;
    table
        .rows(tunnels.list.iter().map(row))
        .empty("no tunnel in any network namespace that was read")
        .details(move |i| tunnels.list.get(i).map(|t| tunnel::details(&held, t)).unwrap_or_default())
}

fn cells_plain(n: Option<u32>) -> Cell {
    Cell::number(n.map(f64::from), |n| format!("{n:.0}"))
}

const CONNECTIONS: &[Column] = &[
    Column::text("tunnel", 12, "name of the tunnel that carries it: sock sk_dst_cache, skb hash"),
    Column::text("connection", 24, "local and remote address and port: iter/tcp").cut(Cut::Middle),
    Column::number("tx bit/s", 8, "bits a second acknowledged by the other side: tcp_sock bytes_acked"),
    Column::number("rx bit/s", 8, "bits a second received: tcp_sock bytes_received"),
    Column::word(
        "limited by",
        14,
        "what keeps it from being faster, over ten seconds: tcp_sock chrono_stat and others",
    ),
    Column::number("srtt", 7, "time, smoothed round trip: tcp_sock srtt_us").rank(1),
    Column::text("outer packets", 20, "addresses and ports outside of the tunnel: net:net_dev_start_xmit")
        .cut(Cut::Middle)
        .rank(3),
    Column::text("process", 12, "process that holds it, by name: iter/task_file").rank(2),
];

fn connections<'a>(ctx: &Context<'a>) -> Table<'a> {
    let table = Table::new("Connections in tunnels", CONNECTIONS).from("tcp.sockets", &[]);
    let (Some(tunnels), Some(open)) = (&ctx.model.tunnels, &ctx.model.tcp.sockets) else {
        return table.empty(Strip::reason(ctx.no_data("tcp.sockets", &["tcp", "sockets"])));
    };
    let carried: Vec<(&Tunnel, usize, &Connection)> = tunnels
        .list
        .iter()
        .flat_map(|t| t.flows.iter().filter_map(move |f| Some((t, f.place, f.connection(open)?))))
        .collect();
    let row = |(t, place, c): &(&Tunnel, usize, &Connection)| {
        let limit = ctx.diagnosis.flow(*place, c).map_or(flow::Limit::Unknown, |v| v.limit);
        vec![
            Cell::text(t.name.as_str()),
            Cell::text(ends(&c.now)),
            cells::bit_rate(c.tx),
            cells::bit_rate(c.rx),
            connection::limit(limit),
            cells::seconds(c.now.info.srtt_ns.map(|ns| ns as f64 / 1e9)),
            Cell::text_or_unknown(tunnel::outer(t, c)),
            Cell::text(c.now.owner.as_ref().map_or("", |o| o.comm.as_str())),
        ]
    };
    let held = *ctx;
    table.rows(carried.iter().map(row)).empty("no open connection is known to go through a tunnel").details(move |i| {
        let Some((_, place, c)) = carried.get(i) else { return Vec::new() };
        let mut all = tunnel::shares_over_time(&held, c);
        all.extend(connection::details(&held, c, held.diagnosis.flow(*place, c)));
        all
    })
}

const PEERS: &[Column] = &[
    Column::text("tunnel", 12, "name of the tunnel: rtnetlink IFLA_IFNAME"),
    Column::text("other end", 12, "name of the other end: its public key, SPI or what the kind has").cut(Cut::End),
    Column::text("address", 20, "address and port outside: WGPEER_A_ENDPOINT, IFLA_INFO_DATA, XFRM_MSG_GETSA"),
    Column::number("rx bit/s", 8, "bits a second received from it, as the tunnel counts: WGPEER_A_RX_BYTES, SA")
        .rank(1),
    Column::number("tx bit/s", 8, "bits a second sent to it, as the tunnel counts: WGPEER_A_TX_BYTES, SA").rank(1),
    Column::number("handshake", 9, "time since the last handshake: WGPEER_A_LAST_HANDSHAKE_TIME").rank(2),
    Column::number("route mtu", 9, "bytes of the largest packet of the route to it: RTM_GETROUTE").rank(3),
    Column::number("fits", 6, "bytes of the largest packet inside that fits: RTM_GETROUTE, headers").rank(3),
];

fn peers<'a>(ctx: &Context<'a>) -> Table<'a> {
    let all = ctx.model.tunnels.iter().flat_map(|t| &t.list).flat_map(|t| t.peers.iter().map(move |p| (t, p)));
    let row = |(t, p): (&Tunnel, &Peer)| {
        vec![
            Cell::text(t.name.as_str()),
            Cell::text(p.now.id.as_str()),
            Cell::text_or_unknown(tunnel::address(p)),
            cells::bit_rate(p.rx),
            cells::bit_rate(p.tx),
            cells::seconds(p.handshake_age_seconds),
            cells_plain(p.now.route.as_ref().and_then(|r| r.mtu)),
            cells_plain(p.budget.map(|b| b.most)),
        ]
    };
    Table::new("Other ends", PEERS).from(FROM.0, FROM.1).rows(all.map(row)).empty(match &ctx.model.tunnels {
        Some(_) => "no tunnel has another end that is known".into(),
        None => Strip::reason(ctx.no_data(FROM.0, FROM.1)),
    })
}
