//! What limits a connection, on paths whose limit is known.

mod beds;
pub(crate) mod clients;
mod command;
mod recordings;
mod tunnels;

use std::{
    io::{Read, Write},
    net::{IpAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use observer::{
    diagnose::{Diagnosis, Thresholds, diagnose, flow::Limit},
    model::{Model, tcp::Connection},
    snapshot::tcp::ends,
    source::{host, kernel::Kernel},
};

use clients::{Client, PORT};
use tunnels::{Over, Tunnel};

use crate::support::{
    observer::read,
    seen,
    socket::{cookie, set},
    wire::{FAR, Path, Wire},
};

/// Readings of one bed, and the time between them.
const READINGS: usize = 16;
const BETWEEN: Duration = Duration::from_millis(250);
/// Where each reading takes long, so many are enough once they have taken twice the time.
const SLOW_READINGS: usize = 8;
/// Readings at most until the connections are there, and until the last one has them all.
const MOST_READINGS: usize = 30;

/// Bytes that an end sends to agree on a measurement at most.
const CONVERSATION: u64 = 4096;

/// How the ends behave.
#[derive(Debug, Clone, Copy, Default)]
struct Ends {
    /// `SO_SNDBUF` of the sender.
    sndbuf: Option<i32>,
    /// `SO_RCVBUF` of the receiver.
    rcvbuf: Option<i32>,
    /// `SO_MAX_PACING_RATE` of the sender in bytes a second.
    pacing: Option<u32>,
    /// Congestion control of the sender; the test is skipped where the kernel does not have it.
    congestion: Option<&'static str>,
    /// The sender writes so many bytes, then waits so many milliseconds.
    bursts: Option<(usize, u64)>,
    /// The receiver waits so many milliseconds after each 16 KiB.
    slow_reader: Option<u64>,
}

/// A sender and a receiver at work over a wire.
#[derive(Debug)]
struct Flow {
    socket: TcpStream,
    stop: Arc<AtomicBool>,
    workers: Vec<JoinHandle<()>>,
}

impl Flow {
    fn start(wire: &Wire, ends: Ends) -> Self {
        Self::start_to(wire, FAR, ends)
    }

    fn start_to(wire: &Wire, to: IpAddr, ends: Ends) -> Self {
        let listener = wire.far.inside(|| {
            let listener = TcpListener::bind((to, 0)).expect("a listening socket");
            // Before the handshake: the window is agreed upon there.
            ends.rcvbuf.into_iter().for_each(|bytes| set(&listener, libc::SOL_SOCKET, libc::SO_RCVBUF, &bytes));
            listener
        });
        let address = listener.local_addr().expect("an address");
        let stop = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&stop);
        let receiver = std::thread::spawn(move || {
            let Ok((mut from, _)) = listener.accept() else { return };
            from.set_read_timeout(Some(Duration::from_millis(100))).expect("a time-out");
            let mut buffer = vec![0; 64 << 10];
            while !ended.load(Ordering::Relaxed) {
                let len = if ends.slow_reader.is_some() { 16 << 10 } else { buffer.len() };
                if matches!(from.read(&mut buffer[..len]), Ok(0)) {
                    return;
                }
                ends.slow_reader.into_iter().for_each(|ms| std::thread::sleep(Duration::from_millis(ms)));
            }
        });
        let socket = wire.near.inside(|| TcpStream::connect(address).expect("connect"));
        ends.sndbuf.into_iter().for_each(|bytes| set(&socket, libc::SOL_SOCKET, libc::SO_SNDBUF, &bytes));
        ends.congestion.into_iter().for_each(|name| congestion_control(&socket, name));
        ends.pacing.into_iter().for_each(|rate| set(&socket, libc::SOL_SOCKET, libc::SO_MAX_PACING_RATE, &rate));
        socket.set_write_timeout(Some(Duration::from_millis(100))).expect("a time-out");
        let (mut to, ended) = (socket.try_clone().expect("a descriptor"), Arc::clone(&stop));
        let sender = std::thread::spawn(move || {
            let bytes = vec![7; ends.bursts.map_or(256 << 10, |(bytes, _)| bytes)];
            while !ended.load(Ordering::Relaxed) {
                if to.write(&bytes).is_err_and(|e| e.kind() != std::io::ErrorKind::WouldBlock) {
                    return;
                }
                ends.bursts.into_iter().for_each(|(_, ms)| std::thread::sleep(Duration::from_millis(ms)));
            }
        });
        Self { socket, stop, workers: vec![receiver, sender] }
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
        self.workers.drain(..).for_each(|worker| worker.join().expect("a worker does not panic"));
    }
}

fn congestion_control(socket: &impl std::os::fd::AsRawFd, name: &str) {
    // SAFETY: the name is as long as it says.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_CONGESTION,
            name.as_ptr().cast(),
            name.len() as u32,
        )
    };
    assert_eq!(done, 0, "TCP_CONGESTION {name}: {}", std::io::Error::last_os_error());
}

