//! Workloads that read and write files.

use std::{
    fs,
    io::{Read, Seek, SeekFrom, Write},
};

use super::child::{call_me, say, stop_here};

/// `files N`: N empty files in a new folder, which go again in the end. Their inodes and names stay in the kernel's caches.
pub(super) fn files(count: usize) {
    call_me("obs-files");
    let folder = std::env::temp_dir().join(format!("observer-test-files-{}", std::process::id()));
    fs::create_dir(&folder).expect("a new folder");
    say("ready");
    stop_here();
    for n in 0..count {
        fs::File::create(folder.join(n.to_string())).expect("a new file");
    }
    say("done");
    stop_here();
    fs::remove_dir_all(&folder).expect("our folder");
}

/// `read FILE TIMES`: reads a file from begin to end, several times.
pub(super) fn read(path: &str, times: usize) {
    call_me("obs-read");
    let mut file = fs::File::open(path).expect("the file is there");
    let mut buffer = vec![0; 1 << 20];
    say("ready");
    stop_here();
    for _ in 0..times {
        file.seek(SeekFrom::Start(0)).expect("seek");
        while file.read(&mut buffer).expect("read") > 0 {}
    }
    say("done");
    stop_here();
}

/// `browse FILE MIB`: reads a file again and again, so many MiB and then a pause of four times as long, at least a tenth of a
/// second, until it is killed: whoever reads without a pause is faster, also on a slow machine.
pub(super) fn browse(path: &str, mib: usize) {
    call_me("obs-browse");
    let mut file = fs::File::open(path).expect("the file is there");
    let mut buffer = vec![0; 1 << 20];
    say("ready");
    stop_here();
    loop {
        let begun = std::time::Instant::now();
        for _ in 0..mib {
            if file.read(&mut buffer).expect("read") == 0 {
                file.seek(SeekFrom::Start(0)).expect("seek");
            }
        }
        std::thread::sleep((begun.elapsed() * 4).max(std::time::Duration::from_millis(100)));
    }
}

/// `dirty FILE BYTES`: writes so many bytes into a file, a MiB at a time.
pub(super) fn dirty(path: &str, bytes: usize) {
    call_me("obs-dirty");
    let mut file = fs::OpenOptions::new().write(true).open(path).expect("the file is there");
    let buffer = vec![1; 1 << 20];
    say("ready");
    stop_here();
    for _ in 0..bytes >> 20 {
        file.write_all(&buffer).expect("write");
    }
    say("done");
    stop_here();
}
