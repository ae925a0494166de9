//! Blocks of free pages: how fragmented they are, and who fights fragmentation.

use std::collections::BTreeMap;

use super::{Page, events_or_count, list, name, plural, share, time, time_under};
use crate::{
    model::{
        compaction::{Compaction, Extfrag, FallbackRate},
        memory::unusable_index,
    },
    output::text::{Column, Cut},
    snapshot::{Name, compaction::Compactor, coverage::Source},
    units,
};

pub(super) fn write(out: &mut String, page: &Page<'_>) {
    heat_map(out, page);
    compaction(out, page);
    fallbacks(out, page);
}

/// The unusable free-space index of every zone and order, a character a tenth: `.` for none, `1` to `9`, `#` for all.
fn heat_map(out: &mut String, page: &Page<'_>) {
    page.subject(out, "Fragmentation: tenths of free memory in blocks too small for the order");
    let Some(zones) = &page.model.memory.fragmentation else {
        return page.not_read(out, "free blocks", Source::BUDDYINFO);
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
    if page.model.memory.page_types.is_none() {
        page.not_read(out, "by migrate type", Source::PAGETYPEINFO);
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
    Column::right("50 % under"),
    Column::right("99 % under"),
    Column::cut("cgroup", Cut::Start),
];

fn compaction(out: &mut String, page: &Page<'_>) {
    page.subject(out, "Compaction");
    let Some(rows) = &page.model.compaction else { return page.not_seen(out, "compaction", "compaction") };
    if rows.is_empty() {
        out.push_str("  none\n");
        return;
    }
    list(out, page, COMPACTIONS, rows, |c| {
        [
            by(c).to_owned(),
            events_or_count(c.per_second, c.count),
            share(c.stalled_ratio),
            time(c.mean_seconds),
            time_under(&c.latency_ns, 0.5),
            time_under(&c.latency_ns, 0.99),
            name(c.path.as_ref()),
        ]
    });
    results(out, page, rows);
}

const RESULTS: &[Column] =
    &[Column::left("by"), Column::left("result"), Column::right("times"), Column::cut("cgroup", Cut::Start)];

/// How compactions ended, most first.
fn results(out: &mut String, page: &Page<'_>, all: &[Compaction]) {
    page.subject(out, "Results of compaction, in the kernel's words");
    let mut rows: Vec<_> = all.iter().flat_map(|c| c.results.iter().map(move |r| (c, r))).collect();
    rows.sort_by_key(|(_, r)| std::cmp::Reverse(r.count));
    list(out, page, RESULTS, &rows, |(c, result)| {
        let times = units::count(result.count as f64);
        [by(c).to_owned(), result.result.to_string(), times, name(c.path.as_ref())]
    });
}

fn by(c: &Compaction) -> &'static str {
    match c.by {
        Compactor::Direct => "a task",
        Compactor::Kcompactd => "kcompactd",
    }
}

fn fallbacks(out: &mut String, page: &Page<'_>) {
    page.subject(out, "Requests that took a block of another migrate type, by type");
    let Some(extfrag) = &page.model.extfrag else { return page.not_seen(out, "fallbacks", "extfrag") };
    if extfrag.rows.is_empty() && extfrag.other == 0 {
        out.push_str("  none\n");
        return;
    }
    by_type(out, page, extfrag);
    if extfrag.other > 0 {
        page.fact(out, "others", &format!("{} in no row", plural(extfrag.other, "fallback")));
    }
    if !extfrag.rows.is_empty() {
        page.subject(out, "The same by process");
        by_process(out, page, &extfrag.rows);
    }
}

const BY_TYPE: &[Column] =
    &[Column::left("wanted"), Column::left("took"), Column::right("fallbacks"), Column::right("largest order")];

/// Fallbacks of all processes by pair of types, most first.
fn by_type(out: &mut String, page: &Page<'_>, extfrag: &Extfrag) {
    let mut pairs: BTreeMap<(&Name, &Name), (u64, u32)> = BTreeMap::new();
    for f in &extfrag.rows {
        let (count, order) = pairs.entry((&f.who.wanted, &f.who.taken)).or_default();
        *count += f.in_interval;
        *order = f.who.order.max(*order);
    }
    if pairs.is_empty() {
        return;
    }
    let mut rows: Vec<_> = pairs.into_iter().collect();
    rows.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
    list(out, page, BY_TYPE, &rows, |((wanted, taken), (count, order))| {
        let rate = page.model.interval.map(|i| i.per_second(*count));
        [wanted.to_string(), taken.to_string(), events_or_count(rate, *count), order.to_string()]
    });
}

const BY_PROCESS: &[Column] = &[
    Column::right("pid"),
    Column::cut("process", Cut::End),
    Column::right("order"),
    Column::left("wanted"),
    Column::left("took"),
    Column::right("fallbacks"),
    Column::cut("cgroup", Cut::Start),
];

fn by_process(out: &mut String, page: &Page<'_>, rows: &[FallbackRate]) {
    list(out, page, BY_PROCESS, rows, |f| {
        [
            f.who.pid.to_string(),
            f.who.comm.to_string(),
            f.who.order.to_string(),
            f.who.wanted.to_string(),
            f.who.taken.to_string(),
            events_or_count(f.per_second, f.in_interval),
            name(f.cgroup_path.as_ref()),
        ]
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenths_are_one_character() {
        assert_eq!([0.0, 0.09, 0.1, 0.95, 1.0].map(tenth), ['.', '.', '1', '9', '#']);
    }
}
