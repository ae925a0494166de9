//! Tunnels over a wire, with addresses of their own inside.

use std::{
    fs,
    io::Write,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use crate::support::{
    netns::Netns,
    wait::wait_for,
    wire::{FAR, Wire, ip_lines},
};

/// Name of the tunnel's device at both ends.
const TUNNEL: &str = "tunnel";

/// What lies between the ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// The wire alone.
    Wire,
    /// A device that `ip link add` makes: its kind and what it needs to be told, LOCAL and REMOTE being the outer addresses.
    Device(&'static [&'static str]),
    /// WireGuard in the kernel.
    WireGuard,
    /// WireGuard in a process, over a tun device.
    Boringtun,
    /// IPsec without a device: the packets of the wire's own addresses are encrypted.
    Esp,
}

/// Keys of both ends: made for these tests, and of no use elsewhere.
const KEYS: [&str; 2] =
    ["yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=", "cLpr5T4Zd1mqJYvLxG0JhVtWcYdVJEQhTyu6lOOGbkU="];

/// A tunnel, and the processes that make it. Those end with it.
#[derive(Debug)]
pub(super) struct Tunnel {
    /// Where the far end is reached through it.
    pub(super) far: IpAddr,
    processes: Vec<Child>,
    /// What they leave behind.
    files: Vec<String>,
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
        self.files.iter().for_each(|file| drop(fs::remove_file(file)));
    }
}

impl Tunnel {
    /// Makes it over a wire; the error says what is not there.
    pub(super) fn new(wire: &Wire, over: Over) -> Result<Self, String> {
        let ends = [(&wire.near, 1), (&wire.far, 2)];
        let mut tunnel = Self { far: Ipv4Addr::new(10, 79, 0, 2).into(), processes: Vec::new(), files: Vec::new() };
        match over {
            Over::Wire => tunnel.far = FAR,
            Over::Device(words) => {
                for (end, n) in ends {
                    let (local, remote) = (outer(n), outer(3 - n));
                    let words = words.iter().map(|word| match *word {
                        "LOCAL" => local.as_str(),
                        "REMOTE" => remote.as_str(),
                        word => word,
                    });
                    let words: Vec<&str> = words.collect();
                    made(end, TUNNEL, &format!("type {}", words.join(" ")), n)?;
                }
            }
            Over::WireGuard => {
                need("wg")?;
                for (end, n) in ends {
                    made(end, TUNNEL, "type wireguard", n)?;
                    peer(end, TUNNEL, n);
                }
            }
            Over::Boringtun => {
                need("wg")?;
                let program = boringtun().ok_or("boringtun-cli is not there; cargo xtask setup builds it")?;
                for (end, n) in ends {
                    // It listens on a socket with the name of the device, in a folder that all namespaces share.
                    let device = format!("obs{:x}{n}", end.inode() & 0xfff_ffff);
                    let mut command = Command::new(&program);
                    command.args(["--foreground", "--disable-drop-privileges", "--threads", "1", &device]);
                    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
                    let process = end.inside(move || command.spawn());
                    tunnel.processes.push(process.map_err(|e| format!("boringtun-cli: {e}"))?);
                    let socket = format!("/var/run/wireguard/{device}.sock");
                    wait_for("boringtun to listen", || fs::metadata(&socket).is_ok().then_some(()));
                    tunnel.files.push(socket);
                    peer(end, &device, n);
                    end.inside(|| ip_lines(&addressed(&device, n)))?;
                }
            }
            Over::Esp => {
                tunnel.far = FAR;
                for (end, _) in ends {
                    esp(end)?;
                }
            }
        }
        Ok(tunnel)
    }
}

/// Address of an end on the wire.
fn outer(end: u8) -> String {
    format!("10.77.0.{end}")
}

/// Makes the device of an end, and gives it its address inside the tunnel.
fn made(end: &Netns, device: &str, how: &str, n: u8) -> Result<(), String> {
    let mut lines = vec![format!("link add {device} {how}")];
    lines.extend(addressed(device, n));
    end.inside(|| ip_lines(&lines))
}

/// What gives the device of an end its address inside the tunnel.
fn addressed(device: &str, n: u8) -> [String; 2] {
    [format!("address add 10.79.0.{n}/24 dev {device}"), format!("link set {device} up")]
}

/// Tells a device of WireGuard its key and its peer.
fn peer(end: &Netns, device: &str, n: u8) {
    let key = |n: u8| KEYS[usize::from(n) - 1];
    let public = with_input(Command::new("wg").arg("pubkey"), key(3 - n));
    let endpoint = format!("{}:51820", outer(3 - n));
    end.inside(|| {
        let mut wg = Command::new("wg");
        wg.args(["set", device, "listen-port", "51820", "private-key", "/proc/self/fd/0", "peer", public.trim()]);
        wg.args(["allowed-ips", "10.79.0.0/24", "endpoint", &endpoint]);
        with_input(&mut wg, key(n));
    });
}

/// Runs a program that reads a line.
fn with_input(command: &mut Command, line: &str) -> String {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("wg starts");
    writeln!(child.stdin.take().expect("stdin is a pipe"), "{line}").expect("wg reads");
    let output = child.wait_with_output().expect("wg ends");
    assert!(output.status.success(), "{command:?}: {:?}", output.status);
    String::from_utf8(output.stdout).expect("text")
}

/// Encrypts what goes between both ends of the wire.
fn esp(end: &Netns) -> Result<(), String> {
    const KEY: &str = "0x000102030405060708090a0b0c0d0e0f10111213";
    let mut lines = Vec::new();
    for (from, to) in [(1, 2), (2, 1)] {
        let ends = format!("src {} dst {}", outer(from), outer(to));
        lines.push(format!(
            "xfrm state add {ends} proto esp spi 0x{from}00 mode transport aead rfc4106(gcm(aes)) {KEY} 128"
        ));
        for way in ["in", "out"] {
            // An end sends what the other receives: the policy of the other direction is asked for nothing.
            lines.push(format!("xfrm policy add {ends} dir {way} tmpl {ends} proto esp mode transport"));
        }
    }
    end.inside(|| ip_lines(&lines))
}

/// An error if a program is not there.
pub(super) fn need(program: &str) -> Result<(), String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    there.then_some(()).ok_or_else(|| format!("{program} is not there"))
}

/// boringtun-cli, as `cargo xtask setup` builds it.
fn boringtun() -> Option<PathBuf> {
    let built = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/tools/bin/boringtun-cli"));
    built.is_file().then_some(built)
}
