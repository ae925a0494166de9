//! Puts one report together, line by line.

use super::{
    kill, memcg,
    prefix::Line,
    request::{self, TraceLine},
    show_mem::{self, InPages, TotalPages},
    tasks::{Columns, Row},
};
use crate::snapshot::{
    Name,
    oom_report::{Cut, Decision, OomReport, Origin, PageSize},
};

/// Lines that are kept of what is not known; more are noise.
const MOST_UNREAD: usize = 200;
/// Bytes that are kept of each.
const LONGEST_UNREAD: usize = 512;

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Took {
    /// It is part of the report.
    Yes,
    /// It is, and the kill is done.
    End,
    /// It is none of it.
    No,
    /// It begins another report.
    Begin,
}

/// The part of the report that the last line was of: some lines say what they are only by where they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Head,
    Stats,
    Slabs,
    Allocations,
    Tasks,
    After,
}

#[derive(Debug)]
pub(super) struct Builder {
    report: OomReport,
    part: Part,
    pages: InPages,
    totals: TotalPages,
    columns: Option<Columns>,
    rows: Vec<Row>,
    /// When the kill was, in nanoseconds since the boot.
    killed_ns: Option<u64>,
    /// When the last line was that stood between its lines.
    seen_ns: Option<u64>,
    cut: Option<Cut>,
}

impl Builder {
    /// Begins with a line that begins a report; true if it ends it as well.
    pub(super) fn begin(origin: Origin, line: &Line<'_>) -> Option<(Self, bool)> {
        let words = line.words.trim_ascii();
        let mut new = Self {
            report: OomReport { origin, ..OomReport::default() },
            part: Part::Head,
            pages: InPages::default(),
            totals: TotalPages::default(),
            columns: None,
            rows: Vec::new(),
            killed_ns: None,
            seen_ns: None,
            cut: None,
        };
        if let Some(request) = request::invoked(&line.words) {
            new.report.request = Some(request);
            return Some((new, false));
        }
        // The kernel's rate limit may hold all but the last lines back.
        new.cut = Some(Cut::NoBegin);
        match new.ending(words, line) {
            Took::No | Took::Begin => None,
            Took::Yes => Some((new, false)),
            Took::End => Some((new, true)),
        }
    }

    pub(super) fn host(&self) -> &Option<Name> {
        &self.report.origin.host
    }

    /// Nanoseconds since the kill, by the last line of anybody.
    pub(super) fn silent_ns(&self) -> u64 {
        self.seen_ns.zip(self.killed_ns).map_or(0, |(seen, killed)| seen.saturating_sub(killed))
    }

    /// Takes a line.
    pub(super) fn take(&mut self, line: &Line<'_>) -> Took {
        self.seen_ns = line.stamp.boot_ns.or(self.seen_ns);
        // Names in it may begin with a space; everything else is read without those around it.
        let words = line.words.trim_ascii();
        if request::invoked(&line.words).is_some() {
            return Took::Begin;
        }
        let took = self.words(words, line);
        if matches!(took, Took::Yes | Took::End) {
            if line.stamp != Default::default() {
                self.report.origin.end = line.stamp.clone();
            }
        } else if took == Took::No && self.part != Part::After && self.report.unread.len() < MOST_UNREAD {
            self.report.unread.push(Name::from_bytes(words.get(..LONGEST_UNREAD).unwrap_or(words)));
        }
        took
    }

    fn words(&mut self, words: &[u8], line: &Line<'_>) -> Took {
        let ending = self.ending(words, line);
        if ending != Took::No || self.part == Part::After {
            return ending;
        }
        if self.memcg(words) || self.tables(words, line) || self.memory(words) {
            return Took::Yes;
        }
        if request::context(words, &mut self.report) || self.trace(words) { Took::Yes } else { Took::No }
    }

    /// The decision, the kill, the reaper.
    fn ending(&mut self, words: &[u8], line: &Line<'_>) -> Took {
        if let Some(decision) = memcg::decision(&line.words, &mut self.report.unknown_fields) {
            if self.part == Part::After {
                return Took::Begin;
            }
            self.report.decision = Some(decision);
            return Took::Yes;
        }
        if let Some(row) = kill::reaped(words) {
            if self.report.kills.iter().any(|k| k.pid == row.pid) {
                self.report.reaped.push(row);
                return Took::Yes;
            }
            return Took::No;
        }
        if let Some(group) = memcg::group(words) {
            self.report.group = Some(group);
            return Took::Yes;
        }
        if words.starts_with(b"Out of memory and no killable processes") {
            self.report.no_killable = true;
            return self.end(line);
        }
        if let Some(exiting) = kill::exiting(&line.words) {
            if self.part == Part::After {
                return Took::Begin;
            }
            self.report.exiting = Some(exiting);
            return self.end(line);
        }
        if words.starts_with(b"Memory cgroup out of memory")
            || super::text::find(words, b"ill process ").is_some()
            || super::text::find(words, b"illed process ").is_some()
        {
            return self.kill(&line.words, line);
        }
        Took::No
    }

    fn kill(&mut self, words: &[u8], line: &Line<'_>) -> Took {
        let Some(kill) = kill::kill(words) else { return Took::No };
        if kill::is_announcement(words) {
            if self.part == Part::After {
                return Took::Begin;
            }
            let decision = self.report.decision.get_or_insert_with(|| Decision { global: true, ..Decision::default() });
            (decision.task, decision.pid) = (Some(kill.comm.clone()), Some(kill.pid));
            self.report.kills.push(kill);
            return Took::Yes;
        }
        let known = self.report.kills.iter_mut().find(|k| k.pid == kill.pid);
        match known {
            Some(known) => kill::merge(known, kill),
            // Another process than those of this report.
            None if self.part == Part::After && self.report.group.is_none() => return Took::Begin,
            None => {
                // A child was sacrificed for the parent that was announced.
                self.report.kills.retain(|k| k.total_vm.is_some());
                self.report.kills.push(kill);
            }
        }
        self.end(line)
    }

