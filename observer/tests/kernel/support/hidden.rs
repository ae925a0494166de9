//! Network namespaces that are found in other ways than by a process that is in them.

use std::{
    fs::File,
    io, process,
    sync::mpsc::{Sender, channel},
    thread::JoinHandle,
};

use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, setns, unshare},
};

use super::{
    child::{say, stop_here},
    netns::enter_new,
    socket::{LOOPBACKS, Pair, listen, pair},
};

/// Connections that are made at first: nobody can make more where nobody can go.
const CONNECTIONS: usize = 100;

/// What keeps a namespace alive beside its sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeper {
    /// An open file of a process that is elsewhere.
    File,
    /// A thread of a process whose others are elsewhere.
    Thread,
    /// Nothing.
    Nothing,
}

/// Connections in a namespace of their own, which this process made.
#[derive(Debug)]
pub(crate) struct Hidden {
    /// Inode of the namespace.
    pub(crate) inode: u64,
    /// The connections.
    pub(crate) ends: Vec<Pair>,
    end: Sender<()>,
    thread: Option<JoinHandle<()>>,
}

fn inode() -> u64 {
    let link = std::fs::read_link("/proc/thread-self/ns/net").expect("a link");
    let text = link.to_str().and_then(|l| l.strip_prefix("net:[")?.strip_suffix(']')).expect("net:[inode]");
    text.parse().expect("a number")
}

impl Hidden {
    /// Makes one.
    pub(crate) fn new(keeper: Keeper) -> Self {
        let (end, wait) = channel::<()>();
        let (tell, made) = channel();
        let thread = std::thread::spawn(move || {
            let old = File::open("/proc/thread-self/ns/net").expect("the own namespace");
            enter_new();
            let new = File::open("/proc/thread-self/ns/net").expect("the new namespace");
            let listener = listen(LOOPBACKS[0]);
            let told = (inode(), (0..CONNECTIONS).map(|_| pair(&listener)).collect());
            let kept = (keeper == Keeper::File).then_some(new);
            if keeper != Keeper::Thread {
                setns(old, CloneFlags::CLONE_NEWNET).expect("setns");
            }
            tell.send(told).expect("the test listens");
            let _ = wait.recv();
            drop(kept);
        });
        let (inode, ends) = made.recv().expect("the thread makes it");
        Self { inode, ends, end, thread: Some(thread) }
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let _ = self.end.send(());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Inside a workload: a namespace that is mounted where this process alone sees it, and that no process is in. Says its inode.
pub(super) fn mounted() {
    let old = File::open("/proc/self/ns/net").expect("the own namespace");
    unshare(CloneFlags::CLONE_NEWNS).expect("unshare");
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).expect("private mounts");
    enter_new();
    let ends = pair(&listen(LOOPBACKS[0]));
    let inode = inode();
    let point = std::env::temp_dir().join(format!("observer-test-netns {}", process::id()));
    File::create(&point).expect("a file");
    mount(Some("/proc/self/ns/net"), &point, none, MsFlags::MS_BIND, none).expect("a bind mount");
    setns(old, CloneFlags::CLONE_NEWNET).expect("setns");
    say("ready");
    stop_here();
    say(&inode.to_string());
    stop_here();
    drop(ends);
    umount2(&point, MntFlags::MNT_DETACH).expect("umount");
    std::fs::remove_file(&point).expect("it is ours");
    say("gone");
    stop_here();
}

/// Inside a workload: a process in a network, a mount and a PID namespace of its own holds a connection. Says its process id,
/// as seen from outside, and the inode.
pub(super) fn jailed() {
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID).expect("unshare");
    enter_new();
    let ends = pair(&listen(LOOPBACKS[0]));
    // SAFETY: this process has one thread.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork: {}", io::Error::last_os_error());
    if pid == 0 {
        // SAFETY: plain numbers.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        super::child::call_me("obs-jailed");
        loop {
            // SAFETY: it has no preconditions; the process is killed.
            unsafe { libc::pause() };
        }
    }
    // The child alone holds the connection.
    drop(ends);
    say("ready");
    stop_here();
    say(&format!("{pid} {}", inode()));
    stop_here();
    // SAFETY: the child was made above.
    unsafe {
        libc::kill(pid, libc::SIGKILL);
        libc::waitpid(pid, std::ptr::null_mut(), 0);
    }
}
