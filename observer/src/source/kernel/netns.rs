//! Network namespaces of the host: found through their processes and through names that `ip netns` gave.

use std::{
    collections::HashSet,
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::PathBuf,
};

use nix::sched::{CloneFlags, setns};

/// Where a namespace can be entered. It is not held open, because that would keep it alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Namespace {
    /// Its inode.
    pub(super) inode: u64,
    path: PathBuf,
}

impl Namespace {
    /// Moves the calling thread into it. An error if the path has come to lead to another one.
    pub(super) fn enter(&self) -> io::Result<()> {
        let file = File::open(&self.path)?;
        if file.metadata()?.ino() != self.inode {
            return Err(io::ErrorKind::NotFound.into());
        }
        setns(file, CloneFlags::CLONE_NEWNET).map_err(io::Error::from)
    }
}

/// The namespace of the calling thread.
pub(super) fn own() -> io::Result<Namespace> {
    let path = PathBuf::from("/proc/thread-self/ns/net");
    Ok(Namespace { inode: fs::metadata(&path)?.ino(), path })
}

/// All others that can be found, each once.
pub(super) fn others(own: &Namespace) -> Vec<Namespace> {
    let mut seen = HashSet::from([own.inode]);
    let of_processes = entries("/proc").filter(|p| is_number(p)).map(|p| p.join("ns/net"));
    let named = entries("/run/netns");
    of_processes
        .chain(named)
        .filter_map(|path| Some(Namespace { inode: fs::metadata(&path).ok()?.ino(), path }))
        .filter(|namespace| seen.insert(namespace.inode))
        .collect()
}

fn entries(folder: &str) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

fn is_number(path: &std::path::Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().iter().all(u8::is_ascii_digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_namespace_is_found_once_and_the_own_one_is_not_among_the_others() {
        let own = own().unwrap();
        let others = others(&own);
        let inodes: HashSet<_> = others.iter().map(|n| n.inode).collect();
        assert_eq!(inodes.len(), others.len());
        assert!(!inodes.contains(&own.inode));
    }

    #[test]
    fn a_path_that_leads_elsewhere_is_not_entered() {
        let gone = Namespace { inode: 1, path: PathBuf::from("/proc/self/ns/net") };
        assert_eq!(gone.enter().unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
