//! Traffic between two sites, made by threads of this process.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use super::{FAR, NEAR, Sites};
use crate::support::{netns::Netns, socket::set};

/// Traffic from the near site to the far one, until it is dropped.
pub(crate) struct Traffic {
    stop: Arc<AtomicBool>,
    workers: Vec<JoinHandle<()>>,
}

impl Traffic {
    /// TCP connections that each send all that they can, or `rate` bytes a second.
    pub(crate) fn tcp(sites: &Sites, connections: usize, rate: Option<u32>) -> Self {
        let mut all = Self { stop: Arc::new(AtomicBool::new(false)), workers: Vec::new() };
        for _ in 0..connections {
            all.connect(&sites.near, sites, rate);
        }
        all
    }

    /// One such connection, from a namespace that reaches the far site through the near one.
    pub(crate) fn routed(from: &Netns, sites: &Sites, rate: u32) -> Self {
        let mut all = Self { stop: Arc::new(AtomicBool::new(false)), workers: Vec::new() };
        all.connect(from, sites, Some(rate));
        all
    }

    fn connect(&mut self, from: &Netns, sites: &Sites, rate: Option<u32>) {
        let listener = sites.far.inside(|| TcpListener::bind((FAR, 0)).expect("a listening socket"));
        let address = listener.local_addr().expect("an address");
        let ended = Arc::clone(&self.stop);
        let receiver = std::thread::spawn(move || {
            let Ok((mut from, _)) = listener.accept() else { return };
            from.set_read_timeout(Some(Duration::from_millis(100))).expect("a time-out");
            let mut buffer = vec![0; 256 << 10];
            while !ended.load(Ordering::Relaxed) && !matches!(from.read(&mut buffer), Ok(0)) {}
        });
        let mut to = from.inside(|| TcpStream::connect(address).expect("connect"));
        if let Some(rate) = rate {
            set(&to, libc::SOL_SOCKET, libc::SO_MAX_PACING_RATE, &rate);
        }
        to.set_write_timeout(Some(Duration::from_millis(100))).expect("a time-out");
        let ended = Arc::clone(&self.stop);
        let sender = std::thread::spawn(move || {
            let bytes = vec![7; 64 << 10];
            while !ended.load(Ordering::Relaxed) {
                if to.write(&bytes).is_err_and(|e| e.kind() != std::io::ErrorKind::WouldBlock) {
                    return;
                }
            }
        });
        self.workers.extend([receiver, sender]);
    }

    /// Datagrams of that size that must not be cut inside of the tunnel, a few each millisecond.
    pub(crate) fn udp(sites: &Sites, size: usize) -> Self {
        let receiver = sites.far.inside(|| UdpSocket::bind((FAR, 9)).expect("a socket"));
        let sender = sites.near.inside(|| UdpSocket::bind((NEAR, 0)).expect("a socket"));
        // IP_PMTUDISC_PROBE: what the kernel learns of the path does not hold for this socket.
        let probe: libc::c_int = 3;
        set(&sender, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, &probe);
        let stop = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&stop);
        let worker = std::thread::spawn(move || {
            let _open = receiver;
            let bytes = vec![7; size];
            while !ended.load(Ordering::Relaxed) {
                for _ in 0..4 {
                    let _ = sender.send_to(&bytes, (FAR, 9));
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        Self { stop, workers: vec![worker] }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.workers.drain(..).for_each(|worker| worker.join().expect("a worker does not panic"));
    }
}
