//! The namespaces that were found the last time, and when to look again: looking goes through all of /proc.

use std::{
    collections::HashSet,
    io,
    time::{Duration, Instant},
};

use super::{Namespace, Visit, hidden::Hidden, others, own, visit};

/// Namespaces that are visited at most, beside the own one.
const MAX_VISITS: usize = 64;
/// Between two looks for new namespaces that nothing points to.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// Between two looks when a namespace shows traffic that was not found yet.
const LOOK_SOON: Duration = Duration::from_millis(500);

/// Network namespaces that are known.
#[derive(Debug)]
pub struct Known {
    own: Namespace,
    others: Vec<Namespace>,
    looked: Option<Instant>,
    hidden: Hidden,
    thorough: bool,
}

impl Known {
    /// Knows the namespace of the calling thread so far.
    pub fn new() -> io::Result<Self> {
        Ok(Self { own: own()?, others: Vec::new(), looked: None, hidden: Hidden::default(), thorough: false })
    }

    /// The same, for who is not told where something happens: all threads and open files are looked at from the beginning.
    pub fn thorough() -> io::Result<Self> {
        Ok(Self { thorough: true, ..Self::new()? })
    }

    /// Looks for the others, if it is time to; `active` are inodes of namespaces in which something was seen.
    pub fn look(&mut self, active: impl Iterator<Item = u64>) {
        let active: HashSet<u64> = active.collect();
        let age = self.looked.map(|at| at.elapsed());
        let is_sought = |known: &Self| active.iter().any(|inode| !known.knows(*inode) && !known.is_nowhere(*inode));
        if age.is_none_or(|age| age > LOOK_AGAIN || age > LOOK_SOON && is_sought(self)) {
            self.others = others(&self.own);
            self.hidden.begin(&active, &mut self.others);
            if self.thorough || is_sought(self) {
                self.hidden.look(&self.own, &active, &mut self.others);
            }
            self.looked = Some(Instant::now());
        }
    }

    /// True if it is known.
    pub fn knows(&self, inode: u64) -> bool {
        inode == self.own.inode || self.others.iter().any(|n| n.inode == inode)
    }

    /// True if everything was searched for it in vain: it has ended, or nothing leads to it.
    pub fn is_nowhere(&self, inode: u64) -> bool {
        self.hidden.is_nowhere(inode)
    }

    /// The one that was the caller's when this was made.
    pub fn own(&self) -> &Namespace {
        &self.own
    }

    /// All others that were found, also those that are too many to be visited.
    pub fn others(&self) -> &[Namespace] {
        &self.others
    }

    /// When they were looked for; what is known of a namespace from before may be of another one.
    pub fn looked(&self) -> Option<Instant> {
        self.looked
    }

    /// Runs `read` in each that is known, however many they are: in the own one first, then in the order of `turn`. The
    /// answers are in the order of the visits.
    pub fn visit_by_turns<T: Send>(
        &mut self,
        turn: impl Fn(&Namespace) -> u64,
        read: impl FnMut(&Namespace) -> io::Result<T> + Send,
    ) -> io::Result<Vec<Visit<T>>> {
        self.others.sort_by_key(turn);
        visit(&self.own, &self.others, read)
    }

    /// Runs `read` in each that is known, in the own one first, on one thread of its own, which ends afterwards: what is
    /// opened on it belongs to the namespace that it is in.
    pub fn visit<T: Send>(
        &self,
        read: impl FnMut(&Namespace) -> io::Result<T> + Send,
    ) -> io::Result<Vec<(&Namespace, Visit<T>)>> {
        let others = self.others.get(..MAX_VISITS).unwrap_or(&self.others);
        let visits = visit(&self.own, others, read)?;
        Ok(std::iter::once(&self.own).chain(others).zip(visits).collect())
    }

    /// Runs `read` in those of some inodes, in the own one first, and gives the answer of each. What ended is left out.
    pub fn visit_some<T: Send>(
        &self,
        inodes: &HashSet<u64>,
        mut read: impl FnMut(&Namespace) -> T + Send,
    ) -> io::Result<Vec<(u64, io::Result<T>)>> {
        let others: Vec<_> = self.others.iter().filter(|other| inodes.contains(&other.inode)).cloned().collect();
        let visits = visit(&self.own, &others, |here| Ok(inodes.contains(&here.inode).then(|| read(here))))?;
        let all = std::iter::once(&self.own).chain(&others).zip(visits);
        Ok(all
            .filter_map(|(namespace, visit)| match visit {
                Visit::Read(answer) => Some((namespace.inode, Ok(answer?))),
                Visit::Gone => None,
                Visit::Failed(e) => Some((namespace.inode, Err(e))),
            })
            .collect())
    }

    /// How many are known and are not visited, because there are too many.
    pub fn not_visited(&self) -> u64 {
        self.others.len().saturating_sub(MAX_VISITS) as u64
    }
}
