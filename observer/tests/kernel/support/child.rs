//! Inside a workload process: what it does at each step.

use std::{
    ffi::c_int,
    io::{BufRead, Write},
};

use super::{
    connections, file_work, hoard, hogs,
    memory::{Pages, fault, no_huge_pages, page_size, pin_to_one_cpu},
    workload::WORKLOAD,
};

/// Runs before `main`: a process that was started as a workload never becomes a test.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = before_main;

extern "C" fn before_main() {
    let Ok(what) = std::env::var(WORKLOAD) else { return };
    let words: Vec<&str> = what.split(' ').collect();
    let number = |i: usize| words.get(i).and_then(|w| w.parse::<usize>().ok()).expect("the workload takes a number");
    no_huge_pages();
    match words.first().copied() {
        Some("fault") => fault_step(number(1)),
        Some("turns") => turns(number(1), number(2)),
        Some("churn") => churn(number(1), number(2)),
        Some("hold") => hold(number(1), words.get(2).copied(), words.get(3).copied()),
        Some("hostile") => hostile(number(1)),
        Some("read") => file_work::read(words.get(1).expect("a file"), number(2)),
        Some("netns") => match words.get(1).copied() {
            Some("mounted") => super::hidden::mounted(),
            Some("jailed") => super::hidden::jailed(),
            _ => {
                super::netns::enter_new();
                say("ready");
                stop_here();
            }
        },
        Some("browse") => file_work::browse(words.get(1).expect("a file"), number(2)),
        Some("sweep") => sweep(number(1)),
        Some("files") => file_work::files(number(1)),
        Some("pipes") => pipes(number(1), words.get(2).map_or(0, |_| number(2))),
        Some("hoard") => hoard(number(1)),
        Some("dirty") => file_work::dirty(words.get(1).expect("a file"), number(2)),
        Some("connections") => connections::connections(number(1) as u16, number(2), number(3), number(4)),
        Some("cgroups") => cgroups(words.get(1).expect("a folder"), number(2), number(3)),
        Some("fill") => keep("obs-fill", || hoard::fill(words[1], number(2), number(3))),
        Some("memfd") => keep("obs-memfd", || hoard::memfd(number(1), number(2))),
        Some("names") => keep("obs-names", || hoard::names(words[1], number(2))),
        Some("tables") => keep("obs-tables", || hoard::tables(number(1), number(2))),
        Some("rings") => keep("obs-rings", || hoard::rings(number(1), number(2))),
        Some("pin") => keep("obs-pin", || hoard::pin(words[1], number(2))),
        Some("checker") => keep("obs-checker", || hoard::checker(number(1))),
        Some("blocks") => keep("obs-blocks", || hoard::blocks()),
        Some("visit") => keep("obs-visit", || hoard::visit(words[1], words[2], number(3))),
        Some("bind") => keep("obs-bind", || hoard::bind(number(1), words[2])),
        Some("lock") => keep("obs-lock", || hogs::lock(number(1), words[2])),
        Some("bound") => keep("obs-bound", || hogs::bound(number(1), number(2))),
        Some("queue") => keep("obs-queue", || hogs::queue(number(1))),
        Some("slots") => keep("obs-slots", hogs::slots),
        Some("named") => named(words[1], number(2)),
        Some("exiting") => exiting(number(1)),
        other => panic!("no workload is called {other:?}"),
    }
    exit(0);
}

/// Ends without unwinding into a runtime that has not begun.
fn exit(code: c_int) -> ! {
    // SAFETY: _exit has no preconditions.
    unsafe { libc::_exit(code) }
}

/// Waits to be told to go on; ends if nobody is there any more.
pub(super) fn stop_here() {
    let mut line = String::new();
    if !std::io::stdin().lock().read_line(&mut line).is_ok_and(|n| n > 0) {
        exit(3);
    }
}

pub(super) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{text}").and_then(|()| out.flush()).is_err() {
        exit(3);
    }
}

/// Gives this process a name.
pub(super) fn call_me(name: &str) {
    let name = std::ffi::CString::new(name).expect("no NUL");
    // SAFETY: the kernel copies at most 16 bytes of a string that ends with NUL.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
}

/// `fault N`: N faults of order-0 pages.
fn fault_step(count: usize) {
    call_me("obs-fault");
    say("ready");
    stop_here();
    fault(count);
    say("done");
    stop_here();
}

