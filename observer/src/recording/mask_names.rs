//! Which names tell nothing about a host, because the kernel gave them.

/// Names of kernel threads up to a number.
const THREADS_WITH_NUMBER: &[&str] = &[
    "kswapd",
    "kcompactd",
    "ksoftirqd/",
    "migration/",
    "cpuhp/",
    "idle_inject/",
    "rcuop/",
    "rcuos/",
    "rcuog/",
    "rcuc/",
    "rcub/",
    "irq/",
    "swapper/",
    "napi/",
];

/// Names of kernel threads as a whole.
const THREADS: &[&str] = &[
    "kthreadd",
    "kworker",
    "rcu_gp",
    "rcu_preempt",
    "rcu_sched",
    "rcu_tasks_kthread",
    "oom_reaper",
    "khugepaged",
    "ksmd",
    "khungtaskd",
    "kauditd",
    "kdevtmpfs",
    "watchdogd",
    "swapper",
];

/// Names of interfaces up to a number, as the kernel and the usual tools number them.
const LINKS_WITH_NUMBER: &[&str] = &[
    "eth", "veth", "docker", "br", "bond", "team", "tun", "tap", "wg", "vxlan", "dummy", "ifb", "wlan", "tunl", "sit",
    "gre",
];

/// What a thread's name may be shown as: itself, without the work that a kworker does, or `None` for anything that is not
/// surely the kernel's.
pub(super) fn kernel_thread(comm: &str) -> Option<&str> {
    if THREADS.contains(&comm) || is_numbered(comm, THREADS_WITH_NUMBER) {
        return Some(comm);
    }
    comm.starts_with("kworker/").then_some("kworker")
}

/// True for an interface name that anybody's host could have.
pub(super) fn is_common_link(name: &str) -> bool {
    name == "lo" || is_numbered(name, LINKS_WITH_NUMBER)
}

/// End of a systemd unit's name that says what kind it is.
pub(super) fn unit_kind(component: &str) -> &'static str {
    [".slice", ".service", ".scope"].into_iter().find(|kind| component.ends_with(kind)).unwrap_or_default()
}

fn is_numbered(name: &str, prefixes: &[&str]) -> bool {
    let is_number = |rest: &str| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit());
    prefixes.iter().any(|prefix| name.strip_prefix(prefix).is_some_and(is_number))
}

/// True for a tmpfs that every host has: its place says nothing about the host.
pub(super) fn is_common_mount(path: &str) -> bool {
    ["/", "/dev", "/dev/shm", "/run", "/run/lock", "/tmp", "/sys/fs/cgroup"].contains(&path)
}
