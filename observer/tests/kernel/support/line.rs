//! A path made by the kernel: two cables and a bridge between them, with netem where packets have to wait or to get lost, and
//! a filter where those over a size have to vanish.

use std::{process::Command, sync::OnceLock};

use super::{
    netns::Netns,
    wire::{DEVICE, Path, ip_lines, tc},
};

/// Both ends, and the bridge's namespace between them.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) near: Netns,
    pub(super) far: Netns,
    pub(super) middle: Netns,
}

/// True if the kernel has netem.
pub(super) fn has_netem() -> bool {
    static HAS: OnceLock<bool> = OnceLock::new();
    *HAS.get_or_init(|| {
        let there = || Command::new("tc").args(["qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"]).output();
        Netns::new().inside(there).is_ok_and(|output| output.status.success())
    })
}

impl Line {
    pub(super) fn new(path: Path) -> Self {
        let (near, far, middle) = (Netns::new(), Netns::new(), Netns::new());
        let ends = [("left", &near, "10.77.0.1/24"), ("right", &far, "10.77.0.2/24")];
        let mut lines = vec!["link add name bridge type bridge".to_owned(), "link set bridge up".to_owned()];
        for (port, end, _) in &ends {
            let holder = end.holder();
            lines.push(format!("link add name {port} type veth peer name {DEVICE} netns {holder}"));
            lines.push(format!("link set {port} master bridge up"));
        }
        middle.inside(|| {
            ip_lines(&lines).unwrap_or_else(|e| panic!("{e}"));
            ends.iter().for_each(|(port, ..)| shape(port, path));
        });
        for (_, end, address) in ends {
            let mut lines = vec![format!("address add {address} dev {DEVICE}")];
            if path.is_shaped() || path.largest < usize::MAX {
                // One packet is one segment: netem and the filter would take a large one as a whole.
                lines.push(format!("link set {DEVICE} gso_max_segs 1"));
            }
            lines.push(format!("link set {DEVICE} up txqueuelen 10000"));
            end.inside(|| ip_lines(&lines).unwrap_or_else(|e| panic!("{e}")));
        }
        Self { near, far, middle }
    }
}

/// Lets a port of the present namespace treat what it sends as the path says.
fn shape(port: &str, path: Path) {
    if path.is_shaped() {
        let (delay, rate) = (format!("{}us", path.delay.as_micros()), format!("{}bit", path.rate * 8));
        let lost = format!("{}%", path.lost_of_million as f64 / 10_000.0);
        let under_way = path.rate as f64 * path.delay.as_secs_f64();
        // netem counts packets, and among them those that are under way.
        let packets = if path.rate > 0 { (path.queue as f64 + under_way) / 1500.0 } else { 100_000.0 };
        let limit = (packets as u64).max(10).to_string();
        let mut words = vec!["qdisc", "add", "dev", port, "root", "netem", "limit", &limit, "delay", &delay];
        if path.lost_of_million > 0 {
            words.extend(["loss", &lost]);
        }
        if path.rate > 0 {
            words.extend(["rate", &rate]);
        }
        tc(&words);
    }
    if path.largest < usize::MAX {
        drop_above(port, path.largest);
    }
}

/// Lets an interface of the present namespace drop what it would send if the IP packet is larger.
pub(crate) fn drop_above(device: &str, bytes: usize) {
    // ld len; jgt #largest; ret TC_ACT_SHOT, else TC_ACT_OK. With the header of Ethernet.
    let program = format!("4,128 0 0 0,37 0 1 {},6 0 0 2,6 0 0 0", bytes + 14);
    tc(&["qdisc", "add", "dev", device, "clsact"]);
    tc(&["filter", "add", "dev", device, "egress", "bpf", "da", "bytecode", &program]);
}
