//! The lines of `Mem-Info:`: global counters, nodes, zones, free lists, huge pages and totals.

use super::text::{find, kib, leading, name, pairs};
use crate::{
    snapshot::{
        Name,
        oom_report::{AllocationSite, Counter, FreeBlocks, HugePages, NodeState, OomReport, Slab, Zone},
    },
    source::lines::{number, words},
};

/// Amounts that were printed in pages, to be multiplied when the size of a page is known.
#[derive(Debug, Default)]
pub(super) struct InPages {
    /// Global counters.
    pub(super) counters: Vec<(Name, u64)>,
    /// `lowmem_reserve[]` of each zone, in the order of [`OomReport::zones`].
    pub(super) reserves: Vec<Vec<u64>>,
}

/// Names in the lines of global counters.
const GLOBAL: &[&[u8]] = &[
    b"active_anon:",
    b"active:",
    b"active_file:",
    b"unevictable:",
    b"slab_reclaimable:",
    b"mapped:",
    b"sec_pagetables:",
    b"kernel_misc_reclaimable:",
    b"free:",
    b"free_cma:",
    b"shmem:",
    b"inactive_file:",
    b"bounce:",
    b"pagetables:",
    b"workingset",
];

/// Reads a line; false if it is none of these.
pub(super) fn line(text: &[u8], report: &mut OomReport, pages: &mut InPages) -> bool {
    let text = text.trim_ascii();
    if text == b"Mem-Info:" || text == b"Mem-info:" {
        return true;
    }
    if let Some(list) = text.strip_prefix(b"lowmem_reserve[]:") {
        let list = words(list).filter_map(number).collect();
        pages.reserves.resize(report.zones.len(), Vec::new());
        if let Some(last) = pages.reserves.last_mut() {
            *last = list;
        }
        return true;
    }
    if huge_pages(text, report) || free_list(text, report) || zone_or_node(text, report) {
        return true;
    }
    if GLOBAL.iter().any(|known| text.starts_with(known)) {
        let counters = pairs(text).filter_map(|(key, value)| Some((name(key), number(value)?)));
        pages.counters.extend(counters);
        return true;
    }
    per_cpu(text)
}

/// `Node 0 DMA per-cpu:` and `CPU    0: hi:    0, btch:   1 usd:   0` of old kernels.
fn per_cpu(text: &[u8]) -> bool {
    text.ends_with(b" per-cpu:") || (text.starts_with(b"CPU ") && find(text, b" btch:").is_some())
}

/// Takes `Node 0 ` off; a kernel without NUMA prints none.
fn node(text: &[u8]) -> (u32, &[u8]) {
    let with = text.strip_prefix(b"Node ").and_then(|rest| {
        let end = rest.iter().position(|b| *b == b' ')?;
        Some((u32::try_from(number(rest.get(..end)?)?).ok()?, rest.get(end + 1..)?))
    });
    with.unwrap_or((0, text))
}

/// The name of a zone at the begin of a text. Source: `zone_names` of mm/page_alloc.c.
fn zone_name(text: &[u8]) -> Option<(&[u8], &[u8])> {
    const ZONES: [&[u8]; 6] = [b"DMA32", b"DMA", b"Normal", b"HighMem", b"Movable", b"Device"];
    ZONES.iter().find_map(|zone| {
        let rest = text.strip_prefix(*zone)?;
        matches!(rest.first(), Some(b' ' | b':')).then_some((*zone, rest))
    })
}

/// `Node 0 DMA free:1672kB boost:0kB ...`, or `Node 0 active_anon:448972kB ...`.
fn zone_or_node(text: &[u8], report: &mut OomReport) -> bool {
    let (node, rest) = node(text);
    if let Some((zone, rest)) = zone_name(rest).filter(|(_, rest)| rest.starts_with(b" free:")) {
        let (values, all_unreclaimable) = values(rest);
        report.zones.push(Zone { node, name: name(zone), values, all_unreclaimable, ..Zone::default() });
        return true;
    }
    if text.starts_with(b"Node ") && (rest.starts_with(b"active_anon:") || rest.starts_with(b"free:")) {
        let (values, all_unreclaimable) = values(rest);
        report.nodes.push(NodeState { node, values, all_unreclaimable });
        return true;
    }
    false
}

