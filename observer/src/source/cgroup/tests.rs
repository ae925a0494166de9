use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::*;
use crate::source::fixtures::{V2_6_12, host};

fn read(root: &Root, limit: usize) -> (Cgroups, Vec<Source>) {
    let mut buffer = Buffer::default();
    CgroupReader::open(root, &mut buffer, limit, 4096).unwrap().read(&mut buffer, None).unwrap()
}

fn find<'a>(cgroups: &'a Cgroups, path: &str) -> &'a Cgroup {
    cgroups.list.iter().find(|c| c.path.as_str() == path).unwrap_or_else(|| panic!("no {path} in {cgroups:?}"))
}

#[test]
fn a_version_2_tree() {
    let (cgroups, sources) = read(&Root::at(host(V2_6_12)), DEFAULT_LIMIT);
    assert_eq!((cgroups.hierarchy, cgroups.vanished, cgroups.not_read), (Hierarchy::V2, 0, 0));
    assert_eq!(sources, [], "every file was there");
    assert_eq!(cgroups.list.len(), 4);

    let top = &cgroups.list[0];
    assert_eq!((top.path.as_str(), top.usage, top.limit, top.unlimited), ("/", None, None, false));
    assert!(top.stat.is_some() && top.pressure.is_some());

    let api = find(&cgroups, "/work.slice/api.service");
    assert_eq!((api.usage, api.limit, api.high), (Some(30_314_496), Some(64 << 20), Some(48 << 20)));
    assert_eq!((api.limit_hits, api.high_hits, api.oom_kills, api.swap), (Some(0), Some(17), Some(0), Some(0)));
    assert_eq!(api.pressure.as_ref().unwrap().full.unwrap().total_seconds, 0.379_687);
    let stat = api.stat.as_ref().unwrap();
    let missing: Vec<_> = stat.iter().filter(|(_, v)| v.is_none()).map(|(name, _)| name).collect();
    assert_eq!(missing, ["zswap", "zswapped", "pswpin", "pswpout"], "this kernel has no zswap");
    assert!(stat.file.unwrap() > 20 << 20, "it read a file of 30 MB");

    let batch = find(&cgroups, "/work.slice/batch.service");
    assert!(batch.unlimited && batch.limit.is_none() && batch.high.is_none());
}

#[test]
fn version_1_has_other_names_for_the_same() {
    let text = "cache 1\nrss 2\nworkingset_refault_file 1\nhierarchical_memory_limit 9\ntotal_cache 8192\ntotal_rss 4096\n\
                total_swap 12288\ntotal_workingset_refault_file 3\ntotal_pgfault 7\n";
    let v1::Stat { stat, swap, hierarchical_limit, .. } = v1::parse_stat(text.as_bytes(), 4096).unwrap();
    let stat = stat.unwrap();
    assert_eq!(hierarchical_limit, Some(9));
    assert_eq!((stat.file, stat.anon, stat.pgfault, swap), (Some(8192), Some(4096), Some(7), Some(12288)));
    assert_eq!(stat.workingset_refault_file_bytes, Some(3 * 4096));
    assert_eq!((stat.slab_reclaimable, stat.pgscan_bytes), (None, None));
    let error = v1::parse_stat(b"total_cache 1\ntotal_rss x\n", 4096).unwrap_err();
    assert_eq!(error.to_string(), r#"line 2: total_rss is "x", not a number"#);
}

/// A copy of the version 2 tree that can be changed.
struct Tree(tempfile::TempDir);

impl Tree {
    fn new() -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        copy(&host(V2_6_12), tree.0.path());
        tree
    }

    fn root(&self) -> Root {
        Root::at(self.0.path())
    }

    fn path(&self, cgroup: &str) -> PathBuf {
        self.0.path().join("sys/fs/cgroup").join(cgroup)
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), &to).unwrap();
        }
    }
}

