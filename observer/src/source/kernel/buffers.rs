//! Reads which sockets' buffers had no room.

use std::{
    collections::{HashMap, HashSet},
    io,
};

use aya::Ebpf;
use observer_ebpf::abi::buffers::{Key, RECEIVE_BUFFER, SEND_MEMORY, Value};

use super::{
    cgroup,
    maps::{Array, PerCpuTable},
    owners,
};
use crate::snapshot::{
    Name,
    buffers::{Buffers, Full, Room},
    tcp::Owner,
};

/// Reader of the map of buffers without room.
#[derive(Debug)]
pub(super) struct Reader {
    buffers: PerCpuTable<Key, Value>,
    other: Array<u64>,
    /// Events of each group and the socket that met the last one, as they were last read.
    known: HashMap<Key, Value>,
    /// Who held these sockets. A process that has ended since keeps its name here.
    owners: HashMap<u64, Owner>,
}

impl Reader {
    /// Opens the maps, the first of which holds at most `capacity` keys.
    pub(super) fn open(ebpf: &Ebpf, capacity: u32) -> io::Result<Self> {
        Ok(Self {
            buffers: PerCpuTable::open(ebpf, "obs_buffers", capacity)?,
            other: Array::open(ebpf, "obs_buf_rest")?,
            known: HashMap::new(),
            owners: HashMap::new(),
        })
    }

    /// Reads all counts, and asks for the processes of sockets that had no room since the last time.
    pub(super) fn read(&mut self, mut owners: Option<&mut owners::Reader>) -> io::Result<()> {
        let mut now = HashMap::new();
        self.buffers.for_each(|key, cpus| {
            let busiest = cpus.fold((Value { events: 0, inode: 0 }, 0), |(sum, most), cpu| {
                let inode = if cpu.events > most { cpu.inode } else { sum.inode };
                (Value { events: sum.events + cpu.events, inode }, most.max(cpu.events))
            });
            now.insert(*key, busiest.0);
        })?;
        for (key, value) in &now {
            let is_new = self.known.get(key).is_none_or(|before| before.events != value.events);
            if is_new && !self.owners.contains_key(&value.inode) {
                owners.iter_mut().for_each(|owners| owners.want(value.inode));
            }
        }
        self.known = now;
        Ok(())
    }

    /// What was read, each with its process as far as it is known.
    pub(super) fn told(&mut self, owners: Option<&owners::Reader>) -> io::Result<Buffers> {
        let held: HashSet<u64> = self.known.values().map(|value| value.inode).collect();
        self.owners.retain(|inode, _| held.contains(inode));
        for inode in held {
            if let Some(holder) = owners.and_then(|owners| owners.holder(inode)) {
                self.owners.insert(inode, holder.owner());
            }
        }
        let mut list: Vec<_> = self.known.iter().map(|(key, value)| self.full(key, *value)).collect();
        list.sort_by(|a, b| {
            b.events.cmp(&a.events).then_with(|| (a.room, &a.protocol, a.port).cmp(&(b.room, &b.protocol, b.port)))
        });
        Ok(Buffers { list, other: self.other.get(0)? })
    }

    fn full(&self, key: &Key, value: Value) -> Full {
        let protocol = key.protocol.split(|byte| *byte == 0).next().unwrap_or_default();
        Full {
            room: match key.what {
                RECEIVE_BUFFER => Room::ReceiveBuffer,
                SEND_MEMORY => Room::SendMemory,
                _ => Room::ReceiveMemory,
            },
            protocol: if protocol.is_empty() { "?".into() } else { Name::from_bytes(protocol) },
            port: (key.port != 0).then_some(key.port),
            netns: (key.netns != 0).then_some(key.netns.into()),
            cgroup: cgroup(key.cgroup),
            owner: self.owners.get(&value.inode).cloned(),
            events: value.events,
        }
    }
}
