//! A tunnel for the kernel to count: VXLAN between two network namespaces of our own.

use std::process::{Command, Stdio};

use crate::target::has;

/// Two namespaces with a VXLAN between them, removed when this is dropped.
pub(crate) struct Tunnel {
    ends: [String; 2],
}

impl Tunnel {
    /// Makes it; `Err` says why this host does not let us.
    pub(crate) fn new(test: &str) -> Result<Self, String> {
        if !has(test, "ip") || !has(test, "bash") {
            return Err("a program is missing".into());
        }
        let ends = ["a", "b"].map(|end| format!("obs-serve-{end}-{}", std::process::id()));
        let tunnel = Self { ends };
        let [a, b] = &tunnel.ends;
        ip(&["netns", "add", a])?;
        ip(&["netns", "add", b])?;
        ip(&["-n", a, "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", b])?;
        for (end, own, other) in [(a, 1, 2), (b, 2, 1)] {
            let (local, remote) = (format!("192.0.2.{own}"), format!("192.0.2.{other}"));
            ip(&["-n", end, "address", "add", &format!("{local}/24"), "dev", "wire"])?;
            ip(&["-n", end, "link", "set", "wire", "up"])?;
            let outer = ["id", "77", "local", &local, "remote", &remote, "dstport", "4789", "dev", "wire"];
            ip(&[&["-n", end, "link", "add", "obs-vx", "type", "vxlan"], &outer[..]].concat())?;
            ip(&["-n", end, "address", "add", &format!("198.51.100.{own}/24"), "dev", "obs-vx"])?;
            ip(&["-n", end, "link", "set", "obs-vx", "up"])?;
        }
        Ok(tunnel)
    }

    /// Sends some packets through it, to a port that nobody has.
    pub(crate) fn send(&self) {
        let script = "for i in {1..200}; do echo x > /dev/udp/198.51.100.2/9; done";
        let arguments = ["netns", "exec", self.ends[0].as_str(), "bash", "-c", script];
        // What cannot be sent is not there to be counted, and the test says so.
        let _ = ip(&arguments);
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        for end in &self.ends {
            let _ = ip(&["netns", "delete", end]);
        }
    }
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(arguments).stdin(Stdio::null()).output().map_err(|e| e.to_string())?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("ip {}: {}", arguments.join(" "), said.trim())) }
}
