//! The list of all numbers of a pane: what each is, its unit and its source.

use ratatui::text::{Line, Span};

use super::{
    panes::PANES,
    text::wrap,
    theme::{Theme, Tone},
};

/// What each vital sign shows, with units and sources.
const ABOUT: &[(&str, &str)] = &[
    (
        "Memory",
        "bytes of RAM; available: bytes that new work may take, and their share; swap: bytes used of all: /proc/meminfo MemTotal, MemAvailable, SwapTotal, SwapFree",
    ),
    (
        "Memory, refaults",
        "bytes a second that came back soon after reclaim took them; swapped in: bytes a second: /proc/vmstat workingset_refault_{anon,file}, pswpin",
    ),
    (
        "Memory, bar",
        "bytes: anon AnonPages, page cache Cached - Shmem + Buffers, tmpfs Shmem, hugetlb Hugetlb, slab Slab, free MemFree; other kernel is the rest: /proc/meminfo",
    ),
    (
        "LRU",
        "bytes on the lists of reclaim: /proc/meminfo Active(anon), Inactive(anon), Active(file), Inactive(file), Unevictable",
    ),
    (
        "Dirty",
        "bytes waiting to be written and being written: /proc/meminfo Dirty, Writeback; where writeback begins and writers wait: /proc/vmstat nr_dirty_background_threshold, nr_dirty_threshold",
    ),
    (
        "Pressure",
        "share of the last 10, 60 and 300 s in which some task waited: /proc/pressure/{memory,io,cpu} some; its bars: memory, 10 s",
    ),
    (
        "Pages",
        "pages a second allocated, requests a second failed, who allocates most: tracepoint kmem:mm_page_alloc; without it faults a second: /proc/vmstat pgfault",
    ),
    (
        "Reclaim",
        "reclaims a second for the host (direct) and for limits of cgroups (memcg), seconds stalled in each second, 99 % took less: tracepoints vmscan:mm_vmscan_{direct,memcg}_reclaim_{begin,end}",
    ),
    (
        "kswapd",
        "share of the interval at work by node, who asked: tracepoints vmscan:mm_vmscan_kswapd_{wake,sleep}, mm_vmscan_wakeup_kswapd; bytes a second reclaimed: /proc/vmstat pgsteal_kswapd",
    ),
    (
        "TCP",
        "connections established, segments a second sent, share of them sent again, opens a second, listen drops a second: /proc/net/snmp, /proc/net/netstat",
    ),
    ("Links", "bits a second received and sent by interface: rtnetlink IFLA_STATS64"),
];

/// Every number of a pane: what it is, its unit and its source.
pub(super) fn lines(pane: usize, theme: &Theme, room: usize) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    let mut list = |title: &'static str, rows: &mut dyn Iterator<Item = (&'static str, &'static str)>| {
        lines.push(Line::styled(title, theme.style(Tone::Title)));
        for (name, about) in rows {
            for (i, text) in wrap(about, room.saturating_sub(NAMES)).into_iter().enumerate() {
                let name = if i == 0 { name } else { "" };
                lines.push(Line::from(vec![
                    Span::styled(format!("  {name:<width$} ", width = NAMES - 3), theme.style(Tone::Warn)),
                    Span::raw(text),
                ]));
            }
        }
    };
    let Some(pane) = PANES.get(pane) else { return Vec::new() };
    for (title, columns) in pane.tables {
        list(title, &mut columns.iter().map(|c| (c.title, c.about)));
    }
    if matches!(pane.name, "overview" | "memory") {
        list("Vital signs", &mut ABOUT.iter().copied());
    }
    lines
}

/// Columns of the terminal for the names in the list of numbers.
const NAMES: usize = 20;
