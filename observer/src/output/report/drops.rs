//! Packets that were dropped, by reason and place.

use super::{Page, Section, name};
use crate::{
    model::drops::Row,
    output::text::{Column, Cut, Table},
    units,
};

const COLUMNS: &[Column] = &[
    Column::left("reason"),
    Column::cut("function", Cut::End),
    Column::right("dropped"),
    Column::right("rate"),
    Column::right("ifindex"),
    Column::cut("netns", Cut::End),
];

/// Appends the section.
pub(super) fn write(out: &mut String, page: &Page<'_>) {
    let Some(drops) = &page.model.drops else { return page.not_seen(out, "dropped packets", "drops") };
    let rows: Vec<&Row> = drops.rows.iter().filter(|r| r.is_packet()).collect();
    if rows.is_empty() {
        return;
    }
    page.subject(out, "Dropped packets");
    let mut table = Table::new(COLUMNS);
    for row in rows.iter().take(page.rows()) {
        table.row([
            row.now.reason.as_ref().map_or_else(|| units::UNKNOWN.to_owned(), ToString::to_string),
            name(row.now.function.as_ref()),
            units::count(row.packets_in_interval as f64),
            units::or_unknown(row.rate, units::per_second),
            row.now.ifindex.map_or_else(|| "-".to_owned(), |index| index.to_string()),
            page.netns(row.now.netns),
        ]);
    }
    table.render(out, page.style, 2);
    page.left_out(out, rows.len(), Section::Tcp);
}
