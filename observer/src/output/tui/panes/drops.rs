//! Packets that the kernel dropped, by reason and place.

use crate::{
    model::drops::Row,
    output::tui::{
        cells,
        context::Context,
        strip::{About, Strip},
        table::{Cell, Column, Origin, Table},
        text::Cut,
        theme::Tone,
    },
};

const FROM: Origin = ("drops", &[]);

pub(super) const DROPS: &[Column] = &[
    Column::text("reason", 20, "why: skb:kfree_skb reason, enum skb_drop_reason"),
    Column::text("function", 24, "kernel function that dropped it: skb:kfree_skb location").cut(Cut::End),
    Column::number("dropped", 8, "packets dropped in the interval: skb:kfree_skb"),
    Column::number("pkt/s", 8, "packets a second dropped: skb:kfree_skb"),
    Column::number("in all", 8, "packets dropped since the probe was attached: skb:kfree_skb").rank(1),
    Column::number("ifindex", 7, "number of the interface that it was at: sk_buff dev").rank(2),
    Column::text("netns", 10, cells::NETNS).rank(2),
];

pub(super) fn drops<'a>(ctx: &Context<'a>) -> Table<'a> {
    let table = Table::new("Dropped packets", DROPS).from(FROM.0, FROM.1);
    let Some(drops) = &ctx.model.drops else {
        return table.empty(Strip::reason(ctx.no_data(FROM.0, &["drops"])));
    };
    let row = |r: &Row| {
        let reason = Cell::text_or_unknown(r.now.reason.as_ref().map(|n| n.as_str()));
        vec![
            // For want of room is worth a look; a reset to a closed port is not.
            if r.is_no_room() { reason.tone(Tone::Warn) } else { reason },
            Cell::text_or_unknown(r.now.function.as_ref().map(|n| n.as_str())),
            cells::count(Some(r.packets_in_interval)),
            cells::rate(r.rate),
            cells::count(Some(r.now.packets)),
            Cell::number(r.now.ifindex.map(f64::from), |index| format!("{index:.0}")),
            cells::netns(ctx, r.now.netns),
        ]
    };
    let note = match drops.other {
        0 => Strip::default(),
        n => Strip::default().count(&OTHER, Some(n)).label(" in no row"),
    };
    table.rows(drops.rows.iter().filter(|r| r.is_packet()).map(row)).note(note).empty("no packet was dropped")
}

const OTHER: About = About::new("in no row", "packets that found no place in the kernel's map", "skb:kfree_skb", FROM);
