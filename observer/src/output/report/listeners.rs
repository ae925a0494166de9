//! Sockets that listen and do not keep up, and the memory of TCP.

use std::net::SocketAddr;

use super::{Page, Section};
use crate::{
    model::listener::Listener,
    output::text::{Column, Cut, Table},
    units,
};

const COLUMNS: &[Column] = &[
    Column::cut("listens on", Cut::Start),
    Column::left("process"),
    Column::right("waiting"),
    Column::right("room"),
    Column::right("refused"),
    Column::right("in all"),
    Column::cut("netns", Cut::End),
];

/// Appends the section.
pub(super) fn write(out: &mut String, page: &Page<'_>) {
    match &page.model.tcp.listeners {
        Some(all) => table(out, page, all),
        None => page.not_seen(out, "listening sockets", "tcp.listeners"),
    }
    if let Some(memory) = &page.model.tcp.memory {
        let bytes = |n: Option<u64>| units::or_unknown(n.map(|n| n as f64), units::bytes);
        let text = format!(
            "{} in buffers of all sockets; pressure from {}, never more than {}",
            bytes(memory.used),
            bytes(memory.pressure),
            bytes(memory.max)
        );
        page.fact(out, "memory", &text);
    }
}

/// Those that matter: that refuse, or that connections wait for.
fn table(out: &mut String, page: &Page<'_>, all: &[Listener]) {
    let matters = |l: &&Listener| l.now.drops.is_some_and(|n| n > 0) || l.now.queue.is_some_and(|n| n > 0);
    let rows: Vec<_> = all.iter().filter(matters).collect();
    if rows.is_empty() {
        return;
    }
    page.subject(out, "Listening sockets whose queue is in use or that refused connections");
    let count = |n: Option<u64>| units::or_unknown(n.map(|n| n as f64), units::count);
    let mut table = Table::new(COLUMNS);
    for l in rows.iter().take(page.rows()) {
        table.row([
            SocketAddr::from(l.now.local).to_string(),
            l.now.owner.as_ref().map_or_else(|| "-".to_owned(), |o| o.comm.to_string()),
            count(l.now.queue.map(u64::from)),
            count(l.now.limit.map(|limit| u64::from(limit) + 1)),
            count(l.refused),
            count(l.now.drops.map(u64::from)),
            page.netns(Some(l.now.netns)),
        ]);
    }
    table.render(out, page.style, 2);
    page.left_out(out, rows.len(), Section::Tcp);
}
