//! Which processor a thread runs on.

use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

/// Lets the present thread, and what it starts, run on one processor alone.
pub(crate) fn only_on(cpu: usize) {
    let mut there = CpuSet::new();
    there.set(cpu).expect("there are so many CPUs");
    sched_setaffinity(Pid::from_raw(0), &there).expect("the processor is there");
}
