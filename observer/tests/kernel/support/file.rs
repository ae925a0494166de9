//! A large file whose pages the kernel can drop: a sparse one on a disk, or a loop device where there is no disk.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use nix::sys::statfs::statfs;

const RAMFS: i64 = 0x8584_58f6;
const TMPFS: i64 = 0x0102_1994;
const LOOP_CONTROL: &str = "/dev/loop-control";
const LOOP_SET_FD: libc::c_ulong = 0x4c00;
const LOOP_CLR_FD: libc::c_ulong = 0x4c01;
const LOOP_CTL_GET_FREE: libc::c_ulong = 0x4c82;

/// A file of zeros that is in no page cache yet. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct BigFile {
    backing: PathBuf,
    device: Option<(PathBuf, File)>,
}

impl BigFile {
    /// Makes one.
    pub(crate) fn new(bytes: u64) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir();
        let backing = folder.join(format!("observer-test-file-{}-{number}", std::process::id()));
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&backing).expect("a new file");
        file.set_len(bytes).expect("a sparse file");
        // Pages of a file system in memory are the file: they cannot be dropped. Those of a device over it can.
        let kind = statfs(&folder).expect("statfs").filesystem_type().0;
        let device = [RAMFS, TMPFS].contains(&kind).then(|| loop_device(&file).expect("a loop device"));
        Self { backing, device }
    }

    /// True if there is no disk: what is written to the device stays in memory, and is charged to who wrote it.
    pub(crate) fn is_in_memory(&self) -> bool {
        self.device.is_some()
    }

    /// What to read.
    pub(crate) fn path(&self) -> &Path {
        self.device.as_ref().map_or(&self.backing, |(path, _)| path)
    }
}

impl Drop for BigFile {
    fn drop(&mut self) {
        if let Some((_, device)) = &self.device {
            // SAFETY: the command takes no argument.
            unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CLR_FD as _, 0) };
        }
        let _ = fs::remove_file(&self.backing);
    }
}

fn loop_device(file: &File) -> io::Result<(PathBuf, File)> {
    if !Path::new(LOOP_CONTROL).exists() {
        // Its device node comes with the module.
        let _ = Command::new("modprobe").arg("loop").status();
    }
    let control = File::open(LOOP_CONTROL)?;
    // SAFETY: the command takes no argument.
    let number = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE as _) };
    if number < 0 {
        return Err(io::Error::last_os_error());
    }
    let path = PathBuf::from(format!("/dev/loop{number}"));
    let device = OpenOptions::new().read(true).write(true).open(&path)?;
    // SAFETY: the argument is an open file.
    if unsafe { libc::ioctl(device.as_raw_fd(), LOOP_SET_FD as _, file.as_raw_fd()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((path, device))
}