/// Who sends.
#[derive(Debug, Clone, Copy)]
enum Sender {
    /// Threads of this process.
    Threads(Ends),
    /// iperf3 with further arguments; the receiver on a CPU that is busy, if one is given.
    Iperf(&'static [&'static str], Option<u32>),
    /// wrk asks over and over for so many bytes, which a server sends after so many milliseconds.
    Requests(usize, u64),
}

/// A path whose limit is known, with all that makes it so.
#[derive(Debug, Clone, Copy)]
struct Bed {
    path: Path,
    over: Over,
    sender: Sender,
    /// Done to both ends before the sender begins.
    prepare: Option<fn(&Wire)>,
}

impl Bed {
    /// The same for an emulated machine, which cannot send more than a megabyte a second without being the limit itself, and
    /// no more than a quarter of that where it runs programs.
    fn slower(mut self) -> Self {
        let most = if matches!(self.sender, Sender::Threads(_)) { SLOW_PATH } else { SLOW_PATH / 4 };
        if self.path.rate > most {
            let times = self.path.rate / most;
            (self.path.rate, self.path.queue) = (most, (self.path.queue / times).max(SMALL_QUEUE));
        }
        match &mut self.sender {
            Sender::Threads(Ends { pacing: Some(rate), .. }) => *rate = (*rate).min(SLOW_RATE),
            // What limits these is a window or a buffer: twice as far, half as fast.
            Sender::Iperf(..) if self.path.rate == 0 && self.path.lost_of_million == 0 => self.path.delay *= 2,
            _ => {}
        }
        self
    }
}

/// Bytes a second of a path, and of a sender that keeps to a rate, that an emulated machine reaches.
const SLOW_PATH: u64 = 1_000_000;
const SLOW_RATE: u32 = 250_000;
/// Bytes of a queue that still has room for a congestion window that grows and shrinks without losing a hundredth.
const SMALL_QUEUE: u64 = 75_000;

/// Whatever sends: it ends with this.
#[derive(Debug)]
enum Traffic {
    Threads(Flow),
    Program(Client),
}

/// One bed at work. Its parts end in this order.
#[derive(Debug)]
struct Running {
    traffic: Traffic,
    _tunnel: Tunnel,
    wire: Wire,
}

impl Running {
    fn start(bed: &Bed) -> Result<Self, String> {
        let wire = Wire::new(bed.path).ok_or("the kernel has neither netem nor tun devices")?;
        let tunnel = Tunnel::new(&wire, bed.over)?;
        bed.prepare.into_iter().for_each(|prepare| prepare(&wire));
        let ends = (&wire.near, &wire.far);
        let traffic = match bed.sender {
            Sender::Threads(how) => Traffic::Threads(Flow::start_to(&wire, tunnel.far, how)),
            Sender::Iperf(arguments, cpu) => Traffic::Program(Client::iperf(ends, tunnel.far, arguments, cpu)?),
            Sender::Requests(bytes, think) => {
                Traffic::Program(Client::requests(ends, tunnel.far, bytes, Duration::from_millis(think))?)
            }
        };
        Ok(Self { traffic, _tunnel: tunnel, wire })
    }

    /// Place of the connection that is judged in the list of a model.
    fn place(&self, list: &[Connection]) -> Option<usize> {
        match &self.traffic {
            Traffic::Threads(flow) => {
                let name = cookie(&flow.socket);
                list.iter().position(|c| c.now.cookie == name)
            }
            Traffic::Program(client) => {
                let netns = if client.far_sends { self.wire.far.inode() } else { self.wire.near.inode() };
                let of_client = |c: &Connection| {
                    c.now.netns == netns && (if client.far_sends { c.now.local.1 } else { c.now.remote.1 }) == PORT
                };
                let mine = list.iter().enumerate().filter(|(_, c)| of_client(c));
                let busiest = mine.max_by_key(|(_, c)| c.now.info.bytes_sent);
                busiest.filter(|(_, c)| c.now.info.bytes_sent >= Some(CONVERSATION)).map(|(place, _)| place)
            }
        }
    }
}

