//! The real screen in a real terminal: a private tmux server starts it, presses keys and reads what is shown.
//!
//! Needs tmux, and says that it is skipped where there is none. Without capabilities the screen shows less, but all that
//! is tested here.

#![expect(clippy::unwrap_used, reason = "tests")]

mod screen {
    #[expect(dead_code, reason = "the tests on the kernel use all of it")]
    #[path = "../kernel/support/cgroup.rs"]
    pub(crate) mod cgroup;
    pub(crate) mod load;
    pub(crate) mod tmux;
    #[path = "../kernel/support/wait.rs"]
    pub(crate) mod wait;
}

use std::{
    fs::File,
    io::Read,
    os::fd::OwnedFd,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    fcntl::{FcntlArg, FdFlag, fcntl},
    pty::{Winsize, openpty},
    sys::signal::Signal,
};
use screen::{
    cgroup::Cgroup,
    load::Load,
    tmux::{DEADLINE, Tmux, until},
};

/// The number after a label, with its unit: `allocated 12 k/s` gives `12 k/s`.
fn after<'a>(text: &'a str, label: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(label)?;
    rest.split([',', '\n']).next().map(str::trim)
}

/// The pages allocated a second where the probe runs, else the faults a second.
fn pages(text: &str) -> Option<String> {
    let line = text.lines().find(|l| l.starts_with("Pages"))?;
    after(line, "allocated ").or_else(|| after(line, "faults ")).map(str::to_owned)
}

fn is_above_zero(number: Option<&str>) -> bool {
    number.is_some_and(|n| n.starts_with(|c: char| c.is_ascii_digit()) && !n.starts_with("0/") && !n.starts_with("0 "))
}

#[test]
fn numbers_move_under_load_and_every_pane_can_be_seen() {
    let Some(tmux) = Tmux::observer("top --interval 500ms", 80, 24) else { return };
    let load = Load::start();

    let first = tmux.wait_for("faults and segments above zero", |t| {
        is_above_zero(pages(t).as_deref()) && is_above_zero(after(t, "segments ")) && t.contains("lo rx")
    });
    tmux.wait_for("the numbers to move", |t| pages(t).is_some() && pages(t) != pages(&first));
    assert!(first.contains("Findings"), "{first}");
    assert!(first.contains("a anon") && first.contains("c page cache"), "{first}");
    assert!(first.contains("probes"), "the header says what is covered: {first}");

    tmux.keys(&["2"]);
    tmux.wait_for("the memory pane", |t| t.contains("Where RAM is") && t.contains("Zones") && t.contains("above high"));
    tmux.wait_for("the bottom line of the memory pane", |t| t.contains("use: what the memory is"));
    tmux.keys(&["."]);
    tmux.wait_for("the next column", |t| t.contains("bytes: bytes: the counters"));
    tmux.keys(&["i"]);
    tmux.wait_for("all numbers", |t| t.contains("Numbers") && t.contains("share of RAM: bytes / MemTotal"));
    // Escape with a key right behind it would be that key with Alt.
    tmux.keys(&["i"]);
    tmux.wait_for("the pane again", |t| !t.contains("Numbers"));
    tmux.keys(&["3"]);
    tmux.wait_for("the cgroups pane", |t| t.contains("Cgroups") && t.contains("Processes") && t.contains("alloc/s"));
    tmux.keys(&["4"]);
    tmux.wait_for("the reclaim pane", |t| t.contains("Stalls in reclaim") && t.contains("kswapd0"));
    tmux.keys(&["5"]);
    tmux.wait_for("the pages pane", |t| t.contains("Fragmentation") && t.contains("DMA32") && t.contains("all"));
    tmux.keys(&["6"]);
    tmux.wait_for("the network pane", |t| t.contains("TCP here") && t.contains("Links") && t.contains("65536"));
    tmux.keys(&["7"]);
    tmux.wait_for("the OOM pane", |t| t.contains("Kills") && t.contains("oom_kill of /proc/vmstat"));
    tmux.keys(&["Tab"]);
    tmux.wait_for("the tunnels pane", |t| t.contains("Connections in tunnels") && t.contains("out of the host"));
    tmux.keys(&["Tab"]);
    tmux.wait_for("the overview again", |t| t.contains("Findings") && t.contains("Pressure"));
    tmux.keys(&["BTab"]);
    tmux.wait_for("the tunnels pane again", |t| t.contains("Connections in tunnels"));

    tmux.keys(&["?"]);
    tmux.wait_for("the help", |t| t.contains("this help"));
    tmux.keys(&["G"]);
    tmux.wait_for("the end of the help", |t| t.contains("wheel") && !t.contains("this help"));
    tmux.keys(&["Escape"]);
    tmux.wait_for("no help", |t| !t.contains("wheel"));
    tmux.keys(&["c"]);
    tmux.wait_for("the coverage", |t| t.contains("Probes in the kernel"));
    tmux.keys(&["G"]);
    tmux.wait_for("the end of the coverage", |t| t.contains("Coverage") && !t.contains("Probes in the kernel"));
    tmux.keys(&["q"]);
    tmux.wait_for("no coverage", |t| !t.contains("Coverage"));

    drop(load);
    tmux.keys(&["q"]);
    assert_eq!(tmux.exit_code(), 0);
    tmux.assert_terminal_is_as_before();
}

