//! Packets that a processor takes long for, and which processor that is.

use std::{
    io::Write,
    net::UdpSocket,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use super::{FAR, NEAR, Sites, TUNNEL, UNDERLAY};
use crate::support::{
    cpu::only_on,
    netns::Netns,
    socket::set,
    wire::{run, tc},
};

/// Port of the receiver.
const PORT: u16 = 9;
/// Bytes of a datagram.
const SIZE: usize = 200;

/// Lets every packet that comes out of a site's tunnel be compared with so many addresses, as a long list of a firewall does.
pub(super) fn compare_with(site: &Netns, addresses: usize) {
    site.inside(|| {
        tc(&["qdisc", "add", "dev", TUNNEL, "clsact"]);
        let mut tc = Command::new("tc").args(["-batch", "-"]).stdin(Stdio::piped()).spawn().expect("tc starts");
        let mut rules = String::new();
        for n in 0..addresses {
            // A list takes 4095 of them.
            let list = n / 2000 + 1;
            rules += &format!(
                "filter add dev {TUNNEL} ingress protocol ip prio {list} u32 match ip src 198.18.{}.{}/32 classid 1:1\n",
                n / 256,
                n % 256
            );
        }
        tc.stdin.take().expect("stdin is a pipe").write_all(rules.as_bytes()).expect("tc reads");
        assert!(tc.wait().expect("our child").success(), "tc -batch");
    });
}

/// Lets those processors alone receive what comes in by the underlay of a site.
pub(super) fn steer(site: &Netns, mask: &str) {
    // The /sys of this process shows the interfaces of its own namespace.
    let set = format!("mount -t sysfs sysfs /sys && echo {mask} > /sys/class/net/{UNDERLAY}/queues/rx-0/rps_cpus");
    site.inside(|| run("unshare", &["-m", "sh", "-c", &set]));
}

/// Datagrams from the near site to the far one, until it is dropped.
pub(super) struct Stream {
    stop: Arc<AtomicBool>,
    workers: Vec<JoinHandle<()>>,
}

/// How a stream is sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    /// Sockets in turn: so many inner flows.
    pub(super) flows: usize,
    /// Datagrams under way at most: what the queues on the way have room for.
    pub(super) window: u64,
    /// Of ten milliseconds so many are for sending.
    pub(super) busy_ms: u64,
    /// The processors of the sender and of the receiver.
    pub(super) sender: usize,
    pub(super) reader: usize,
    /// True if both run before what else runs there: only where they leave most of its time to it.
    pub(super) first: bool,
}

impl Stream {
    pub(super) fn new(sites: &Sites, plan: Plan) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let arrived = Arc::new(AtomicU64::new(0));
        let receiver = sites.far.inside(|| UdpSocket::bind((FAR, PORT)).expect("a socket"));
        room(&receiver);
        receiver.set_read_timeout(Some(Duration::from_millis(100))).expect("a time-out");
        let senders = sites.near.inside(|| {
            let socket = |_| {
                let socket = UdpSocket::bind((NEAR, 0)).expect("a socket");
                socket.connect((FAR, PORT)).expect("an address");
                socket
            };
            (0..plan.flows).map(socket).collect::<Vec<_>>()
        });
        let (ended, count) = (Arc::clone(&stop), Arc::clone(&arrived));
        let reads = std::thread::spawn(move || {
            only_on(plan.reader);
            plan.first.then(first_of_all);
            let mut buffer = [0; SIZE];
            while !ended.load(Ordering::Relaxed) {
                if receiver.recv(&mut buffer).is_ok() {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let ended = Arc::clone(&stop);
        let sends = std::thread::spawn(move || {
            only_on(plan.sender);
            plan.first.then(first_of_all);
            send(&senders, plan, &arrived, &ended);
        });
        Self { stop, workers: vec![reads, sends] }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.workers.drain(..).for_each(|worker| worker.join().expect("a worker does not panic"));
    }
}

fn send(sockets: &[UdpSocket], plan: Plan, arrived: &AtomicU64, stop: &AtomicBool) {
    const TURN: Duration = Duration::from_millis(10);
    let bytes = [7; SIZE];
    let busy = Duration::from_millis(plan.busy_ms);
    let mut sent = 0_u64;
    let (mut turn, mut progress, mut last) = (Instant::now(), Instant::now(), 0);
    for socket in sockets.iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        if turn.elapsed() >= busy {
            std::thread::sleep(TURN - busy);
            turn = Instant::now();
        }
        let mut there = arrived.load(Ordering::Relaxed);
        while sent.saturating_sub(there) >= plan.window && !stop.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_micros(200));
            there = arrived.load(Ordering::Relaxed);
            if there != last {
                (last, progress) = (there, Instant::now());
            } else if progress.elapsed() > Duration::from_millis(500) {
                // What is under way for so long is lost, such as before the neighbour was known.
                arrived.store(sent, Ordering::Relaxed);
            }
        }
        sent += u64::from(socket.send(&bytes).is_ok());
    }
}

