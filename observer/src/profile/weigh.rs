//! Rows that differ only in what a reader does not look at, taken together.

use std::collections::BTreeMap;

use super::{Profile, Stack, Trace};
use crate::snapshot::Name;

/// Whose samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Who {
    /// Process id.
    pub pid: u32,
    /// Name of the task.
    pub comm: Name,
    /// Path of the cgroup.
    pub cgroup: Option<Name>,
    /// Estimate of the memory, in bytes.
    pub bytes: f64,
    /// Samples.
    pub samples: u64,
}

/// Samples of one pair of stacks, one order and one outcome, of whatever task.
#[derive(Debug)]
pub struct Group<'a> {
    /// Kernel side.
    pub kernel: &'a Trace,
    /// User side.
    pub user: &'a Trace,
    /// Order of the requests.
    pub order: u32,
    /// True for requests that the kernel refused.
    pub failed: bool,
    /// Samples.
    pub samples: u64,
    /// Estimate of the memory, in bytes.
    pub bytes: f64,
    /// Who asked, the largest first.
    pub who: Vec<Who>,
}

/// The words for each of [`Profile::frames`].
pub fn labels(profile: &Profile) -> Vec<String> {
    profile.frames.iter().map(super::Frame::label).collect()
}

/// Takes rows of equal stacks together: by name, not by address, since one function called from two lines is one stack for
/// a reader. The largest first; what was refused is after what was met.
pub fn groups(profile: &Profile) -> Vec<Group<'_>> {
    let labels = labels(profile);
    let mut first = BTreeMap::new();
    // The first frame with the same label stands for all of them.
    let alike: Vec<usize> = labels.iter().enumerate().map(|(i, label)| *first.entry(label).or_insert(i)).collect();
    let named = |trace: &Trace| {
        let frames: Vec<_> = trace.frames.iter().filter_map(|i| alike.get(*i).copied()).collect();
        (frames, trace.cut, trace.absent)
    };
    let mut groups: BTreeMap<_, Group<'_>> = BTreeMap::new();
    for stack in &profile.stacks {
        let key = (named(&stack.kernel), named(&stack.user), stack.order, stack.failed);
        let group = groups.entry(key).or_insert_with(|| Group {
            kernel: &stack.kernel,
            user: &stack.user,
            order: stack.order,
            failed: stack.failed,
            samples: 0,
            bytes: 0.0,
            who: Vec::new(),
        });
        group.samples += stack.samples;
        group.bytes += profile.bytes(stack);
        add(&mut group.who, profile, stack);
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    for group in &mut groups {
        group.who.sort_by(|a, b| b.bytes.total_cmp(&a.bytes).then(a.pid.cmp(&b.pid)));
    }
    groups.sort_by(|a, b| a.failed.cmp(&b.failed).then(b.bytes.total_cmp(&a.bytes)));
    groups
}

/// Samples by process, the largest first; refused requests are left out.
pub fn processes(profile: &Profile) -> Vec<Who> {
    let mut all = Vec::new();
    profile.stacks.iter().filter(|s| !s.failed).for_each(|stack| add(&mut all, profile, stack));
    all.sort_by(|a, b| b.bytes.total_cmp(&a.bytes).then(a.pid.cmp(&b.pid)));
    all
}

fn add(who: &mut Vec<Who>, profile: &Profile, stack: &Stack) {
    let bytes = profile.bytes(stack);
    let same = |w: &&mut Who| w.pid == stack.pid && w.comm == stack.comm && w.cgroup == stack.cgroup_path;
    match who.iter_mut().find(same) {
        Some(w) => {
            w.bytes += bytes;
            w.samples += stack.samples;
        }
        None => who.push(Who {
            pid: stack.pid,
            comm: stack.comm.clone(),
            cgroup: stack.cgroup_path.clone(),
            bytes,
            samples: stack.samples,
        }),
    }
}
