//! Every tmpfs of the host. Source: mountinfo of each mount namespace, and statfs(2) of the mount.
//!
//! Only mounts of tmpfs are touched, and none that lies below a mount which may hang (network, FUSE, automount).

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::{Mode, fstat, major, minor};
use nix::sys::statfs::{TMPFS_MAGIC, fstatfs};

use crate::{
    snapshot::{
        Name,
        memory::{Shmem, Tmpfs},
    },
    source::{
        SourceError,
        file::{Buffer, Root},
        lines::unescape,
    },
};

/// Mount namespaces that are looked into at most, observer's own included.
const MOST_NAMESPACES: usize = 64;
/// Starts of the names of file systems whose mounts may hang, and all below them.
const MAY_HANG: &[&str] = &["nfs", "cifs", "smb", "fuse", "autofs", "ceph", "9p", "afs", "lustre", "glusterfs"];

/// A mount of a tmpfs.
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    device: String,
    point: Vec<u8>,
}

/// Reads every tmpfs once.
pub(super) fn read(root: &Root, buffer: &mut Buffer) -> Result<Shmem, SourceError> {
    let mut found = Found::default();
    let own = buffer.parse(root, "/proc/self/mountinfo", |b| Ok(mounts(b)))?;
    if !root.is_host() {
        // Copies of files are no mounts.
        return Ok(Shmem::default());
    }
    found.look(Path::new("/"), None, own);
    let mut seen: HashSet<_> = std::fs::read_link("/proc/self/ns/mnt").into_iter().collect();
    for pid in pids() {
        // Namespaces of processes that may not be looked into stay unseen; without root that is all others.
        let Ok(namespace) = std::fs::read_link(format!("/proc/{pid}/ns/mnt")) else { continue };
        if !seen.insert(namespace) {
            continue;
        }
        if seen.len() > MOST_NAMESPACES {
            found.shmem.namespaces_not_read += 1;
            continue;
        }
        let mountinfo = buffer.parse(root, &format!("/proc/{pid}/mountinfo"), |b| Ok(mounts(b)));
        match mountinfo {
            Ok(mounts) => found.look(Path::new(&format!("/proc/{pid}/root")), Some(pid), mounts),
            Err(_) => found.shmem.namespaces_not_read += 1,
        }
    }
    Ok(found.shmem)
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// What was found so far, each tmpfs by its device number.
#[derive(Debug, Default)]
struct Found {
    devices: HashSet<String>,
    shmem: Shmem,
}

impl Found {
    /// Looks at the mounts of a namespace whose `/` is at `top`.
    fn look(&mut self, top: &Path, pid: Option<u32>, mounts: Vec<Mount>) {
        let Ok(top) = open(top, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty()) else { return };
        for mount in mounts {
            if self.devices.contains(&mount.device) {
                continue;
            }
            if let Some(tmpfs) = measure(&top, &mount, pid) {
                self.devices.insert(mount.device);
                self.shmem.tmpfs.push(tmpfs);
            }
        }
    }
}

/// Asks one mount. `None` if something else is mounted over it, or it is gone.
fn measure(top: &OwnedFd, mount: &Mount, pid: Option<u32>) -> Option<Tmpfs> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_SYMLINKS);
    let folder = openat2(top, Path::new(OsStr::from_bytes(&mount.point)), how).ok()?;
    let device = fstat(&folder).ok()?.st_dev;
    let sizes = fstatfs(folder.as_fd()).ok()?;
    if format!("{}:{}", major(device), minor(device)) != mount.device || sizes.filesystem_type() != TMPFS_MAGIC {
        return None;
    }
    let block = u64::try_from(sizes.block_size()).ok()?;
    let limited = sizes.blocks() > 0;
    Some(Tmpfs {
        mount_point: Name::from_bytes(&mount.point),
        device: Name::from(mount.device.as_str()),
        seen_by_pid: pid,
        // Without a limit all of them are 0, whatever it holds.
        used: limited.then(|| sizes.blocks().saturating_sub(sizes.blocks_free()).saturating_mul(block)),
        size: limited.then(|| sizes.blocks().saturating_mul(block)),
        inodes: (sizes.files() > 0).then(|| sizes.files().saturating_sub(sizes.files_free())),
    })
}

/// The mounts of tmpfs that mountinfo lists, without those below a mount that may hang. Other lines are of no interest,
/// whatever is in them.
fn mounts(bytes: &[u8]) -> Vec<Mount> {
    let lines = || bytes.split(|b| *b == b'\n').filter_map(line);
    let may_hang = |kind: &[u8]| MAY_HANG.iter().any(|start| kind.starts_with(start.as_bytes()));
    let shaky: Vec<Vec<u8>> = lines().filter(|(_, _, kind)| may_hang(kind)).map(|(_, point, _)| point).collect();
    let below = |point: &[u8], above: &[u8]| point.strip_prefix(above).is_some_and(|rest| rest.starts_with(b"/"));
    lines()
        .filter(|(_, _, kind)| matches!(*kind, b"tmpfs" | b"devtmpfs"))
        .filter(|(_, point, _)| !shaky.iter().any(|above| below(point, above)))
        .map(|(device, point, _)| Mount { device, point })
        .collect()
}

/// Device number, mount point and type of a line `36 35 0:27 / /dev/shm rw - tmpfs tmpfs rw`.
fn line(text: &[u8]) -> Option<(String, Vec<u8>, &[u8])> {
    let mut words = text.split(|b| *b == b' ');
    let device = std::str::from_utf8(words.nth(2)?).ok()?.to_owned();
    let point = unescape(words.nth(1)?);
    let kind = words.skip_while(|w| *w != b"-").nth(1)?;
    Some((device, point, kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tmpfs_below_what_may_hang_is_left_alone() {
        let text = b"24 1 0:22 / /dev rw - devtmpfs udev rw\n25 1 0:23 / /a\\040b rw shared:3 - tmpfs x rw\n\
            26 1 0:40 / /mnt/far rw - nfs4 host:/ rw\n27 26 0:41 / /mnt/far/tmp rw - tmpfs x rw\n\
            28 1 0:42 / /mnt/farther rw - tmpfs x rw\nnonsense\n";
        let found: Vec<_> = mounts(text).into_iter().map(|m| String::from_utf8(m.point).unwrap()).collect();
        assert_eq!(found, ["/dev", "/a b", "/mnt/farther"]);
    }

    #[test]
    fn this_host_is_read() {
        let shmem = read(&Root::default(), &mut Buffer::default()).unwrap();
        let devices: HashSet<_> = shmem.tmpfs.iter().map(|t| t.device.as_str()).collect();
        assert_eq!(devices.len(), shmem.tmpfs.len(), "each once");
        assert!(shmem.tmpfs.iter().all(|t| t.size.is_none() == t.used.is_none() && t.used <= t.size), "{shmem:?}");
    }
}
