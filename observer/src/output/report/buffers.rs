//! Sockets whose buffers had no room.

use super::{Page, Section, name};
use crate::{
    output::text::{Column, Cut, Table},
    units,
};

const COLUMNS: &[Column] = &[
    Column::left("no room in"),
    Column::left("protocol"),
    Column::right("port"),
    Column::left("process"),
    Column::right("times"),
    Column::right("rate"),
    Column::cut("netns", Cut::End),
    Column::cut("cgroup", Cut::Start),
];

/// Appends the section.
pub(super) fn write(out: &mut String, page: &Page<'_>) {
    let Some(buffers) = &page.model.buffers else { return page.not_seen(out, "socket buffers", "buffers") };
    if buffers.rows.is_empty() {
        return;
    }
    page.subject(out, "Sockets without room: their own buffer, or memory of the protocol or cgroup");
    let number = |n: Option<u64>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
    let mut table = Table::new(COLUMNS);
    for row in buffers.rows.iter().take(page.rows()) {
        table.row([
            row.now.room.word().to_owned(),
            row.now.protocol.to_string(),
            number(row.now.port.map(u64::from)),
            row.now.owner.as_ref().map_or_else(|| "-".to_owned(), |o| o.comm.to_string()),
            units::count(row.events_in_interval as f64),
            units::or_unknown(row.rate, units::per_second),
            page.netns(row.now.netns),
            row.now.cgroup.map_or_else(|| "-".to_owned(), |_| name(row.cgroup_path.as_ref())),
        ]);
    }
    table.render(out, page.style, 2);
    page.left_out(out, buffers.rows.len(), Section::Tcp);
}
