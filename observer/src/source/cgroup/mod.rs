//! Memory cgroups, version 1, version 2 and both at once.
//!
//! [`find`] looks for the hierarchy that carries the memory controller, [`walk`] goes through its folders, and
//! [`v1`] and [`v2`] read the files of one cgroup. What `kept` has room for stays open between two readings.

pub mod find;
mod kept;
mod kills;
pub mod path;
pub mod v1;
pub mod v2;
pub mod walk;

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::{AccessFlags, faccessat};

use super::file::{Buffer, Root, Shape, open_folder};
use super::{Malformed, SourceError};
use crate::snapshot::cgroup::{Cgroup, CgroupId, Cgroups};
use crate::snapshot::coverage::Source;
use crate::snapshot::{Name, cgroup::Hierarchy};
use find::Mount;
use kept::{Kept, OpenFiles};
use kills::Kills;

/// Cgroups that a snapshot reads, unless asked otherwise.
pub const DEFAULT_LIMIT: usize = 4096;

/// Reads the memory cgroups of a host.
#[derive(Debug)]
pub struct CgroupReader {
    mount: Mount,
    top: OwnedFd,
    root: Root,
    limit: usize,
    page_size: u64,
    kept: Kept,
    kills: Kills,
}

impl CgroupReader {
    /// Finds the hierarchy with the memory controller and opens it.
    pub fn open(root: &Root, buffer: &mut Buffer, limit: usize, page_size: u64) -> Result<Self, SourceError> {
        let mount = find::memory_mount(root, buffer)?;
        let top = open_folder(&root.path(mount.folder()))?;
        let kept = Kept::new(kept::room_of_host());
        Ok(Self { mount, top, root: root.clone(), limit, page_size, kept, kills: Kills::default() })
    }

    /// Reads every cgroup up to the limit, and says which of their files could not be read. `host_kills` is how many the
    /// host has killed, `oom_kill` of /proc/vmstat, read just before; `None` if it is unknown.
    pub fn read(
        &mut self,
        buffer: &mut Buffer,
        host_kills: Option<u64>,
    ) -> Result<(Cgroups, Vec<Source>), SourceError> {
        self.kills.begin(host_kills);
        let mut walk = walk::Walk::new(&self.top, &self.mount, self.limit, &mut self.kept);
        let mut files = Files::new(buffer, self.page_size);
        while let Some(mut folder) = walk.next_folder()? {
            files.of_folder(std::mem::take(&mut folder.files), walk.room());
            let mut cgroup = Cgroup { id: folder.id, path: folder.path.clone(), ..Cgroup::default() };
            let outcome = match self.mount.hierarchy {
                Hierarchy::V1 | Hierarchy::Hybrid => {
                    v1::read(folder.fd.as_fd(), &mut files, &mut self.kills, &mut cgroup)
                }
                Hierarchy::V2 => v2::read(folder.fd.as_fd(), folder.is_top, &mut files, &mut cgroup),
            };
            folder.files = files.end_of_folder();
            walk.put(folder, outcome.map(|()| cgroup));
        }
        let dying = match self.mount.hierarchy {
            Hierarchy::V2 => files.get_if_there(self.top.as_fd(), "cgroup.stat", v2::dying).ok().flatten().flatten(),
            Hierarchy::V1 | Hierarchy::Hybrid => None,
        };
        let sources = files.trouble.into_iter().map(|(file, trouble)| trouble.source(file)).collect();
        let mut cgroups = walk.finish(self.mount.hierarchy);
        cgroups.dying = dying.or_else(|| self.dying_v1(&cgroups));
        Ok((cgroups, sources))
    }

    /// Version 1 counts a cgroup of the hierarchy until the last of its memory is gone: what is not listed any more is dying.
    /// Where only a part of the hierarchy is seen the others are not listed either, and nobody knows.
    fn dying_v1(&self, cgroups: &Cgroups) -> Option<u64> {
        let v1 = self.mount.hierarchy != Hierarchy::V2;
        let whole = v1 && self.mount.top == b"/" && find::begins_at_the_root(&self.root);
        let counted = whole.then(|| find::cgroups_counted(&self.root)).flatten()?;
        Some(counted.saturating_sub(cgroups.list.len() as u64 + cgroups.not_read))
    }

    /// True if there surely is no such cgroup any more; its memory may still be there.
    pub fn is_gone(&self, id: CgroupId) -> bool {
        path::is_gone(&self.top, id)
    }

    /// Path of a cgroup that may have been made after the last reading, asked for by its id.
    pub fn path_of(&self, id: CgroupId) -> Option<Name> {
        path::by_id(&self.top, &self.mount, id)
    }
}

