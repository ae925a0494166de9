//! Which process holds the descriptor of a tun or tap device.
//!
//! Only the open files of all processes tell, so they are gone through when there is a device whose holder is not known, and
//! no more often than a small share of the time allows.

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
    time::{Duration, Instant},
};

use crate::{
    snapshot::{
        Name,
        network::Network,
        tcp::Owner,
        tunnel::{Kind, Tunnel},
    },
    source::SourceError,
};

/// Share of the time that may be spent on looking, 0 to 1.
const SHARE: f64 = 0.01;
/// How long what was found is believed: a descriptor may go to another process.
const KEEP: Duration = Duration::from_secs(10);

/// Reader of holders.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// By namespace and interface; `None` if nobody was found.
    known: HashMap<(u64, u32), Option<Owner>>,
    looked: Option<Instant>,
    next: Option<Instant>,
}

/// A descriptor of /dev/net/tun.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Held {
    /// Name of the device that it belongs to.
    device: Name,
    /// Namespace of the process, which need not be that of the device.
    netns: u64,
    owner: Owner,
}

impl Reader {
    /// Fills in who holds each device.
    pub(super) fn fill(&mut self, network: &mut Network) -> Result<(), SourceError> {
        let wanted: Vec<(u64, u32, Name)> = devices(network)
            .map(|(netns, tunnel)| (netns, tunnel.ifindex.unwrap_or_default(), tunnel.name.clone()))
            .collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let now = Instant::now();
        let stale = self.looked.is_none_or(|looked| now.duration_since(looked) > KEEP)
            || wanted.iter().any(|(netns, index, _)| !self.known.contains_key(&(*netns, *index)));
        if stale && self.next.is_none_or(|next| next <= now) {
            let held = look(Path::new("/proc"))?;
            self.known = wanted.iter().map(|device| ((device.0, device.1), holder(device, &wanted, &held))).collect();
            self.looked = Some(now);
            self.next = Some(now + now.elapsed().div_f64(SHARE));
        }
        for namespace in &mut network.namespaces {
            for tunnel in namespace.tunnels.iter_mut().flatten().filter(|tunnel| is_device(tunnel)) {
                let key = (namespace.netns, tunnel.ifindex.unwrap_or_default());
                tunnel.holder = self.known.get(&key).cloned().flatten();
            }
        }
        Ok(())
    }
}

fn is_device(tunnel: &Tunnel) -> bool {
    matches!(tunnel.kind, Kind::Tun | Kind::Tap)
}

fn devices(network: &Network) -> impl Iterator<Item = (u64, &Tunnel)> {
    let all = network.namespaces.iter();
    all.flat_map(|n| n.tunnels.iter().flatten().filter(|tunnel| is_device(tunnel)).map(|tunnel| (n.netns, tunnel)))
}

/// A descriptor tells the name alone: of several processes one in the namespace of the device is meant; one elsewhere only if
/// there is no other device of that name.
fn holder(device: &(u64, u32, Name), all: &[(u64, u32, Name)], held: &[Held]) -> Option<Owner> {
    let mut named = held.iter().filter(|held| held.device == device.2);
    let here = named.clone().find(|held| held.netns == device.0);
    let alone = all.iter().filter(|other| other.2 == device.2).count() == 1;
    here.or_else(|| named.next().filter(|_| alone)).map(|held| held.owner.clone())
}

/// Goes through the open files of all processes.
fn look(proc: &Path) -> Result<Vec<Held>, SourceError> {
    let folders = fs::read_dir(proc).map_err(|e| SourceError::io("list", "/proc", e))?;
    let mut held = Vec::new();
    for folder in folders.flatten() {
        let Some(pid) = folder.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // Processes end, and some do not let others look.
        let Ok(files) = fs::read_dir(folder.path().join("fd")) else { continue };
        let open = files.flatten().filter(|file| fs::read_link(file.path()).is_ok_and(|to| to.ends_with("net/tun")));
        for file in open {
            let info = fs::read(folder.path().join("fdinfo").join(file.file_name())).unwrap_or_default();
            if let Some(device) = device_of(&info) {
                let netns = fs::metadata(folder.path().join("ns/net")).map(|ns| ns.ino()).unwrap_or_default();
                let comm = fs::read(folder.path().join("comm")).unwrap_or_default();
                let comm = Name::from_bytes(comm.strip_suffix(b"\n").unwrap_or(&comm));
                held.push(Held { device, netns, owner: Owner { pid, comm, cgroup: None } });
            }
        }
    }
    held.sort_by_key(|held| held.owner.pid);
    Ok(held)
}

/// The line `iff:` of a /proc/PID/fdinfo: `iff:\ttun0`.
fn device_of(info: &[u8]) -> Option<Name> {
    let name = info.split(|b| *b == b'\n').find_map(|line| line.strip_prefix(b"iff:\t"))?;
    (!name.is_empty()).then(|| Name::from_bytes(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_tells_the_name_of_its_device() {
        assert_eq!(device_of(b"pos:\t0\nflags:\t02\nmnt_id:\t9\nino:\t5\niff:\ttun0\n"), Some("tun0".into()));
        assert_eq!(device_of(b"pos:\t0\niff:\t\n"), None, "it is not attached to one");
        assert_eq!(device_of(b"pos:\t0\n"), None);
    }

    #[test]
    fn of_two_devices_of_one_name_each_belongs_to_the_process_of_its_namespace() {
        let held =
            |netns, pid| Held { device: "tun0".into(), netns, owner: Owner { pid, comm: "vpn".into(), cgroup: None } };
        let devices = [(1, 5, Name::from("tun0")), (2, 5, "tun0".into()), (3, 6, "tun1".into())];
        let pid = |device: usize, all: &[_], held: &[Held]| holder(&devices[device], all, held).map(|owner| owner.pid);
        let both = [held(1, 100), held(2, 200)];
        assert_eq!((pid(0, &devices, &both), pid(1, &devices, &both)), (Some(100), Some(200)));
        assert_eq!(pid(0, &devices, &[held(9, 300)]), None, "either may be meant");
        assert_eq!(pid(0, &devices[..1], &[held(9, 300)]), Some(300));
        assert_eq!(pid(2, &devices, &both), None);
    }
}
