//! Sockets that listen: what waits, what may wait, what was refused.

use std::net::SocketAddr;

use crate::{
    model::listener::Listener,
    output::tui::{
        cells,
        context::Context,
        strip::{About, Strip},
        table::{Cell, Column, Origin, Table},
        text::Cut,
        theme::Tone,
    },
};

const FROM: Origin = ("tcp.listeners", &[]);

pub(super) const LISTENERS: &[Column] = &[
    Column::text("listens on", 21, "address and port: iter/tcp").cut(Cut::Start),
    Column::number("waiting", 8, "connections that wait to be accepted: sock sk_ack_backlog"),
    Column::number("room", 8, "connections that may wait: sock sk_max_ack_backlog"),
    Column::number("refused", 8, "connections refused in the interval: sock sk_drops"),
    Column::number("in all", 8, "connections refused since the socket listens: sock sk_drops").rank(1),
    Column::text("process", 12, "process that holds it, by name: iter/task_file"),
    Column::number("pid", 7, "process that holds it, by number: iter/task_file").rank(2).from("tcp.owners", &[]),
    Column::number("uid", 6, "user that made it: sock sk_uid").rank(3),
    Column::text("netns", 10, cells::NETNS).rank(2),
];

pub(super) fn listeners<'a>(ctx: &Context<'a>) -> Table<'a> {
    let table = Table::new("Listening sockets", LISTENERS).from(FROM.0, FROM.1);
    let Some(all) = ctx.model.tcp.listeners.as_deref() else {
        return table.empty(Strip::reason(ctx.no_data(FROM.0, &["tcp", "listeners"])));
    };
    let row = |l: &Listener| {
        let waiting = cells::count(l.now.queue.map(u64::from));
        vec![
            Cell::text(SocketAddr::from(l.now.local).to_string()),
            if l.full == Some(true) { waiting.tone(Tone::Bad) } else { waiting },
            // The kernel lets one more wait than it was asked for.
            cells::count(l.now.limit.map(|limit| u64::from(limit) + 1)),
            cells::trouble(l.refused.map(|n| n as f64)),
            cells::count(l.now.drops.map(u64::from)),
            Cell::text(l.now.owner.as_ref().map_or("", |owner| owner.comm.as_str())),
            Cell::number(l.now.owner.as_ref().map(|owner| owner.pid.into()), |pid| format!("{pid:.0}")),
            cells::id(l.now.uid.into()),
            cells::netns(ctx, Some(l.now.netns)),
        ]
    };
    table.rows(all.iter().map(row)).note(memory(ctx)).empty("no socket listens")
}

const MEMORY: Origin = ("tcp.memory", &[]);
const USED: About = About::new("used", "bytes that the buffers of all sockets take", "/proc/net/sockstat", MEMORY);
const PRESSURE: About =
    About::new("pressure from", "bytes from which the kernel begins to spare", "net.ipv4.tcp_mem", MEMORY);
const MOST: About = About::new("at most", "bytes beyond which packets are dropped", "net.ipv4.tcp_mem", MEMORY);

/// Memory of TCP as a whole.
fn memory(ctx: &Context<'_>) -> Strip {
    let Some(memory) = ctx.model.tcp.memory else { return Strip::default() };
    let strip = Strip::default().label("buffers ").bytes(&USED, memory.used);
    strip.label(", pressure from ").bytes(&PRESSURE, memory.pressure).label(", at most ").bytes(&MOST, memory.max)
}