fn values(text: &[u8]) -> (Vec<Counter>, Option<bool>) {
    let mut out = Vec::new();
    for (key, value) in pairs(text) {
        if let Some(bytes) = kib(value) {
            out.push(Counter { name: name(key), bytes });
        }
    }
    let unreclaimable = find(text, b"all_unreclaimable? ").and_then(|at| text.get(at + b"all_unreclaimable? ".len()..));
    (out, unreclaimable.map(|answer| answer.starts_with(b"yes")))
}

/// `Node 0 DMA: 1*4kB (M) 0*8kB ... = 1668kB`.
fn free_list(text: &[u8], report: &mut OomReport) -> bool {
    let (node, rest) = node(text);
    let Some((zone, list)) = zone_name(rest).and_then(|(zone, rest)| Some((zone, rest.strip_prefix(b":")?))) else {
        return false;
    };
    let mut blocks: Vec<FreeBlocks> = Vec::new();
    let mut total = None;
    let mut words = words(list);
    while let Some(word) = words.next() {
        if word == b"=" {
            total = words.next().and_then(kib);
        } else if let Some(types) = word.strip_prefix(b"(").and_then(|w| w.strip_suffix(b")")) {
            if let Some(last) = blocks.last_mut() {
                last.types = name(types);
            }
        } else if let Some(star) = word.iter().position(|b| *b == b'*') {
            let count = word.get(..star).and_then(number);
            let size = word.get(star + 1..).and_then(kib);
            if let Some((count, bytes)) = count.zip(size) {
                blocks.push(FreeBlocks { bytes, count, types: Name::default() });
            }
        }
    }
    if total.is_none() && blocks.is_empty() {
        return false;
    }
    let row = report.zones.iter_mut().find(|z| z.node == node && z.name.as_str().as_bytes() == zone);
    match row {
        Some(row) => (row.free_blocks, row.free_blocks_total) = (blocks, total),
        // The line of the zone itself was lost.
        None => report.zones.push(Zone {
            node,
            name: name(zone),
            free_blocks: blocks,
            free_blocks_total: total,
            ..Zone::default()
        }),
    }
    true
}

/// `Node 0 hugepages_total=0 hugepages_free=0 hugepages_surp=0 hugepages_size=2048kB`.
fn huge_pages(text: &[u8], report: &mut OomReport) -> bool {
    let (node, rest) = node(text);
    if !rest.starts_with(b"hugepages_total=") {
        return false;
    }
    let of = |key: &[u8]| words(rest).find_map(|w| w.strip_prefix(key));
    let count = |key: &[u8]| of(key).and_then(number).unwrap_or(0);
    report.huge_pages.push(HugePages {
        node,
        size: of(b"hugepages_size=").and_then(kib).unwrap_or(0),
        total: count(b"hugepages_total="),
        free: count(b"hugepages_free="),
        surplus: count(b"hugepages_surp="),
    });
    true
}

/// Totals that are printed in pages, by their words.
#[derive(Debug, Default)]
pub(super) struct TotalPages {
    list: Vec<(Total, u64)>,
}

#[derive(Debug, Clone, Copy)]
enum Total {
    PageCache,
    SwapCache,
    Ram,
    HighMem,
    Reserved,
    Cma,
    HwPoisoned,
}

const TOTALS: &[(&[u8], Total)] = &[
    (b" total pagecache pages", Total::PageCache),
    (b" pages in swap cache", Total::SwapCache),
    (b" pages RAM", Total::Ram),
    (b" pages of RAM", Total::Ram),
    (b" pages HighMem/MovableOnly", Total::HighMem),
    (b" pages HighMem", Total::HighMem),
    (b" pages of HIGHMEM", Total::HighMem),
    (b" pages reserved", Total::Reserved),
    (b" reserved pages", Total::Reserved),
    (b" pages cma reserved", Total::Cma),
    (b" pages hwpoisoned", Total::HwPoisoned),
];

