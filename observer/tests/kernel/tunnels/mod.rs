//! What limits a tunnel, on tunnels whose limit is known: VXLAN between two network namespaces.

mod beds;

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket},
    os::fd::AsRawFd,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use serde_json::Value;

use crate::{
    lifecycle::binary,
    support::{netns::Netns, wire::ip},
};

/// Addresses inside of the tunnel.
pub(crate) const NEAR: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
pub(crate) const FAR: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
/// Names of the interfaces, the same on both sides.
pub(crate) const TUNNEL: &str = "vxtest";
pub(crate) const UNDERLAY: &str = "under0";

/// Two sites with a VXLAN between them, over a bridge in a third namespace. Removed with it.
pub(crate) struct Sites {
    pub(crate) near: Netns,
    pub(crate) middle: Netns,
    pub(crate) far: Netns,
}

impl Sites {
    pub(crate) fn new() -> Self {
        let sites = Self { near: Netns::new(), middle: Netns::new(), far: Netns::new() };
        let end = |netns: &Netns, port: &str, host: u8| {
            let middle = sites.middle.pid().to_string();
            netns.inside(|| {
                ip(&["link", "add", UNDERLAY, "type", "veth", "peer", "name", port, "netns", &middle]);
                ip(&["address", "add", &format!("192.0.2.{host}/24"), "dev", UNDERLAY]);
                ip(&["link", "set", UNDERLAY, "up"]);
                // Not bound to the interface below: so its MTU may be anything.
                let (local, remote) = (format!("192.0.2.{host}"), format!("192.0.2.{}", 3 - host));
                ip(&[
                    "link", "add", TUNNEL, "mtu", "1450", "type", "vxlan", "id", "7", "local", &local, "remote",
                    &remote, "dstport", "4789",
                ]);
                ip(&["address", "add", &format!("10.9.0.{host}/24"), "dev", TUNNEL]);
                ip(&["link", "set", TUNNEL, "up"]);
            });
        };
        end(&sites.near, "port1", 1);
        end(&sites.far, "port2", 2);
        sites.middle.inside(|| {
            ip(&["link", "add", "bridge", "type", "bridge"]);
            for device in ["port1", "port2"] {
                ip(&["link", "set", device, "master", "bridge", "up"]);
            }
            ip(&["link", "set", "bridge", "up"]);
        });
        sites
    }
}

/// Traffic from the near site to the far one, until it is dropped.
pub(crate) struct Traffic {
    stop: Arc<AtomicBool>,
    workers: Vec<JoinHandle<()>>,
}

impl Traffic {
    /// A TCP connection that sends all that it can, or `rate` bytes a second.
    pub(crate) fn tcp(sites: &Sites, rate: Option<u32>) -> Self {
        let listener = sites.far.inside(|| TcpListener::bind((FAR, 0)).expect("a listening socket"));
        let address = listener.local_addr().expect("an address");
        let stop = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&stop);
        let receiver = std::thread::spawn(move || {
            let Ok((mut from, _)) = listener.accept() else { return };
            from.set_read_timeout(Some(Duration::from_millis(100))).expect("a time-out");
            let mut buffer = vec![0; 256 << 10];
            while !ended.load(Ordering::Relaxed) && !matches!(from.read(&mut buffer), Ok(0)) {}
        });
        let mut to = sites.near.inside(|| TcpStream::connect(address).expect("connect"));
        if let Some(rate) = rate {
            // SAFETY: the value is as long as it says.
            let done = unsafe {
                libc::setsockopt(
                    to.as_raw_fd(),
                    libc::SOL_SOCKET,
                    libc::SO_MAX_PACING_RATE,
                    (&raw const rate).cast(),
                    4,
                )
            };
            assert_eq!(done, 0, "SO_MAX_PACING_RATE: {}", std::io::Error::last_os_error());
        }
        to.set_write_timeout(Some(Duration::from_millis(100))).expect("a time-out");
        let ended = Arc::clone(&stop);
        let sender = std::thread::spawn(move || {
            let bytes = vec![7; 64 << 10];
            while !ended.load(Ordering::Relaxed) {
                if to.write(&bytes).is_err_and(|e| e.kind() != std::io::ErrorKind::WouldBlock) {
                    return;
                }
            }
        });
        Self { stop, workers: vec![receiver, sender] }
    }

    /// Datagrams of that size that must not be cut inside of the tunnel, a few each millisecond.
    pub(crate) fn udp(sites: &Sites, size: usize) -> Self {
        let receiver = sites.far.inside(|| UdpSocket::bind((FAR, 9)).expect("a socket"));
        let sender = sites.near.inside(|| UdpSocket::bind((NEAR, 0)).expect("a socket"));
        // IP_PMTUDISC_PROBE: what the kernel learns of the path does not hold for this socket.
        let probe: libc::c_int = 3;
        // SAFETY: the value is as long as it says.
        let done = unsafe {
            libc::setsockopt(sender.as_raw_fd(), libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, (&raw const probe).cast(), 4)
        };
        assert_eq!(done, 0, "IP_MTU_DISCOVER: {}", std::io::Error::last_os_error());
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

/// What `observer report tunnels` says of the near end of these sites: the tunnel, and the verdict on it.
pub(crate) fn reported(sites: &Sites, time: &str) -> (Value, Value) {
    let output = Command::new(binary())
        .args(["report", "tunnels", "--json", "--for", time])
        .stdin(Stdio::null())
        .output()
        .expect("observer runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let document: Value = serde_json::from_slice(&output.stdout).expect("a document");
    let inode = sites.near.inode();
    let of = |list: &Value| {
        let found = list.as_array().into_iter().flatten().find(|t| t["netns"] == inode && t["name"] == TUNNEL);
        found.unwrap_or_else(|| panic!("no {TUNNEL} in {inode}: {list:#}")).clone()
    };
    (of(&document["tunnels"]["list"]), of(&document["tunnel_verdicts"]))
}
