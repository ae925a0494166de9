//! The kernel's totals of each network namespace.

use super::{Page, Section};
use crate::{
    model::namespace::NetNamespace,
    output::text::{Column, Cut, Table},
    snapshot::coverage::Source,
    units,
};

const COLUMNS: &[Column] = &[
    Column::right("netns"),
    Column::right("established"),
    Column::right("sent"),
    Column::right("again"),
    Column::right("time-outs"),
    Column::right("refused"),
    Column::right("queue full"),
    Column::right("fragments"),
    Column::right("too large"),
    Column::right("not joined"),
    Column::cut("name or process", Cut::Start),
];

/// The same where the line is short.
const NARROW: &[Column] = &[
    Column::right("netns"),
    Column::right("established"),
    Column::right("sent"),
    Column::right("again"),
    Column::right("refused"),
    Column::right("cut"),
    Column::cut("name or process", Cut::Start),
];

/// Columns from which all is shown.
const WIDE: usize = 120;

pub(super) fn write(out: &mut String, page: &Page<'_>) {
    let Some(rows) = &page.model.namespaces else {
        return page.not_read(out, "network namespaces", Source::NETWORK);
    };
    page.subject(out, "Totals of each network namespace");
    let each = |rate: Option<f64>| units::or_unknown(rate, units::per_second);
    let narrow = page.style.width.is_some_and(|w| w < WIDE);
    let mut table = Table::new(if narrow { NARROW } else { COLUMNS });
    for row in rows.iter().take(page.rows()) {
        if narrow {
            table.row([
                row.netns.to_string(),
                units::or_unknown(row.tcp.established.map(|n| n as f64), units::count),
                each(row.tcp.out_segs),
                units::or_unknown(row.tcp.retrans_ratio, units::percent),
                each(row.tcp.listen_drops),
                each(row.ip.frag_creates),
                title(row),
            ]);
            continue;
        }
        table.row([
            row.netns.to_string(),
            units::or_unknown(row.tcp.established.map(|n| n as f64), units::count),
            each(row.tcp.out_segs),
            units::or_unknown(row.tcp.retrans_ratio, units::percent),
            each(row.tcp.timeouts),
            each(row.tcp.listen_drops),
            each(row.tcp.listen_overflows),
            each(row.ip.frag_creates),
            each(row.ip.frag_fails),
            each(row.ip.reasm_fails),
            title(row),
        ]);
    }
    table.render(out, page.style, 2);
    page.left_out(out, rows.len(), Section::Tcp);
}

/// Its names, else a process in it.
fn title(row: &NetNamespace) -> String {
    if row.own {
        return "own".to_owned();
    }
    if row.names.is_empty() {
        return row.process.as_ref().map_or_else(|| "?".to_owned(), |p| format!("{} (pid {})", p.comm, p.pid));
    }
    row.names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
