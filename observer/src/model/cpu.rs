//! CPUs over an interval: what their time went to, and what their share of the network did.

use serde::Serialize;

use super::interval::{Interval, rate, ratio};
use crate::snapshot::{
    self,
    cpu::{CpuTimes, Cpus as Read, Softnet},
};

/// The CPUs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cpus {
    /// All CPUs together: the ratios are means, the rates are sums.
    pub all: Usage,
    /// One entry a CPU, by number.
    pub list: Vec<Cpu>,
}

/// One CPU.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cpu {
    /// What the kernel reports now.
    #[serde(flatten)]
    pub now: snapshot::cpu::Cpu,
    /// What was counted in the interval.
    pub usage: Usage,
}

/// Shares of the interval, 0 to 1, and rates a second. `None` without an earlier snapshot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Usage {
    /// Not idle; time that the hypervisor took is in it.
    pub busy_ratio: Option<f64>,
    /// In processes, user and system.
    pub process_ratio: Option<f64>,
    /// In soft interrupts, where the network is.
    pub softirq_ratio: Option<f64>,
    /// In interrupts.
    pub irq_ratio: Option<f64>,
    /// Taken by the hypervisor while there was work.
    pub steal_ratio: Option<f64>,
    /// Packets taken from devices and the backlog.
    pub packets: Option<f64>,
    /// Packets dropped because the backlog was full.
    pub dropped: Option<f64>,
    /// Times that the kernel stopped with packets left.
    pub time_squeeze: Option<f64>,
    /// Wake-ups by another CPU to take packets from it.
    pub received_rps: Option<f64>,
}

impl Cpus {
    pub(super) fn new(now: &Read, before: Option<&Read>, interval: Option<Interval>) -> Self {
        let before_of = |cpu: u32| before.and_then(|b| b.list.iter().find(|c| c.cpu == cpu));
        let list: Vec<_> = now
            .list
            .iter()
            .map(|cpu| Cpu { now: cpu.clone(), usage: usage(cpu, before_of(cpu.cpu), interval) })
            .collect();
        // A CPU that came on line in between counts from its return on.
        let pairs: Vec<_> = now.list.iter().filter_map(|c| Some((c, before_of(c.cpu)?))).collect();
        let all = sum(pairs.iter().map(|(now, _)| *now)).zip(sum(pairs.iter().map(|(_, old)| *old)));
        Self { all: all.map(|(now, old)| usage(&now, Some(&old), interval)).unwrap_or_default(), list }
    }
}

fn usage(now: &snapshot::cpu::Cpu, before: Option<&snapshot::cpu::Cpu>, interval: Option<Interval>) -> Usage {
    let whole = before.and_then(|b| now.times.total_ns().checked_sub(b.times.total_ns()));
    // idle and iowait may go back by a tick where a CPU sleeps without timer; then nothing was idle.
    let grown = |field: fn(&CpuTimes) -> u64| before.map(|b| field(&now.times).saturating_sub(field(&b.times)));
    let share = |field| ratio(grown(field)?, whole?).map(|r| r.min(1.0));
    let softnet = now.softnet.zip(before.and_then(|b| b.softnet));
    let of = |field: fn(&Softnet) -> u64| {
        softnet.and_then(|(now, old)| rate(interval, Some(field(&now)), Some(field(&old))))
    };
    Usage {
        busy_ratio: share(|t| t.idle_ns + t.iowait_ns).map(|idle| 1.0 - idle),
        process_ratio: share(|t| t.user_ns + t.nice_ns + t.system_ns),
        softirq_ratio: share(|t| t.softirq_ns),
        irq_ratio: share(|t| t.irq_ns),
        steal_ratio: share(|t| t.steal_ns),
        packets: of(|s| s.processed),
        dropped: of(|s| s.dropped),
        time_squeeze: of(|s| s.time_squeeze),
        received_rps: of(|s| s.received_rps),
    }
}

fn sum<'a>(cpus: impl Iterator<Item = &'a snapshot::cpu::Cpu>) -> Option<snapshot::cpu::Cpu> {
    cpus.cloned().reduce(|mut sum, cpu| {
        let (to, from) = (&mut sum.times, cpu.times);
        to.user_ns += from.user_ns;
        to.nice_ns += from.nice_ns;
        to.system_ns += from.system_ns;
        to.idle_ns += from.idle_ns;
        to.iowait_ns += from.iowait_ns;
        to.irq_ns += from.irq_ns;
        to.softirq_ns += from.softirq_ns;
        to.steal_ns += from.steal_ns;
        sum.softnet = sum.softnet.zip(cpu.softnet).map(|(a, b)| Softnet {
            processed: a.processed + b.processed,
            dropped: a.dropped + b.dropped,
            time_squeeze: a.time_squeeze + b.time_squeeze,
            received_rps: a.received_rps + b.received_rps,
            flow_limit: a.flow_limit + b.flow_limit,
            backlog: a.backlog.zip(b.backlog).map(|(a, b)| a + b),
        });
        sum
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpu(cpu: u32, user_ns: u64, idle_ns: u64, steal_ns: u64, processed: u64) -> snapshot::cpu::Cpu {
        let times = CpuTimes { user_ns, idle_ns, steal_ns, ..CpuTimes::default() };
        snapshot::cpu::Cpu { cpu, times, softnet: Some(Softnet { processed, ..Softnet::default() }) }
    }

    const SECOND: Option<Interval> = Some(Interval { seconds: 2.0 });

    #[test]
    fn shares_are_of_the_time_that_passed_and_rates_of_the_interval() {
        let before = Read { list: vec![cpu(0, 10, 10, 0, 100), cpu(1, 0, 0, 0, 0)] };
        let now = Read { list: vec![cpu(0, 20, 20, 20, 300), cpu(1, 40, 0, 0, 2)] };
        let cpus = Cpus::new(&now, Some(&before), SECOND);
        let first = cpus.list[0].usage;
        assert_eq!((first.steal_ratio, first.busy_ratio, first.packets), (Some(0.5), Some(0.75), Some(100.0)));
        assert_eq!((cpus.all.process_ratio, cpus.all.packets), (Some(50.0 / 80.0), Some(101.0)));
    }

    #[test]
    fn a_cpu_that_came_back_has_no_share_and_disturbs_none() {
        let before = Read { list: vec![cpu(0, 10, 10, 0, 100)] };
        let now = Read { list: vec![cpu(0, 20, 10, 0, 100), cpu(1, 1 << 40, 0, 0, 1 << 40)] };
        let cpus = Cpus::new(&now, Some(&before), SECOND);
        assert_eq!(cpus.list[1].usage, Usage::default());
        assert_eq!((cpus.all.busy_ratio, cpus.all.packets), (Some(1.0), Some(0.0)));
        assert_eq!(Cpus::new(&now, None, None).all, Usage::default());
    }

    #[test]
    fn idle_time_that_goes_back_is_no_more_than_busy() {
        let (before, now) = (Read { list: vec![cpu(0, 0, 10, 0, 0)] }, Read { list: vec![cpu(0, 20, 9, 0, 0)] });
        assert_eq!(Cpus::new(&now, Some(&before), SECOND).all.busy_ratio, Some(1.0));
    }
}
