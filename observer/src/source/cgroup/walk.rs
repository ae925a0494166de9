//! The folders of a hierarchy, parents before children, each opened once.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, fstat};

use super::find::Mount;
use super::kept::{Kept, OpenFiles};
use super::{Cgroup, CgroupId, Cgroups, Hierarchy, Left};
use crate::snapshot::Name;
use crate::source::SourceError;

/// How many more cgroups are counted, once the limit is reached, for each one that may be read.
const COUNT_FACTOR: usize = 16;

/// One folder, open.
#[derive(Debug)]
pub struct Folder {
    /// The folder itself.
    pub fd: OwnedFd,
    /// Its inode.
    pub id: CgroupId,
    /// Path from the root of the hierarchy.
    pub path: Name,
    /// True for what the mount shows as its top.
    pub is_top: bool,
    /// Its files that are open.
    pub(super) files: OpenFiles,
    /// Path from the top of the mount; empty for the top.
    relative: Vec<u8>,
    /// False if the link count says that there is no folder in it. cgroupfs keeps it as other file systems do: 2, and one
    /// more for each folder.
    has_children: bool,
}

/// Goes through a hierarchy level by level, so that what is beyond the limit is what is deep.
pub struct Walk<'a> {
    top: &'a OwnedFd,
    mount: &'a Mount,
    limit: usize,
    queue: VecDeque<Listed>,
    cgroups: Cgroups,
    kept: &'a mut Kept,
}

/// A folder as its parent lists it.
struct Listed {
    relative: Vec<u8>,
    /// Its inode; `None` for the top.
    id: Option<CgroupId>,
}

impl<'a> Walk<'a> {
    /// Starts at the top of a mount, of which `top` is the open folder.
    pub(super) fn new(top: &'a OwnedFd, mount: &'a Mount, limit: usize, kept: &'a mut Kept) -> Self {
        kept.begin();
        let queue = VecDeque::from([Listed { relative: Vec::new(), id: None }]);
        Self { top, mount, limit, queue, cgroups: Cgroups::default(), kept }
    }

    /// Files of the next folder that may stay open.
    pub(super) fn room(&self) -> usize {
        self.kept.room()
    }

    /// The next folder to read; `None` at the end or at the limit. It must be given back to [`Self::put`].
    pub fn next_folder(&mut self) -> Result<Option<Folder>, SourceError> {
        while self.cgroups.list.len() < self.limit {
            let Some(listed) = self.queue.pop_front() else { return Ok(None) };
            if let Some(folder) = self.still_open(&listed) {
                return Ok(Some(folder));
            }
            match self.open(listed.relative) {
                Ok(folder) => return Ok(Some(folder)),
                Err((relative, e)) if relative.is_empty() => return Err(SourceError::io("open", &self.mount.point, e)),
                Err((_, Errno::ENOENT | Errno::ENODEV)) => self.cgroups.vanished += 1,
                // Paths that are too long to open, folders of others: they are there and cannot be read.
                Err(_) => self.cgroups.not_read += 1,
            }
        }
        Ok(None)
    }

    /// Takes a folder back with what was read of it, and puts its children in the queue.
    pub fn put(&mut self, folder: Folder, read: Result<Cgroup, Left>) {
        match read {
            Ok(cgroup) => self.cgroups.list.push(cgroup),
            Err(Left::Vanished) => {
                self.cgroups.vanished += 1;
                return;
            }
            Err(Left::NoController) => return,
        }
        self.queue_children(&folder);
        if !folder.is_top {
            self.kept.put(folder.id, folder.fd, folder.files);
        }
    }

    /// What was read, and how much was not.
    pub fn finish(mut self, hierarchy: Hierarchy) -> Cgroups {
        self.kept.close_the_rest();
        self.count_the_rest();
        self.cgroups.hierarchy = hierarchy;
        self.cgroups
    }

    /// Counts what the limit leaves out, without reading its files. The count is itself limited: it is then a lower bound.
    fn count_the_rest(&mut self) {
        let mut opened = 0;
        while let Some(Listed { relative, .. }) = self.queue.pop_front() {
            self.cgroups.not_read += 1;
            opened += 1;
            if opened <= self.limit.saturating_mul(COUNT_FACTOR)
                && let Ok(folder) = self.open(relative)
            {
                self.queue_children(&folder);
            }
        }
    }

    /// The folder as it was left open by the last reading. Its parent has just listed this inode under this name, and the
    /// inode of a cgroup is never used twice: it is the same one, renamed perhaps.
    fn still_open(&mut self, listed: &Listed) -> Option<Folder> {
        let id = listed.id?;
        let (fd, files) = self.kept.take(id)?;
        let stat = fstat(&fd).ok().filter(|stat| stat.st_nlink != 0 && stat.st_ino == id.0)?;
        let path = self.mount.path_from_root(&listed.relative);
        let has_children = stat.st_nlink != 2;
        Some(Folder { id, path, is_top: false, has_children, relative: listed.relative.clone(), fd, files })
    }

    fn open(&self, relative: Vec<u8>) -> Result<Folder, (Vec<u8>, Errno)> {
        let name = if relative.is_empty() { b"." } else { relative.as_slice() };
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let opened = openat(self.top, name, flags, Mode::empty()).and_then(|fd| Ok((fstat(&fd)?, fd)));
        let (stat, fd) = match opened {
            Ok(opened) => opened,
            Err(e) => return Err((relative, e)),
        };
        Ok(Folder {
            id: CgroupId(stat.st_ino),
            path: self.mount.path_from_root(&relative),
            is_top: relative.is_empty(),
            has_children: stat.st_nlink != 2,
            relative,
            fd,
            files: OpenFiles::new(),
        })
    }

    /// A folder that cannot be listed any more has vanished; its own numbers are kept.
    fn queue_children(&mut self, folder: &Folder) {
        if !folder.has_children {
            return;
        }
        // A description of its own, which begins with the first entry.
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let Ok(mut dir) = Dir::openat(&folder.fd, ".", flags, Mode::empty()) else { return };
        for entry in dir.iter().flatten() {
            let name = entry.file_name().to_bytes();
            let is_folder = match entry.file_type() {
                Some(kind) => kind == Type::Directory,
                // File systems that do not tell: opening with O_DIRECTORY will.
                None => true,
            };
            if is_folder && !matches!(name, b"." | b"..") {
                let mut path = Vec::with_capacity(folder.relative.len() + 1 + name.len());
                path.extend_from_slice(&folder.relative);
                if !path.is_empty() {
                    path.push(b'/');
                }
                path.extend_from_slice(name);
                self.queue.push_back(Listed { relative: path, id: Some(CgroupId(entry.ino())) });
            }
        }
    }
}
