//! What a test mounts, or swaps to, and takes away again.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

/// A tmpfs of our own, mounted where everybody sees it. Dropping it unmounts it, with all that is in it.
pub(crate) struct Tmpfs(PathBuf);

impl Tmpfs {
    /// Mounts one; `size` as the mount option has it: bytes, a share of RAM, or 0 for no limit.
    pub(crate) fn new(size: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("observer-test-tmpfs-{}-{number}", std::process::id()));
        fs::create_dir(&path).expect("a new folder");
        let option = format!("size={size}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &option, "tmpfs"]).arg(&path).status();
        assert!(mounted.expect("mount is there").success());
        Self(path)
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        let _ = fs::remove_dir(&self.0);
    }
}

/// A zram device that is swapped to. Dropping it gives it back.
pub(crate) struct Zram;

impl Zram {
    /// One of so many bytes; `None` where the kernel has no zram.
    pub(crate) fn new(bytes: u64) -> Option<Self> {
        let _ = Command::new("modprobe").arg("zram").status();
        fs::write("/sys/block/zram0/disksize", bytes.to_string()).ok()?;
        let run = |program: &str| Command::new(program).arg("/dev/zram0").status().is_ok_and(|s| s.success());
        assert!(run("mkswap") && run("swapon"), "a zram device can be swapped to");
        Some(Self)
    }
}

impl Drop for Zram {
    fn drop(&mut self) {
        let _ = Command::new("swapoff").arg("/dev/zram0").status();
        let _ = fs::write("/sys/block/zram0/reset", "1");
    }
}
