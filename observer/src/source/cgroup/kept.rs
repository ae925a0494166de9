//! Folders and files of cgroups that stay open from one reading to the next.
//!
//! Opening and closing a file of a cgroup costs several times what reading it does. A file that stays open costs kernel
//! memory: with its first reading the kernel gives it a buffer of a page, which it has until it is closed. So both their
//! number and their memory are bounded; what finds no room is opened and closed each time.

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::OwnedFd;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{SysconfVar, sysconf};

use crate::snapshot::CgroupId;

/// Files that stay open at most, on whatever host: about 36 MiB of kernel memory.
const MOST: usize = 8192;
/// Kernel memory of an open file that was read: its buffer of a page, and the structures.
const BYTES_EACH: u64 = 4608;
/// Which part of the host's memory they may take.
const PART_OF_MEMORY: u64 = 512;

/// Open files of one cgroup, by name.
pub(super) type OpenFiles = Vec<(&'static str, File)>;

/// What stays open.
#[derive(Debug)]
pub(super) struct Kept {
    /// Of the last reading; what the present one finds again is taken from it.
    last: HashMap<CgroupId, (OwnedFd, OpenFiles)>,
    /// Of the present reading.
    now: HashMap<CgroupId, (OwnedFd, OpenFiles)>,
    /// Files that may still be opened and kept.
    room: usize,
}

impl Kept {
    /// With room for this many.
    pub(super) fn new(room: usize) -> Self {
        Self { last: HashMap::new(), now: HashMap::new(), room }
    }

    /// Begins a reading. What the last one kept and did not find was closed with its end.
    pub(super) fn begin(&mut self) {
        // A reading that failed has left things behind in both.
        self.close_the_rest();
        self.last = std::mem::take(&mut self.now);
    }

    /// Gives what is open of a cgroup, to be given back to [`Self::put`].
    pub(super) fn take(&mut self, id: CgroupId) -> Option<(OwnedFd, OpenFiles)> {
        let taken = self.last.remove(&id)?;
        self.room += 1 + taken.1.len();
        Some(taken)
    }

    /// Keeps a folder and its files as far as there is room.
    pub(super) fn put(&mut self, id: CgroupId, folder: OwnedFd, mut files: OpenFiles) {
        let Some(room) = self.room.checked_sub(1) else { return };
        files.truncate(room);
        self.room = room - files.len();
        if let Some((_, before)) = self.now.insert(id, (folder, files)) {
            self.room += 1 + before.len();
        }
    }

    /// Files that a cgroup which is being read may have open.
    pub(super) fn room(&self) -> usize {
        self.room.saturating_sub(1)
    }

    /// Closes what the reading did not find any more.
    pub(super) fn close_the_rest(&mut self) {
        self.room += self.last.drain().map(|(_, (_, files))| 1 + files.len()).sum::<usize>();
    }

    /// Folders and files that are open.
    #[cfg(test)]
    pub(super) fn open(&self) -> usize {
        self.now.values().chain(self.last.values()).map(|(_, files)| 1 + files.len()).sum()
    }
}

/// How many files this process may keep open here: a part of the host's memory, and half of its limit of open files, which
/// is raised first as far as it goes without a privilege.
pub(super) fn room_of_host() -> usize {
    let by_limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, hard)| {
        let wanted = hard.min(MOST as u64 * 2);
        let raised = wanted > soft && setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).is_ok();
        if raised { wanted } else { soft }
    }) / 2;
    let get = |what| sysconf(what).ok().flatten().and_then(|n| u64::try_from(n).ok());
    let memory = get(SysconfVar::_PHYS_PAGES).zip(get(SysconfVar::PAGE_SIZE)).map_or(0, |(n, size)| n * size);
    let by_memory = memory / PART_OF_MEMORY / BYTES_EACH;
    usize::try_from(by_limit.min(by_memory)).map_or(MOST, |n| n.min(MOST))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> File {
        File::open("/dev/null").unwrap()
    }

    #[test]
    fn there_is_never_more_open_than_there_is_room() {
        let mut kept = Kept::new(5);
        for reading in 0..4u64 {
            kept.begin();
            // Each cgroup lives for two readings.
            for id in [reading, reading + 1, reading + 2].map(CgroupId) {
                let (folder, mut files) = kept.take(id).unwrap_or_else(|| (file().into(), Vec::new()));
                if files.len() < kept.room().min(2) {
                    files.push(("a", file()));
                }
                kept.put(id, folder, files);
                assert!(kept.open() <= 5, "{}", kept.open());
            }
            kept.close_the_rest();
            assert_eq!(kept.open() + kept.room, 5, "none is forgotten");
        }
        kept.begin();
        kept.close_the_rest();
        assert_eq!((kept.open(), kept.room), (0, 5));
    }

    #[test]
    fn a_host_has_room() {
        assert!((1..=MOST).contains(&room_of_host()));
    }
}
