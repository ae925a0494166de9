//! Vital signs: one line each for what RAM is, stalls, allocation, reclaim, kswapd, TCP and links.

use ratatui::{
    style::Modifier,
    text::{Line, Span},
};

use super::{
    cells,
    context::Context,
    text::{shares, sparkline, width},
    theme::Tone,
};
use crate::{
    model::memory::Memory,
    snapshot::{
        coverage::Source,
        pressure::{Resource, Stall},
        reclaim::ReclaimKind,
    },
    units,
};

/// Width of the names at the left.
const NAME: usize = 9;

/// All vital signs for a screen of `room` columns.
pub(super) fn lines(ctx: &Context<'_>, room: usize) -> Vec<Line<'static>> {
    let mut lines = memory(ctx, room);
    lines.push(pressure(ctx, room));
    lines.push(allocation(ctx, room));
    lines.push(reclaim(ctx, room));
    lines.push(kswapd(ctx, room));
    lines.push(tcp(ctx, room));
    lines.push(links(ctx, room));
    lines
}

/// The stalls for memory in full, for the pane of memory: both kinds, the averages and the totals.
pub(super) fn pressure_lines(ctx: &Context<'_>, room: usize) -> Vec<Line<'static>> {
    let mut lines = vec![pressure(ctx, room)];
    let memory = ctx.model.pressure.as_ref().and_then(|p| p.memory.as_ref());
    let full = |stall: Option<Stall>| {
        stall.map_or_else(
            || units::UNKNOWN.to_owned(),
            |s| {
                let averages = [s.avg10, s.avg60, s.avg300].map(units::percent).join(", ");
                format!("{averages} of 10, 60, 300 s, {} since boot", units::seconds(s.total_seconds))
            },
        )
    };
    if let Some(memory) = memory {
        let words = format!("some task waited {}; all tasks {}", full(memory.some), full(memory.full));
        lines.push(Sign::new(ctx, "").label(words).line());
    }
    lines.extend(lists(ctx));
    lines
}

/// LRU lists, and dirty page cache against the kernel's thresholds.
fn lists(ctx: &Context<'_>) -> Vec<Line<'static>> {
    let Some(info) = &ctx.model.memory.meminfo else { return Vec::new() };
    let bytes = |v: Option<u64>| units::or_unknown(v.map(|v| v as f64), units::bytes);
    let lru = Sign::new(ctx, "LRU")
        .label("anon active ")
        .value(bytes(info.active_anon))
        .label(", inactive ")
        .value(bytes(info.inactive_anon))
        .label("; file active ")
        .value(bytes(info.active_file))
        .label(", inactive ")
        .value(bytes(info.inactive_file))
        .label("; unevictable ")
        .value(bytes(info.unevictable));
    let vm = &ctx.model.memory.vm;
    let wait = vm.dirty_threshold.zip(vm.dirty_background_threshold).map(|(limit, begin)| limit.midpoint(begin));
    let held = info.dirty.zip(info.writeback).map(|(dirty, writeback)| dirty + writeback);
    let tone = if held.zip(wait).is_some_and(|(held, wait)| held >= wait) { Tone::Warn } else { Tone::Plain };
    let dirty = Sign::new(ctx, "Dirty")
        .toned(bytes(info.dirty), tone)
        .label(", written now ")
        .value(bytes(info.writeback))
        .label("; writeback begins at ")
        .value(bytes(vm.dirty_background_threshold))
        .label(", writers wait from ")
        .value(bytes(wait));
    vec![lru.line(), dirty.line()]
}

/// A name, its words, and at the right edge the sparkline.
struct Sign<'a> {
    ctx: &'a Context<'a>,
    spans: Vec<Span<'static>>,
}

impl<'a> Sign<'a> {
    fn new(ctx: &'a Context<'a>, name: &str) -> Self {
        let name = Span::styled(format!("{name:<NAME$}"), ctx.theme.style(Tone::Title));
        Self { ctx, spans: vec![name] }
    }

    fn label(mut self, text: impl Into<String>) -> Self {
        self.spans.push(Span::styled(text.into(), self.ctx.theme.style(Tone::Dim)));
        self
    }

    fn value(self, text: impl Into<String>) -> Self {
        self.toned(text, Tone::Plain)
    }

    fn toned(mut self, text: impl Into<String>, tone: Tone) -> Self {
        self.spans.push(Span::styled(text.into(), self.ctx.theme.style(tone)));
        self
    }

    fn missing(self, why: String) -> Line<'static> {
        self.toned(why, Tone::Dim).line()
    }

    fn line(self) -> Line<'static> {
        Line::from(self.spans)
    }

    /// The line with bars in the room that is left, `top` being the least that fills it.
    fn bars(mut self, room: usize, values: &[Option<f64>], top: f64, tone: Tone) -> Line<'static> {
        const WIDEST: usize = 60;
        let used: usize = self.spans.iter().map(Span::width).sum();
        let left = room.saturating_sub(used + 2).min(WIDEST);
        if left >= 5 {
            let indent = room.saturating_sub(used + left);
            self.spans.push(Span::raw(" ".repeat(indent)));
            self.spans
                .push(Span::styled(sparkline(values, left, top, self.ctx.theme.glyphs), self.ctx.theme.style(tone)));
        }
        self.line()
    }
}

