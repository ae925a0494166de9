//! Memory of the host: use, stalls, reclaim, zones; then cgroups and who uses it.

use super::{LABEL, Page, Section, bytes, memory_host, memory_pages, memory_reclaim, memory_users};
use crate::{
    model::cgroup::Cgroup,
    output::text::{Column, Cut, Table},
    snapshot::{
        coverage::Source,
        memory::{Buddy, Zone},
        pressure::{Resource, Stall},
    },
    units,
};

/// Share of its hard limit from which a cgroup is near it.
const NEAR_LIMIT: f64 = 0.8;

pub(super) fn write(out: &mut String, page: &Page<'_>) {
    page.title(out, "MEMORY");
    usage(out, page);
    stalls(out, page);
    reclaim(out, page);
    zones(out, page);
    if page.detailed {
        memory_host::write(out, page);
        memory_pages::write(out, page);
    } else {
        not_plain(out, page);
    }
    cgroups(out, page);
    memory_users::write(out, page);
    if page.detailed {
        memory_reclaim::write(out, page);
    }
}

fn usage(out: &mut String, page: &Page<'_>) {
    let memory = &page.model.memory;
    let Some(info) = &memory.meminfo else {
        let reason = page.model.coverage.source_reason(Source::MEMINFO);
        return page.not_seen_because(out, "use", reason);
    };
    let available = units::or_unknown(memory.available_ratio, units::percent);
    let ram = format!(
        "{} available of {} ({available}), {} free, cache to reclaim {}",
        bytes(info.available),
        bytes(info.total),
        bytes(info.free),
        bytes(memory.reclaimable_cache)
    );
    page.fact(out, "RAM", &ram);
    let held = format!(
        "anonymous {}, tmpfs {}, slab that stays {}, page tables {}, dirty {}",
        bytes(info.anon_pages),
        bytes(info.shmem),
        bytes(info.slab_unreclaimable),
        bytes(info.page_tables),
        bytes(info.dirty)
    );
    page.fact(out, "held by", &held);
    let swap = match (info.swap_total, info.swap_free) {
        (Some(0), _) => "none".to_owned(),
        (total, free) => {
            let used = total.zip(free).map(|(t, f)| t.saturating_sub(f));
            let rate = |r| units::or_unknown(r, units::bytes_per_second);
            format!(
                "{} used of {}, in {}, out {}",
                bytes(used),
                bytes(total),
                rate(memory.vm.swap_in),
                rate(memory.vm.swap_out)
            )
        }
    };
    page.fact(out, "swap", &swap);
}

fn stalls(out: &mut String, page: &Page<'_>) {
    let memory = page.model.pressure.as_ref().and_then(|p| p.memory.as_ref());
    let Some(Resource { some, full }) = memory else {
        let reason = page.model.coverage.source_reason(Source::PRESSURE_MEMORY);
        return page.not_seen_because(out, "stalls", reason);
    };
    let show = |stall: Option<Stall>| {
        stall.map_or_else(|| units::UNKNOWN.to_owned(), |s| [s.avg10, s.avg60, s.avg300].map(units::percent).join(", "))
    };
    let text =
        format!("some task waited for memory {} of the last 10 s, 60 s, 300 s; all tasks {}", show(*some), show(*full));
    page.fact(out, "stalls", &text);
}

fn reclaim(out: &mut String, page: &Page<'_>) {
    if let Some(reason) = page.model.coverage.source_reason(Source::VMSTAT) {
        return page.not_seen_because(out, "reclaim, events", Some(reason));
    }
    let vm = &page.model.memory.vm;
    let rate = |r| units::or_unknown(r, units::bytes_per_second);
    let text = format!(
        "kswapd took {} of {} looked at; tasks took {} of {}; came back soon after: anonymous {}, file {}",
        rate(vm.steal_kswapd),
        rate(vm.scan_kswapd),
        rate(vm.steal_direct),
        rate(vm.scan_direct),
        rate(vm.refault_anon),
        rate(vm.refault_file)
    );
    page.fact(out, "reclaim", &text);
    let events = |r| units::or_unknown(r, units::per_second);
    let text = format!(
        "faults {}, from a device {}, direct reclaims {}, direct compactions {}",
        events(vm.faults),
        events(vm.major_faults),
        events(vm.allocstall),
        events(vm.compact_stall)
    );
    page.fact(out, "events", &text);
}

const ZONES: &[Column] = &[
    Column::right("node"),
    Column::left("zone"),
    Column::right("managed"),
    Column::right("free"),
    Column::right("min"),
    Column::right("low"),
    Column::right("high"),
    Column::right("largest"),
    Column::left("state"),
];

