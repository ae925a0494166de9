//! The path of a cgroup by its id, without walking the tree.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, readlink};
use nix::unistd::{AccessFlags, faccessat};
use std::os::unix::ffi::OsStrExt;

use super::find::Mount;
use crate::snapshot::{CgroupId, Name};

/// `FILEID_KERNFS` of the kernel's `enum fid_type`: a file handle of cgroupfs is the 64-bit inode and nothing else.
const FILEID_KERNFS: i32 = 0xfe;

/// `struct file_handle` with the bytes of a kernfs handle behind it.
#[repr(C)]
struct KernfsHandle {
    bytes: u32,
    kind: i32,
    id: [u8; 8],
}

/// Opens a cgroup by its id.
fn open(top: &OwnedFd, id: CgroupId) -> Result<OwnedFd, Errno> {
    let mut handle = KernfsHandle { bytes: 8, kind: FILEID_KERNFS, id: id.0.to_ne_bytes() };
    let pointer: *mut KernfsHandle = &raw mut handle;
    let flags = libc::O_PATH | libc::O_CLOEXEC;
    // SAFETY: `pointer` is valid for the whole call, and its 8 bytes are as many as its header says.
    let fd = Errno::result(unsafe { libc::open_by_handle_at(top.as_raw_fd(), pointer.cast(), flags) })?;
    // SAFETY: the kernel has just given out this descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// True if there surely is no such cgroup. Without `CAP_DAC_READ_SEARCH` nobody is called gone.
pub fn is_gone(top: &OwnedFd, id: CgroupId) -> bool {
    match open(top, id) {
        // A removed folder that something still holds is opened, but has no file in it any more.
        Ok(folder) => faccessat(&folder, "cgroup.procs", AccessFlags::F_OK, AtFlags::empty()) == Err(Errno::ENOENT),
        Err(e) => e == Errno::ESTALE,
    }
}

/// Opens the cgroup by handle and asks /proc where it is. `None` if it is gone, if the caller lacks
/// `CAP_DAC_READ_SEARCH`, or if it lies outside of what is mounted.
pub fn by_id(top: &OwnedFd, mount: &Mount, id: CgroupId) -> Option<Name> {
    let folder = open(top, id).ok()?;
    let path = readlink(format!("/proc/self/fd/{}", folder.as_raw_fd()).as_str()).ok()?;
    let inside = path.as_bytes().strip_prefix(mount.point.as_slice())?;
    match inside.split_first() {
        None => Some(mount.path_from_root(b"")),
        // A removed folder is shown so; one that is called so is given up with it.
        Some((b'/', relative)) if !relative.ends_with(b" (deleted)") => Some(mount.path_from_root(relative)),
        Some(_) => None,
    }
}
