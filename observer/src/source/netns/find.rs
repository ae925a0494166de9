//! Finds network namespaces: mounted ones, in every mount namespace, and those of processes.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{MAX_PATHS, Namespace, mounts};

/// Mount namespaces whose mounts are looked at, at most.
const MAX_MOUNT_NAMESPACES: usize = 128;

/// The namespace of the calling thread.
pub fn own() -> io::Result<Namespace> {
    let path = PathBuf::from("/proc/thread-self/ns/net");
    Ok(Namespace {
        inode: fs::metadata(&path)?.ino(),
        names: Vec::new(),
        pid: Some(std::process::id()),
        paths: vec![path],
    })
}

/// All others that can be found, each once: namespaces that are mounted somewhere, and those that a process is in.
pub fn others(own: &Namespace) -> Vec<Namespace> {
    let mut found = Found::default();
    found.mounted(Path::new("/proc/self"), Path::new("/"));
    let mut mount_namespaces = HashSet::from([inode(Path::new("/proc/self/ns/mnt"))]);
    let mut roots = Vec::new();
    for (pid, folder) in processes() {
        let net = folder.join("ns/net");
        if let Some(inode) = inode(&net) {
            found.add(inode, net, None, Some(pid));
        }
        let mnt = inode(&folder.join("ns/mnt"));
        if mnt.is_some() && roots.len() < MAX_MOUNT_NAMESPACES && mount_namespaces.insert(mnt) {
            roots.push(folder);
        }
    }
    for folder in roots {
        found.mounted(&folder, &folder.join("root"));
    }
    found.list.retain(|namespace| namespace.inode != own.inode);
    found.list
}

/// Those that a thread of a process is in, or that a process has open, found by going through all of them.
pub(super) fn held(own: &Namespace) -> Vec<Namespace> {
    let mut found = Found::default();
    for (pid, folder) in processes() {
        let threads = entries(&folder.join("task")).map(|thread| thread.join("ns/net"));
        for path in threads.chain(entries(&folder.join("fd"))) {
            if let Some(inode) = fs::read_link(&path).ok().as_deref().and_then(mounts::link) {
                found.add(inode, path, None, Some(pid));
            }
        }
    }
    found.list.retain(|namespace| namespace.inode != own.inode);
    found.list
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

/// What was found so far, in the order in which it was found.
#[derive(Default)]
struct Found {
    list: Vec<Namespace>,
    places: HashMap<u64, usize>,
}

impl Found {
    fn add(&mut self, inode: u64, path: PathBuf, name: Option<crate::snapshot::Name>, pid: Option<u32>) {
        let place = *self.places.entry(inode).or_insert_with(|| {
            self.list.push(Namespace { inode, names: Vec::new(), pid: None, paths: Vec::new() });
            self.list.len() - 1
        });
        let Some(namespace) = self.list.get_mut(place) else { return };
        // The same mount is seen from many mount namespaces.
        namespace.names.extend(name.filter(|name| !namespace.names.contains(name)));
        namespace.pid = namespace.pid.or(pid);
        if namespace.paths.len() < MAX_PATHS {
            namespace.paths.push(path);
        }
    }

    /// Adds those that are mounted where a process sees them. Source: /proc/PID/mountinfo.
    fn mounted(&mut self, process: &Path, root: &Path) {
        let Ok(text) = fs::read(process.join("mountinfo")) else { return };
        for mount in mounts::namespaces(&text) {
            let path = root.join(mount.point.strip_prefix("/").unwrap_or(&mount.point));
            self.add(mount.inode, path, mount.name(), None);
        }
    }
}

fn inode(path: &Path) -> Option<u64> {
    Some(fs::metadata(path).ok()?.ino())
}

/// Every process and its folder, in the order of /proc.
fn processes() -> impl Iterator<Item = (u32, PathBuf)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())))
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
    fn a_name_comes_from_a_mount_and_a_process_from_proc() {
        let mut found = Found::default();
        (0..2).for_each(|_| found.add(5, "/run/netns/blue".into(), Some("blue".into()), None));
        (1..9).for_each(|pid| found.add(5, format!("/proc/{pid}/ns/net").into(), None, Some(pid)));
        found.add(6, "/proc/9/ns/net".into(), None, Some(9));
        let [blue, other] = found.list.as_slice() else { panic!("{:?}", found.list) };
        let blue_is = (blue.names.as_slice(), blue.pid, blue.paths.len());
        assert_eq!(blue_is, (["blue".into()].as_slice(), Some(1), MAX_PATHS));
        assert_eq!((other.inode, other.names.len(), other.pid), (6, 0, Some(9)));
    }
}
