//! Network namespaces of the host: finding them, and reading something inside each.

mod find;
mod hidden;
mod known;
mod mounts;

use std::{fs::File, io, os::unix::fs::MetadataExt, path::PathBuf};

use nix::{
    fcntl::{OFlag, open},
    sched::{CloneFlags, setns},
    sys::{
        stat::Mode,
        statfs::{FsType, fstatfs},
    },
};

pub use find::{others, own};
pub use known::Known;

use super::cost;
use crate::snapshot::Name;

/// `NSFS_MAGIC` of linux/magic.h: the file system of namespaces.
const NSFS: FsType = FsType(0x6e73_6673);
/// Ways into one namespace that are kept: a process may end before it is entered.
const MAX_PATHS: usize = 4;

/// A network namespace, and where it can be entered. It is not held open, because that would keep it alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    /// Its inode, as `readlink /proc/PID/ns/net` shows it.
    pub inode: u64,
    /// Names that `ip netns` or a container runtime gave it: the last part of each path that it is mounted on.
    pub names: Vec<Name>,
    /// The first process that was found in it, else one that holds it, in the PID namespace of observer.
    pub pid: Option<u32>,
    /// Paths that led to it, the most durable first.
    paths: Vec<PathBuf>,
}

impl Namespace {
    /// True if a path still leads to it.
    fn is_there(&self) -> bool {
        self.paths.iter().any(|path| std::fs::metadata(path).is_ok_and(|found| found.ino() == self.inode))
    }

    /// Moves the calling thread into it. An error of kind `NotFound` if no path leads to it any more.
    pub fn enter(&self) -> io::Result<()> {
        setns(self.open()?, CloneFlags::CLONE_NEWNET).map_err(io::Error::from)
    }

    /// Opens it, which keeps it alive. An error of kind `NotFound` if no path leads to it any more.
    pub fn open(&self) -> io::Result<File> {
        let mut last = io::ErrorKind::NotFound.into();
        for path in &self.paths {
            match open_namespace(path, self.inode) {
                Ok(namespace) => return Ok(namespace),
                // It ended since it was found, as far as this path can tell.
                Err(e) if e.kind() == io::ErrorKind::NotFound || e.raw_os_error() == Some(libc::ESRCH) => {}
                Err(e) => last = e,
            }
        }
        Err(last)
    }
}

/// The path may lie in the file system of a container, whose processes decide what is there: nothing is opened before it is
/// known to be a namespace.
fn open_namespace(path: &std::path::Path, inode: u64) -> io::Result<File> {
    let found = File::from(open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?);
    if found.metadata()?.ino() != inode || fstatfs(&found)?.filesystem_type() != NSFS {
        return Err(io::ErrorKind::NotFound.into());
    }
    File::open(format!("/proc/thread-self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&found)))
}

/// What came of reading in one namespace.
#[derive(Debug)]
pub enum Visit<T> {
    /// It was read.
    Read(T),
    /// It ended since it was found: nothing is missing.
    Gone,
    /// It could not be entered, or not be read.
    Failed(io::Error),
}

/// Runs `read` in each namespace, in the one of the caller first, all on one thread of its own, which ends afterwards: what
/// is opened on it belongs to the namespace that it is in. The answers are in the order of `own`, then `others`.
pub fn visit<T: Send>(
    own: &Namespace,
    others: &[Namespace],
    mut read: impl FnMut(&Namespace) -> io::Result<T> + Send,
) -> io::Result<Vec<Visit<T>>> {
    let mut visits = Vec::with_capacity(others.len() + 1);
    std::thread::scope(|scope| {
        let work = || {
            visits.push(read(own).map_or_else(Visit::Failed, Visit::Read));
            visits.extend(others.iter().map(|namespace| match namespace.enter() {
                Ok(()) => read(namespace).map_or_else(Visit::Failed, Visit::Read),
                Err(e) if e.kind() == io::ErrorKind::NotFound => Visit::Gone,
                Err(e) => Visit::Failed(e),
            }));
            cost::thread_ns()
        };
        let spent = std::thread::Builder::new()
            .name("netns".to_owned())
            .spawn_scoped(scope, work)?
            .join()
            .map_err(|_| io::Error::other("the thread that reads the network namespaces panicked"))?;
        spent.into_iter().for_each(cost::add_of_helper);
        Ok::<_, io::Error>(())
    })?;
    Ok(visits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_leads_elsewhere_is_not_entered() {
        let at = |path: &str, inode| Namespace { inode, names: Vec::new(), pid: None, paths: vec![path.into()] };
        let zero = std::fs::metadata("/dev/zero").unwrap().ino();
        for gone in [at("/proc/self/ns/net", 1), at("/dev/zero", zero), at("/proc/self/ns/none", 1)] {
            assert_eq!(gone.enter().unwrap_err().kind(), io::ErrorKind::NotFound, "{gone:?}");
        }
    }

    #[test]
    fn each_is_visited_in_order_and_the_own_one_first() {
        let own = own().unwrap();
        let gone = Namespace { inode: 1, names: Vec::new(), pid: None, paths: Vec::new() };
        let visits = visit(&own, &[gone], |namespace| Ok(namespace.inode)).unwrap();
        assert!(matches!(visits.as_slice(), [Visit::Read(inode), Visit::Gone] if *inode == own.inode), "{visits:?}");
    }

    #[test]
    fn a_failure_in_one_is_told_for_that_one() {
        let own = own().unwrap();
        let visits = visit(&own, &[], |_| Err::<(), _>(io::ErrorKind::PermissionDenied.into())).unwrap();
        assert!(matches!(visits.as_slice(), [Visit::Failed(e)] if e.kind() == io::ErrorKind::PermissionDenied));
    }
}
