//! Processes by resident set. Source: /proc/PID/statm, stat, status, oom_score_adj.

use std::fmt::Write as _;
use std::os::fd::OwnedFd;

use nix::errno::Errno;

use super::file::{Buffer, Root, Shape, open_folder};
use super::lines::{Fields, Unit, number, words};
use super::{Malformed, SourceError};
use crate::snapshot::Name;
use crate::snapshot::process::{Process, Processes};

/// Processes that a snapshot lists, unless asked otherwise.
pub const DEFAULT_LIMIT: usize = 256;

/// Constants of the host that turn the kernel's units into bytes and nanoseconds.
#[derive(Debug, Clone, Copy)]
pub struct Units {
    /// Bytes of an order-0 page.
    pub page_size: u64,
    /// Nanoseconds of a tick of `times(2)`, in which /proc/PID/stat gives the start.
    pub tick_ns: u64,
}

/// Reads the `limit` processes with the largest resident set, largest first.
///
/// All resident sets are read first, from the cheapest file there is; the costlier files only of those that are listed.
/// Kernel threads and zombies hold no memory and are not listed. A process that ends meanwhile is left out.
pub fn read(root: &Root, buffer: &mut Buffer, units: Units, limit: usize) -> Result<Processes, SourceError> {
    let path = root.path("/proc");
    let proc_folder = open_folder(&path)?;
    let mut reader = Reader { proc_folder, buffer, path: String::with_capacity(32) };

    let mut sizes = Vec::with_capacity(512);
    let mut others = 0;
    for entry in std::fs::read_dir(&path).map_err(|e| SourceError::io("list", "/proc", e))? {
        let entry = entry.map_err(|e| SourceError::io("list", "/proc", e))?;
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse::<u32>().ok()) else { continue };
        match reader.read(pid, "statm", resident_pages) {
            Ok(Some(0)) | Err(_) => others += 1,
            Ok(Some(pages)) => sizes.push((pages, pid)),
            Ok(None) => {}
        }
    }
    if sizes.len() > limit {
        sizes.select_nth_unstable_by(limit, |a, b| b.cmp(a));
        others += (sizes.len() - limit) as u64;
        sizes.truncate(limit);
    }

    let mut list = Vec::with_capacity(sizes.len());
    let mut failure = None;
    for (_, pid) in sizes {
        match reader.read(pid, "stat", |bytes| stat(bytes, units)) {
            Ok(Some(mut process)) => {
                // A process that may not be looked into shows its sizes nevertheless; one that ends meanwhile has none.
                if let Ok(Some(status)) = reader.read(pid, "status", status) {
                    status.put(&mut process);
                }
                process.oom_score_adj = reader.read(pid, "oom_score_adj", oom_score_adj).ok().flatten();
                list.push(process);
            }
            Ok(None) => {}
            Err(e) => {
                others += 1;
                failure = Some(e);
            }
        }
    }
    if let (true, Some(failure)) = (list.is_empty(), failure) {
        return Err(failure);
    }
    list.sort_unstable_by_key(|p| (std::cmp::Reverse(p.rss), p.pid));
    Ok(Processes { list, not_listed: others })
}

struct Reader<'a> {
    proc_folder: OwnedFd,
    buffer: &'a mut Buffer,
    path: String,
}

impl Reader<'_> {
    /// Reads a file of a process; `None` if the process has ended.
    fn read<T>(
        &mut self,
        pid: u32,
        file: &str,
        parse: impl FnOnce(&[u8]) -> Result<T, Malformed>,
    ) -> Result<Option<T>, SourceError> {
        self.path.clear();
        // Writing to a String does not fail.
        let _ = write!(self.path, "{pid}/{file}");
        let absolute = || format!("/proc/{pid}/{file}");
        match self.buffer.read_at(&self.proc_folder, self.path.as_str(), Shape::Piece) {
            Ok(bytes) => parse(bytes).map(Some).map_err(|problem| SourceError::malformed(absolute(), problem)),
            Err(Errno::ENOENT | Errno::ESRCH) => Ok(None),
            Err(e) => Err(SourceError::io("read", absolute(), e)),
        }
    }
}

