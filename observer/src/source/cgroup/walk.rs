//! The folders of a hierarchy, parents before children, each opened once.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, fstat};

use super::find::Mount;
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
    queue: VecDeque<Vec<u8>>,
    cgroups: Cgroups,
}

impl<'a> Walk<'a> {
    /// Starts at the top of a mount, of which `top` is the open folder.
    pub fn new(top: &'a OwnedFd, mount: &'a Mount, limit: usize) -> Self {
        Self { top, mount, limit, queue: VecDeque::from([Vec::new()]), cgroups: Cgroups::default() }
    }

    /// The next folder to read; `None` at the end or at the limit. It must be given back to [`Self::put`].
    pub fn next_folder(&mut self) -> Result<Option<Folder>, SourceError> {
        while self.cgroups.list.len() < self.limit {
            let Some(relative) = self.queue.pop_front() else { return Ok(None) };
            match self.open(relative) {
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
        self.queue_children(folder);
    }

    /// What was read, and how much was not.
    pub fn finish(mut self, hierarchy: Hierarchy) -> Cgroups {
        self.count_the_rest();
        self.cgroups.hierarchy = hierarchy;
        self.cgroups
    }

    /// Counts what the limit leaves out, without reading its files. The count is itself limited: it is then a lower bound.
    fn count_the_rest(&mut self) {
        let mut opened = 0;
        while let Some(relative) = self.queue.pop_front() {
            self.cgroups.not_read += 1;
            opened += 1;
            if opened <= self.limit.saturating_mul(COUNT_FACTOR)
                && let Ok(folder) = self.open(relative)
            {
                self.queue_children(folder);
            }
        }
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
        })
    }

    /// A folder that cannot be listed any more has vanished; its own numbers are kept.
    fn queue_children(&mut self, folder: Folder) {
        if !folder.has_children {
            return;
        }
        let Ok(mut dir) = Dir::from_fd(folder.fd) else { return };
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
                self.queue.push_back(path);
            }
        }
    }
}
