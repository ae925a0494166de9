//! Which hierarchy carries the memory controller, and where it is mounted.
//! Source: /proc/self/mountinfo, `cgroup.controllers` of each cgroup2 mount, /proc/cgroups.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::fcntl::AT_FDCWD;
use procfs::FromRead;

use crate::snapshot::Name;
use crate::snapshot::cgroup::Hierarchy;
use crate::source::SourceError;
use crate::source::file::{Buffer, Root, Shape};
use crate::source::lines::unescape;
use crate::source::lines::words;

/// Where the memory controller is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Kind of hierarchy.
    pub hierarchy: Hierarchy,
    /// Where it is mounted.
    pub point: Vec<u8>,
    /// Which of its cgroups the mount shows as its top: `/` unless only a part is mounted, as in a container.
    pub top: Vec<u8>,
}

impl Mount {
    /// The mount point as a path.
    pub fn folder(&self) -> PathBuf {
        Path::new(OsStr::from_bytes(&self.point)).to_owned()
    }

    /// Path from the root of the hierarchy of a cgroup that is `relative` to the top of this mount.
    pub fn path_from_root(&self, relative: &[u8]) -> Name {
        let top = self.top.strip_suffix(b"/").unwrap_or(&self.top);
        let path = if relative.is_empty() { top.to_vec() } else { [top, b"/", relative].concat() };
        if path.is_empty() { Name::from("/") } else { Name::from_bytes(&path) }
    }
}

/// Finds the mount to read.
pub fn memory_mount(root: &Root, buffer: &mut Buffer) -> Result<Mount, SourceError> {
    let mounts = buffer.parse(root, "/proc/self/mountinfo", |bytes| Ok(cgroup_mounts(bytes)))?;
    let mut has_memory = |mount: &CgroupMount| {
        let path = root.path(Path::new(OsStr::from_bytes(&mount.point)).join("cgroup.controllers"));
        let list = buffer.read_at(AT_FDCWD, path.as_path(), Shape::Piece);
        list.is_ok_and(|bytes| words(bytes.trim_ascii_end()).any(|w| w == b"memory"))
    };
    choose(mounts, &mut has_memory).ok_or_else(|| SourceError::NoMemoryController(why_none(root)))
}

/// A mount of a cgroup hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
struct CgroupMount {
    unified: bool,
    /// True if the mount options name the memory controller (version 1).
    names_memory: bool,
    point: Vec<u8>,
    top: Vec<u8>,
}

/// Picks the version 1 mount with the memory controller, or the cgroup2 mount that offers it. Of several mounts of one
/// hierarchy the one that shows most of it.
fn choose(mut mounts: Vec<CgroupMount>, has_memory: &mut dyn FnMut(&CgroupMount) -> bool) -> Option<Mount> {
    mounts.sort_by_key(|m| m.top.len());
    let any_unified = mounts.iter().any(|m| m.unified);
    let v1 = if any_unified { Hierarchy::Hybrid } else { Hierarchy::V1 };
    let found = mounts.iter().find(|m| m.names_memory).map(|m| (v1, m));
    let (hierarchy, mount) =
        found.or_else(|| mounts.iter().find(|m| m.unified && has_memory(m)).map(|m| (Hierarchy::V2, m)))?;
    Some(Mount { hierarchy, point: mount.point.clone(), top: mount.top.clone() })
}

/// The cgroup mounts of /proc/self/mountinfo. Other lines are of no interest, whatever is in them: mount points are named
/// by users too.
fn cgroup_mounts(bytes: &[u8]) -> Vec<CgroupMount> {
    bytes.split(|b| *b == b'\n').filter_map(cgroup_mount).collect()
}

/// `35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory`
fn cgroup_mount(line: &[u8]) -> Option<CgroupMount> {
    let mut words = line.split(|b| *b == b' ');
    let (top, point) = (words.nth(3)?, words.next()?);
    let mut after_dash = words.skip_while(|w| *w != b"-").skip(1);
    let kind = after_dash.next()?;
    let options = after_dash.nth(1)?;
    let unified = match kind {
        b"cgroup2" => true,
        b"cgroup" => false,
        _ => return None,
    };
    let names_memory = !unified && options.split(|b| *b == b',').any(|o| o == b"memory");
    Some(CgroupMount { unified, names_memory, point: unescape(point), top: unescape(top) })
}

/// Inode of the first cgroup namespace (`PROC_CGROUP_INIT_INO`), in which paths begin at the root of the hierarchy.
const FIRST_NAMESPACE: &str = "cgroup:[4026531835]";

/// True if mounts show cgroups from the root of the hierarchy on. In the namespace of a container the top of what it may see
/// is called `/`, too.
pub fn begins_at_the_root(root: &Root) -> bool {
    let own = std::fs::read_link(root.path("/proc/self/ns/cgroup"));
    // A kernel without cgroup namespaces, or a folder of copied files.
    own.map_or(true, |link| link.as_os_str() == FIRST_NAMESPACE)
}

