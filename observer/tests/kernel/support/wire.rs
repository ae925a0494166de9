//! A path between two network namespaces, with a delay, a rate, losses and a largest packet: what a wide area network does to
//! packets. Done by netem, and on kernels without it by this process between two tun devices.

use std::{
    collections::VecDeque,
    fs::{File, OpenOptions},
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr},
    os::fd::AsRawFd,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use super::{
    line::{self, Line},
    netns::Netns,
};

/// What becomes of packets, in each direction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Path {
    /// Time that each packet is under way.
    pub(crate) delay: Duration,
    /// Bytes a second; 0 for no limit.
    pub(crate) rate: u64,
    /// Bytes that wait for their turn at most.
    pub(crate) queue: u64,
    /// Of a million packets so many are lost.
    pub(crate) lost_of_million: u64,
    /// Packets that are larger vanish without a word.
    pub(crate) largest: usize,
}

impl Path {
    /// True if packets have to wait or to get lost.
    pub(super) fn is_shaped(&self) -> bool {
        !self.delay.is_zero() || self.rate > 0 || self.lost_of_million > 0
    }
}

impl Default for Path {
    fn default() -> Self {
        Self { delay: Duration::ZERO, rate: 0, queue: 4 << 20, lost_of_million: 0, largest: usize::MAX }
    }
}

/// Two namespaces and the path between them; removed with it.
#[derive(Debug)]
pub(crate) struct Wire {
    /// The end of 10.77.0.1.
    pub(crate) near: Netns,
    /// The end of 10.77.0.2.
    pub(crate) far: Netns,
    /// Where the kernel makes the path: the namespace between them.
    _middle: Option<Netns>,
    stop: Arc<AtomicBool>,
    workers: Vec<JoinHandle<()>>,
    /// Packets that were lost on purpose.
    lost: Arc<AtomicU64>,
}

/// Address of the far end.
pub(crate) const FAR: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 2));
/// Name of the device at both ends.
pub(crate) const DEVICE: &str = "wire";

impl Wire {
    /// Makes one; `None` where the kernel has neither netem nor tun devices.
    pub(crate) fn new(path: Path) -> Option<Self> {
        if path.is_shaped() && !line::has_netem() { Self::tun(path) } else { Some(Self::line(Line::new(path))) }
    }

    fn line(Line { near, far, middle }: Line) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        Self { near, far, _middle: Some(middle), stop, workers: Vec::new(), lost: Arc::new(AtomicU64::new(0)) }
    }

    fn tun(path: Path) -> Option<Self> {
        let (near, far) = (Netns::new(), Netns::new());
        let ends = [near.inside(|| device("10.77.0.1/24"))?, far.inside(|| device("10.77.0.2/24"))?];
        let (stop, lost) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let [a, b] = ends;
        let way = |from: &File, to: &File, seed: u64| {
            let (from, to) = (from.try_clone().expect("a descriptor"), to.try_clone().expect("a descriptor"));
            let (stop, lost) = (Arc::clone(&stop), Arc::clone(&lost));
            std::thread::spawn(move || {
                Way { from, to, path, lost, random: seed, waits: VecDeque::new(), free: Instant::now() }.run(&stop);
            })
        };
        let workers = vec![way(&a, &b, 0x9e37_79b9_7f4a_7c15), way(&b, &a, 0xd1b5_4a32_d192_ed03)];
        Some(Self { near, far, _middle: None, stop, workers, lost })
    }

    /// Packets that this process lost so far; netem does not tell it.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.workers.drain(..).for_each(|worker| worker.join().expect("a worker does not panic"));
    }
}