/// Lets the present thread run before the others of its processor: a bed must not depend on what else the machine does. Where
/// that is not allowed it does.
fn first_of_all() {
    let priority = libc::sched_param { sched_priority: 1 };
    // SAFETY: the parameter lives through the call.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const priority) };
}

/// The thread of the kernel that a processor gives packets to when they are too many, running before other threads until it is
/// dropped.
pub(super) struct Softirqs {
    thread: u32,
    before: i32,
}

impl Softirqs {
    /// `None` where it is not to be seen.
    pub(super) fn first_on(cpu: usize) -> Option<Self> {
        let name = format!("ksoftirqd/{cpu}\n");
        let is_it =
            |thread: &u32| std::fs::read_to_string(format!("/proc/{thread}/comm")).is_ok_and(|comm| comm == name);
        let numbers = std::fs::read_dir("/proc").ok()?.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok());
        let thread = numbers.into_iter().find(is_it)?;
        // SAFETY: the call has no preconditions.
        let before = unsafe { libc::getpriority(libc::PRIO_PROCESS, thread) };
        // SAFETY: the call has no preconditions.
        unsafe { libc::setpriority(libc::PRIO_PROCESS, thread, -20) };
        Some(Self { thread, before })
    }
}

impl Drop for Softirqs {
    fn drop(&mut self) {
        // SAFETY: the call has no preconditions.
        unsafe { libc::setpriority(libc::PRIO_PROCESS, self.thread, self.before) };
    }
}

/// What the kernel counted of a processor: ticks in soft interrupts, all ticks, packets.
#[derive(Debug, Clone, Copy)]
struct Cpu {
    softirq: u64,
    all: u64,
    packets: u64,
}

/// What the kernel counted of all processors.
pub(super) struct Cpus(Vec<Cpu>);

/// The least that a bed has to bring about, or it is not what it is to be: shares of 1.
#[derive(Debug, Clone, Copy)]
pub(super) struct Least {
    /// Time of the first processor in soft interrupts.
    pub(super) softirq: f64,
    /// Packets that it took of those of all.
    pub(super) packets: f64,
}

impl Cpus {
    /// Sources: /proc/stat and /proc/net/softnet_stat.
    pub(super) fn now() -> Self {
        let read = |file: &str| std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{file}: {e}"));
        let softnet = read("/proc/net/softnet_stat");
        let packets = softnet.lines().filter_map(|l| u64::from_str_radix(l.split(' ').next()?, 16).ok());
        let stat = read("/proc/stat");
        let times = stat.lines().filter(|l| l.starts_with("cpu") && !l.starts_with("cpu "));
        let cpu = |(times, packets): (&str, u64)| {
            let times: Vec<u64> = times.split(' ').skip(1).filter_map(|n| n.parse().ok()).collect();
            Cpu { softirq: times[6], all: times[..8].iter().sum(), packets }
        };
        Self(times.zip(packets).map(cpu).collect())
    }

    /// What the first processor did since then falls short of, in words; `None` if it does not.
    pub(super) fn falls_short(&self, before: &Self, least: Least) -> Option<String> {
        let grown = |of: fn(&Cpu) -> u64, list: &[Cpu], old: &[Cpu]| {
            list.iter().zip(old).map(|(now, old)| of(now) - of(old)).sum::<u64>() as f64
        };
        let (now, old) = (&self.0, &before.0);
        let softirq = grown(|c| c.softirq, &now[..1], &old[..1]) / grown(|c| c.all, &now[..1], &old[..1]).max(1.0);
        let packets = grown(|c| c.packets, &now[..1], &old[..1]) / grown(|c| c.packets, now, old).max(1.0);
        let short = softirq < least.softirq || packets < least.packets;
        short.then(|| {
            format!("CPU 0 was in soft interrupts for {softirq:.2} of the time and took {packets:.2} of the packets, {least:?} is asked for")
        })
    }
}

/// Makes room for all that is under way.
fn room(socket: &UdpSocket) {
    let bytes: libc::c_int = 16 << 20;
    set(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &bytes);
}