/// `turns P N`: P processes on one CPU, each with N faults, one fault a turn, strictly one after the other.
fn turns(processes: usize, count: usize) {
    pin_to_one_cpu();
    let gates: Vec<c_int> = (0..processes).map(|_| event()).collect();
    let done = event();
    let end = event();
    let mut pids = Vec::new();
    for me in 0..processes {
        // SAFETY: this process has one thread.
        match unsafe { libc::fork() } {
            0 => {
                call_me("obs-turns");
                let pages = Pages::map(512);
                pages.touch(0);
                signal(done, 1);
                for n in 0..count {
                    await_event(gates[me]);
                    if n % pages.count() == 0 {
                        pages.drop_all();
                    }
                    pages.touch(n % pages.count());
                    signal(gates[(me + 1) % processes], 1);
                }
                signal(done, 1);
                await_event(end);
                exit(0);
            }
            pid if pid > 0 => pids.push(pid),
            _ => panic!("fork: {}", std::io::Error::last_os_error()),
        }
    }
    (0..processes).for_each(|_| await_event(done));
    say("ready");
    stop_here();
    say(&pids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
    stop_here();
    signal(gates[0], 1);
    (0..processes).for_each(|_| await_event(done));
    say("done");
    stop_here();
    signal(end, processes as u64);
    pids.iter().for_each(|_| reap());
}

/// `churn K N`: K children, eight at a time, each with N faults.
fn churn(children: usize, count: usize) {
    call_me("obs-churn");
    say("ready");
    stop_here();
    for started in 0..children {
        if started >= 8 {
            reap();
        }
        // SAFETY: this process has one thread.
        match unsafe { libc::fork() } {
            0 => {
                fault(count);
                exit(0);
            }
            pid if pid > 0 => {}
            _ => panic!("fork: {}", std::io::Error::last_os_error()),
        }
    }
    (0..children.min(8)).for_each(|_| reap());
    say("done");
    stop_here();
}

/// The name of a process that wants to do harm: an escape code, quotes, a new line, invalid UTF-8.
pub(crate) const HOSTILE: &[u8] = b"\x1b[31m\"'\\\n{}\xff\xfe";

/// `hostile BYTES`: under a hostile name some faults, and then more memory than its cgroup has.
fn hostile(bytes: usize) {
    let name = std::ffi::CString::new(HOSTILE).expect("no NUL");
    // SAFETY: the kernel copies at most 16 bytes of a string that ends with NUL.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
    say("ready");
    stop_here();
    fault(1000);
    say("done");
    hold_here(bytes);
}

fn hold_here(bytes: usize) {
    let pages = Pages::map(bytes.div_ceil(page_size()));
    stop_here();
    (0..pages.count()).for_each(|page| pages.touch(page));
    stop_here();
}

/// `hold BYTES [NAME [SCORE]]`: touches that much memory and keeps it.
fn hold(bytes: usize, name: Option<&str>, score: Option<&str>) {
    call_me(name.unwrap_or("obs-hold"));
    if let Some(score) = score {
        std::fs::write("/proc/self/oom_score_adj", score).expect("oom_score_adj");
    }
    let pages = Pages::map(bytes.div_ceil(page_size()));
    say("ready");
    stop_here();
    (0..pages.count()).for_each(|page| pages.touch(page));
    say("done");
    stop_here();
}

/// `named HEX BYTES`: takes memory under a name of any bytes.
fn named(name: &str, bytes: usize) {
    hogs::call_me_hex(name);
    say("ready");
    stop_here();
    hogs::hold(bytes);
    say("done");
    stop_here();
}

/// `exiting BYTES`: takes memory, and ends when the kernel looks for a victim.
fn exiting(bytes: usize) {
    call_me("obs-exiting");
    say("ready");
    stop_here();
    hogs::hold(bytes);
    hogs::exit_when_asked_for();
}

/// `sweep BYTES`: writes to every page of that much memory, again and again, until it is killed.
fn sweep(bytes: usize) {
    call_me("obs-sweep");
    let pages = Pages::map(bytes.div_ceil(page_size()));
    say("ready");
    stop_here();
    loop {
        (0..pages.count()).for_each(|page| pages.touch(page));
    }
}

/// `pipes N [S]`: at the limit of its cgroup, with nobody to be killed, writes to pipes until the kernel has N times refused
/// a page, and then asks S times for more semaphores than there is room for. Those the kernel wants in one block of 2 MiB,
/// or else page by page.
fn pipes(count: usize, sets: usize) {
    const PIPES: usize = 512;
    call_me("obs-pipes");
    // Version 2 has no other way to keep the OOM killer out; where this is not allowed, the cgroup is of version 1 and
    // has its OOM killer turned off.
    let _ = std::fs::write("/proc/self/oom_score_adj", "-1000");
    let mut ends: Vec<[c_int; 2]> = vec![[-1; 2]; PIPES];
    let page = vec![1_u8; page_size()];
    // SAFETY: mlockall has no preconditions. A fault at the limit would wait for ever.
    assert_eq!(unsafe { libc::mlockall(libc::MCL_CURRENT) }, 0, "mlockall: {}", std::io::Error::last_os_error());
    say("ready");
    stop_here();
    let mut refused = 0;
    // All before the first is filled: a pipe is charged for as well, and at the limit there is none to be had.
    let mut made = 0;
    for pair in &mut ends {
        // SAFETY: the array has room for two descriptors.
        if unsafe { libc::pipe2(pair.as_mut_ptr(), libc::O_NONBLOCK) } != 0 {
            break;
        }
        made += 1;
    }
    'all: for pair in &ends[..made] {
        loop {
            // SAFETY: the buffer is as long as it says.
            let wrote = unsafe { libc::write(pair[1], page.as_ptr().cast(), page.len()) };
            if wrote >= 0 {
                continue;
            }
            if std::io::Error::last_os_error().raw_os_error() != Some(libc::ENOMEM) {
                break;
            }
            refused += 1;
            if refused == count {
                break 'all;
            }
        }
    }
    for _ in 0..sets {
        const SEMAPHORES: c_int = 32_000;
        // SAFETY: semget has no preconditions.
        assert_eq!(unsafe { libc::semget(libc::IPC_PRIVATE, SEMAPHORES, 0o600) }, -1, "there is no room");
    }
    for end in ends.iter().flatten().filter(|end| **end >= 0) {
        // SAFETY: the descriptor is of a pipe made above.
        unsafe { libc::close(*end) };
    }
    say(&format!("refused {refused}"));
    stop_here();
}

