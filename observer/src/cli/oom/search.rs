//! Looks for kills wherever the arguments say.

use std::{path::Path, process::ExitCode};

use anyhow::{Context, bail};

use super::{
    Logs,
    found::{Found, kills, recordings},
};
use crate::{
    snapshot::Name,
    source::oom_log::{Scanner, input},
};

/// The exit code where no kill was found.
const NONE_FOUND: u8 = 3;

/// What was read until now, and what is done with each kill.
struct Search<F> {
    show: F,
    found: u64,
    /// Lines of logs.
    lines: u64,
    /// Snapshots of recordings.
    snapshots: u64,
    /// What could not be read.
    failures: Vec<anyhow::Error>,
}

/// Shows every kill. A log that cannot be read does not keep the others from being read.
pub(super) fn each(logs: &Logs, show: impl FnMut(Found) -> anyhow::Result<()>) -> anyhow::Result<ExitCode> {
    let mut search = Search { show, found: 0, lines: 0, snapshots: 0, failures: Vec::new() };
    if logs.journal {
        search.log(input::journal())?;
    } else if logs.paths.is_empty() {
        search.log(input::kmsg())?;
    }
    for path in &logs.paths {
        search.path(path)?;
    }
    search.end()
}

impl<F: FnMut(Found) -> anyhow::Result<()>> Search<F> {
    fn path(&mut self, path: &Path) -> anyhow::Result<()> {
        if path.as_os_str() == "-" {
            return self.log(input::stdin());
        }
        if let Some(paths) = recordings(path) {
            return paths.iter().try_for_each(|path| self.recording(path));
        }
        match input::files(path) {
            Ok(files) => files.iter().try_for_each(|file| match recordings(file) {
                Some(paths) => paths.iter().try_for_each(|path| self.recording(path)),
                None => self.log(input::open(file)),
            }),
            Err(error) => self.log(Err(error)),
        }
    }

    fn log(&mut self, log: Result<input::Log, input::InputError>) -> anyhow::Result<()> {
        let log = match log {
            Ok(log) => log,
            Err(error) => {
                self.failures.push(error.into());
                return Ok(());
            }
        };
        let mut scanner = Scanner::new(log.bytes, log.name).context("cannot search logs")?;
        for report in scanner.by_ref() {
            match report {
                Ok(report) => {
                    self.found += 1;
                    (self.show)(report.into())?;
                }
                Err(error) => self.failures.push(error.into()),
            }
        }
        self.lines += scanner.lines();
        Ok(())
    }

    fn recording(&mut self, path: &Path) -> anyhow::Result<()> {
        for item in kills(path) {
            match item {
                Ok(item) => {
                    self.snapshots += item.snapshots;
                    if let Some(found) = item.found {
                        self.found += 1;
                        (self.show)(found)?;
                    }
                }
                Err(error) => self.failures.push(error),
            }
        }
        Ok(())
    }

    fn end(self) -> anyhow::Result<ExitCode> {
        let mut failures = self.failures.into_iter();
        if let Some(last) = failures.next_back() {
            for failure in failures {
                tracing::error!("{}", Name::from(format!("{failure:#}")));
            }
            return Err(last);
        }
        if self.found > 0 {
            return Ok(ExitCode::SUCCESS);
        }
        match (self.lines, self.snapshots) {
            (0, 0) => bail!("nothing could be read: the log is empty"),
            (lines, 0) => tracing::warn!("no OOM kill in {lines} lines"),
            (0, snapshots) => tracing::warn!("no OOM kill in {snapshots} snapshots"),
            (lines, snapshots) => tracing::warn!("no OOM kill in {lines} lines and {snapshots} snapshots"),
        }
        Ok(ExitCode::from(NONE_FOUND))
    }
}