impl TotalPages {
    /// Reads a line; false if it is no total.
    pub(super) fn line(&mut self, text: &[u8], report: &mut OomReport) -> bool {
        let text = text.trim_ascii();
        let swap = |start: &[u8]| text.strip_prefix(start)?.trim_ascii().strip_prefix(b"=").and_then(kib);
        if let Some(bytes) = swap(b"Free swap") {
            report.totals.swap_free = Some(bytes);
        } else if let Some(bytes) = swap(b"Total swap") {
            report.totals.swap_total = Some(bytes);
        } else if let Some((total, pages)) =
            TOTALS.iter().find_map(|(what, total)| Some((*total, number(text.strip_suffix(*what)?)?)))
        {
            self.list.push((total, pages));
        } else if is_other_total(text) {
            report.totals.other.push(name(text));
        } else {
            return false;
        }
        true
    }

    /// Puts the totals into the report in bytes.
    pub(super) fn finish(&self, report: &mut OomReport, page_size: u64) {
        for (total, pages) in &self.list {
            let totals = &mut report.totals;
            let place = match total {
                Total::PageCache => &mut totals.page_cache,
                Total::SwapCache => &mut totals.swap_cache,
                Total::Ram => &mut totals.ram,
                Total::HighMem => &mut totals.high_mem,
                Total::Reserved => &mut totals.reserved,
                Total::Cma => &mut totals.cma,
                Total::HwPoisoned => &mut totals.hwpoisoned,
            };
            *place = Some(pages.saturating_mul(page_size));
        }
    }
}

/// Totals of some kernels only, which tell nothing that is not told elsewhere.
fn is_other_total(text: &[u8]) -> bool {
    const ENDS: [&[u8]; 5] =
        [b" pages shared", b" pages non-shared", b" pages swap cached", b" slab pages", b" free pages"];
    text.starts_with(b"Swap cache stats: ") || ENDS.iter().any(|end| text.ends_with(end) && leading(text).is_some())
}

/// `dentry                 123KB        456KB` below `Unreclaimable slab info:`.
pub(super) fn slab(text: &[u8]) -> Option<Slab> {
    let mut words = words(text).collect::<Vec<_>>();
    let total = kib(words.pop()?)?;
    let used = kib(words.pop()?)?;
    let start = words.first()?.as_ptr().addr() - text.as_ptr().addr();
    let last = words.last()?;
    let end = last.as_ptr().addr() - text.as_ptr().addr() + last.len();
    Some(Slab { name: name(text.get(start..end)?), used, total })
}

