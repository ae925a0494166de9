//! The kernel's log as it is written. Source: /dev/kmsg, read without waiting.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::OpenOptionsExt,
    },
};

use crate::source::lines::number;

/// Room for a record: more than any had. A read with too little room for the next record fails.
const RECORD: usize = 16 << 10;
/// Records that one call reads at most, so that a kernel that writes without end does not keep it.
const MOST: usize = 100_000;

/// A reader of what is written from now on.
#[derive(Debug)]
pub(super) struct Kmsg {
    file: File,
    record: Box<[u8]>,
    /// Number of the last record; `None` until one was read.
    last: Option<u64>,
    /// Records that were overwritten before they were read.
    lost: u64,
}

impl Kmsg {
    /// Opens it behind its last record.
    pub(super) fn open() -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg")?;
        file.seek(SeekFrom::End(0))?;
        Ok(Self { file, record: vec![0; RECORD].into_boxed_slice(), last: None, lost: 0 })
    }

    /// Records that were lost so far.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    /// Calls `each` with every record that is there, without what stands behind its first line. True for those that the
    /// kernel itself wrote.
    pub(super) fn drain(&mut self, mut each: impl FnMut(&[u8], bool)) -> io::Result<()> {
        for _ in 0..MOST {
            let read = match self.file.read(&mut self.record) {
                Ok(n) => n,
                Err(e) => match e.raw_os_error() {
                    Some(libc::EAGAIN) => return Ok(()),
                    // Overwritten: the next read gives the oldest that is there, and its number tells how many were lost.
                    Some(libc::EPIPE | libc::EINTR) => continue,
                    _ => return Err(e),
                },
            };
            let record = self.record.get(..read).unwrap_or_default();
            let line = record.split(|b| *b == b'\n').next().unwrap_or_default();
            let head = Head::of(line);
            if let Some(sequence) = head.sequence {
                let expected = self.last.map(|last| last + 1);
                self.lost += expected.map_or(0, |expected| sequence.saturating_sub(expected));
                self.last = Some(sequence);
            }
            each(line, head.of_kernel);
        }
        Ok(())
    }
}

impl AsFd for Kmsg {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// What stands before the words: `6,1234,929507193,-;words`.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    sequence: Option<u64>,
    /// The facility, the priority without its lowest three bits, is 0: no program can write a record of that kind.
    of_kernel: bool,
}

impl Head {
    fn of(line: &[u8]) -> Self {
        let mut numbers = line.split(|b| *b == b',').take(2).map(number);
        let priority = numbers.next().flatten();
        Self { sequence: numbers.next().flatten(), of_kernel: priority.is_some_and(|p| p < 8) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_says_who_wrote_it_and_which_it_is() {
        assert_eq!(Head::of(b"3,812,9295,-;Out of memory: Killed"), Head { sequence: Some(812), of_kernel: true });
        assert_eq!(Head::of(b"12,813,9295,-;Out of memory"), Head { sequence: Some(813), of_kernel: false });
        assert_eq!(Head::of(b"words"), Head { sequence: None, of_kernel: false });
    }
}
