//! Free memory: what an allocation may take, what is trapped, how fragmented it is, and who fights fragmentation.

use super::{Page, Section, name, plural};
use crate::{
    model::{compaction::Compaction, memory::unusable_index},
    output::text::{Column, Cut, Table},
    snapshot::{compaction::Compactor, coverage::Source},
    units,
};

pub(super) fn write(out: &mut String, page: &Page<'_>) {
    free(out, page);
    heat_map(out, page);
    compaction(out, page);
    fallbacks(out, page);
}

const FREE: &[Column] = &[
    Column::right("node"),
    Column::left("zone"),
    Column::right("free"),
    Column::right("usable"),
    Column::right("under min"),
    Column::right("CMA"),
    Column::right("highatomic"),
    Column::right("reserve"),
    Column::right("boost"),
];

fn free(out: &mut String, page: &Page<'_>) {
    let Some(free) = &page.model.memory.free else { return };
    out.push('\n');
    page.subtitle(out, "Free memory: usable by an ordinary request, and kept from it");
    let mut table = Table::new(FREE);
    for zone in free {
        let show = |bytes: u64| units::bytes(bytes as f64);
        let own = |z: &&crate::snapshot::memory::Zone| (z.node, &z.zone) == (zone.node, &zone.zone);
        let boost = page.model.memory.zones.iter().flatten().find(own).and_then(|z| z.boost);
        table.row([
            zone.node.to_string(),
            zone.zone.to_string(),
            show(zone.free),
            show(zone.usable),
            show(zone.below_min),
            show(zone.trapped_cma),
            show(zone.trapped_highatomic),
            show(zone.trapped_reserve),
            super::bytes(boost),
        ]);
    }
    table.render(out, page.style, 2);
}

/// The unusable free-space index of every zone and order, a character a tenth: `.` for none, `1` to `9`, `#` for all.
fn heat_map(out: &mut String, page: &Page<'_>) {
    out.push('\n');
    page.subtitle(out, "Fragmentation: tenths of free memory in blocks too small for the order");
    let Some(zones) = &page.model.memory.fragmentation else {
        let reason = page.model.coverage.source_reason(Source::BUDDYINFO);
        return page.not_seen_because(out, "free blocks", reason);
    };
    let orders = zones.iter().map(|z| z.unusable_index.len()).max().unwrap_or(0);
    let head: String = (0..orders).map(|order| format!("{order:>3}")).collect();
    out.push_str(&format!("  {:<20}{head}  largest block\n", "node, zone, order"));
    for zone in zones {
        let cells: String = zone.unusable_index.iter().map(|i| format!("{:>3}", tenth(*i))).collect();
        let label = format!("{} {}", zone.node, zone.zone);
        out.push_str(&format!("  {label:<20}{cells}  {}\n", units::bytes(zone.largest_bytes as f64)));
        for (kind, bytes) in zone.by_type.iter().filter(|(_, bytes)| bytes.iter().any(|b| *b > 0)) {
            let total: u64 = bytes.iter().sum();
            let cells: String = unusable_index(bytes).iter().map(|i| format!("{:>3}", tenth(*i))).collect();
            let label = format!("  {kind}");
            out.push_str(&format!("  {label:<20}{cells}  {} free\n", units::bytes(total as f64)));
        }
    }
}

fn tenth(index: f64) -> char {
    match (index * 10.0) as u32 {
        0 => '.',
        10.. => '#',
        n => char::from_digit(n, 10).unwrap_or('#'),
    }
}

const COMPACTIONS: &[Column] = &[
    Column::left("by"),
    Column::right("zones"),
    Column::right("of the time"),
    Column::right("mean"),
    Column::right("99 % under"),
    Column::cut("results", Cut::End),
    Column::cut("cgroup", Cut::Start),
];

fn compaction(out: &mut String, page: &Page<'_>) {
    out.push('\n');
    page.subtitle(out, "Compaction");
    let Some(rows) = &page.model.compaction else { return page.not_seen(out, "compaction", "compaction") };
    if rows.is_empty() {
        out.push_str("  none\n");
        return;
    }
    let mut table = Table::new(COMPACTIONS);
    for c in rows.iter().take(page.rows()) {
        table.row([
            by(c).to_owned(),
            c.per_second.map_or_else(|| c.count.to_string(), units::per_second),
            units::or_unknown(c.stalled_ratio, units::percent),
            units::or_unknown(c.mean_seconds, units::seconds),
            units::or_unknown(c.latency_ns.quantile_bound(0.99).map(|ns| ns / 1e9), units::seconds),
            c.results.iter().map(|r| format!("{} {}", r.count, r.result)).collect::<Vec<_>>().join(", "),
            name(c.path.as_ref()),
        ]);
    }
    table.render(out, page.style, 2);
    page.left_out(out, rows.len(), Section::Memory);
}

fn by(c: &Compaction) -> &'static str {
    match c.by {
        Compactor::Direct => "a task",
        Compactor::Kcompactd => "kcompactd",
    }
}

const FALLBACKS: &[Column] = &[
    Column::right("pid"),
    Column::cut("process", Cut::End),
    Column::right("order"),
    Column::left("wanted"),
    Column::left("took"),
    Column::right("fallbacks"),
    Column::cut("cgroup", Cut::Start),
];

fn fallbacks(out: &mut String, page: &Page<'_>) {
    out.push('\n');
    page.subtitle(out, "Requests that took a block of another migrate type");
    let Some(extfrag) = &page.model.extfrag else { return page.not_seen(out, "fallbacks", "extfrag") };
    if extfrag.rows.is_empty() && extfrag.other == 0 {
        out.push_str("  none\n");
        return;
    }
    let mut table = Table::new(FALLBACKS);
    for f in extfrag.rows.iter().take(page.rows()) {
        table.row([
            f.who.pid.to_string(),
            f.who.comm.to_string(),
            f.who.order.to_string(),
            f.who.wanted.to_string(),
            f.who.taken.to_string(),
            f.per_second.map_or_else(|| f.in_interval.to_string(), units::per_second),
            name(f.cgroup_path.as_ref()),
        ]);
    }
    table.render(out, page.style, 2);
    page.left_out(out, extfrag.rows.len(), Section::Memory);
    if extfrag.other > 0 {
        page.fact(out, "others", &format!("{} in no row", plural(extfrag.other, "fallback")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenths_are_one_character() {
        assert_eq!([0.0, 0.09, 0.1, 0.95, 1.0].map(tenth), ['.', '.', '1', '9', '#']);
    }
}