/// A tun device of the present namespace, up, with an address.
fn device(address: &str) -> Option<File> {
    const TUNSETIFF: libc::c_ulong = 0x4004_54ca;
    const IFF_TUN: i16 = 1;
    const IFF_NO_PI: i16 = 0x1000;
    let file = OpenOptions::new().read(true).write(true).open("/dev/net/tun").ok()?;
    // SAFETY: zeros are a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(DEVICE.bytes()) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = IFF_TUN | IFF_NO_PI;
    // SAFETY: the request lives through the call.
    let done = unsafe { libc::ioctl(file.as_raw_fd(), TUNSETIFF as _, &raw const request) };
    assert_eq!(done, 0, "TUNSETIFF: {}", std::io::Error::last_os_error());
    // SAFETY: the descriptor is open; O_NONBLOCK changes how it is read only.
    assert_eq!(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) }, 0);
    ip(&["address", "add", address, "dev", DEVICE]);
    ip(&["link", "set", DEVICE, "up", "txqueuelen", "10000"]);
    Some(file)
}

/// Runs `ip` in the present namespace.
pub(crate) fn ip(arguments: &[&str]) {
    run("ip", arguments);
}

/// Runs `ip` once for many lines in the present namespace: in a slow guest each start of a program counts.
pub(crate) fn ip_lines(lines: &[String]) -> Result<(), String> {
    let mut command = Command::new("ip");
    command.args(["-batch", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|e| format!("ip: {e}"))?;
    // What it does not read it has refused, and says why.
    let _ = child.stdin.take().expect("stdin is a pipe").write_all(lines.join("\n").as_bytes());
    let output = child.wait_with_output().map_err(|e| format!("ip: {e}"))?;
    let said = || format!("ip {lines:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    output.status.success().then_some(()).ok_or_else(said)
}

/// Runs `tc` in the present namespace.
pub(crate) fn tc(arguments: &[&str]) {
    run("tc", arguments);
}

/// Runs a program in the present namespace.
pub(crate) fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|e| panic!("{program}: {e}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// One direction.
struct Way {
    from: File,
    to: File,
    path: Path,
    lost: Arc<AtomicU64>,
    random: u64,
    /// Packets that are under way, and when they arrive.
    waits: VecDeque<(Instant, Vec<u8>)>,
    /// When the line is free for the next packet.
    free: Instant,
}

impl Way {
    fn run(mut self, stop: &AtomicBool) {
        let mut buffer = vec![0; 1 << 16];
        while !stop.load(Ordering::Relaxed) {
            let now = Instant::now();
            while self.waits.front().is_some_and(|(due, _)| *due <= now) {
                let packet = self.waits.pop_front().map(|(_, packet)| packet).unwrap_or_default();
                // A device that is full loses the packet, as a line would.
                let _ = self.to.write(&packet);
            }
            let patience = Duration::from_millis(20);
            let wait = self.waits.front().map_or(patience, |(due, _)| (*due - now).min(patience));
            let (mut fd, timeout) = (
                libc::pollfd { fd: self.from.as_raw_fd(), events: libc::POLLIN, revents: 0 },
                libc::timespec { tv_sec: 0, tv_nsec: i64::from(wait.subsec_nanos()) },
            );
            // SAFETY: one descriptor and a time, both alive through the call.
            unsafe { libc::ppoll(&raw mut fd, 1, &raw const timeout, std::ptr::null()) };
            // Not all at once: what is due must not wait for what comes.
            for _ in 0..64 {
                match self.from.read(&mut buffer) {
                    Ok(len) if len > 0 => self.take(&buffer[..len]),
                    _ => break,
                }
            }
        }
    }

    fn take(&mut self, packet: &[u8]) {
        let now = Instant::now();
        let path = self.path;
        let begins = self.free.max(now);
        let waiting = if path.rate > 0 { (begins - now).as_secs_f64() * path.rate as f64 } else { 0.0 };
        if packet.len() > path.largest || self.draw() < path.lost_of_million || waiting > path.queue as f64 {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if path.rate > 0 {
            self.free = begins + Duration::from_secs_f64(packet.len() as f64 / path.rate as f64);
        } else {
            self.free = now;
        }
        self.waits.push_back((self.free + path.delay, packet.to_vec()));
    }

    /// A number below a million (xorshift).
    fn draw(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % 1_000_000
    }
}
