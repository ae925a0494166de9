//! What the kernel writes about a kill: the records of /dev/kmsg from before it on.

use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
};

use observer::{snapshot::oom_report::OomReport, source::oom_log::Parser};

/// Room for a record, more than the kernel ever gives at once.
const RECORD: usize = 16 << 10;

/// Records that were written since it was made.
pub(super) struct Since {
    file: File,
    lines: Vec<Line>,
}

/// A record: when it was written, in microseconds since the boot, and what it is, without the fields of a device behind it.
struct Line {
    micros: u64,
    text: Vec<u8>,
}

impl Line {
    /// `6,1234,5678901,-;words`, and perhaps more lines.
    fn new(record: &[u8]) -> Option<Self> {
        let first = record.split(|b| *b == b'\n').next()?;
        let at = first.iter().position(|b| *b == b';')?;
        let head = std::str::from_utf8(&first[..at]).ok()?;
        let micros = head.split(',').nth(2)?.parse().ok()?;
        Some(Self { micros, text: first.to_owned() })
    }
}

impl Since {
    /// Begins behind the last record that there is.
    pub(super) fn now() -> Self {
        let mut file =
            OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg").expect("the kernel's log");
        file.seek(SeekFrom::End(0)).expect("its end");
        Self { file, lines: Vec::new() }
    }

    /// Reads what has come.
    fn read(&mut self) {
        let mut record = vec![0; RECORD];
        loop {
            match self.file.read(&mut record) {
                Ok(0) => return,
                Ok(n) => self.lines.extend(Line::new(&record[..n])),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                // Records were overwritten before they were read; what is left of the report will say so.
                Err(e) if e.raw_os_error() == Some(libc::EPIPE) => {}
                Err(e) => panic!("/dev/kmsg: {e}"),
            }
        }
    }

    /// All reports until now. Lines have the number of their record, from 1.
    pub(super) fn reports(&mut self) -> Vec<OomReport> {
        self.read();
        let mut parser = Parser::new("/dev/kmsg".into());
        for (at, line) in self.lines.iter().enumerate() {
            parser.line(at as u64 + 1, &line.text);
        }
        parser.finish();
        std::iter::from_fn(|| parser.next_report()).collect()
    }

    /// The lines of a report.
    fn lines_of(&self, report: &OomReport) -> &[Line] {
        let first = usize::try_from(report.origin.line).expect("a number of lines") - 1;
        let end = report.origin.end.boot_ns.expect("the kernel writes the time") / 1000;
        let last = self.lines.iter().rposition(|l| l.micros <= end).expect("it has a last line");
        &self.lines[first..=last]
    }

    /// Keeps the lines of a report, where `OBSERVER_OOM_LOGS` names a folder for them; `tests/oom/logs` has such logs.
    pub(super) fn keep(&self, scene: &str, report: &OomReport) {
        let Some(folder) = std::env::var_os("OBSERVER_OOM_LOGS") else { return };
        fs::create_dir_all(&folder).expect("a folder");
        let kernel = nix::sys::utsname::uname().expect("uname").release().to_string_lossy().into_owned();
        // 6.12.117+deb12-cloud-amd64: its first two numbers name the form of the report.
        let series = kernel.split('.').take(2).collect::<Vec<_>>().join(".");
        let version = if crate::support::cgroup::is_v2() { "v2" } else { "v1" };
        let path = PathBuf::from(folder).join(format!("{scene}-{version}-{series}.kmsg"));
        let mut file = File::create(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        for line in self.lines_of(report) {
            file.write_all(&[&line.text[..], b"\n"].concat()).expect("written");
        }
    }
}
