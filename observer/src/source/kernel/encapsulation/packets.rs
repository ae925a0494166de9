//! Reads samples of packets and polls of devices.

use std::{
    collections::HashMap,
    io,
    time::{Duration, Instant},
};

use nix::time::{ClockId, clock_gettime};
use observer_ebpf::abi::tunnel::{
    Counted, Device, Flow as RawFlow, FlowKey, Loss, Next, PLACES, PollKey, Polls as RawPolls, Watch,
};

use super::{MAX_FLOWS, Options, Watched, decode, load, maps};
use crate::{
    snapshot::encapsulation::{Encapsulation, Flow, Interface, Polls},
    source::kernel::{
        load::Object,
        maps::{Array, PerCpuArray, Table, zeroed},
        tunnel_probes::{PACKETS, POLLS, RESTING, XMIT},
    },
};

/// Interfaces that are watched at most.
const MAX_WATCHED: u32 = 1024;
/// Inner flows that are kept at most: 2 MiB of the kernel's memory while there is a tunnel.
const MAX_KEPT_FLOWS: u32 = 8192;
/// Packets at one time inside of tunnels; more than the free elements that each CPU of a large host keeps for itself.
const MAX_ENTERED: u32 = 8192;
/// Devices times CPUs.
const MAX_POLLS: u32 = 8192;
/// Samples a second that are enough: each costs one or two microseconds.
const ENOUGH: f64 = 1000.0;
/// Packets of other interfaces that are looked at, and found to be of no tunnel, a second at most.
const TOO_MUCH: f64 = 10_000.0;
/// Packets a second from which on it costs too much to see each come in as well: about 1 % of a CPU.
pub const REST_ABOVE: f64 = 30_000.0;
/// Readings that those probes rest then, between two in which they work.
const REST: u32 = 9;
/// One in so many at first, when it is not known how many there are.
const EVERY_AT_FIRST: u32 = 16;
/// Even the largest hosts see more often than every so many packets.
const EVERY_AT_MOST: u32 = 4096;
/// A flow that was not seen for so long is over.
const FLOW_ENDS: Duration = Duration::from_secs(60);

/// Reader of samples.
#[derive(Debug)]
pub(super) struct Packets {
    watch: Table<Device, Watch>,
    counted: Table<Device, Counted>,
    flows: Table<FlowKey, RawFlow>,
    every: Array<u32>,
    addressed: Array<u32>,
    losses: Array<u64>,
    next: PerCpuArray<Next>,
    /// `None` where the kernel has no such tracepoint.
    polls: Option<Table<PollKey, RawPolls>>,
    /// What the kernel side was told to watch.
    told: HashMap<Device, Watch>,
    rate: Rate,
    /// Flows that were taken out because they are over.
    ended: u64,
}

impl Packets {
    /// Loads and attaches.
    pub(super) fn start(options: &Options) -> (Object, io::Result<Self>) {
        let entries = [
            ("obs_tun_watch", MAX_WATCHED),
            ("obs_tun_counted", MAX_WATCHED),
            ("obs_tun_flows", MAX_KEPT_FLOWS),
            ("obs_tun_entered", MAX_ENTERED),
            ("obs_tun_polls", MAX_POLLS),
        ];
        let object = load(options, &PACKETS, &entries);
        let reader = Self::open(&object, options.rest_above);
        (object, reader)
    }

    fn open(object: &Object, rest_above: f64) -> io::Result<Self> {
        let ebpf = maps(object, XMIT)?;
        let polls = object.works(POLLS).then(|| Table::open(ebpf, "obs_tun_polls")).transpose()?;
        let every = Array::open(ebpf, "obs_tun_every")?;
        every.set(0, &EVERY_AT_FIRST)?;
        Ok(Self {
            watch: Table::open(ebpf, "obs_tun_watch")?,
            counted: Table::open(ebpf, "obs_tun_counted")?,
            flows: Table::open(ebpf, "obs_tun_flows")?,
            every,
            addressed: Array::open(ebpf, "obs_tun_addr")?,
            losses: Array::open(ebpf, "obs_tun_losses")?,
            next: PerCpuArray::open(ebpf, "obs_tun_next")?,
            polls,
            told: HashMap::new(),
            rate: Rate { every: EVERY_AT_FIRST, before: None, packets: 0.0, rest_above, rested: 0 },
            ended: 0,
        })
    }

