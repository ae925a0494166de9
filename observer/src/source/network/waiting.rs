//! What namespaces are called that were not read: connections are in them, too.

use std::{collections::HashMap, time::Instant};

use super::here;
use crate::{
    snapshot::{network::Namespace, tcp::Owner},
    source::{
        file::Buffer,
        netns::{self, Known},
    },
};

/// Processes of such namespaces, kept until the next look for namespaces.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    looked: Option<Instant>,
    processes: HashMap<u64, Option<Owner>>,
}

impl Waiting {
    /// All that are known and were not read, with their names and a process alone.
    pub(super) fn list(&mut self, known: &Known, is_read: impl Fn(u64) -> bool, buffer: &mut Buffer) -> Vec<Namespace> {
        if self.looked != known.looked() {
            self.processes.clear();
            self.looked = known.looked();
        }
        let waits = known.others().iter().filter(|other| !is_read(other.inode));
        let called = |other: &netns::Namespace| Namespace {
            netns: other.inode,
            names: other.names.clone(),
            process: (self.processes.entry(other.inode))
                .or_insert_with(|| other.pid.and_then(|pid| here::owner(pid, buffer)))
                .clone(),
            ..Namespace::default()
        };
        waits.map(called).collect()
    }
}