/// What observer says of a connection: its verdict, and the findings that name it.
#[derive(Debug)]
struct Said {
    limit: Limit,
    /// True if the rule of limits says something of this connection.
    found: bool,
}

/// What observer says of the senders of so many equal beds at once; the error says what the kernel or the machine lacks.
fn judged(kernel: &mut Kernel, bed: &Bed, at_once: usize) -> Result<Vec<Said>, String> {
    let start = Instant::now();
    let running = (0..at_once).map(|_| Running::start(bed)).collect::<Result<Vec<_>, _>>()?;
    let made = start.elapsed();
    let mut take = || {
        std::thread::sleep(BETWEEN);
        let mut snapshot = read(kernel);
        snapshot.stamp = host::stamp();
        snapshot
    };
    // A program needs time to connect, and a machine with little of it reads some namespaces at a time.
    let there = |model: &Model| {
        model.tcp.sockets.as_ref().is_some_and(|open| running.iter().all(|bed| bed.place(&open.list).is_some()))
    };
    let waited = (0..MOST_READINGS).position(|_| there(&Model::new(&take(), None)));
    let there_after = start.elapsed();
    // Until the path is filled: what comes first is slow start, and the longer the queue, the longer that takes.
    let full = if bed.path.rate > 0 { bed.path.queue as f64 / bed.path.rate as f64 } else { 0.0 };
    std::thread::sleep(BETWEEN * 6 + Duration::from_secs_f64(full) * 5);
    let (mut last, begun) = (take(), Instant::now());
    let mut models: Vec<Model> = Vec::new();
    let long = BETWEEN * READINGS as u32 * 2;
    let enough =
        |models: &[Model]| models.len() >= READINGS || models.len() >= SLOW_READINGS && begun.elapsed() >= long;
    // A machine with little time reads a namespace at every other reading: what is between two of them is to be known.
    let counted = |models: &[Model]| {
        let Some(list) = models.last().and_then(|m| Some(&m.tcp.sockets.as_ref()?.list)) else { return false };
        let verdicts = diagnose(models, &Thresholds::default()).flows;
        running.iter().all(|bed| bed.place(list).is_some_and(|at| verdicts.get(at).is_some_and(|v| v.seconds() >= 1.0)))
    };
    while models.len() < MOST_READINGS && !(enough(&models) && counted(&models)) {
        let now = take();
        models.push(Model::new(&now, Some(&last)));
        last = now;
    }
    seen!(
        "{at_once} beds made in {made:.1?}, there after {there_after:.1?} ({waited:?}), {} readings in {:.1?}; {:.1?} in all",
        models.len(),
        begun.elapsed(),
        start.elapsed()
    );
    let diagnosis = diagnose(&models, &Thresholds::default());
    let list = &models.last().and_then(|m| m.tcp.sockets.as_ref()).expect("sockets are read").list;
    Ok(running.iter().map(|bed| said(bed, list, &diagnosis)).collect())
}

fn said(bed: &Running, list: &[Connection], diagnosis: &Diagnosis) -> Said {
    let Some((place, connection)) = bed.place(list).and_then(|at| Some((at, list.get(at)?))) else {
        let near: Vec<_> = list.iter().map(|c| (c.now.netns, ends(&c.now))).collect();
        panic!("the flow is not seen among {near:?} from {} to {}", bed.wire.near.inode(), bed.wire.far.inode());
    };
    let verdict = diagnosis.flow(place, connection).expect("every connection is judged");
    let owner = connection.now.owner.as_ref().map_or(String::new(), |o| format!(" connections of {} are ", o.comm));
    let named = [ends(&connection.now).to_string(), owner];
    // Of a group it names the busiest, and counts the others.
    let names = |text: &str| named.iter().any(|name| !name.is_empty() && text.contains(name));
    let mut findings = diagnosis.findings.iter().filter(|f| f.rule == "flow_limits");
    let found = findings.any(|f| names(&f.verdict) || f.evidence.iter().any(|e| names(&e.what.replace(", ", " are "))));
    let rate = verdict.rate().unwrap_or(0.0) * 8e-6;
    seen!("{:?}: {rate:.1} Mbit/s, found {found}, {:?} {:?}", verdict.limit, verdict.shares(), verdict.ceiling());
    seen!("    {:?}", verdict.evidence().iter().map(|e| format!("{} {}", e.what, e.value)).collect::<Vec<_>>());
    seen!("    lost {}, {:?}", bed.wire.lost(), connection.now.info);
    Said { limit: verdict.limit, found }
}
