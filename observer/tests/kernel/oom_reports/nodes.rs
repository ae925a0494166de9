//! Memory of one node, where another has plenty: cpuset and memory policy. Needs a guest with two nodes.

use std::fs;

use observer::{
    diagnose::oom::{Cause, Memory, What},
    snapshot::oom_report::Constraint,
};

use super::{
    Told,
    host::{Immune, may_be_full},
    kills, told, until_killed,
};
use crate::{
    kswapd::total_memory,
    support::{
        cgroup::{Cgroup, is_v2},
        needs_root, skipped,
        workload::Workload,
    },
};

/// The node that is filled.
const NODE: u32 = 1;

fn has_two_nodes(test: &str) -> bool {
    let two = fs::exists("/sys/devices/system/node/node1").unwrap_or(false);
    if !two {
        skipped(test, "it needs a second NUMA node");
    }
    two
}

impl Told {
    /// Asserts that what is told is of the one node, and that the other had memory.
    fn is_of_node(&self, constraint: &Constraint) {
        let decision = self.report.decision.as_ref().expect("the decision is written");
        assert_eq!(&decision.constraint, constraint);
        assert!(decision.global);
        let (Memory::Cpuset { nodes, .. } | Memory::Policy { nodes }) = &self.explanation.limit.memory else {
            panic!("{:?}", self.explanation.limit)
        };
        assert_eq!(nodes.as_ref().map(|n| n.as_str()), Some("1"));
        assert!(!self.explanation.zones.is_empty());
        assert!(self.explanation.zones.iter().all(|z| z.node == NODE), "{:#?}", self.explanation.zones);
        let of_node = self.report.zones.iter().filter(|z| z.node == NODE).filter_map(|z| z.value("managed"));
        assert_eq!(self.explanation.limit.limit, Some(of_node.sum()));
        let anonymous = self.explanation.usage.of(What::Anonymous);
        assert!(anonymous > total_memory() / 8 && Some(anonymous) < self.explanation.limit.limit, "{anonymous}");
        let free = self.explanation.limit.free_elsewhere.expect("it is known");
        assert!(free > total_memory() / 8, "{free}");
        assert!(self.explanation.summary.join(" ").contains("on other nodes"), "{:#?}", self.explanation.summary);
        assert_eq!(self.first_cause(), Some(Cause::NoSwap), "{:#?}", self.explanation.reasons);
    }
}

#[test]
fn the_node_of_a_memory_policy_is_full() {
    const NAME: &str = "the_node_of_a_memory_policy_is_full";
    needs_root!("the_node_of_a_memory_policy_is_full");
    if !may_be_full(NAME) || !has_two_nodes(NAME) {
        return;
    }
    let make = || {
        let work = Workload::start(&format!("bound {NODE} {}", total_memory()), None);
        let _immune = Immune::now();
        until_killed(work)
    };
    let (told, pid) = told("memory-policy", make, |r, pid| kills(r, *pid));
    told.is_of(pid, pid);
    told.is_of_node(&Constraint::MemoryPolicy);
}

#[test]
fn the_node_of_a_cpuset_is_full() {
    const NAME: &str = "the_node_of_a_cpuset_is_full";
    needs_root!("the_node_of_a_cpuset_is_full");
    if !may_be_full(NAME) || !has_two_nodes(NAME) {
        return;
    }
    if !is_v2() {
        skipped(NAME, "the cpuset controller of version 1 is not mounted");
        return;
    }
    let make = || {
        let cgroup = Cgroup::new("cpuset");
        let root = cgroup.path().parent().expect("it lies below the root");
        fs::write(root.join("cgroup.subtree_control"), "+cpuset").expect("the kernel has cpusets");
        fs::write(cgroup.path().join("cpuset.mems"), NODE.to_string()).expect("the node is there");
        let work = Workload::start(&format!("hold {} obs-hog 0", total_memory()), Some(&cgroup));
        let _immune = Immune::now();
        (until_killed(work), cgroup)
    };
    let (told, (pid, cgroup)) = told("cpuset", make, |r, (pid, _)| kills(r, *pid));
    told.is_of(pid, pid);
    told.is_of_node(&Constraint::Cpuset);
    let Memory::Cpuset { cpuset, .. } = &told.explanation.limit.memory else { panic!("{:?}", told.explanation.limit) };
    let name = cgroup.name();
    let last = name.rsplit('/').next();
    assert_eq!(cpuset.as_ref().map(|n| n.as_str()), last);
}