/// The second number of /proc/PID/statm.
fn resident_pages(bytes: &[u8]) -> Result<u64, Malformed> {
    let word = words(bytes.trim_ascii_end()).nth(1).unwrap_or_default();
    number(word).ok_or_else(|| Malformed::no_number(1, "resident", word))
}

/// Parses /proc/PID/stat: `PID (comm) S ppid ...`. The name may hold anything, `)` and line ends too; what follows the last
/// `)` is the kernel's.
pub fn stat(bytes: &[u8], units: Units) -> Result<Process, Malformed> {
    let open = bytes.iter().position(|b| *b == b'(');
    let close = bytes.iter().rposition(|b| *b == b')');
    let (Some(open), Some(close)) = (open, close.filter(|close| open.is_some_and(|open| open < *close))) else {
        return Err(Malformed::new(1, "there is no name in parentheses"));
    };
    let pid = bytes.get(..open).unwrap_or_default().trim_ascii_end();
    let comm = bytes.get(open + 1..close).unwrap_or_default();
    let rest = bytes.get(close + 1..).unwrap_or_default();
    let Some(rest) = rest.strip_suffix(b"\n") else {
        return Err(Malformed::new(1, "the file ends within the line"));
    };
    let mut fields = words(rest);
    // Numbers of the fields as in proc_pid_stat(5); the state, right after the name, is number 3.
    let mut last = 2;
    let mut field = |index: usize, name: &str| {
        let word = fields.nth(index - last - 1).unwrap_or_default();
        last = index;
        number(word).ok_or_else(|| Malformed::no_number(1, name, word))
    };
    let major_faults = field(12, "majflt")?;
    let start_ticks = field(22, "starttime")?;
    let rss_pages = field(24, "rss")?;
    let pid_number = number(pid).and_then(|p| u32::try_from(p).ok());
    Ok(Process {
        pid: pid_number.ok_or_else(|| Malformed::no_number(1, "pid", pid))?,
        start_ns: start_ticks.saturating_mul(units.tick_ns),
        comm: Name::from_bytes(comm),
        rss: rss_pages.saturating_mul(units.page_size),
        major_faults,
        ..Process::default()
    })
}

/// Lines of /proc/PID/status in bytes.
#[derive(Debug, Default, PartialEq, Eq)]
struct Status {
    anon: Option<u64>,
    file: Option<u64>,
    shmem: Option<u64>,
    swap: Option<u64>,
    page_tables: Option<u64>,
}

impl Status {
    fn put(self, process: &mut Process) {
        let Self { anon, file, shmem, swap, page_tables } = self;
        (process.anon, process.file, process.shmem) = (anon, file, shmem);
        (process.swap, process.page_tables) = (swap, page_tables);
    }
}

fn status(bytes: &[u8]) -> Result<Status, Malformed> {
    let fields = Fields::from_lines(bytes, Unit::Kib)?;
    let line = |name| fields.get(name);
    fields.checked(Status {
        page_tables: line("VmPTE"),
        swap: line("VmSwap"),
        anon: line("RssAnon"),
        file: line("RssFile"),
        shmem: line("RssShmem"),
    })
}

