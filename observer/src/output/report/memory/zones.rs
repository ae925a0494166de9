//! Zones: where free memory stands among the watermarks, and what of it an allocation may take.

use super::{Page, bytes};
use crate::{
    output::text::{Column, Cut, Table},
    snapshot::{
        coverage::Source,
        memory::{Buddy, Zone},
    },
    units,
};

const ZONES: &[Column] = &[
    Column::cut("zone", Cut::End),
    Column::right("free"),
    Column::right("min"),
    Column::right("low"),
    Column::right("high"),
    Column::right("boost"),
    Column::right("largest"),
    Column::left("free is"),
];

const TITLE: &str = "Zones (node, name) and their watermarks";

pub(super) fn watermarks(out: &mut String, page: &Page<'_>) {
    let memory = &page.model.memory;
    let Some(zones) = &memory.zones else {
        if page.detailed {
            page.subject(out, TITLE);
        }
        return page.not_read(out, "zones", Source::ZONEINFO);
    };
    let used: Vec<_> = zones.iter().filter(|z| z.managed != Some(0)).collect();
    let calm = used.iter().all(|z| state(z) == ABOVE_HIGH);
    if calm && !page.detailed {
        page.fact(out, "zones", &format!("all {} above their high watermark", used.len()));
        return;
    }
    page.subject(out, TITLE);
    let mut table = Table::new(ZONES);
    let page_size = page.model.host.page_size;
    for zone in used {
        let buddy = memory.buddy.iter().flatten().find(|b| (b.node, &b.zone) == (zone.node, &zone.zone));
        table.row([
            format!("{} {}", zone.node, zone.zone),
            bytes(zone.free),
            bytes(zone.min),
            bytes(zone.low),
            bytes(zone.high),
            bytes(zone.boost),
            largest_block(buddy, page_size),
            state(zone).to_owned(),
        ]);
    }
    table.render(out, page.style, 2);
}

fn largest_block(buddy: Option<&Buddy>, page_size: Option<u64>) -> String {
    let block = buddy.zip(page_size).map(|(buddy, page_size)| {
        let order = buddy.free_blocks.iter().rposition(|n| *n > 0);
        order.map_or(0, |order| page_size << order)
    });
    bytes(block)
}

const ABOVE_HIGH: &str = "> high";

/// Where the free memory of a zone stands among its watermarks.
fn state(zone: &Zone) -> &'static str {
    let under = |mark: Option<u64>| zone.free.zip(mark).map(|(free, mark)| free < mark);
    match (under(zone.min), under(zone.low), under(zone.high)) {
        (Some(true), _, _) => "< MIN",
        (_, Some(true), _) => "< LOW",
        (_, _, Some(true)) => "< high",
        (_, _, Some(false)) => ABOVE_HIGH,
        _ => units::UNKNOWN,
    }
}

const FREE: &[Column] = &[
    Column::cut("zone", Cut::End),
    Column::right("managed"),
    Column::right("free"),
    Column::right("usable"),
    Column::right("min"),
    Column::right("CMA"),
    Column::right("atomic"),
    Column::right("reserve"),
];

pub(super) fn free(out: &mut String, page: &Page<'_>) {
    page.subject(out, "Free memory: usable by an ordinary request; kept: min, CMA, atomic, reserve");
    let memory = &page.model.memory;
    let (Some(free), Some(zones)) = (&memory.free, &memory.zones) else {
        return page.not_read(out, "free memory", Source::ZONEINFO);
    };
    let mut table = Table::new(FREE);
    for zone in free {
        let show = |bytes: u64| units::bytes(bytes as f64);
        let own = zones.iter().find(|z| (z.node, &z.zone) == (zone.node, &zone.zone));
        table.row([
            format!("{} {}", zone.node, zone.zone),
            bytes(own.and_then(|z| z.managed)),
            show(zone.free),
            show(zone.usable),
            show(zone.below_min),
            show(zone.trapped_cma),
            bytes(zone.trapped_highatomic),
            show(zone.trapped_reserve),
        ]);
    }
    table.render(out, page.style, 2);
    if zones.iter().any(|z| z.managed != Some(0) && z.free_highatomic.is_none()) {
        page.not_read(out, "kept for atomic requests, counted as usable", Source::PAGETYPEINFO);
    }
}
