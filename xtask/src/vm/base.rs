//! The part of a guest's root file system that depends on the kernel alone: a shell, small tools, modules, `/init`.

use super::archive::{Archive, MERGED};
use super::kernel::Kernel;
use super::{files, modules};
use crate::{exec, paths};
use anyhow::{Context, Result};
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The first program of a guest.
const INIT: &str = include_str!("init.sh");
/// Programs of this machine that every guest gets, where they are installed here. They run other programs, and Debian's
/// busybox would then start its own applets instead of the real tools that were added.
const RUNNERS: [&str; 11] =
    ["dash", "env", "timeout", "nice", "setsid", "xargs", "chroot", "unshare", "nsenter", "taskset", "setpriv"];
/// Empty folders of the root.
const FOLDERS: [&str; 9] = ["proc", "sys", "dev", "run", "tmp", "root", "mnt", "var", "usr/sbin"];

/// Builds the archive for a kernel, or takes the one built before. What it is made of is part of its name.
pub(super) fn get(kernel: &Kernel) -> Result<PathBuf> {
    let mut recipe = DefaultHasher::new();
    (INIT, RUNNERS, FOLDERS, include_str!("modules.rs"), include_str!("base.rs")).hash(&mut recipe);
    let path = kernel.home.join(format!("base-{:016x}.cpio", recipe.finish()));
    if path.exists() {
        return Ok(path);
    }
    exec::say(&format!("building the root file system for {}", kernel.release));
    let archive = build(kernel)?;
    let fresh = path.with_extension("new");
    let mut file = BufWriter::new(File::create(&fresh).with_context(|| format!("cannot write {}", fresh.display()))?);
    archive.write(&mut file)?;
    file.flush().with_context(|| format!("cannot write {}", fresh.display()))?;
    fs::rename(&fresh, &path).with_context(|| format!("cannot rename {}", fresh.display()))?;
    Ok(path)
}

fn build(kernel: &Kernel) -> Result<Archive> {
    let mut archive = Archive::default();
    for folder in FOLDERS {
        archive.folder(folder);
    }
    for merged in MERGED {
        archive.folder(&format!("usr/{merged}"));
        archive.link(merged, &format!("usr/{merged}"));
    }
    archive.text("init", 0o755, INIT);
    archive.text("etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n");
    archive.text("etc/group", 0o644, "root:x:0:\nnogroup:x:65534:\n");
    archive.text("etc/hosts", 0o644, "127.0.0.1 localhost vm\n::1 localhost\n");

    let busybox = paths::program("busybox").context("busybox is not in PATH")?;
    files::add(&mut archive, &busybox, "/usr/bin/busybox")?;
    for runner in RUNNERS {
        if let Some(file) = paths::program(runner) {
            files::add(&mut archive, &file, &format!("/usr/bin/{runner}"))?;
        }
    }
    // Last in PATH, so that a real tool wins.
    for applet in
        exec::capture(Command::new(&busybox).arg("--list"))?.lines().filter(|applet| !RUNNERS.contains(applet))
    {
        archive.link(&format!("usr/busybox/{applet}"), "/usr/bin/busybox");
    }
    archive.link("usr/bin/sh", "dash");
    // Where the kernel itself looks when it wants a module.
    archive.link("usr/sbin/modprobe", "/usr/bin/busybox");
    add_modules(&mut archive, kernel, &busybox)?;
    Ok(archive)
}

/// Adds the modules, and the lists by which modprobe finds them; `depmod` makes those from files on disk.
fn add_modules(archive: &mut Archive, kernel: &Kernel, busybox: &Path) -> Result<()> {
    let stage = kernel.home.join("stage");
    // Left by a build that was interrupted, perhaps.
    let _ = fs::remove_dir_all(&stage);
    let folder = stage.join("lib/modules").join(&kernel.release);
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for (name, bytes) in modules::read(&kernel.modules)? {
        let file = folder.join(format!("{name}.ko"));
        fs::write(&file, bytes).with_context(|| format!("cannot write {}", file.display()))?;
    }
    exec::capture(Command::new(busybox).args(["depmod", "-b"]).arg(&stage).arg(&kernel.release))?;
    let dest = format!("/usr/lib/modules/{}", kernel.release);
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry.with_context(|| format!("cannot read {}", folder.display()))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        archive.bytes(&format!("{dest}/{name}"), 0o644, bytes);
    }
    // Names that are built in, so that modprobe takes them as loaded.
    for list in ["modules.builtin", "modules.builtin.modinfo"] {
        let path = kernel.modules.join(list);
        if path.exists() {
            archive.file(&format!("{dest}/{list}"), 0o644, path);
        }
    }
    fs::remove_dir_all(&stage).with_context(|| format!("cannot remove {}", stage.display()))
}
