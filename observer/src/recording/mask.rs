//! Taking out of a snapshot what names its host, its users and its peers.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::mask_names::{is_common_mount, kernel_thread, unit_kind};
use crate::snapshot::container::Container;
use crate::snapshot::coverage::{Coverage, ProbeState};
use crate::snapshot::memory::Memory;
use crate::snapshot::oom::{OomKill, OomTask};
use crate::snapshot::tcp::{Tcp, Who};
use crate::snapshot::{Host, Name, Snapshot};

/// Puts pseudonyms in the place of names and addresses. What was equal stays equal within one recording, and what was
/// different stays different; the pseudonyms are numbers in the order of first sight, so nothing can be computed back.
///
/// Masked are the host's name, boot id, process names (kernel threads keep theirs), each component of a cgroup's path,
/// interface names that are not of the common `eth0` kind, containers, swap files, mount points that are not of the common
/// `/dev/shm` kind, addresses other than loopback, and the folder of the program in the remedies of the coverage. Numbers stay: pids, uids,
/// inodes, ports, sizes and times.
#[derive(Debug, Default)]
pub struct Masker {
    hosts: Pseudonyms,
    boots: Pseudonyms,
    processes: Pseudonyms,
    cgroups: Pseudonyms,
    links: Pseudonyms,
    containers: Pseudonyms,
    mounts: Pseudonyms,
    addresses: HashMap<IpAddr, u32>,
}

#[derive(Debug, Default)]
struct Pseudonyms(HashMap<String, usize>);

impl Pseudonyms {
    /// Number of a text, from 1.
    fn number(&mut self, text: &str) -> usize {
        if let Some(number) = self.0.get(text) {
            return *number;
        }
        let number = self.0.len() + 1;
        self.0.insert(text.to_owned(), number);
        number
    }
}

impl Masker {
    /// Masks one snapshot of the recording.
    pub fn mask(&mut self, snapshot: &mut Snapshot) {
        // Every part is named, so that a new one has to be thought of here.
        let Snapshot {
            stamp: _,
            host,
            memory,
            pressure: _,
            cpus: _,
            drops: _,
            buffers,
            cgroups,
            processes,
            page_alloc,
            reclaim,
            kswapd,
            compaction: _,
            extfrag,
            shrinkers: _,
            retries,
            oom,
            oom_watch,
            tcp,
            links,
            network,
            encapsulation,
            coverage,
        } = snapshot;
        self.mask_host(host);
        for cgroup in cgroups.iter_mut().flat_map(|c| &mut c.list) {
            self.mask_path(&mut cgroup.path);
            if let Some(container) = &mut cgroup.container {
                self.mask_container(container);
            }
        }
        self.mask_memory(memory);
        let listed = processes.iter_mut().flat_map(|p| &mut p.list).map(|p| &mut p.comm);
        let allocating = page_alloc.iter_mut().flat_map(|p| {
            let failing = p.failures.iter_mut().flat_map(|f| &mut f.rows).filter_map(|row| row.comm.as_mut());
            p.processes.iter_mut().map(|p| &mut p.comm).chain(failing)
        });
        let requesting = kswapd.iter_mut().flat_map(|k| &mut k.requesters).map(|r| &mut r.comm);
        let falling_back = extfrag.iter_mut().flat_map(|e| &mut e.rows).map(|f| &mut f.comm);
        let retrying = retries.iter_mut().flat_map(|r| &mut r.rows).map(|r| &mut r.comm);
        let all = listed.chain(allocating).chain(requesting).chain(falling_back).chain(retrying);
        all.for_each(|comm| self.mask_comm(comm));
        if let Some(reclaim) = reclaim {
            let ended = reclaim.by_process.iter_mut().map(|p| &mut p.comm);
            let running = reclaim.in_flight.iter_mut().map(|p| &mut p.comm);
            ended.chain(running).for_each(|comm| self.mask_comm(comm));
        }
        // A report is full of names, and its numbers are of processes: it stays here.
        oom_watch.iter_mut().for_each(|watch| watch.reports.clear());
        for OomKill { trigger, victim, .. } in oom.iter_mut().flat_map(|o| &mut o.recent) {
            self.mask_task(trigger);
            self.mask_task(victim);
        }
        links.iter_mut().for_each(|links| self.mask_links(links));
        network.iter_mut().for_each(|network| self.mask_network(network));
        encapsulation.iter_mut().for_each(|encapsulation| self.mask_encapsulation(encapsulation));
        let full = buffers.iter_mut().flat_map(|b| &mut b.list).filter_map(|full| full.owner.as_mut());
        full.for_each(|owner| self.mask_comm(&mut owner.comm));
        self.mask_tcp(tcp);
        mask_remedies(coverage);
    }

    fn mask_host(&mut self, host: &mut Host) {
        if !host.hostname.is_empty() {
            host.hostname = Name::from(format!("host-{}", self.hosts.number(host.hostname.as_str())));
        }
        if !host.boot_id.is_empty() {
            host.boot_id = Name::from(format!("boot-{}", self.boots.number(host.boot_id.as_str())));
        }
    }