/// `     2.50 MiB     1234 mm/slub.c:1234 func:alloc_slab_page` below `Memory allocations:`.
pub(super) fn allocation(text: &[u8]) -> Option<AllocationSite> {
    let mut words = words(text);
    let (amount, unit) = (words.next()?, words.next()?);
    const UNITS: [(&[u8], f64); 5] = [
        (b"B", 1.0),
        (b"KiB", 1024.0),
        (b"MiB", 1024.0 * 1024.0),
        (b"GiB", 1024.0 * 1024.0 * 1024.0),
        (b"TiB", 1024.0 * 1024.0 * 1024.0 * 1024.0),
    ];
    let factor = UNITS.iter().find(|(u, _)| *u == unit)?.1;
    let amount: f64 = std::str::from_utf8(amount).ok()?.parse().ok()?;
    let calls = number(words.next()?)?;
    let site: Vec<&[u8]> = words.collect();
    let bytes = amount * factor;
    (bytes >= 0.0 && !site.is_empty()).then(|| AllocationSite {
        bytes: bytes as u64,
        calls,
        site: name(&site.join(&b' ')),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> (OomReport, InPages) {
        let (mut report, mut pages) = (OomReport::default(), InPages::default());
        for text in lines {
            assert!(line(text.as_bytes(), &mut report, &mut pages), "{text}");
        }
        (report, pages)
    }

    #[test]
    fn zones_of_each_age() {
        let (report, pages) = read(&[
            "Node 0 DMA free:1672kB boost:0kB min:88kB low:108kB high:128kB reserved_highatomic:0KB managed:15360kB free_cma:4kB",
            "lowmem_reserve[]: 0 430 430 430 430",
            "Node 1 Normal free:2488kB min:4656kB low:5308kB high:5960kB all_unreclaimable? no",
            "lowmem_reserve[]: 0 0 0 0 0",
            "Node 0 DMA: 1*4kB (M) 0*8kB 2*64kB (UM) = 132kB",
            "Node 1 Normal: 3*4kB 0*8kB = 12kB",
        ]);
        let [dma, normal] = report.zones.as_slice() else { panic!("{report:?}") };
        assert_eq!(
            (dma.value("free"), dma.value("reserved_highatomic"), dma.value("free_cma")),
            (Some(1672 << 10), Some(0), Some(4096))
        );
        assert_eq!(
            (dma.free_blocks.len(), dma.free_blocks[2].types.as_str(), dma.free_blocks_total),
            (3, "UM", Some(132 << 10))
        );
        assert_eq!((normal.node, normal.all_unreclaimable, normal.free_blocks[0].count), (1, Some(false), 3));
        assert_eq!(pages.reserves, [vec![0, 430, 430, 430, 430], vec![0; 5]]);
        let (report, _) = read(&["DMA free:15900kB min:40kB low:48kB high:60kB", "DMA: 1*4kB = 4kB"]);
        assert_eq!((report.zones[0].node, report.zones[0].free_blocks_total), (0, Some(4096)));
    }

    #[test]
    fn counters_nodes_and_pools() {
        let (report, pages) = read(&[
            "Mem-Info:",
            "active_anon:112243 inactive_anon:0 isolated_anon:0",
            " slab_reclaimable:193 slab_unreclaimable:1993",
            " free:1040 free_pcp:1020 free_cma:0",
            "Node 0 active_anon:448972kB shmem_thp: 8kB kernel_stack:1056kB all_unreclaimable? yes",
            "Node 0 hugepages_total=4 hugepages_free=3 hugepages_surp=1 hugepages_size=2048kB",
            "Node 0 DMA per-cpu:",
            "CPU    0: hi:    0, btch:   1 usd:   0",
        ]);
        assert_eq!(pages.counters.len(), 8);
        assert_eq!(report.nodes[0].all_unreclaimable, Some(true));
        assert_eq!(report.nodes[0].values.len(), 3, "{:?}", report.nodes);
        assert_eq!((report.huge_pages[0].total, report.huge_pages[0].size), (4, 2 << 20));
    }

    #[test]
    fn totals_wait_for_the_size_of_a_page() {
        let (mut report, mut totals) = (OomReport::default(), TotalPages::default());
        for text in [
            "2929 total pagecache pages",
            "Free swap  = 4kB",
            "Total swap = 8kB",
            "130942 pages RAM",
            "Swap cache stats: add 0, delete 0, find 0/0",
        ] {
            assert!(totals.line(text.as_bytes(), &mut report), "{text}");
        }
        assert!(!totals.line(b"something else", &mut report));
        totals.finish(&mut report, 4096);
        assert_eq!((report.totals.page_cache, report.totals.ram), (Some(2929 << 12), Some(130_942 << 12)));
        assert_eq!(
            (report.totals.swap_free, report.totals.swap_total, report.totals.other.len()),
            (Some(4096), Some(8192), 1)
        );
    }

    #[test]
    fn slabs_and_sites() {
        let row = slab(b"kmalloc-rcl-64            12KB         16KB").unwrap();
        assert_eq!((row.name.as_str(), row.used, row.total), ("kmalloc-rcl-64", 12 << 10, 16 << 10));
        assert_eq!(slab(b"my cache (a)  1KB  2KB").unwrap().name.as_str(), "my cache (a)");
        let site = allocation(b"    2.50 MiB     1234 mm/slub.c:12 [ext4] func:alloc_slab_page").unwrap();
        assert_eq!(
            (site.bytes, site.calls, site.site.as_str()),
            (2_621_440, 1234, "mm/slub.c:12 [ext4] func:alloc_slab_page")
        );
        assert!(slab(b"Name                      Used          Total").is_none() && allocation(b"a b c").is_none());
    }
}
