//! The path of a cgroup by its id, without walking the tree.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nix::fcntl::readlink;
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

/// Opens the cgroup by handle and asks /proc where it is. `None` if it is gone, if the caller lacks
/// `CAP_DAC_READ_SEARCH`, or if it lies outside of what is mounted.
pub fn by_id(top: &OwnedFd, mount: &Mount, id: CgroupId) -> Option<Name> {
    let mut handle = KernfsHandle { bytes: 8, kind: FILEID_KERNFS, id: id.0.to_ne_bytes() };
    let pointer: *mut KernfsHandle = &raw mut handle;
    let flags = libc::O_PATH | libc::O_CLOEXEC;
    // SAFETY: `pointer` is valid for the whole call, and its 8 bytes are as many as its header says.
    let fd = unsafe { libc::open_by_handle_at(top.as_raw_fd(), pointer.cast(), flags) };
    if fd < 0 {
        return None;
    }
    // SAFETY: the kernel has just given out this descriptor, and nobody else knows it.
    let folder = unsafe { OwnedFd::from_raw_fd(fd) };
    let path = readlink(format!("/proc/self/fd/{}", folder.as_raw_fd()).as_str()).ok()?;
    let inside = path.as_bytes().strip_prefix(mount.point.as_slice())?;
    match inside.split_first() {
        None => Some(mount.path_from_root(b"")),
        // A removed folder is shown so; one that is called so is given up with it.
        Some((b'/', relative)) if !relative.ends_with(b" (deleted)") => Some(mount.path_from_root(relative)),
        Some(_) => None,
    }
}
