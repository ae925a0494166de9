//! Cgroups that are removed while page cache that they were charged for lives on.

use std::{fs, io::Write, path::PathBuf, process::Command};

use super::Watch;
use crate::support::{cgroup::Cgroup, needs_root, seen, wait::wait_for};

const COUNT: u64 = 400;

/// Many removed cgroups, each with a page of a file. Dropping it removes the files, and with their pages the cgroups go.
struct Zombies {
    folder: PathBuf,
}

impl Zombies {
    fn start() -> Self {
        let folder = std::env::temp_dir().join(format!("observer-test-zombies-{}", std::process::id()));
        fs::create_dir(&folder).expect("a new folder");
        let parent = Cgroup::new("zombies");
        for n in 0..COUNT {
            let cgroup = parent.child(&n.to_string());
            let script = format!("echo $$ > {}; printf %4096s x > {}/{n}", cgroup.procs().display(), folder.display());
            let status = Command::new("sh").args(["-c", &script]).status().expect("a shell");
            assert!(status.success());
        }
        Self { folder }
    }
}

impl Drop for Zombies {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
        let _ = std::io::stdout().flush();
    }
}

#[test]
fn removed_cgroups_that_hold_page_cache_are_counted() {
    needs_root!("removed_cgroups_that_hold_page_cache_are_counted");
    let mut watch = Watch::start();
    let dying = |watch: &Watch| watch.snapshot().cgroups.as_ref().and_then(|c| c.dying).expect("the kernel tells");
    watch.tick();
    let before = dying(&watch);
    let scene = Zombies::start();
    let finding = watch.until("zombie_cgroups", |_| true);
    watch.record("zombies", "zombie_cgroups");
    let grown = dying(&watch) - before;
    seen!("{before} before, {grown} more: {}", finding.verdict);
    assert!(grown >= COUNT * 9 / 10, "{grown} of {COUNT} live on");
    drop(scene);
    wait_for("the zombies to go with their pages", || {
        watch.tick();
        (dying(&watch) < before + COUNT / 2).then_some(())
    });
}