    /// Tells the kernel side what to watch and reads what it has counted.
    pub(super) fn read(&mut self, object: &mut Object, watched: &[Watched]) -> io::Result<Encapsulation> {
        self.tell(watched)?;
        let every = self.rate.every;
        let interfaces = self.interfaces()?;
        let (flows, flows_not_listed, kept) = self.flows()?;
        let added = self.losses.get(Loss::FlowsAdded as u32)?;
        // While none enter that are known by their address, no packet needs to be looked for by it.
        self.addressed.set(0, &0)?;
        let looked = self.looked()?;
        if self.rate.adapt(samples(&interfaces), looked, Instant::now()) {
            self.every.set(0, &self.rate.every)?;
        }
        let rest = self.rate.rests();
        RESTING.iter().for_each(|probe| object.rest(probe, rest));
        Ok(Encapsulation {
            every,
            interfaces,
            flows,
            flows_not_listed,
            flows_forgotten: added.saturating_sub(self.ended + kept),
            polls: self.polls()?,
            crypto: None,
        })
    }

    fn tell(&mut self, watched: &[Watched]) -> io::Result<()> {
        let wanted: HashMap<Device, Watch> =
            watched.iter().filter_map(|w| Some((decode::raw_device(w.device)?, w.raw()))).collect();
        for device in self.told.keys().filter(|device| !wanted.contains_key(device)) {
            self.watch.delete(device)?;
            self.counted.delete(device)?;
        }
        for (device, watch) in wanted.iter().take(MAX_WATCHED as usize) {
            if !self.told.contains_key(device) {
                self.counted.set(device, &zeroed())?;
            }
            if self.told.get(device) != Some(watch) {
                self.watch.set(device, watch)?;
            }
        }
        self.told = wanted;
        Ok(())
    }

    fn interfaces(&mut self) -> io::Result<Vec<Interface>> {
        let (mut all, told) = (Vec::with_capacity(self.told.len()), &self.told);
        self.counted.for_each(|device, counted| {
            let tunnel = told.get(device).is_some_and(|watch| watch.tunnel != 0);
            all.push(decode::interface(*device, tunnel, counted));
        })?;
        all.sort_by_key(|interface| interface.device);
        Ok(all)
    }

    /// Flows that are not over, how many more there are, and how many the map holds.
    fn flows(&mut self) -> io::Result<(Vec<Flow>, u64, u64)> {
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from)?;
        let over = u64::try_from(now.saturating_sub(FLOW_ENDS).as_nanos()).unwrap_or(u64::MAX);
        let (mut list, mut ended, told) = (Vec::new(), Vec::new(), &self.told);
        self.flows.for_each(|key, flow| {
            if flow.seen_ns < over || !told.contains_key(&key.device) {
                ended.push(*key);
            } else {
                list.extend(decode::flow(key, flow));
            }
        })?;
        ended.iter().try_for_each(|key| self.flows.delete(key))?;
        self.ended += ended.len() as u64;
        let kept = list.len() as u64;
        list.sort_by_key(|flow| std::cmp::Reverse(flow.seen_ns));
        list.truncate(MAX_FLOWS);
        let rest = kept - list.len() as u64;
        Ok((list, rest, kept))
    }

    /// Packets that were looked at, of every interface, at the place where there were the most.
    fn looked(&mut self) -> io::Result<u64> {
        let mut most = 0;
        for place in 0..PLACES {
            most = self.next.get(place)?.iter().map(|cpu| cpu.samples).sum::<u64>().max(most);
        }
        Ok(most)
    }

    fn polls(&mut self) -> io::Result<Option<Vec<Polls>>> {
        let Some(table) = &mut self.polls else { return Ok(None) };
        let mut all = Vec::new();
        table.for_each(|key, polls| all.push(decode::polls(key, polls)))?;
        all.sort_by_key(|polls| (polls.device, polls.cpu));
        Ok(Some(all))
    }
}