/// Memory cgroups that the kernel counts in a hierarchy of version 1, the dying included. Source: `num_cgroups` of
/// /proc/cgroups.
pub fn cgroups_counted(root: &Root) -> Option<u64> {
    let controllers = procfs::CGroupControllers::from_file(root.path("/proc/cgroups")).ok()?;
    controllers.0.into_iter().find(|c| c.name == "memory").map(|c| u64::from(c.num_cgroups))
}

/// What /proc/cgroups says about a memory controller that is nowhere to be found.
fn why_none(root: &Root) -> String {
    let controllers = procfs::CGroupControllers::from_file(root.path("/proc/cgroups"));
    match controllers.map(|list| list.0.into_iter().find(|c| c.name == "memory")) {
        Ok(Some(memory)) if !memory.enabled => {
            "the memory controller is switched off (/proc/cgroups; see cgroup_disable= on the kernel command line)"
                .into()
        }
        Ok(_) => "no cgroup hierarchy with the memory controller is mounted (/proc/self/mountinfo)".into(),
        Err(e) => format!("no cgroup hierarchy with the memory controller is mounted; /proc/cgroups: {e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::fixtures::{V1_6_18, V2_6_12, host, proc_file};

    const V1_MEMORY: &[u8] = b"35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
    const UNIFIED: &[u8] = b"41 31 0:38 / /sys/fs/cgroup/unified rw shared:7 - cgroup2 cgroup2 rw,nsdelegate\n";
    const PART: &[u8] = b"50 31 0:32 /docker/a\\040b /mnt/part rw master:1 - cgroup cgroup rw,memory\n";

    fn chosen(mountinfo: &[&[u8]], unified_has_memory: bool) -> Option<Mount> {
        choose(cgroup_mounts(&mountinfo.concat()), &mut |_| unified_has_memory)
    }

    #[test]
    fn the_hierarchy_with_the_memory_controller_is_chosen() {
        let kind = |info: &[&[u8]], has| chosen(info, has).map(|m| m.hierarchy);
        assert_eq!(kind(&[V1_MEMORY], false), Some(Hierarchy::V1));
        assert_eq!(kind(&[UNIFIED, V1_MEMORY], false), Some(Hierarchy::Hybrid));
        assert_eq!(kind(&[UNIFIED], true), Some(Hierarchy::V2));
        assert_eq!(kind(&[UNIFIED], false), None);
        assert_eq!(kind(&[], true), None);
    }

    #[test]
    fn the_whole_is_preferred_to_a_part() {
        assert_eq!(chosen(&[PART, V1_MEMORY], false).unwrap().point, b"/sys/fs/cgroup/memory");
        let part = chosen(&[PART], false).unwrap();
        assert_eq!((part.point.as_slice(), part.top.as_slice()), (&b"/mnt/part"[..], &b"/docker/a b"[..]));
    }

    #[test]
    fn lines_of_other_mounts_may_hold_anything() {
        let hostile: &[u8] = b"\xff\xfe - cgroup\n\n1 2 3 4 5\n60 1 0:9 / /home/\xff\\134 rw - fuse x rw,memory\n";
        assert_eq!(chosen(&[hostile, V1_MEMORY], false).unwrap().hierarchy, Hierarchy::V1);
    }

    #[test]
    fn real_hosts() {
        let on_v1 = cgroup_mounts(&proc_file(V1_6_18, "self/mountinfo"));
        assert_eq!(on_v1.len(), 10);
        assert_eq!(choose(on_v1, &mut |_| false).unwrap().hierarchy, Hierarchy::Hybrid);
        let on_v2 = memory_mount(&Root::at(host(V2_6_12)), &mut Buffer::default()).unwrap();
        assert_eq!((on_v2.hierarchy, on_v2.point.as_slice()), (Hierarchy::V2, &b"/sys/fs/cgroup"[..]));
    }

    #[test]
    fn in_the_namespace_of_a_container_the_top_is_not_the_root() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::at(folder.path());
        assert!(begins_at_the_root(&root), "a kernel without such namespaces");
        let ns = folder.path().join("proc/self/ns");
        std::fs::create_dir_all(&ns).unwrap();
        std::os::unix::fs::symlink("cgroup:[4026532190]", ns.join("cgroup")).unwrap();
        assert!(!begins_at_the_root(&root));
        std::fs::remove_file(ns.join("cgroup")).unwrap();
        std::os::unix::fs::symlink(FIRST_NAMESPACE, ns.join("cgroup")).unwrap();
        assert!(begins_at_the_root(&root));
    }

    #[test]
    fn a_host_without_the_controller_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let self_folder = folder.path().join("proc/self");
        std::fs::create_dir_all(&self_folder).unwrap();
        std::fs::write(self_folder.join("mountinfo"), UNIFIED).unwrap();
        std::fs::write(folder.path().join("proc/cgroups"), "#subsys_name\nmemory\t0\t1\t0\n").unwrap();
        let error = memory_mount(&Root::at(folder.path()), &mut Buffer::default()).unwrap_err();
        assert!(error.to_string().starts_with("the memory controller is switched off"), "{error}");
    }
}
