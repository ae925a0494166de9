//! What all connections carried: a table of processes, cgroups, remote networks, services and devices.

use super::network::SOCKETS;
use crate::{
    model::traffic::{Carried, Ranking, Row},
    output::tui::{
        cells,
        context::Context,
        strip::{About, Strip},
        table::{Cell, Column, Table},
        text::Cut,
        theme::Tone,
    },
    snapshot::coverage::Source,
};

pub(super) const TRAFFIC: &[Column] = &[
    Column::word("by", 8, "what the connections of the row have in common: iter/tcp"),
    Column::text("what", 24, "name of it; what has no row of its own is in other: iter/tcp, tcp:tcp_destroy_sock")
        .cut(Cut::Start),
    Column::number("tx bit/s", 8, "bits a second acknowledged by the other side: tcp_sock bytes_acked"),
    Column::number("rx bit/s", 8, "bits a second received: tcp_sock bytes_received"),
    Column::number("retr", 5, "segments sent again in the interval: tcp_sock total_retrans"),
    Column::number("began", 6, "connections that began in the interval: iter/tcp, tcp:tcp_destroy_sock").rank(1),
    Column::number("ended", 6, "connections that ended in the interval: tracepoint tcp:tcp_destroy_sock").rank(1),
];

pub(super) fn traffic<'a>(ctx: &Context<'a>) -> Table<'a> {
    let table = Table::new("Traffic of all connections", TRAFFIC).from("tcp.sockets", &[Source::LINKS]);
    let Some(traffic) = &ctx.model.tcp.traffic else {
        return table.empty(Strip::reason(ctx.no_data("tcp.sockets", &["tcp", "traffic"])));
    };
    let mut rows = Vec::new();
    push(&mut rows, "process", &traffic.processes, |owner| {
        owner.as_ref().map_or(Cell::text("not known").tone(Tone::Dim), |o| Cell::text(format!("{} {}", o.comm, o.pid)))
    });
    push(&mut rows, "cgroup", &traffic.cgroups, |c| cells::cgroup(c.path.as_ref(), c.id));
    push(&mut rows, "network", &traffic.networks, |network| Cell::text(network.to_string()));
    push(&mut rows, "service", &traffic.services, |s| {
        Cell::text(format!("{} {}", s.port, if s.outgoing { "there" } else { "here" }))
    });
    push(&mut rows, "device", &traffic.devices, |d| match (&d.name, d.index) {
        (Some(name), _) => Cell::text(format!("{name} netns {}", ctx.model.netns_titles.of(d.netns))),
        (None, index) => {
            let index = index.map_or("?".to_owned(), |i| i.to_string());
            Cell::text(format!("{index} netns {}", ctx.model.netns_titles.of(d.netns)))
        }
    });
    let mut note = Strip::default().count(&FOLLOWED, Some(traffic.followed)).label(" followed");
    if traffic.not_followed > 0 {
        note = note.label(", ").count(&NOT_FOLLOWED, Some(traffic.not_followed)).label(" too many");
    }
    if traffic.untold > 0 {
        note = note.label(", ").count(&UNTOLD, Some(traffic.untold)).label(" ended untold");
    }
    table.rows(rows).note(note).empty("nothing was carried")
}

fn push<K>(rows: &mut Vec<Vec<Cell>>, by: &'static str, ranking: &Ranking<K>, show: impl Fn(&K) -> Cell) {
    let row = |what: Cell, carried: &Carried| {
        vec![
            Cell::text(by).tone(Tone::Dim),
            what,
            cells::bit_rate(carried.tx),
            cells::bit_rate(carried.rx),
            cells::trouble(Some(carried.in_interval.retrans_segs as f64)),
            cells::count(Some(carried.in_interval.began)),
            cells::count(Some(carried.in_interval.ended)),
        ]
    };
    rows.extend(ranking.rows.iter().map(|Row { of, carried }| row(show(of), carried)));
    if !ranking.other.in_interval.is_zero() {
        rows.push(row(Cell::text("other").tone(Tone::Dim), &ranking.other));
    }
}

const FOLLOWED: About = About::new(
    "followed",
    "number of open connections that are followed from snapshot to snapshot",
    "iter/tcp",
    SOCKETS,
);
const NOT_FOLLOWED: About = About::new(
    "too many",
    "number of open connections beyond the limit, which are counted when they end",
    "iter/tcp",
    SOCKETS,
);
const UNTOLD: About = About::new(
    "ended untold",
    "connections that ended and are in the total only: the ring buffer of ends was full",
    "tracepoint tcp:tcp_destroy_sock",
    SOCKETS,
);
