//! `observer oom` on what is no log, on what is broken, and on more of it than fits in memory.

use std::{
    fs,
    io::Write,
    os::unix::net::UnixListener,
    path::PathBuf,
    process::{ChildStdin, Stdio},
};

use nix::{sys::stat::Mode, unistd::mkfifo};

use super::run::{finish, observer, run};

fn report() -> Vec<u8> {
    let path = "tests/oom/logs/memcg-oom-6.12.117+deb12-cloud-amd64.dmesg";
    fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Much log, each line another, then a report, then as much again: packed, it is more than a decoder reads at once.
fn long() -> Vec<u8> {
    let noise = |n: u32| format!("[ {n}.{:06}] usb 1-1: new device {:x}\n", n % 999_983, n.wrapping_mul(2_654_435_761));
    let noise: Vec<u8> = (0..30_000).flat_map(|n| noise(n).into_bytes()).collect();
    [noise.clone(), report(), noise].concat()
}

#[test]
fn packed_logs_that_are_broken_give_what_stands_before_the_damage() {
    let folder = tempfile::tempdir().unwrap();
    // A decoder of xz gives nothing of a piece of 2 MiB that is cut off.
    let bytes = long().repeat(3);
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&bytes).unwrap();
    let mut xz = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
    xz.write_all(&bytes).unwrap();
    let packed = [
        ("log.gz", gz.finish().unwrap()),
        ("log.xz", xz.finish().unwrap()),
        ("log.zst", zstd::encode_all(bytes.as_slice(), 1).unwrap()),
    ];
    for (name, packed) in packed {
        let path = folder.path().join(name);
        let cut = packed.get(..packed.len() * 9 / 10).unwrap();
        fs::write(&path, cut).unwrap();
        let ran = run(&["oom", "list", path.to_str().unwrap()]);
        assert_eq!(ran.code, Some(1), "{name}: {ran:?}");
        assert!((1..=3).contains(&ran.stdout.lines().count()), "{name}: {ran:?}");
        assert!(
            ran.stderr.contains(name) && ran.stderr.contains("cannot be read after line"),
            "{name}: {}",
            ran.stderr
        );
        // The first bytes say what it is, and the rest is something else.
        let mut garbage = packed.get(..16).unwrap().to_vec();
        garbage.extend([0xa5; 400]);
        fs::write(&path, garbage).unwrap();
        let ran = run(&["oom", "list", path.to_str().unwrap()]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{name}: {ran:?}");
        assert!(ran.stderr.contains(name), "{name}: {}", ran.stderr);
    }
}

#[test]
fn what_cannot_be_read_is_named() {
    // A file that can be opened, and whose first byte cannot be read.
    let ran = run(&["oom", "explain", "/proc/self/mem"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{ran:?}");
    assert!(ran.stderr.contains("/proc/self/mem"), "{}", ran.stderr);
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    let ran = run(&["oom", "explain", socket.to_str().unwrap()]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("neither a file nor a folder"), "{}", ran.stderr);
    // A folder that holds nothing that is a log.
    let ran = run(&["oom", "explain", folder.path().to_str().unwrap()]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("the folder has no file"), "{}", ran.stderr);
}

#[test]
fn a_pipe_that_is_closed_early_gives_what_came() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    mkfifo(&fifo, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    let mut command = observer(&["oom", "explain", fifo.to_str().unwrap()]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let report = report();
    let half = report.split_inclusive(|b| *b == b'\n').take(30).flatten().copied().collect::<Vec<u8>>();
    // Opening it waits for the reader.
    fs::write(&fifo, half).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("The log ends within the report"), "{text}");
}

#[test]
fn a_report_is_explained_wherever_it_is_cut_off() {
    let report = report();
    let lines: Vec<_> = report.split_inclusive(|b| *b == b'\n').collect();
    let folder = tempfile::tempdir().unwrap();
    for end in 1..lines.len() {
        let path = folder.path().join(format!("{end:03}"));
        // In the midst of the last line.
        let mut part = lines.get(..end).unwrap().concat();
        part.truncate(part.len() - lines.get(end - 1).unwrap().len() / 2);
        fs::write(path, part).unwrap();
    }
    let ran = run(&["oom", "explain", folder.path().to_str().unwrap()]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    let explained = ran.stdout.matches("\nNOT KNOWN\n").count();
    // The first of them has no more than the begin of a report's first line.
    assert!(explained >= lines.len() - 2, "{explained} of {}", lines.len());
}

#[test]
fn hostile_names_reach_no_output() {
    let text = String::from_utf8(report()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (n, name) in ["\x1b[2J\x1b]0;x\x07", "] name", "a (b) total-vm:1", "a,pid=1", "a\u{202e}b", "x\ny", "| <b>"]
        .iter()
        .enumerate()
    {
        fs::write(folder.path().join(n.to_string()), text.replace("hog", name)).unwrap();
    }
    let path = folder.path().to_str().unwrap();
    for form in [
        &["oom", "explain", path][..],
        &["oom", "explain", "--json", path],
        &["oom", "explain", "--markdown", path],
        &["oom", "list", path],
    ] {
        // That no control character comes out, the run itself checks.
        let ran = run(form);
        assert_eq!(ran.code, Some(0), "{form:?}: {}", ran.stderr);
        assert!(!ran.stdout.contains('\u{202e}'), "{form:?}");
    }
}

/// Peak of the resident set in bytes. Source: `VmHWM` of /proc/PID/status.
fn peak(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
}

/// Starts `oom list -`, writes through `write` and gives how much the peak of its memory grew meanwhile.
fn growth(write: impl FnOnce(&mut ChildStdin)) -> (u64, super::run::Run) {
    let mut command = observer(&["oom", "list", "-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // What it needs for the begin of a log, buffers and a report, is no growth. More than a pipe holds, so it was read.
    stdin.write_all(&[long(), report()].concat()).unwrap();
    let before = peak(child.id());
    write(&mut stdin);
    let after = peak(child.id());
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        after - before,
        super::run::Run { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) },
    )
}

/// Bytes that memory may grow by: what the allocator keeps of pieces that were given back.
const SLACK: u64 = 4 << 20;

#[test]
fn memory_does_not_grow_with_the_log() {
    let block = [long(), report()].concat();
    let times = (96 << 20) / block.len();
    let (grown, ran) = growth(|log| (0..times).for_each(|_| log.write_all(&block).unwrap()));
    assert_eq!((ran.code, ran.stdout.lines().count()), (Some(0), 2 * (times + 1)), "{}", ran.stderr);
    assert!(grown <= SLACK, "{grown} bytes more for {} MiB of log", (block.len() * times) >> 20);
}

#[test]
fn memory_does_not_grow_with_a_line() {
    let line = vec![b'x'; 1 << 20];
    let (grown, ran) = growth(|log| {
        (0..100).for_each(|_| log.write_all(&line).unwrap());
        log.write_all(b"\n").unwrap();
        log.write_all(&report()).unwrap();
    });
    assert_eq!((ran.code, ran.stdout.lines().count()), (Some(0), 3), "{}", ran.stderr);
    assert!(grown <= SLACK, "{grown} bytes more for a line of 100 MiB");
    // As the only line, without an end.
    let mut command = observer(&["oom", "list", "-"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("line");
    fs::write(&path, line.repeat(100)).unwrap();
    command.stdin(fs::File::open(&path).unwrap());
    let ran = finish(command);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(3), ""));
    assert!(ran.stderr.contains("no OOM kill in 1 lines"), "{}", ran.stderr);
}