    /// Names of a container say what runs there; the runtime's own name does not.
    fn mask_container(&mut self, container: &mut Container) {
        let Container { runtime: _, id, name, image, pod_uid, pod, namespace } = container;
        for (word, part) in [
            ("id", id),
            ("container", name),
            ("image", image),
            ("pod-uid", pod_uid),
            ("pod", pod),
            ("namespace", namespace),
        ] {
            if let Some(part) = part {
                *part = Name::from(format!("{word}-{}", self.containers.number(part.as_str())));
            }
        }
    }

    /// Slab caches, zones and migrate types are the kernel's words; mounts and swap files are the owner's.
    fn mask_memory(&mut self, memory: &mut Memory) {
        for tmpfs in memory.shmem.iter_mut().flat_map(|s| &mut s.tmpfs) {
            if !is_common_mount(tmpfs.mount_point.as_str()) {
                tmpfs.mount_point = self.mount(&tmpfs.mount_point);
            }
        }
        for device in memory.swap.iter_mut().flat_map(|s| &mut s.devices) {
            device.path = self.mount(&device.path);
        }
    }

    fn mount(&mut self, path: &Name) -> Name {
        Name::from(format!("/mount-{}", self.mounts.number(path.as_str())))
    }

    /// A pseudonym for something of the network.
    pub(super) fn named(&mut self, word: &str, name: &Name) -> Name {
        Name::from(format!("{word}-{}", self.links.number(name.as_str())))
    }

    pub(super) fn mask_comm(&mut self, comm: &mut Name) {
        if comm.is_empty() {
            return;
        }
        *comm = match kernel_thread(comm.as_str()) {
            Some(name) => Name::from(name),
            None => Name::from(format!("process-{}", self.processes.number(comm.as_str()))),
        };
    }

    fn mask_path(&mut self, path: &mut Name) {
        let masked = path.as_str().split('/').map(|component| match component {
            "" => String::new(),
            _ => format!("cgroup-{}{}", self.cgroups.number(component), unit_kind(component)),
        });
        *path = Name::from(masked.collect::<Vec<_>>().join("/"));
    }

    fn mask_task(&mut self, task: &mut OomTask) {
        task.comm.iter_mut().for_each(|comm| self.mask_comm(comm));
        task.cgroup_path.iter_mut().for_each(|path| self.mask_path(path));
    }

    fn mask_tcp(&mut self, tcp: &mut Tcp) {
        for listener in tcp.listeners.iter_mut().flatten() {
            listener.local.0 = self.address(listener.local.0);
            listener.owner.iter_mut().for_each(|owner| self.mask_comm(&mut owner.comm));
        }
        for group in tcp.first_bytes.iter_mut().flat_map(|f| &mut f.list) {
            match &mut group.who {
                Who::Process { comm, cgroup: _ } => self.mask_comm(comm),
                Who::Network { address, bits: _ } => *address = self.address(*address),
                Who::OtherProcesses | Who::OtherNetworks => {}
            }
        }
        for socket in tcp.sockets.iter_mut().flat_map(|s| &mut s.list) {
            socket.local.0 = self.address(socket.local.0);
            socket.remote.0 = self.address(socket.remote.0);
            socket.owner.iter_mut().for_each(|owner| self.mask_comm(&mut owner.comm));
        }
        if let Some(traffic) = &mut tcp.traffic {
            let processes = traffic.processes.iter_mut().filter_map(|share| share.key.as_mut());
            processes.for_each(|owner| self.mask_comm(&mut owner.comm));
            traffic.networks.iter_mut().for_each(|share| share.key.address = self.address(share.key.address));
        }
    }

    /// An address of 240.0.0.0/4 (RFC 1112, never assigned) or 2001:db8::/32 (RFC 3849, for documentation).
    pub(super) fn address(&mut self, address: IpAddr) -> IpAddr {
        if address.is_loopback() || address.is_unspecified() {
            return address;
        }
        let next = u32::try_from(self.addresses.len()).unwrap_or(u32::MAX).saturating_add(1);
        let number = *self.addresses.entry(address).or_insert(next);
        match address {
            IpAddr::V4(_) => Ipv4Addr::from_bits(0xf000_0000 | (number & 0x0fff_ffff)).into(),
            IpAddr::V6(_) => Ipv6Addr::from_bits((0x2001_0db8 << 96) | u128::from(number)).into(),
        }
    }
}

/// A remedy names the program's own file, and so perhaps the home of whoever ran it: its name is enough.
fn mask_remedies(coverage: &mut Coverage) {
    let states = coverage.probes.iter_mut().map(|p| &mut p.state);
    let remedies = states.filter_map(|s| match s {
        ProbeState::Absent { remedy, .. } => remedy.as_mut(),
        ProbeState::Attached | ProbeState::Fallback { .. } => None,
    });
    for remedy in remedies {
        let words = remedy.split(' ').map(|word| match word.rsplit_once('/') {
            Some((_, file)) if word.starts_with('/') && !of_kernel(word) => file,
            _ => word,
        });
        *remedy = words.collect::<Vec<_>>().join(" ");
    }
}

/// True for files of the kernel, which are the same on every host.
fn of_kernel(path: &str) -> bool {
    path.starts_with("/proc/") || path.starts_with("/sys/")
}