#[test]
fn a_file_that_is_missing_or_broken_is_named_and_costs_only_itself() {
    let tree = Tree::new();
    fs::remove_file(tree.path("work.slice/memory.pressure")).unwrap();
    fs::write(tree.path("work.slice/memory.stat"), "anon 1\nfile ?\n").unwrap();
    let (cgroups, sources) = read(&tree.root(), DEFAULT_LIMIT);
    let slice = find(&cgroups, "/work.slice");
    assert!(slice.usage.is_some() && slice.stat.is_none() && slice.pressure.is_none());
    let reasons: Vec<_> = sources.iter().map(|s| (s.name.as_str(), s.missing.as_ref().unwrap().as_str())).collect();
    let pressure = "cannot read memory.pressure: No such file or directory (os error 2) (in 1 cgroups)";
    let stat = r#"memory.stat, line 2: file is "?", not a number (in 1 cgroups)"#;
    assert_eq!(reasons, [("cgroups memory.pressure", pressure), ("cgroups memory.stat", stat)]);
}

#[test]
fn below_a_cgroup_without_the_controller_nothing_is_read() {
    let tree = Tree::new();
    for folder in ["nomem", "nomem/below"] {
        fs::create_dir(tree.path(folder)).unwrap();
        fs::write(tree.path(folder).join("cgroup.procs"), "").unwrap();
    }
    let (cgroups, _) = read(&tree.root(), DEFAULT_LIMIT);
    assert_eq!((cgroups.list.len(), cgroups.vanished), (4, 0));
}

#[test]
fn a_cgroup_that_vanishes_between_listing_and_reading_is_counted() {
    let tree = Tree::new();
    let mut buffer = Buffer::default();
    let mut reader = CgroupReader::open(&tree.root(), &mut buffer, DEFAULT_LIMIT, 4096).unwrap();
    let mut walk = walk::Walk::new(&reader.top, &reader.mount, reader.limit, &mut reader.kept);
    while let Some(folder) = walk.next_folder().unwrap() {
        let path = folder.path.clone();
        walk.put(folder, Ok(Cgroup { path: path.clone(), ..Cgroup::default() }));
        if path.as_str() == "/work.slice" {
            fs::remove_dir_all(tree.path("work.slice/api.service")).unwrap();
        }
    }
    let cgroups = walk.finish(Hierarchy::V2);
    assert_eq!((cgroups.list.len(), cgroups.vanished, cgroups.not_read), (3, 1, 0));
}

#[test]
fn what_is_beyond_the_limit_is_counted_and_is_what_is_deep() {
    let (cgroups, _) = read(&Root::at(host(V2_6_12)), 2);
    let paths: Vec<_> = cgroups.list.iter().map(|c| c.path.as_str()).collect();
    assert_eq!((paths, cgroups.not_read), (vec!["/", "/work.slice"], 2));
    let (cgroups, _) = read(&Root::at(host(V2_6_12)), 1);
    assert_eq!((cgroups.list.len(), cgroups.not_read), (1, 3));
}

/// A cgroup of this host, removed with what is in it when the test ends.
struct Private(PathBuf);

impl Private {
    /// `None` where cgroups cannot be made: not root, or no memory controller.
    fn new() -> Option<(Self, CgroupReader)> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let reader = CgroupReader::open(&Root::default(), &mut Buffer::default(), 100_000, 4096).ok()?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = reader.mount.folder().join(format!("observer-test-{}-{number}", std::process::id()));
        if fs::create_dir(&path).is_err() {
            eprintln!("skipped: no cgroup can be made here");
            return None;
        }
        let private = Self(path);
        if reader.mount.hierarchy == Hierarchy::V2 {
            fs::write(private.0.join("cgroup.subtree_control"), "+memory").unwrap();
        }
        Some((private, reader))
    }

    fn name(&self) -> String {
        self.0.file_name().unwrap().to_str().unwrap().to_owned()
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        fn remove(path: &Path) {
            for entry in fs::read_dir(path).into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|t| t.is_dir()) {
                    remove(&entry.path());
                }
            }
            let _ = fs::remove_dir(path);
        }
        remove(&self.0);
    }
}

