//! Sockets whose buffers had no room, by what was full.

use crate::{
    model::buffers::Row,
    output::tui::{
        cells,
        context::Context,
        strip::{About, Strip},
        table::{Cell, Column, Origin, Table},
        text::Cut,
        theme::Tone,
    },
};

const FROM: Origin = ("buffers", &[]);

pub(super) const BUFFERS: &[Column] = &[
    Column::word(
        "no room in",
        14,
        "the socket's own buffer, or memory of the protocol or cgroup: which tracepoint was hit",
    ),
    Column::word("protocol", 8, "name of the protocol in the kernel: struct proto name"),
    Column::number("port", 5, "the smaller of the socket's two ports: sock skc_num, skc_dport"),
    Column::number("times", 8, "packets or memory refused in the interval: the sum of all three tracepoints"),
    Column::number("a second", 8, "packets or memory refused a second: the sum of all three tracepoints"),
    Column::text("process", 12, "process that holds the last of the sockets, by name: iter/task_file"),
    Column::number("in all", 8, "times since the probes were attached: the sum of all three tracepoints").rank(1),
    Column::text("netns", 10, cells::NETNS).rank(2),
    Column::text("cgroup", 16, "memory cgroup that the buffers are charged to: sock sk_memcg").cut(Cut::Start).rank(3),
];

pub(super) fn buffers<'a>(ctx: &Context<'a>) -> Table<'a> {
    let table = Table::new("Sockets without room", BUFFERS).from(FROM.0, FROM.1);
    let Some(buffers) = &ctx.model.buffers else {
        return table.empty(Strip::reason(ctx.no_data(FROM.0, &["buffers"])));
    };
    let row = |r: &Row| {
        vec![
            Cell::text(r.now.room.word()).tone(Tone::Warn),
            Cell::text(r.now.protocol.as_str()),
            Cell::number(r.now.port.map(f64::from), |port| format!("{port:.0}")),
            cells::count(Some(r.events_in_interval)),
            cells::rate(r.rate),
            Cell::text(r.now.owner.as_ref().map_or("", |owner| owner.comm.as_str())),
            cells::count(Some(r.now.events)),
            cells::netns(ctx, r.now.netns),
            Cell::text(r.cgroup_path.as_ref().map_or("", |path| path.as_str())),
        ]
    };
    let note = match buffers.other {
        0 => Strip::default(),
        n => Strip::default().count(&OTHER, Some(n)).label(" in no row"),
    };
    table.rows(buffers.rows.iter().map(row)).note(note).empty("every socket had room")
}

const OTHER: About =
    About::new("in no row", "events that found no place in the kernel's map", "sock:sock_rcvqueue_full", FROM);
