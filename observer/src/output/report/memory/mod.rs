//! Memory of the host: use, stalls, reclaim; then, where it was asked for, one table a subject.

mod allocs;
mod cgroups;
mod host;
mod kswapd;
mod pages;
mod pressure;
mod processes;
mod reclaim;
mod stalls;
mod zones;

use super::{
    LABEL, Page, Section, Write, bytes, bytes_rate, events, events_or_count, name, plural, share, time, time_under,
};
use crate::{
    output::text::{Column, Table},
    snapshot::coverage::Source,
};

/// What the whole report says of memory.
const SHORT: &[Write] = &[
    usage,
    pressure::facts,
    activity,
    zones::watermarks,
    not_plain,
    cgroups::write,
    allocs::write,
    stalls::write,
    kswapd::write,
];

/// What is said where memory alone was asked for: the host, its free pages, who uses them, and what reclaim does.
const LONG: &[Write] = &[
    usage,
    pressure::facts,
    activity,
    pressure::table,
    host::write,
    zones::watermarks,
    zones::free,
    pages::write,
    cgroups::write,
    processes::write,
    allocs::write,
    stalls::write,
    kswapd::write,
    reclaim::write,
];

pub(super) fn write(out: &mut String, page: &Page<'_>) {
    page.title(out, "MEMORY");
    let parts = if page.detailed { LONG } else { SHORT };
    parts.iter().for_each(|write| write(out, page));
}

fn usage(out: &mut String, page: &Page<'_>) {
    let memory = &page.model.memory;
    let Some(info) = &memory.meminfo else {
        return page.not_read(out, "use", Source::MEMINFO);
    };
    let ram = format!(
        "{} available of {} ({}), {} free, cache to reclaim {}",
        bytes(info.available),
        bytes(info.total),
        share(memory.available_ratio),
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
            let (came, went) = (bytes_rate(memory.vm.swap_in), bytes_rate(memory.vm.swap_out));
            format!("{} used of {}, in {came}, out {went}", bytes(used), bytes(total))
        }
    };
    page.fact(out, "swap", &swap);
}

fn activity(out: &mut String, page: &Page<'_>) {
    if page.model.coverage.source_reason(Source::VMSTAT).is_some() {
        return page.not_read(out, "reclaim, events", Source::VMSTAT);
    }
    let vm = &page.model.memory.vm;
    let text = format!(
        "kswapd took {} of {} looked at; tasks took {} of {}; came back soon after: anonymous {}, file {}",
        bytes_rate(vm.steal_kswapd),
        bytes_rate(vm.scan_kswapd),
        bytes_rate(vm.steal_direct),
        bytes_rate(vm.scan_direct),
        bytes_rate(vm.refault_anon),
        bytes_rate(vm.refault_file)
    );
    page.fact(out, "reclaim", &text);
    let text = format!(
        "faults {}, from a device {}, direct reclaims {}, direct compactions {}",
        events(vm.faults),
        events(vm.major_faults),
        events(vm.allocstall),
        events(vm.compact_stall)
    );
    page.fact(out, "events", &text);
}

/// Share of RAM from which memory in no counter, or trapped, is worth a line of the short report.
const WORTH_A_LINE: f64 = 0.05;

/// What is said in the short report only if there is much of it.
fn not_plain(out: &mut String, page: &Page<'_>) {
    let memory = &page.model.memory;
    // That its file was not read is said beside the use.
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

/// Appends a table of the first rows, and says how many were left out.
fn list<T, const N: usize>(
    out: &mut String,
    page: &Page<'_>,
    columns: &'static [Column],
    rows: &[T],
    cells: impl Fn(&T) -> [String; N],
) {
    let mut table = Table::new(columns);
    rows.iter().take(page.rows()).for_each(|row| table.row(cells(row)));
    table.render(out, page.style, 2);
    page.left_out(out, rows.len(), Section::Memory);
}

/// A rate of pages as bytes a second.
fn pages_as_bytes(page: &Page<'_>, pages: Option<f64>) -> String {
    bytes_rate(pages.zip(page.model.host.page_size).map(|(pages, size)| pages * size as f64))
}

const _: () = assert!(LABEL >= "reclaim".len() && LABEL >= "cgroups".len(), "labels fit their column");