#[test]
fn a_paused_screen_stands_still_and_goes_on() {
    let Some(tmux) = Tmux::observer("top --interval 200ms", 100, 30) else { return };
    let _load = Load::start();
    tmux.wait_for("a rate", |t| is_above_zero(pages(t).as_deref()));
    tmux.keys(&["Space"]);
    // An answer that was on its way when the key was pressed may still be shown.
    let mut still = tmux.wait_for("the pause", |t| t.contains("PAUSED"));
    let mut since = Instant::now();
    let begun = Instant::now();
    // Ten ticks would have passed.
    until("the screen to stand still for 2 s", || {
        let now = tmux.capture();
        if now != still {
            assert!(begun.elapsed() < Duration::from_secs(2), "it moves while paused:\n{still}\n{now}");
            (still, since) = (now, Instant::now());
        }
        since.elapsed() > Duration::from_secs(2)
    });
    tmux.keys(&["["]);
    tmux.wait_for("the snapshot before", |t| t.contains("PAUSED 1 back"));
    tmux.keys(&["]", "p"]);
    tmux.wait_for("numbers that move again", |t| !t.contains("PAUSED") && pages(t) != pages(&still));
    tmux.keys(&["C-c"]);
    assert_eq!(tmux.exit_code(), 0);
    tmux.assert_terminal_is_as_before();
}

#[test]
fn tables_can_be_sorted_filtered_and_scrolled() {
    let Some(tmux) = Tmux::observer("top --interval 500ms --pane cgroups", 140, 40) else { return };
    tmux.wait_for("cgroups", |t| t.contains("those in trouble first"));
    tmux.keys(&["Right"]);
    tmux.wait_for("the keys at the processes", |t| t.contains("▶ Processes"));
    tmux.keys(&["s"]);
    tmux.wait_for("processes by pid", |t| t.contains("▼pid"));
    tmux.keys(&["I"]);
    tmux.wait_for("the other way round", |t| t.contains("▲pid"));
    tmux.keys(&["z", "/"]);
    tmux.keys(&["x", "y", "z", "z", "y"]);
    tmux.wait_for("no row", |t| t.contains("no row passes the filter") && !t.contains("those in trouble first"));
    tmux.keys(&["Escape"]);
    tmux.wait_for("rows again", |t| !t.contains("no row passes"));
    tmux.keys(&["q"]);
    assert_eq!(tmux.exit_code(), 0);
}

#[test]
fn any_size_of_the_terminal_will_do() {
    let Some(tmux) = Tmux::observer("top --interval 200ms", 160, 50) else { return };
    tmux.wait_for("the hints on the last of 50 lines", |t| t.lines().nth(49).is_some_and(|l| l.contains("? help")));
    for (width, height) in [(80u16, 24u16), (20, 6), (3, 2), (200, 60), (80, 24)] {
        tmux.resize(width, height);
        let fits = |text: &str| {
            let lines: Vec<&str> = text.lines().collect();
            lines.iter().all(|l| l.chars().count() <= usize::from(width))
                && (height < 6 || lines.get(usize::from(height) - 1).is_some_and(|l| l.starts_with("? help")))
        };
        tmux.wait_for(&format!("a screen of {width} by {height}"), fits);
    }
    tmux.keys(&["q"]);
    assert_eq!(tmux.exit_code(), 0);
    tmux.assert_terminal_is_as_before();
}

#[test]
fn every_number_can_be_asked_what_it_is() {
    let Some(tmux) = Tmux::observer("top --interval 500ms", 80, 24) else { return };
    tmux.wait_for("the findings with the keys", |t| t.contains("▶ Findings") && t.contains("Pressure"));
    tmux.keys(&["Left"]);
    tmux.wait_for("the first of the lines", |t| t.contains("RAM ") && t.contains("/proc/meminfo MemTotal"));
    tmux.keys(&[".", "."]);
    tmux.wait_for("the share", |t| t.contains("share of RAM that new work may take"));
    // As far as it goes, with the repetitions of a key that is held down.
    for _ in 0..10 {
        tmux.keys(&["."; 20]);
    }
    tmux.wait_for("the last of the lines", |t| t.contains("bars: bytes a second received and sent by all"));
    tmux.keys(&["Left"]);
    tmux.wait_for("the first line", |t| t.contains("host ") && t.contains("uname(2) nodename"));
    // The line may get longer meanwhile, as with the first loss: its end is then somewhere else.
    tmux.wait_for("its end", |t| {
        tmux.keys(&["End"]);
        t.contains("probes ") && t.contains("number of probes that work, and of all")
    });
    tmux.keys(&["Escape"]);
    tmux.wait_for("the findings again", |t| t.contains("▶ Findings"));
    tmux.keys(&["q"]);
    assert_eq!(tmux.exit_code(), 0);
}