/// `hoard N`: N times 32 MiB of pages that the kernel cannot move, in pipes, a step each.
fn hoard(steps: usize) {
    const PIPE: usize = 1 << 20;
    call_me("obs-hoard");
    let bytes = vec![1_u8; PIPE];
    say("ready");
    for _ in 0..steps {
        stop_here();
        for _ in 0..32 {
            let mut ends: [c_int; 2] = [-1; 2];
            // SAFETY: the array has room for two descriptors, the buffer is as long as it says. They are open until the end.
            unsafe {
                assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_NONBLOCK), 0);
                assert!(libc::fcntl(ends[1], libc::F_SETPIPE_SZ, PIPE as c_int) >= PIPE as c_int);
                assert_eq!(libc::write(ends[1], bytes.as_ptr().cast(), PIPE), PIPE as isize);
            }
        }
        say("done");
    }
    stop_here();
}

/// `cgroups FOLDER K N`: K cgroups one after the other, in each a process with N faults; both are gone before the next one.
fn cgroups(parent: &str, count: usize, faults: usize) {
    call_me("obs-cgroups");
    say("ready");
    stop_here();
    for n in 0..count {
        let folder = std::path::Path::new(parent).join(n.to_string());
        std::fs::create_dir(&folder).expect("a new cgroup");
        // SAFETY: this process has one thread.
        match unsafe { libc::fork() } {
            0 => {
                std::fs::write(folder.join("cgroup.procs"), "0").expect("a process may be moved");
                fault(faults);
                exit(0);
            }
            pid if pid > 0 => reap(),
            _ => panic!("fork: {}", std::io::Error::last_os_error()),
        }
        // A process that was reaped leaves its cgroup a moment later.
        super::wait::wait_for("the cgroup to be empty", || std::fs::remove_dir(&folder).ok());
    }
    say("done");
    stop_here();
}

/// `fill FOLDER BYTES RATE`, `memfd BYTES RATE`, `names FOLDER COUNT`, `tables BYTES RATE`, `rings BYTES RATE`, `pin FILE
/// BYTES`, `checker BYTES`, `blocks`, `bind NODE FILE`, `lock BYTES SCORE`, `bound NODE BYTES`, `queue BYTES`, `slots`: takes memory, and keeps it until it ends. The rate is in bytes a second.
fn keep<T>(name: &str, take: impl FnOnce() -> T) {
    call_me(name);
    say("ready");
    stop_here();
    let _kept = take();
    say("done");
    stop_here();
}

fn event() -> c_int {
    // SAFETY: eventfd has no preconditions.
    let fd = unsafe { libc::eventfd(0, libc::EFD_SEMAPHORE) };
    assert!(fd >= 0, "eventfd: {}", std::io::Error::last_os_error());
    fd
}

fn signal(event: c_int, times: u64) {
    // SAFETY: an eventfd takes 8 bytes.
    let wrote = unsafe { libc::write(event, (&raw const times).cast(), 8) };
    assert_eq!(wrote, 8, "write to eventfd");
}

fn await_event(event: c_int) {
    let mut value = 0_u64;
    // SAFETY: an eventfd gives 8 bytes.
    let read = unsafe { libc::read(event, (&raw mut value).cast(), 8) };
    assert_eq!(read, 8, "read from eventfd");
}

fn reap() {
    let mut status = 0;
    // SAFETY: the status is a place to write to.
    let pid = unsafe { libc::wait(&raw mut status) };
    assert!(pid > 0 && status == 0, "child {pid} ended with {status}");
}
