//! Packets on their way through tunnels, and what CPUs do for them.
//!
//! A probe on every packet is not for free: the programs are loaded when the first tunnel is seen, and unloaded with the last.

mod crypto;
mod decode;
mod packets;
mod watch;

use std::path::PathBuf;

use aya::Ebpf;

use super::{
    load::{Object, Plan},
    probes::ProbeSpec,
    sizes::Sizes,
    unread,
};
use crate::snapshot::{Coverage, coverage::ProbeState, encapsulation::Encapsulation};

pub use packets::REST_ABOVE;
pub use watch::{Watched, watched};

/// Inner flows that a snapshot lists at most.
const MAX_FLOWS: usize = 1000;

/// What to load, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// The eBPF object.
    pub object: &'static [u8],
    /// The running kernel's type information.
    pub btf: PathBuf,
    /// Packets a second above which the probes of what comes in rest most of the time; [`REST_ABOVE`] unless it is measured
    /// what that saves.
    pub rest_above: f64,
}

/// Programs on tunnels, while there are any.
#[derive(Debug)]
pub struct Reader {
    options: Options,
    packets: Loaded<packets::Packets>,
    crypto: Loaded<crypto::Crypto>,
}

impl Reader {
    /// Loads nothing yet.
    pub fn new(options: Options) -> Self {
        Self { options, packets: Loaded::default(), crypto: Loaded::default() }
    }

    /// Watches these interfaces from now on and reads what was counted so far; `None` without a tunnel, or if nothing could be
    /// loaded: then the coverage says why.
    pub fn read(&mut self, watched: &[Watched], coverage: &mut Coverage) -> Option<Encapsulation> {
        self.packets.keep(watched.iter().any(|w| w.tunnel), || packets::Packets::start(&self.options));
        self.crypto.keep(watched.iter().any(|w| w.wireguard), || crypto::Crypto::start(&self.options));
        let packets = self.packets.read(coverage, "encapsulation", |object, packets| packets.read(object, watched));
        let crypto = self.crypto.read(coverage, "encapsulation.crypto", |_, crypto| crypto.read());
        let mut read = packets?;
        read.crypto = crypto;
        Some(read)
    }
}

/// Programs that are loaded while they are wanted.
#[derive(Debug, Default)]
enum Loaded<T> {
    /// Not wanted.
    #[default]
    Not,
    /// At work.
    Works(Box<(Object, T)>),
    /// The kernel refused: it is not asked again until it was not wanted for once.
    Refused(Coverage),
}

impl<T> Loaded<T> {
    fn keep(&mut self, wanted: bool, start: impl FnOnce() -> (Object, std::io::Result<T>)) {
        match (wanted, &self) {
            (false, _) => *self = Self::Not,
            (true, Self::Not) => {
                let (object, reader) = start();
                *self = match reader {
                    Ok(reader) => Self::Works(Box::new((object, reader))),
                    Err(error) => Self::Refused(refusal(&object, &error)),
                };
            }
            (true, _) => {}
        }
    }

    fn read<R>(
        &mut self,
        coverage: &mut Coverage,
        part: &str,
        read: impl FnOnce(&mut Object, &mut T) -> std::io::Result<R>,
    ) -> Option<R> {
        match self {
            Self::Not => None,
            Self::Refused(why) => {
                coverage.probes.extend_from_slice(&why.probes);
                coverage.sources.extend_from_slice(&why.sources);
                None
            }
            Self::Works(loaded) => {
                let (object, reader) = loaded.as_mut();
                let value =
                    super::keep(coverage, part, Some((&mut *object, reader)), |(object, reader)| read(object, reader));
                let probes = object.coverage();
                let misses = probes.iter().filter_map(|p| Some((p, p.recursion_misses?)));
                coverage
                    .losses
                    .extend(misses.map(|(p, n)| super::loss(format!("{}: events missed by recursion", p.name), n)));
                coverage.probes.extend(probes);
                value
            }
        }
    }
}

/// Why there is nothing: what the probes say, or else the error.
fn refusal(object: &Object, error: &std::io::Error) -> Coverage {
    let probes = object.coverage();
    let mut sources = Vec::new();
    if !probes.iter().any(|p| matches!(p.state, ProbeState::Absent { .. })) {
        sources.push(unread("encapsulation", error));
    }
    Coverage { probes, sources, ..Coverage::default() }
}

/// Loads some programs with maps of their own; every other map of the object gets as small as it can be.
fn load(options: &Options, specs: &[&'static ProbeSpec], entries: &[(&'static str, u32)]) -> Object {
    let small = Sizes::within(0, 1).entries().map(|(name, _)| (name, 1));
    let plan = Plan {
        btf: &options.btf,
        specs: specs.to_vec(),
        entries: small.into_iter().chain(entries.iter().copied()).collect(),
        globals: Vec::new(),
    };
    Object::load_plan(options.object, &plan, |_| Ok(()))
}

/// Maps of what was loaded, if the program that matters is at work.
fn maps<'a>(object: &'a Object, probe: &str) -> std::io::Result<&'a Ebpf> {
    let works = object.works(probe).then_some(object.ebpf.as_ref()).flatten();
    works.ok_or_else(|| std::io::Error::other(format!("{probe} is not attached")))
}
