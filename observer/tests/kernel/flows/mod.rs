//! What limits a connection, on paths whose limit is known.

mod beds;
mod recordings;

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use observer::{
    diagnose::{
        Window,
        flow::{Verdict, verdicts},
    },
    model::Model,
    source::{host, kernel::Kernel},
};

use crate::support::{
    observer::read,
    seen,
    socket::cookie,
    wire::{FAR, Path, Wire},
};

/// Readings of one bed, and the time between them.
const READINGS: usize = 16;
const BETWEEN: Duration = Duration::from_millis(250);

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
    /// Done in the sender's namespace before it connects.
    prepare: Option<fn()>,
}

/// A sender and a receiver at work over a wire.
struct Flow {
    socket: TcpStream,
    stop: Arc<AtomicBool>,
    workers: Vec<JoinHandle<()>>,
}

impl Flow {
    fn start(wire: &Wire, ends: Ends) -> Self {
        let listener = wire.far.inside(|| {
            let listener = TcpListener::bind((FAR, 0)).expect("a listening socket");
            // Before the handshake: the window is agreed upon there.
            ends.rcvbuf.into_iter().for_each(|bytes| option(&listener, libc::SO_RCVBUF, bytes));
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
        let socket = wire.near.inside(|| {
            ends.prepare.into_iter().for_each(|prepare| prepare());
            TcpStream::connect(address).expect("connect")
        });
        ends.sndbuf.into_iter().for_each(|bytes| option(&socket, libc::SO_SNDBUF, bytes));
        ends.congestion.into_iter().for_each(|name| congestion_control(&socket, name));
        ends.pacing.into_iter().for_each(|rate| option(&socket, libc::SO_MAX_PACING_RATE, rate.cast_signed()));
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

fn option(socket: &impl std::os::fd::AsRawFd, option: i32, value: i32) {
    // SAFETY: the value is as long as it says.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            (&raw const value).cast(),
            size_of::<i32>() as u32,
        )
    };
    assert_eq!(done, 0, "setsockopt: {}", std::io::Error::last_os_error());
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

/// What observer says of the sender; `None` where there is no wire to be had.
fn judged(kernel: &mut Kernel, path: Path, ends: Ends) -> Option<Verdict> {
    let wire = Wire::new(path)?;
    let flow = Flow::start(&wire, ends);
    let name = cookie(&flow.socket);
    // Until the path is filled: what comes first is slow start.
    std::thread::sleep(BETWEEN * 6);
    let mut take = || {
        let mut snapshot = read(kernel);
        snapshot.stamp = host::stamp();
        snapshot
    };
    let mut last = take();
    let mut models = Vec::new();
    for _ in 0..READINGS {
        std::thread::sleep(BETWEEN);
        let now = take();
        models.push(Model::new(&now, Some(&last)));
        last = now;
    }
    let window = Window::new(&models).expect("there are models");
    let all = verdicts(&window);
    let connections = &models.last().and_then(|m| m.tcp.sockets.as_ref()).expect("sockets are read").list;
    let at = connections.iter().position(|c| c.now.cookie == name).expect("the flow is seen");
    let verdict = all.into_iter().nth(at).expect("every connection is judged");
    let rate = verdict.rate().unwrap_or(0.0) * 8e-6;
    seen!("{:?}: {rate:.1} Mbit/s, {:?} {:?}", verdict.limit, verdict.shares(), verdict.ceiling());
    seen!("    lost {}, {:?}", wire.lost(), connections[at].now.info);
    Some(verdict)
}
