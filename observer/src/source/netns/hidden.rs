//! Namespaces that nothing but a thread or an open file leads to. To find them costs several times what the others cost: it is
//! done when something happens in a namespace that was not found otherwise.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use super::{Namespace, find};

/// For each time that a search took so many times pass before the next.
const PAUSE: u32 = 50;

/// What was found that way.
#[derive(Debug, Default)]
pub(super) struct Hidden {
    found: Vec<Namespace>,
    /// Inodes that were searched for in vain.
    nowhere: HashSet<u64>,
    searched: Option<(Instant, Duration)>,
}

impl Hidden {
    /// True if a search did not find it.
    pub(super) fn is_nowhere(&self, inode: u64) -> bool {
        self.nowhere.contains(&inode)
    }

    /// After the others were looked for anew: adds what was found before and is still there.
    pub(super) fn begin(&mut self, active: &HashSet<u64>, others: &mut Vec<Namespace>) {
        self.found.retain(|hidden| hidden.is_there() && !has(others, hidden.inode));
        others.extend(self.found.iter().cloned());
        // An inode is used again.
        self.nowhere.retain(|inode| active.contains(inode) && !has(others, *inode));
    }

    /// Searches, and remembers what of `active` was not found.
    pub(super) fn look(&mut self, own: &Namespace, active: &HashSet<u64>, others: &mut Vec<Namespace>) {
        if self.searched.is_some_and(|(at, took)| at.elapsed() < took * PAUSE) {
            return;
        }
        let begun = Instant::now();
        for namespace in find::held(own) {
            if !has(others, namespace.inode) {
                self.found.push(namespace.clone());
                others.push(namespace);
            }
        }
        let is_missing = |inode: &&u64| **inode != own.inode && !has(others, **inode);
        self.nowhere = active.iter().filter(is_missing).copied().collect();
        self.searched = Some((Instant::now(), begun.elapsed()));
    }
}

fn has(namespaces: &[Namespace], inode: u64) -> bool {
    namespaces.iter().any(|namespace| namespace.inode == inode)
}