#[test]
fn a_cgroup_of_this_host_has_its_inode_its_limit_and_its_path() {
    use std::os::unix::fs::MetadataExt;
    let Some((private, mut reader)) = Private::new() else { return };
    let child = private.0.join("a b\x1b[m");
    fs::create_dir(&child).unwrap();
    let file = if reader.mount.hierarchy == Hierarchy::V2 { "memory.max" } else { "memory.limit_in_bytes" };
    fs::write(private.0.join(file), (64 << 20).to_string()).unwrap();

    let (cgroups, _) = reader.read(&mut Buffer::default(), None).unwrap();
    let parent = find(&cgroups, &format!("/{}", private.name()));
    assert_eq!(parent.id.0, fs::metadata(&private.0).unwrap().ino());
    assert_eq!((parent.limit, parent.unlimited, parent.oom_kills), (Some(64 << 20), false, Some(0)));
    assert!(parent.usage.is_some() && parent.stat.as_ref().unwrap().anon.is_some());
    let path = format!("/{}/a b\\x1b[m", private.name());
    assert!(find(&cgroups, &path).unlimited);
    let id = CgroupId(fs::metadata(&child).unwrap().ino());
    assert_eq!(reader.path_of(id).unwrap().as_str(), path);

    // Without a limit above it, too.
    fs::write(private.0.join(file), if reader.mount.hierarchy == Hierarchy::V2 { "max" } else { "-1" }).unwrap();
    let (cgroups, _) = reader.read(&mut Buffer::default(), None).unwrap();
    let freed =
        [&format!("/{}", private.name()), &path].map(|p| (find(&cgroups, p).unlimited, find(&cgroups, p).limit));
    assert_eq!(freed, [(true, None), (true, None)]);
    fs::remove_dir(&child).unwrap();
    assert_eq!(reader.path_of(id), None);
}

#[test]
fn a_deep_tree_with_long_names_is_read_to_its_end() {
    use std::os::unix::ffi::OsStrExt;
    const DEPTH: usize = 100;
    let Some((private, mut reader)) = Private::new() else { return };
    // Up to where a path is too long to be opened from the top.
    let long = [b"\x1b[2J \\".as_slice(), &[b'x'; 248]].concat();
    let with_long_name = private.0.join(std::ffi::OsStr::from_bytes(&long));
    fs::create_dir(&with_long_name).unwrap();
    let mut deepest = private.0.clone();
    for _ in 0..DEPTH {
        if reader.mount.hierarchy == Hierarchy::V2 {
            fs::write(deepest.join("cgroup.subtree_control"), "+memory").unwrap();
        }
        deepest.push("d");
        fs::create_dir(&deepest).unwrap();
    }
    for _ in 0..2 {
        let (cgroups, sources) = reader.read(&mut Buffer::default(), None).unwrap();
        assert!(sources.is_empty(), "{sources:?}");
        let path = format!("/{}{}", private.name(), "/d".repeat(DEPTH));
        assert!(find(&cgroups, &path).usage.is_some());
        let inside = cgroups.list.iter().find(|c| c.path.to_bytes().ends_with(&long)).expect("the long name");
        assert!(!inside.path.as_str().contains('\x1b'));
    }
}

#[test]
fn cgroups_that_come_and_go_are_never_an_error() {
    let Some((private, mut reader)) = Private::new() else { return };
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                for i in 0..8 {
                    fs::create_dir(private.0.join(i.to_string())).unwrap();
                }
                for i in 0..8 {
                    fs::remove_dir(private.0.join(i.to_string())).unwrap();
                }
            }
        });
        // No assertion before `stop`: the other thread would go on for ever.
        let (mut buffer, mut seen, mut vanished, mut failure) = (Buffer::default(), 0, 0, None);
        let begin = Instant::now();
        while (seen == 0 || vanished == 0) && failure.is_none() && begin.elapsed() < Duration::from_secs(30) {
            match reader.read(&mut buffer, None) {
                Ok((cgroups, sources)) => {
                    let name = format!("/{}/", private.name());
                    seen += cgroups.list.iter().filter(|c| c.path.as_str().starts_with(&name)).count();
                    vanished += cgroups.vanished;
                    let half_read = cgroups.list.iter().find(|c| c.usage.is_none() && c.path.as_str() != "/");
                    failure = half_read.map(|c| format!("{c:?}")).or(sources.first().map(|s| format!("{s:?}")));
                }
                Err(e) => failure = Some(e.to_string()),
            }
        }
        stop.store(true, Ordering::Relaxed);
        assert_eq!(failure, None);
        assert!(seen > 0 && vanished > 0, "seen {seen}, vanished {vanished}");
    });
}