fn oom_score_adj(bytes: &[u8]) -> Result<i32, Malformed> {
    let text = bytes.trim_ascii();
    let value = std::str::from_utf8(text).ok().and_then(|t| t.parse().ok());
    value.ok_or_else(|| Malformed::no_number(1, "oom_score_adj", text))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::process::{Command, Stdio};

    use proptest::prelude::*;

    use super::*;
    use crate::source::fixtures::{V2_6_12, proc_file};

    const UNITS: Units = Units { page_size: 4096, tick_ns: 10_000_000 };

    fn line(comm: &[u8]) -> Vec<u8> {
        let rest = b") S 1 1 1 0 -1 4194560 87 1029 5 0 3 73 2 8 20 0 1 0 40 2646016 399 18446744073709551615 1 1 1\n";
        [b"4242 (", comm, rest].concat()
    }

    #[test]
    fn a_real_line() {
        let init = stat(&proc_file(V2_6_12, "1/stat"), UNITS).unwrap();
        assert_eq!((init.pid, init.comm.as_str(), init.rss), (1, "init", 399 * 4096));
        assert_eq!((init.start_ns, init.major_faults), (400_000_000, 0));
    }

    #[test]
    fn hostile_names_do_not_shift_the_fields() {
        for comm in [&b") S 9 (x"[..], b"a\nb", b"\xff\xfe\x1b[2J", b"", b"((((", b"))))"] {
            let process = stat(&line(comm), UNITS).unwrap();
            assert_eq!(process.comm.to_bytes(), comm);
            assert_eq!((process.pid, process.major_faults, process.rss), (4242, 5, 399 * 4096));
        }
    }

    #[test]
    fn broken_lines_are_errors() {
        let whole = line(b"x");
        for cut in 0..whole.len() {
            assert!(stat(&whole[..cut], UNITS).is_err(), "{cut}");
        }
        assert!(stat(b")4242 ( S\n", UNITS).is_err());
        assert!(resident_pages(b"12\n").is_err());
        assert!(oom_score_adj(b"x\n").is_err());
        assert_eq!(oom_score_adj(b"-1000\n"), Ok(-1000));
    }

    #[test]
    fn the_host_lists_this_process_and_a_child_with_a_hostile_name() {
        let name = b"a) S 1\n\xff(";
        // The shell names itself, says so, and waits.
        let script = r"printf 'a) S 1\n\377(' > /proc/$$/comm; echo named; read end";
        let mut shell = Command::new("sh");
        let mut child = shell.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = [0; 6];
        child.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
        let list = read(&Root::default(), &mut Buffer::default(), UNITS, usize::MAX).unwrap();
        let seen = list.list.iter().find(|p| p.pid == child.id()).map(|p| p.comm.to_bytes());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(seen.unwrap(), name);
        let own = list.list.iter().find(|p| p.pid == std::process::id()).unwrap();
        assert!(own.rss > 0 && own.oom_score_adj.is_some() && own.start_ns > 0);
        assert!(list.list.is_sorted_by(|a, b| a.rss >= b.rss));
        assert!(list.not_listed > 0, "the kernel's threads");
    }

    #[test]
    fn the_limit_keeps_the_largest() {
        let all = read(&Root::default(), &mut Buffer::default(), UNITS, usize::MAX).unwrap();
        let one = read(&Root::default(), &mut Buffer::default(), UNITS, 1).unwrap();
        assert_eq!(one.list.len(), 1);
        assert!(one.list[0].rss * 2 > all.list[0].rss, "{one:?}");
        assert!(one.not_listed > all.not_listed);
    }

    #[test]
    fn one_process_that_cannot_be_read_costs_only_itself() {
        let folder = tempfile::tempdir().unwrap();
        let make = |pid: u32, stat: &[u8]| {
            let process = folder.path().join(format!("proc/{pid}"));
            std::fs::create_dir_all(&process).unwrap();
            std::fs::write(process.join("statm"), "9 9 9\n").unwrap();
            std::fs::write(process.join("stat"), stat).unwrap();
        };
        let read = || read(&Root::at(folder.path()), &mut Buffer::default(), UNITS, 10);
        make(1, b"1 (x");
        assert_eq!(read().unwrap_err().to_string(), "/proc/1/stat, line 1: there is no name in parentheses");
        make(4242, &line(b"whole"));
        let both = read().unwrap();
        assert_eq!((both.list[0].comm.as_str(), both.list.len(), both.not_listed), ("whole", 1, 1));
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_a_value_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = stat(&bytes, UNITS);
            let _ = stat(&line(&bytes), UNITS).map(|p| assert_eq!(p.pid, 4242));
        }
    }
}