/// What RAM is: letter, name, bytes. The parts add up to all of it.
fn parts(memory: &Memory) -> Option<Vec<(char, &'static str, u64)>> {
    let m = memory.meminfo.as_ref()?;
    let (total, free) = m.total.zip(m.free)?;
    let known = [
        ('a', "anon", m.anon_pages?),
        ('c', "page cache", memory.reclaimable_cache?),
        ('t', "tmpfs", m.shmem?),
        ('h', "hugetlb", m.hugetlb.unwrap_or(0)),
        ('s', "slab", m.slab?),
    ];
    let sum: u64 = known.iter().map(|(_, _, bytes)| bytes).sum();
    let other = total.saturating_sub(free).saturating_sub(sum);
    let parts = known.into_iter().filter(|(letter, _, bytes)| *letter != 'h' || *bytes > 0);
    Some(parts.chain([('k', "other kernel", other), ('.', "free", free)]).collect())
}

fn memory(ctx: &Context<'_>, room: usize) -> Vec<Line<'static>> {
    let memory = &ctx.model.memory;
    let sign = Sign::new(ctx, "Memory");
    let Some((info, parts)) = memory.meminfo.as_ref().zip(parts(memory)) else {
        return vec![sign.missing(ctx.no_data("memory", &[Source::MEMINFO]))];
    };
    let bytes = |v: Option<u64>| units::or_unknown(v.map(|v| v as f64), units::bytes);
    let ratio = units::or_unknown(memory.available_ratio, units::percent);
    let tone = match memory.available_ratio {
        Some(r) if r < 0.05 => Tone::Bad,
        Some(r) if r < 0.1 => Tone::Warn,
        _ => Tone::Plain,
    };
    let sign =
        sign.value(bytes(info.total)).label(", available ").toned(format!("{} = {ratio}", bytes(info.available)), tone);
    let sign = match info.swap_total {
        Some(0) => sign.label(", no swap"),
        total => {
            let used = total.zip(info.swap_free).map(|(total, free)| total.saturating_sub(free));
            sign.label(", swap ").value(format!("{} of {}", bytes(used), bytes(total)))
        }
    };
    let vm = &memory.vm;
    let rate = |v: Option<f64>| units::or_unknown(v, units::bytes_per_second);
    let refaults = vm.refault_anon.zip(vm.refault_file).map(|(a, f)| a + f);
    let mut sign = sign.label(", refaults ").value(rate(refaults));
    if info.swap_total.is_some_and(|total| total > 0) {
        sign = sign.label(", swapped in ").value(rate(vm.swap_in));
    }
    let first = sign.line();

    let sizes: Vec<f64> = parts.iter().map(|(_, _, bytes)| *bytes as f64).collect();
    let mut bar = vec![Span::raw(" ".repeat(NAME))];
    let mut legend: Vec<Vec<Span<'static>>> = Vec::new();
    for (i, ((letter, name, bytes), columns)) in parts.iter().zip(shares(&sizes, room.saturating_sub(NAME))).enumerate()
    {
        let style = if *letter == '.' { ctx.theme.style(Tone::Dim) } else { ctx.theme.part(i) };
        bar.push(Span::styled(letter.to_string().repeat(columns), style));
        legend.push(vec![
            Span::styled(letter.to_string(), style.add_modifier(Modifier::BOLD)),
            Span::styled(format!(" {name} "), ctx.theme.style(Tone::Dim)),
            Span::raw(units::bytes(*bytes as f64)),
        ]);
    }
    [first, Line::from(bar)].into_iter().chain(flow(legend, room)).collect()
}

/// Puts groups of spans onto as many lines as they need, under the values.
fn flow(groups: Vec<Vec<Span<'static>>>, room: usize) -> Vec<Line<'static>> {
    let mut lines: Vec<Vec<Span<'static>>> = Vec::new();
    let mut used = usize::MAX;
    for group in groups {
        let needed: usize = group.iter().map(Span::width).sum();
        match lines.last_mut().filter(|_| used.saturating_add(needed + 2) <= room) {
            Some(line) => {
                line.push(Span::raw("  "));
                line.extend(group);
                used += needed + 2;
            }
            None => {
                lines.push([Span::raw(" ".repeat(NAME))].into_iter().chain(group).collect());
                used = NAME + needed;
            }
        }
    }
    lines.into_iter().map(Line::from).collect()
}

fn pressure(ctx: &Context<'_>, room: usize) -> Line<'static> {
    let mut sign = Sign::new(ctx, "Pressure");
    let Some(pressure) = &ctx.model.pressure else {
        return sign.missing(ctx.no_data("pressure", &[Source::PRESSURE_MEMORY]));
    };
    let mut worst = Tone::Plain;
    for (name, resource, source) in [
        ("memory", &pressure.memory, Source::PRESSURE_MEMORY),
        (", io", &pressure.io, Source::PRESSURE_IO),
        (", cpu", &pressure.cpu, Source::PRESSURE_CPU),
    ] {
        sign = sign.label(format!("{name} "));
        sign = match resource {
            Some(r) => {
                let (words, tone) = stalls(r, name == ", cpu");
                if name == "memory" {
                    worst = tone;
                }
                sign.toned(words, tone)
            }
            None => sign.value(format!("? {}", ctx.why("pressure", &[source]))),
        };
    }
    let sign = sign.label(if room > 110 { " of 10 s, 60 s, 5 min some task waited" } else { " of 10, 60, 300 s" });
    sign.bars(room, &ctx.trend(|p| p.psi_memory), 0.1, worst)
}

/// `12/8/3 %`: the share of the last 10, 60 and 300 seconds in which some task waited.
fn stalls(r: &Resource, cpu: bool) -> (String, Tone) {
    let Some(some) = r.some else { return (units::UNKNOWN.to_owned(), Tone::Dim) };
    let percent = |v: f64| format!("{:.0}", v * 100.0);
    let tone = match some.avg10 {
        // Waiting for a CPU is what a busy host does.
        _ if cpu => Tone::Plain,
        v if v >= 0.2 => Tone::Bad,
        v if v >= 0.05 => Tone::Warn,
        _ => Tone::Plain,
    };
    (format!("{}/{}/{} %", percent(some.avg10), percent(some.avg60), percent(some.avg300)), tone)
}

fn allocation(ctx: &Context<'_>, room: usize) -> Line<'static> {
    let sign = Sign::new(ctx, "Pages");
    let Some(alloc) = &ctx.model.page_alloc else {
        let faults = units::or_unknown(ctx.model.memory.vm.faults, units::per_second);
        return sign.label("faults ").value(faults).label(", allocations ").missing(ctx.no_data("page_alloc", &[]));
    };
    let failed = alloc.total.failures;
    let failing = failed.is_some_and(|f| f > 0.0);
    let mut sign = sign
        .label("allocated ")
        .value(units::or_unknown(alloc.total.pages, units::per_second))
        .label(", failed ")
        .toned(units::or_unknown(failed, units::per_second), if failing { Tone::Bad } else { Tone::Plain });
    if let Some(most) = alloc.processes.first() {
        let rate = units::or_unknown(most.allocs.pages, units::per_second);
        sign = sign.label(", most by ").value(format!("{} ({}) {rate}", most.comm, most.pid));
    }
    sign.bars(room, &ctx.trend(|p| p.pages), 1.0, Tone::Good)
}

fn reclaim(ctx: &Context<'_>, room: usize) -> Line<'static> {
    let sign = Sign::new(ctx, "Reclaim");
    let Some(reclaim) = &ctx.model.reclaim else {
        let stalls = units::or_unknown(ctx.model.memory.vm.allocstall, units::per_second);
        return sign.label("direct ").value(stalls).label(", stalls ").missing(ctx.no_data("reclaim", &[]));
    };
    let mut sign = sign;
    let mut worst = Tone::Plain;
    for (separator, kind) in [("", ReclaimKind::Direct), (", ", ReclaimKind::Memcg)] {
        let stalls = reclaim.total(kind, ctx.model.interval);
        let mut latency = crate::snapshot::Log2Histogram::default();
        reclaim.cgroups.iter().filter(|c| c.kind == kind).for_each(|c| latency.add(&c.latency_ns));
        let tone = match stalls.stalled_ratio {
            Some(r) if r >= 0.2 => Tone::Bad,
            Some(r) if r >= 0.01 => Tone::Warn,
            _ => Tone::Plain,
        };
        if tone != Tone::Plain {
            worst = tone;
        }
        sign = sign.label(format!("{separator}{} ", cells::kind(kind)));
        sign = sign.value(units::or_unknown(stalls.per_second, units::per_second));
        if stalls.totals.count > 0 {
            let p99 = latency.quantile_bound(0.99).map(|ns| ns / 1e9);
            sign = sign
                .label(if room > 100 { ", stalled " } else { " " })
                .toned(units::or_unknown(stalls.stalled_ratio, units::percent), tone)
                .label(if room > 100 { ", p99 <" } else { " p99<" })
                .value(units::or_unknown(p99, units::seconds));
        }
    }
    if !reclaim.in_flight.is_empty() {
        sign = sign.toned(format!(", {} now", reclaim.in_flight.len()), Tone::Warn);
    }
    let both = |p: &super::trend::Point| p.direct.zip(p.memcg).map(|(d, m)| d + m);
    sign.bars(room, &ctx.trend(both), 0.01, worst)
}

fn kswapd(ctx: &Context<'_>, room: usize) -> Line<'static> {
    let sign = Sign::new(ctx, "kswapd");
    let vm = &ctx.model.memory.vm;
    let took = units::or_unknown(vm.steal_kswapd, units::bytes_per_second);
    let Some(kswapd) = &ctx.model.kswapd else {
        return sign.label("reclaims ").value(took).label(", wakes ").missing(ctx.no_data("kswapd", &[]));
    };
    let mut sign = sign;
    let mut worst = Tone::Plain;
    // A line has room for a few nodes; all stand in the memory pane.
    const NODES: usize = 4;
    for n in kswapd.nodes.iter().take(NODES) {
        let tone = match n.awake_ratio {
            Some(r) if r >= 0.8 => Tone::Bad,
            Some(r) if r >= 0.3 => Tone::Warn,
            _ => Tone::Plain,
        };
        if tone != Tone::Plain {
            worst = tone;
        }
        sign = sign
            .label(format!("node {} awake ", n.node))
            .toned(units::or_unknown(n.awake_ratio, units::percent), tone)
            .label(", ");
    }
    if kswapd.nodes.len() > NODES {
        sign = sign.label(format!("{} more nodes, ", kswapd.nodes.len() - NODES));
    }
    if kswapd.nodes.is_empty() {
        sign = sign.value("asleep").label(", ");
    }
    sign = sign.label("reclaims ").value(took);
    if let Some(first) = kswapd.requesters.first() {
        sign = sign.label(", asked by ").value(format!("{} ({})", first.who.comm, first.who.pid));
    }
    sign.bars(room, &ctx.trend(|p| p.kswapd), 0.1, worst)
}

fn tcp(ctx: &Context<'_>, room: usize) -> Line<'static> {
    let sign = Sign::new(ctx, "TCP");
    let own = &ctx.model.tcp.own;
    if own.established.is_none() && own.out_segs.is_none() {
        return sign.missing(ctx.no_data("tcp", &[Source::SNMP, Source::NETSTAT]));
    }
    let rate = |v: Option<f64>| units::or_unknown(v, units::per_second);
    let tone = match own.retrans_ratio {
        Some(r) if r >= 0.05 => Tone::Bad,
        Some(r) if r >= 0.01 => Tone::Warn,
        _ => Tone::Plain,
    };
    let sign = sign
        .value(units::or_unknown(own.established.map(|n| n as f64), units::count))
        .label(" established, segments ")
        .value(rate(own.out_segs));
    // Where nothing was sent there is no share of it.
    let sign = match (own.retrans_ratio, own.out_segs_in_interval) {
        (None, Some(0)) => sign.label(", retransmits none"),
        (ratio, _) => sign.label(", retransmits ").toned(units::or_unknown(ratio, units::percent), tone),
    };
    let opens = own.active_opens.zip(own.passive_opens).map(|(a, p)| a + p);
    let mut sign = sign.label(", opens ").value(rate(opens));
    if own.listen_drops.is_some_and(|d| d > 0.0) {
        sign = sign.label(", listen drops ").toned(rate(own.listen_drops), Tone::Bad);
    }
    sign.bars(room, &ctx.trend(|p| p.retrans), 0.01, tone)
}

fn links(ctx: &Context<'_>, room: usize) -> Line<'static> {
    let mut sign = Sign::new(ctx, "Links");
    let Some(list) = &ctx.model.links else { return sign.missing(ctx.no_data("links", &[Source::LINKS])) };
    let rate = |v: Option<f64>| units::or_unknown(v, units::bits_per_second);
    // The busiest come first; as many as leave room for bars.
    let mut used = NAME;
    let mut shown = 0;
    for l in list {
        let words = format!("{} rx {} tx {}", l.now.name, rate(l.rx), rate(l.tx));
        let separator = if shown == 0 { "" } else { ", " };
        used += width(separator) + width(&words);
        if shown > 0 && used + 12 > room {
            break;
        }
        shown += 1;
        let trouble = l.trouble.filter(|t| *t > 0.0);
        sign = sign.label(separator).toned(words, if trouble.is_some() { Tone::Warn } else { Tone::Plain });
    }
    let left = list.len() - shown;
    if left > 0 {
        sign = sign.label(format!(", {left} more"));
    }
    let both = |p: &super::trend::Point| p.rx.zip(p.tx).map(|(rx, tx)| rx + tx);
    sign.bars(room, &ctx.trend(both), 1.0, Tone::Good)
}