/// Why a cgroup is not in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// It was removed meanwhile.
    Vanished,
    /// The memory controller is not switched on for it, nor for anything below it.
    NoController,
}

/// Reads the files of one cgroup after the other and remembers the first failure of each kind of file.
pub struct Files<'a> {
    buffer: &'a mut Buffer,
    /// Bytes of an order-0 page.
    pub page_size: u64,
    trouble: BTreeMap<&'static str, Trouble>,
    /// Files of the present cgroup that are open.
    open: OpenFiles,
    /// As many of them may be open.
    room: usize,
}

struct Trouble {
    first: SourceError,
    cgroups: u64,
}

impl Trouble {
    fn source(&self, file: &str) -> Source {
        let reason = format!("{} (in {} cgroups)", self.first, self.cgroups);
        Source { name: format!("cgroups {file}"), missing: Some(Name::from(reason)) }
    }
}

impl<'a> Files<'a> {
    fn new(buffer: &'a mut Buffer, page_size: u64) -> Self {
        Self { buffer, page_size, trouble: BTreeMap::new(), open: Vec::new(), room: 0 }
    }

    fn of_folder(&mut self, open: OpenFiles, room: usize) {
        (self.open, self.room) = (open, room);
    }

    fn end_of_folder(&mut self) -> OpenFiles {
        std::mem::take(&mut self.open)
    }

    /// Reads one file. A file that is missing or broken is `None` and noted; only that the cgroup itself is gone is an `Err`.
    pub fn get<T>(
        &mut self,
        folder: BorrowedFd<'_>,
        file: &'static str,
        parse: impl FnOnce(&[u8]) -> Result<T, Malformed>,
    ) -> Result<Option<T>, Left> {
        match self.read(folder, file, parse)? {
            Outcome::Value(value) => return Ok(Some(value)),
            Outcome::Missing => self.note(file, SourceError::io("read", file, Errno::ENOENT)),
            Outcome::Failed(failure) => self.note(file, failure),
        }
        Ok(None)
    }

    /// Reads one file that may be missing by right; then nothing is noted.
    pub fn get_if_there<T>(
        &mut self,
        folder: BorrowedFd<'_>,
        file: &'static str,
        parse: impl FnOnce(&[u8]) -> Result<T, Malformed>,
    ) -> Result<Option<T>, Left> {
        match self.read(folder, file, parse)? {
            Outcome::Value(value) => return Ok(Some(value)),
            Outcome::Missing => {}
            Outcome::Failed(failure) => self.note(file, failure),
        }
        Ok(None)
    }

    fn read<T>(
        &mut self,
        folder: BorrowedFd<'_>,
        file: &'static str,
        parse: impl FnOnce(&[u8]) -> Result<T, Malformed>,
    ) -> Result<Outcome<T>, Left> {
        Ok(match self.bytes(folder, file) {
            Ok(bytes) => match parse(bytes) {
                Ok(value) => Outcome::Value(value),
                Err(problem) => Outcome::Failed(SourceError::malformed(file, problem)),
            },
            Err(Errno::ENODEV) => return Err(Left::Vanished),
            Err(Errno::ENOENT) if is_gone(folder) => return Err(Left::Vanished),
            Err(Errno::ENOENT) => Outcome::Missing,
            Err(e) => Outcome::Failed(SourceError::io("read", file, e)),
        })
    }

    /// A file of a cgroup that was removed gives `ENODEV`, also one that stays open.
    fn bytes(&mut self, folder: BorrowedFd<'_>, file: &'static str) -> Result<&[u8], Errno> {
        let at = match self.open.iter().position(|(name, _)| *name == file) {
            Some(at) => at,
            None if self.open.len() < self.room => {
                let fd = openat(folder, file, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
                self.open.push((file, fd.into()));
                self.open.len() - 1
            }
            None => return self.buffer.read_at(folder, file, Shape::Piece),
        };
        let (_, fd) = self.open.get(at).ok_or(Errno::EBADF)?;
        self.buffer.read_again(fd, Shape::Piece)
    }

    fn note(&mut self, file: &'static str, failure: SourceError) {
        self.trouble.entry(file).or_insert_with(|| Trouble { first: failure, cgroups: 0 }).cgroups += 1;
    }
}

/// What came of reading one file of a cgroup that is still there.
enum Outcome<T> {
    Value(T),
    Missing,
    Failed(SourceError),
}

/// True if a folder that is still open has been removed: then it has no files any more, not even itself.
fn is_gone(folder: BorrowedFd<'_>) -> bool {
    let links = nix::sys::stat::fstat(folder).map(|s| s.st_nlink);
    links == Ok(0) || faccessat(folder, "cgroup.procs", AccessFlags::F_OK, AtFlags::empty()) == Err(Errno::ENOENT)
}

#[cfg(test)]
mod tests;