#[test]
fn keys_that_are_held_down_and_windows_that_are_pulled_do_no_harm() {
    let Some(tmux) = Tmux::observer("top --interval 200ms --pane cgroups", 120, 40) else { return };
    tmux.wait_for("the cgroups", |t| t.contains("▶ Cgroups"));
    // More keys at once than wait for the loop, with changes of size in between.
    for round in 0..20u16 {
        tmux.keys(&["j"; 60]);
        tmux.resize(40 + round * 7, 10 + round * 2);
        tmux.keys(&["Tab", "k", ".", "Right", "Enter", "s", "z", "BTab"]);
    }
    tmux.resize(100, 30);
    tmux.keys(&["7", "1"]);
    tmux.wait_for("the overview, at its last size", |t| {
        t.contains("Findings") && t.lines().nth(29).is_some_and(|l| l.starts_with("? help"))
    });
    tmux.keys(&["q"]);
    assert_eq!(tmux.exit_code(), 0);
    tmux.assert_terminal_is_as_before();
}

#[test]
fn signals_end_the_screen_and_give_the_terminal_back() {
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT] {
        let Some(tmux) = Tmux::observer("top", 80, 24) else { return };
        tmux.wait_for("the screen", |t| t.contains("? help") && t.contains("Memory"));
        assert!(tmux.is_alternate(), "the shell's screen is kept beneath");
        tmux.signal(signal);
        assert_eq!(tmux.exit_code(), 128 + signal as i32, "{signal}");
        tmux.assert_terminal_is_as_before();
    }
}

#[test]
fn without_colours_the_screen_has_none() {
    let Some(tmux) = Tmux::observer("top --no-color --interval 200ms", 80, 24) else { return };
    tmux.wait_for("the screen", |t| t.contains("a anon"));
    let escapes = tmux.capture_with_escapes();
    let colours = |n: u32| format!("\u{1b}[{n}m");
    assert!((31..=37).chain(90..=97).all(|n| !escapes.contains(&colours(n))), "{escapes}");
    assert!(escapes.contains("\u{1b}["), "bold and reversed are left: {escapes}");
    tmux.keys(&["q"]);
    assert_eq!(tmux.exit_code(), 0);
}

#[test]
fn a_terminal_that_goes_away_ends_the_screen() {
    let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    let pty = openpty(Some(&size), None).unwrap();
    // The child must not hold the other end open itself.
    for fd in [&pty.master, &pty.slave] {
        fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).unwrap();
    }
    let end = |fd: &OwnedFd| Stdio::from(fd.try_clone().unwrap());
    // It is not the controlling terminal of the child: no hang-up signal comes, reads and writes just fail.
    let mut child = Command::new(env!("CARGO_BIN_EXE_observer"))
        .args(["top", "--interval", "200ms"])
        .env("TERM", "xterm")
        .stdin(end(&pty.slave))
        .stdout(end(&pty.slave))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(pty.slave);
    let mut master = File::from(pty.master);
    let (mut seen, mut bytes) = (Vec::new(), [0; 4096]);
    while !String::from_utf8_lossy(&seen).contains("Findings") {
        let n = master.read(&mut bytes).unwrap();
        seen.extend_from_slice(bytes.get(..n).unwrap());
    }
    drop(master);
    let begun = Instant::now();
    let mut ended = None;
    until("the end of the screen", || {
        ended = child.try_wait().unwrap();
        if ended.is_none() && begun.elapsed() > DEADLINE - Duration::from_secs(1) {
            child.kill().unwrap();
        }
        ended.is_some()
    });
    assert_eq!(ended.unwrap().code(), Some(129));
}

#[test]
fn without_a_terminal_it_says_what_to_do_instead() {
    let out = Command::new(env!("CARGO_BIN_EXE_observer")).arg("top").output().unwrap();
    assert_eq!(out.status.code(), Some(1));
    assert!(out.stdout.is_empty());
    let error = String::from_utf8(out.stderr).unwrap();
    assert_eq!(
        error,
        "observer: the screen needs a terminal on stdout; `observer report` prints one interval instead\n"
    );
}