    fn end(&mut self, line: &Line<'_>) -> Took {
        self.part = Part::After;
        self.killed_ns = line.stamp.boot_ns.or(self.killed_ns);
        Took::End
    }

    fn memcg(&mut self, words: &[u8]) -> bool {
        if let Some(usage) = memcg::usage(words) {
            self.report.memcg.get_or_insert_default().uses.push(usage);
            return true;
        }
        if let Some(stats) = memcg::stats(words) {
            self.report.memcg.get_or_insert_default().stats.push(stats);
            self.part = Part::Stats;
            return true;
        }
        if self.part == Part::Stats
            && let Some(stat) = memcg::stat(words)
        {
            if let Some(last) = self.report.memcg.as_mut().and_then(|m| m.stats.last_mut()) {
                last.values.extend(stat);
            }
            return true;
        }
        memcg::old_decision(words, &mut self.report)
    }

    /// Tables, whose rows follow a heading.
    fn tables(&mut self, words: &[u8], line: &Line<'_>) -> bool {
        let headings: [(&[u8], Part); 3] = [
            (b"Unreclaimable slab info:", Part::Slabs),
            (b"Memory allocations:", Part::Allocations),
            (b"Tasks state (memory values in pages):", Part::Tasks),
        ];
        if let Some((_, part)) = headings.iter().find(|(heading, _)| words == *heading) {
            self.part = *part;
            return true;
        }
        if let Some(columns) = Columns::heading(words) {
            self.columns = Some(columns);
            self.part = Part::Tasks;
            return true;
        }
        match self.part {
            Part::Slabs if words.starts_with(b"Name ") && words.ends_with(b"Total") => true,
            Part::Slabs => show_mem::slab(words).map(|row| self.report.slabs.push(row)).is_some(),
            Part::Allocations => show_mem::allocation(words).map(|row| self.report.allocations.push(row)).is_some(),
            Part::Tasks => {
                // The name at its end may end in a space.
                let row = self.columns.as_ref().and_then(|c| c.row(&line.words));
                row.map(|row| self.rows.push(row)).is_some()
            }
            _ => false,
        }
    }

    fn memory(&mut self, words: &[u8]) -> bool {
        show_mem::line(words, &mut self.report, &mut self.pages) || self.totals.line(words, &mut self.report)
    }

    fn trace(&mut self, words: &[u8]) -> bool {
        match request::trace(words) {
            Some(TraceLine::Frame(frame)) => self.report.trace.push(frame),
            Some(TraceLine::Registers) => self.report.register_lines += 1,
            Some(TraceLine::Mark) => {}
            None => return false,
        }
        true
    }

    /// The report. `cut` says why it ends here if it is not whole.
    pub(super) fn finish(mut self, cut: Option<Cut>) -> OomReport {
        let size = self.page_size();
        let bytes = |pages: u64| pages.saturating_mul(size.bytes);
        let report = &mut self.report;
        report.page_size = size;
        report.cut = self.cut.or(cut);
        report.counters = std::mem::take(&mut self.pages.counters)
            .into_iter()
            .map(|(name, pages)| crate::snapshot::oom_report::Counter { name, bytes: bytes(pages) })
            .collect();
        for (zone, reserve) in report.zones.iter_mut().zip(&self.pages.reserves) {
            zone.lowmem_reserve = reserve.iter().copied().map(bytes).collect();
        }
        self.totals.finish(report, size.bytes);
        report.tasks = std::mem::take(&mut self.rows).into_iter().map(|row| row.finish(size.bytes)).collect();
        self.report
    }

    /// The sum of a counter over the lines of nodes, or of zones where the kernel has no lines of nodes (before 4.8).
    fn in_kilobytes(&self, name: &str) -> Option<u64> {
        let nodes = self.report.nodes.iter().map(|n| &n.values);
        let zones = self.report.zones.iter().filter(|_| self.report.nodes.is_empty()).map(|z| &z.values);
        let mut all = nodes.chain(zones).map(|values| crate::snapshot::oom_report::counter(values, name));
        all.try_fold(0u64, |sum, one| Some(sum.saturating_add(one?)))
    }

    /// The same amount is in the report in pages and in kB: the counters of all nodes, or what the victim had.
    fn page_size(&self) -> PageSize {
        const NAMES: [&str; 5] = ["active_anon", "inactive_anon", "active_file", "inactive_file", "shmem"];
        let of_nodes = NAMES.iter().filter_map(|name| {
            let pages = self.pages.counters.iter().find(|(n, _)| n.as_str() == *name)?.1;
            Some((self.in_kilobytes(name)?, pages))
        });
        let of_victim = self.report.kills.iter().filter_map(|kill| {
            let bytes = kill.anon_rss?.saturating_add(kill.file_rss?).saturating_add(kill.shmem_rss.unwrap_or(0));
            Some((bytes, self.rows.iter().find(|row| row.pid() == kill.pid)?.rss_pages()))
        });
        // The largest says it most exactly.
        let best = of_nodes.chain(of_victim).filter(|(bytes, pages)| *bytes > 0 && *pages > 0).max();
        best.and_then(|(bytes, pages)| {
            let found = [4096u64, 8192, 16384, 65536].into_iter().find(|size| {
                let expected = pages.saturating_mul(*size);
                expected.abs_diff(bytes) < expected / 4
            });
            found.map(|bytes| PageSize { bytes, known: true })
        })
        .unwrap_or_default()
    }
}
