//! The table of tasks.

use super::text::{find, leading, leading_signed};
use crate::{
    snapshot::{Name, oom_report::Task},
    source::lines::words,
};

/// The columns behind the process id, as the heading names them.
#[derive(Debug, Default)]
pub(super) struct Columns(Vec<Column>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Uid,
    Tgid,
    TotalVm,
    Rss,
    RssAnon,
    RssFile,
    RssShmem,
    /// Of 2.6.
    OomAdj,
    OomScoreAdj,
    /// Pages of page tables.
    NrPtes,
    NrPmds,
    NrPuds,
    /// Bytes of page tables.
    PageTablesBytes,
    SwapEnts,
    Other,
}

impl Columns {
    /// Reads `[  pid  ]   uid  tgid total_vm      rss ... name`.
    pub(super) fn heading(line: &[u8]) -> Option<Self> {
        let rest = line.trim_ascii_start().strip_prefix(b"[")?;
        let end = find(rest, b"]")?;
        if rest.get(..end)?.trim_ascii() != b"pid" {
            return None;
        }
        let names = words(rest.get(end + 1..)?).take_while(|w| *w != b"name");
        Some(Self(
            names
                .map(|name| match name {
                    b"uid" => Column::Uid,
                    b"tgid" => Column::Tgid,
                    b"total_vm" => Column::TotalVm,
                    b"rss" => Column::Rss,
                    b"rss_anon" => Column::RssAnon,
                    b"rss_file" => Column::RssFile,
                    b"rss_shmem" => Column::RssShmem,
                    b"oom_adj" => Column::OomAdj,
                    b"oom_score_adj" => Column::OomScoreAdj,
                    b"nr_ptes" => Column::NrPtes,
                    b"nr_pmds" => Column::NrPmds,
                    b"nr_puds" => Column::NrPuds,
                    b"pgtables_bytes" => Column::PageTablesBytes,
                    b"swapents" => Column::SwapEnts,
                    _ => Column::Other,
                })
                .collect(),
        ))
    }

    /// Reads a row; `None` if the line is none.
    pub(super) fn row(&self, line: &[u8]) -> Option<Row> {
        let rest = line.trim_ascii_start().strip_prefix(b"[")?;
        let end = find(rest, b"]")?;
        let pid = u32::try_from(crate::source::lines::number(rest.get(..end)?.trim_ascii())?).ok()?;
        let mut rest = rest.get(end + 1..)?;
        let mut row = Row { task: Task { pid, ..Task::default() }, ..Row::default() };
        let (mut old_adj, mut adj) = (None, None);
        for column in &self.0 {
            rest = rest.trim_ascii_start();
            let width = rest.iter().position(|b| *b == b' ').unwrap_or(rest.len());
            let (word, tail) = rest.split_at(width);
            rest = tail;
            let signed = leading_signed(word)?;
            let value = leading(word).unwrap_or(0);
            let small = u32::try_from(value).unwrap_or(u32::MAX);
            match column {
                Column::Uid => row.task.uid = small,
                Column::Tgid => row.task.tgid = small,
                Column::TotalVm => row.task.total_vm = value,
                Column::Rss => row.task.rss = value,
                Column::RssAnon => row.task.rss_anon = Some(value),
                Column::RssFile => row.task.rss_file = Some(value),
                Column::RssShmem => row.task.rss_shmem = Some(value),
                Column::SwapEnts => row.task.swap = Some(value),
                Column::NrPtes | Column::NrPmds | Column::NrPuds => {
                    row.table_pages = Some(row.table_pages.unwrap_or(0).saturating_add(value));
                }
                Column::PageTablesBytes => row.task.page_tables = Some(value),
                Column::OomAdj => old_adj = i32::try_from(signed).ok(),
                Column::OomScoreAdj => adj = i32::try_from(signed).ok(),
                Column::Other => {}
            }
        }
        // Before 2.6.36 there was `oom_adj` alone, of -17 (never) to 15; the kernel's own scale to the new one is this.
        row.task.oom_score_adj = adj.or(old_adj.map(|old| if old == 15 { 1000 } else { old * 1000 / 17 })).unwrap_or(0);
        row.task.comm = Name::from_bytes(rest.strip_prefix(b" ").unwrap_or(rest));
        Some(row)
    }
}

/// A row, before its pages are made bytes.
#[derive(Debug, Default)]
pub(super) struct Row {
    task: Task,
    table_pages: Option<u64>,
}

impl Row {
    /// The process, in bytes.
    pub(super) fn finish(self, page_size: u64) -> Task {
        let bytes = |pages: u64| pages.saturating_mul(page_size);
        let Self { mut task, table_pages } = self;
        task.total_vm = bytes(task.total_vm);
        task.rss = bytes(task.rss);
        for value in [&mut task.rss_anon, &mut task.rss_file, &mut task.rss_shmem, &mut task.swap] {
            *value = value.map(bytes);
        }
        task.page_tables = task.page_tables.or(table_pages.map(bytes));
        task
    }

    /// Pages in RAM.
    pub(super) fn rss_pages(&self) -> u64 {
        self.task.rss
    }

    /// Process id.
    pub(super) fn pid(&self) -> u32 {
        self.task.pid
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(heading: &str, row: &str) -> Task {
        let columns = Columns::heading(heading.as_bytes()).unwrap();
        columns.row(row.as_bytes()).unwrap().finish(4096)
    }

    #[test]
    fn rows_of_each_age() {
        let task = one(
            "[  pid  ]   uid  tgid total_vm      rss rss_anon rss_file rss_shmem pgtables_bytes swapents oom_score_adj name",
            "[  10401]     0 10401    18790    16892    16288      604         0   188416        3             0 my app]",
        );
        assert_eq!(
            (task.pid, task.rss, task.rss_anon, task.page_tables),
            (10401, 16892 << 12, Some(16288 << 12), Some(188_416))
        );
        assert_eq!((task.swap, task.comm.as_str()), (Some(3 << 12), "my app]"));
        let task = one(
            "[ pid ]   uid  tgid total_vm      rss nr_ptes nr_pmds swapents oom_score_adj name",
            "[  421]     0   421     4865       64       13       3        0         -1000 systemd-udevd",
        );
        assert_eq!((task.page_tables, task.oom_score_adj), (Some(16 << 12), -1000));
        let task = one(
            "[ pid ]   uid  tgid total_vm      rss cpu oom_adj oom_score_adj name",
            "[  421]    27   421     4865       64   1     -17         -1000 mysqld",
        );
        assert_eq!((task.uid, task.oom_score_adj, task.comm.as_str(), task.page_tables), (27, -1000, "mysqld", None));
        let task = one("[ pid ]   uid  tgid total_vm      rss cpu oom_adj name", "[    1]  0  1  100  64   1     15 x");
        assert_eq!(task.oom_score_adj, 1000);
    }

    #[test]
    fn what_is_no_row_is_none() {
        let columns = Columns::heading(b"[ pid ]   uid  tgid total_vm      rss name").unwrap();
        for line in ["[ 1] 0 x", "[x] 0 0 0 0 a", "oom-kill:constraint=", "[ 929.5] x", ""] {
            assert!(columns.row(line.as_bytes()).is_none(), "{line}");
        }
        assert!(Columns::heading(b"[ 1] 0 0 0").is_none());
        assert_eq!(columns.row(b"[ 1] 0 1 2 3  a b").unwrap().finish(1).comm.as_str(), " a b");
    }
}