#[test]
fn a_recording_is_stepped_through_and_played() {
    let folder = tempfile::tempdir().unwrap();
    let recording = folder.path().join("recording");
    let out = Command::new(env!("CARGO_BIN_EXE_observer"))
        .args(["record", "--interval", "100ms", "--for", "1s", "--mask", "--out"])
        .arg(&recording)
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let arguments = format!("top --interval 100ms --replay {}", recording.display());
    let Some(tmux) = Tmux::observer(&arguments, 120, 30) else { return };
    // How many snapshots there are depends on the machine; that the screen knows does not.
    let first = tmux.wait_for("the first snapshot, waiting", |t| t.contains("replay 1/"));
    let count = first.split_once("replay 1/").map(|(_, rest)| rest.split(' ').next().unwrap().to_owned()).unwrap();
    assert!(first.contains("first look"), "the first of all has no interval: {first}");
    tmux.keys(&["]"]);
    tmux.wait_for("the second", |t| t.contains(&format!("replay 2/{count}")) && t.contains("every 0."));
    tmux.keys(&["["]);
    tmux.wait_for("the first again", |t| t.contains("replay 1/") && t.contains("first look"));
    tmux.keys(&["Space"]);
    tmux.wait_for("the end, waiting", |t| t.contains(&format!("replay {count}/{count}")));
    tmux.keys(&["{"]);
    tmux.wait_for("the beginning", |t| t.contains("replay 1/"));
    tmux.keys(&["}"]);
    tmux.wait_for("the end", |t| t.contains(&format!("replay {count}/{count}")));
    tmux.keys(&["q"]);
    assert_eq!(tmux.exit_code(), 0);
    tmux.assert_terminal_is_as_before();
}

#[test]
fn a_recording_that_is_not_there_is_an_error_on_the_usual_screen() {
    let Some(tmux) = Tmux::observer("top --replay /nonexistent/recording", 80, 24) else { return };
    until("the end of observer", || tmux.read("code").is_some());
    assert_eq!(tmux.read("code").as_deref(), Some("1"));
    assert!(tmux.read("stderr").is_some_and(|e| e.contains("/nonexistent/recording")), "{:?}", tmux.read("stderr"));
    tmux.assert_terminal_is_as_before();
}

#[test]
fn a_kill_stands_on_the_axis_of_time_and_opens_into_why() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!(
            "SKIPPED a_kill_stands_on_the_axis_of_time_and_opens_into_why: it makes a memory cgroup, which needs root"
        );
        return;
    }
    let Some(tmux) = Tmux::observer("top --interval 500ms --pane oom", 140, 45) else { return };
    let first = tmux.wait_for("what is watched", |t| t.contains("no kill seen since"));
    let probe = first.contains("watched are oom:mark_victim");
    let log = first.contains("the kernel's log");
    if !probe {
        eprintln!("SKIPPED a_kill_stands_on_the_axis_of_time_and_opens_into_why: no probe of kills here: {first}");
        return;
    }
    // The limit is that of the parent, the process is in the child.
    let parent = Cgroup::limited("screen", 32 << 20);
    let child = parent.child("batch");
    // It has no line to print, and keeps all that it reads.
    let hog = format!("echo $$ >{} && exec tail /dev/zero", child.procs().display());
    let hog = Command::new("sh").args(["-c", &hog]).stderr(Stdio::null()).spawn().unwrap();
    let pid = hog.id();
    assert!(!hog.wait_with_output().unwrap().status.success());

    let victim = format!("tail ({pid})");
    let told = if log { "both" } else { "event" };
    let seen = tmux.wait_for("the kill in the table", |t| t.lines().any(|l| l.contains(&victim) && l.contains(told)));
    assert!(seen.contains("Kills by time"), "{seen}");
    assert!(seen.contains(&format!("killed: {victim} in cgroup {}", child.name())), "{seen}");
    tmux.keys(&["Enter"]);
    let why = tmux.wait_for("why it was killed", |t| t.contains("Why it was killed"));
    assert!(
        why.contains(&format!("The kernel killed tail (pid {pid}): cgroup {} reached its", parent.name())),
        "{why}"
    );
    assert!(!log || why.contains("one level above the cgroup of the victim"), "{why}");
    tmux.keys(&["G"]);
    tmux.wait_for("its end", |t| t.contains("WHAT LED UP TO IT") || t.contains("NOT KNOWN"));
    tmux.keys(&["Escape"]);
    tmux.wait_for("the table again", |t| t.contains("Kills by time") && !t.contains("Why it was killed"));
    tmux.keys(&["q"]);
    assert_eq!(tmux.exit_code(), 0);
}
