//! What each CPU spent its time on, and what its share of the network did.

use serde::{Deserialize, Serialize};

/// The CPUs that are on line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cpus {
    /// One entry a CPU, by number.
    pub list: Vec<Cpu>,
}

/// One CPU.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cpu {
    /// Number of the CPU.
    pub cpu: u32,
    /// Time by what it was spent on.
    pub times: CpuTimes,
    /// Packets that its backlog took. `None` if the kernel does not tell which line is which CPU's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub softnet: Option<Softnet>,
}

/// Time since boot in nanoseconds, at the resolution of `USER_HZ`. Source: /proc/stat.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CpuTimes {
    /// Processes in user mode, guests included.
    pub user_ns: u64,
    /// The same with a nice value above 0.
    pub nice_ns: u64,
    /// Processes in the kernel.
    pub system_ns: u64,
    /// Nothing to do.
    pub idle_ns: u64,
    /// Nothing to do, and a process of this CPU waits for a device.
    pub iowait_ns: u64,
    /// Interrupts.
    pub irq_ns: u64,
    /// Soft interrupts: the network, timers, block devices.
    pub softirq_ns: u64,
    /// Time that the hypervisor gave to others while this CPU had work.
    pub steal_ns: u64,
}

impl CpuTimes {
    /// All of it.
    pub fn total_ns(&self) -> u64 {
        let Self { user_ns, nice_ns, system_ns, idle_ns, iowait_ns, irq_ns, softirq_ns, steal_ns } = *self;
        [user_ns, nice_ns, system_ns, idle_ns, iowait_ns, irq_ns, softirq_ns, steal_ns].iter().sum()
    }
}

/// Packets of one CPU since boot, over all network namespaces. Source: /proc/net/softnet_stat.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Softnet {
    /// Packets taken from devices and the backlog.
    pub processed: u64,
    /// Packets dropped because the backlog was full (`net.core.netdev_max_backlog`).
    pub dropped: u64,
    /// Times that `net_rx_action` stopped with packets left: its budget or its time was used up.
    pub time_squeeze: u64,
    /// Wake-ups by another CPU to take packets from it (RPS).
    pub received_rps: u64,
    /// Packets dropped by the limit of a flow's share of the backlog.
    pub flow_limit: u64,
    /// Packets that wait in the backlog now. `None` before Linux 5.10.
    pub backlog: Option<u64>,
}
