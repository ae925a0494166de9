//! A recording that can be read at any place, for the screen.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context;

use crate::{output::tui::feed::Recording, recording::Reader, snapshot::Snapshot};

/// A recording as the screen reads it: forward from where it stands, and from the start for what lies before.
pub(super) struct Recorded {
    path: PathBuf,
    reader: Reader,
    /// Place of the snapshot that the reader gives next.
    next: usize,
    count: Option<usize>,
    /// The last damage that was met.
    damage: Option<String>,
}

/// Opening a recording may take so long to count its snapshots; longer ones are counted when their end is met.
const COUNTING: Duration = Duration::from_secs(1);

impl Recorded {
    /// Opens the folder of a recording.
    pub(super) fn open(path: PathBuf) -> anyhow::Result<Self> {
        let reader = open(&path)?;
        let mut recorded = Self { path, reader, next: 0, count: None, damage: None };
        let begun = Instant::now();
        while begun.elapsed() < COUNTING && recorded.read_next().is_some() {}
        recorded.rewind()?;
        Ok(recorded)
    }

    fn rewind(&mut self) -> anyhow::Result<()> {
        self.reader = open(&self.path)?;
        self.next = 0;
        Ok(())
    }

    /// The next snapshot that can be read; what is damaged is told and left out.
    fn read_next(&mut self) -> Option<Snapshot> {
        loop {
            match self.reader.next() {
                Some(Ok(snapshot)) => {
                    self.next += 1;
                    return Some(snapshot);
                }
                Some(Err(damage)) => self.damage = Some(damage.to_string()),
                None => {
                    self.count = Some(self.next);
                    return None;
                }
            }
        }
    }
}

fn open(path: &Path) -> anyhow::Result<Reader> {
    Reader::open(path).context("cannot replay")
}

impl Recording for Recorded {
    fn count(&self) -> Option<usize> {
        self.count
    }

    fn read(&mut self, place: usize) -> anyhow::Result<Option<Snapshot>> {
        if place < self.next {
            self.rewind()?;
        }
        while self.next < place {
            if self.read_next().is_none() {
                return Ok(None);
            }
        }
        Ok(self.read_next())
    }

    fn damage(&self) -> Option<String> {
        self.damage.clone()
    }
}