/// Samples of all interfaces, each at the place where it has the most.
fn samples(interfaces: &[Interface]) -> u64 {
    let places = |i: &Interface| [i.entered, i.arrived, i.received].iter().map(|p| p.packets).max().unwrap_or(0);
    interfaces.iter().map(places).sum()
}

/// How often is sampled: as often as gives enough samples, and does not look at too much besides.
#[derive(Debug)]
struct Rate {
    every: u32,
    before: Option<(Instant, u64, u64)>,
    /// Packets a second that were sent or received last, those of other interfaces included.
    packets: f64,
    /// Above so many of them probes rest.
    rest_above: f64,
    /// Readings during which probes have rested.
    rested: u32,
}

impl Rate {
    /// Chooses anew from what came since the last call: samples of interfaces that are watched, and of all. True if it has
    /// changed.
    fn adapt(&mut self, samples: u64, looked: u64, now: Instant) -> bool {
        let Some((at, old_samples, old_looked)) = self.before.replace((now, samples, looked)) else { return false };
        let seconds = now.saturating_duration_since(at).as_secs_f64();
        if seconds <= 0.0 {
            return false;
        }
        let rate = |new: u64, old: u64| new.saturating_sub(old) as f64 / seconds * f64::from(self.every);
        let wanted = (rate(samples, old_samples) / ENOUGH).max(rate(looked, old_looked) / TOO_MUCH);
        let every = wanted.clamp(1.0, f64::from(EVERY_AT_MOST)) as u32;
        self.packets = rate(looked, old_looked);
        let changed = every != self.every;
        self.every = every;
        changed
    }

    /// True if the probes of what comes in are to rest until the next reading: where there are many packets they work in one
    /// interval of some.
    fn rests(&mut self) -> bool {
        let rest = self.packets > self.rest_above && self.rested < REST;
        self.rested = if rest { self.rested + 1 } else { 0 };
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn sampling_follows_the_rate_and_never_stops() {
        let begin = Instant::now();
        let at = |seconds: u64, samples: u64, looked: u64, rate: &mut Rate| {
            rate.adapt(samples, looked, begin + Duration::from_secs(seconds));
            rate.every
        };
        let mut rate = Rate { every: 16, before: None, packets: 0.0, rest_above: REST_ABOVE, rested: 0 };
        assert_eq!(at(0, 0, 0, &mut rate), 16, "nothing is known yet");
        assert_eq!(at(1, 62_500, 62_500, &mut rate), 1000, "a million packets a second");
        assert_eq!(at(2, 62_500, 62_500, &mut rate), 1, "none");
        assert_eq!(at(3, 62_500, 1_062_500, &mut rate), 100, "a million that are of no tunnel");
        assert_eq!(at(4, 0, 1_062_500, &mut rate), 1, "an interface is gone");
        assert_eq!(at(5, u64::MAX, u64::MAX, &mut rate), EVERY_AT_MOST);
    }

    #[test]
    fn where_there_are_many_packets_some_probes_rest_most_of_the_time() {
        let mut busy = Rate { every: 1, before: None, packets: REST_ABOVE * 2.0, rest_above: REST_ABOVE, rested: 0 };
        let rests: Vec<bool> = (0..20).map(|_| busy.rests()).collect();
        assert_eq!(rests.iter().filter(|rest| !**rest).count(), 2, "{rests:?}");
        let mut quiet = Rate { packets: REST_ABOVE / 2.0, ..busy };
        assert!(!quiet.rests());
    }
}