fn zones(out: &mut String, page: &Page<'_>) {
    let memory = &page.model.memory;
    let Some(zones) = &memory.zones else {
        let reason = page.model.coverage.source_reason(Source::ZONEINFO);
        return page.not_seen_because(out, "zones", reason);
    };
    let used: Vec<_> = zones.iter().filter(|z| z.managed != Some(0)).collect();
    let calm = used.iter().all(|z| state(z) == ABOVE_HIGH);
    if calm && !page.detailed {
        page.fact(out, "zones", &format!("all {} above their high watermark", used.len()));
        return;
    }
    out.push('\n');
    page.subtitle(out, "Zones");
    let mut table = Table::new(ZONES);
    let page_size = page.model.host.page_size;
    for zone in used {
        let buddy = memory.buddy.iter().flatten().find(|b| (b.node, &b.zone) == (zone.node, &zone.zone));
        table.row([
            zone.node.to_string(),
            zone.zone.to_string(),
            bytes(zone.managed),
            bytes(zone.free),
            bytes(zone.min),
            bytes(zone.low),
            bytes(zone.high),
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

const ABOVE_HIGH: &str = "above high";

/// Where the free memory of a zone stands among its watermarks.
fn state(zone: &Zone) -> &'static str {
    let under = |mark: Option<u64>| zone.free.zip(mark).map(|(free, mark)| free < mark);
    match (under(zone.min), under(zone.low), under(zone.high)) {
        (Some(true), _, _) => "UNDER MIN",
        (_, Some(true), _) => "UNDER LOW",
        (_, _, Some(true)) => "under high",
        (_, _, Some(false)) => ABOVE_HIGH,
        _ => units::UNKNOWN,
    }
}

/// Share of RAM from which memory in no counter, or trapped, is worth a line of the short report.
const WORTH_A_LINE: f64 = 0.05;

/// What is said in the short report only if there is much of it.
fn not_plain(out: &mut String, page: &Page<'_>) {
    let memory = &page.model.memory;
    let Some(breakdown) = &memory.breakdown else { return };
    let total = breakdown.total as f64;
    let much = |bytes: u64| bytes as f64 >= total * WORTH_A_LINE;
    if let Some(unexplained) = u64::try_from(breakdown.unexplained).ok().filter(|bytes| much(*bytes)) {
        page.fact(out, "unknown", &format!("{} of RAM is in no counter of the kernel", bytes(Some(unexplained))));
    }
    let trapped = memory.free.iter().flatten().map(|zone| zone.trapped()).sum::<u64>();
    if much(trapped) {
        let text = format!("{} of free memory is kept from ordinary requests", bytes(Some(trapped)));
        page.fact(out, "trapped", &text);
    }
}

const CGROUPS: &[Column] = &[
    Column::cut("cgroup", Cut::Start),
    Column::right("use"),
    Column::right("limit"),
    Column::right("of limit"),
    Column::right("growth"),
    Column::right("limit hits"),
    Column::right("OOM kills"),
];

fn cgroups(out: &mut String, page: &Page<'_>) {
    let Some(all) = &page.model.cgroups else {
        let reason = page.model.coverage.source_reason(Source::CGROUPS);
        return page.not_seen_because(out, "cgroups", reason);
    };
    let near: Vec<&Cgroup> = all.iter().filter(|c| is_near_limit(c)).collect();
    let (title, rows) = if near.is_empty() {
        page.fact(out, "cgroups", &format!("none of {} is near its limit", all.len()));
        if !page.detailed {
            return;
        }
        ("Largest cgroups", all.iter().collect())
    } else {
        ("Cgroups near their limit", near)
    };
    out.push('\n');
    page.subtitle(out, title);
    zombies(out, page);
    let mut table = Table::new(CGROUPS);
    for c in rows.iter().take(page.rows()) {
        table.row([
            cgroup_name(c),
            bytes(c.now.usage),
            if c.now.unlimited { "none".to_owned() } else { bytes(c.now.limit) },
            if c.now.unlimited { String::new() } else { units::or_unknown(c.limit_ratio, units::percent) },
            units::or_unknown(c.growth, units::bytes_per_second),
            units::or_unknown(c.limit_hits, units::per_second),
            c.oom_kills.map_or_else(|| units::UNKNOWN.to_owned(), |n| n.to_string()),
        ]);
    }
    table.render(out, page.style, 2);
    page.left_out(out, rows.len(), Section::Memory);
}

/// The path, and the container that it belongs to.
fn cgroup_name(c: &Cgroup) -> String {
    let container = c.now.container.as_ref();
    let pod = container.and_then(|c| c.pod.as_ref());
    match (pod, container.and_then(|c| c.name.as_ref())) {
        (None, None) => c.now.path.to_string(),
        (pod, name) => {
            let words: Vec<_> = pod.into_iter().chain(name).map(ToString::to_string).collect();
            format!("{} ({})", c.now.path, words.join("/"))
        }
    }
}

fn zombies(out: &mut String, page: &Page<'_>) {
    let summary = page.model.cgroup_summary.as_ref();
    if let Some(dying) = summary.and_then(|s| s.dying).filter(|dying| *dying > 0) {
        let text = format!("{} removed and still holding memory", units::count(dying as f64));
        page.fact(out, "zombies", &text);
    }
}

/// Near its limit now, or met it in the interval.
fn is_near_limit(cgroup: &Cgroup) -> bool {
    cgroup.limit_ratio.is_some_and(|r| r >= NEAR_LIMIT)
        || cgroup.limit_hits.is_some_and(|hits| hits > 0.0)
        || cgroup.oom_kills.is_some_and(|kills| kills > 0)
}

const _: () = assert!(LABEL >= "reclaim".len() && LABEL >= "cgroups".len(), "labels fit their column");
