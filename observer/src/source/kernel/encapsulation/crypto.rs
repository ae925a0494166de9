//! Reads how long WireGuard's work queues work.

use std::{collections::HashMap, io};

use observer_ebpf::abi::tunnel::{Work, WorkKey};

use super::{Options, load, maps};
use crate::{
    snapshot::{Name, encapsulation::CryptoWork},
    source::{
        kallsyms,
        kernel::{load::Object, maps::Table, tunnel_probes::CRYPTO},
    },
};

/// Functions of drivers/net/wireguard that run in work queues. Receiving is done by NAPI.
const FUNCTIONS: [&str; 5] = [
    "wg_packet_encrypt_worker",
    "wg_packet_decrypt_worker",
    "wg_packet_tx_worker",
    "wg_packet_handshake_send_worker",
    "wg_packet_handshake_receive_worker",
];

/// Threads that work at one time.
const MAX_THREADS: u32 = 4096;
/// Functions times CPUs.
const MAX_WORK: u32 = 4096;

/// Reader of work.
#[derive(Debug)]
pub(super) struct Crypto {
    work: Table<WorkKey, Work>,
    names: HashMap<u64, Name>,
}

impl Crypto {
    /// Loads and attaches.
    pub(super) fn start(options: &Options) -> (Object, io::Result<Self>) {
        let functions = FUNCTIONS.len() as u32;
        let entries = [("obs_tun_funcs", functions), ("obs_tun_begun", MAX_THREADS), ("obs_tun_work", MAX_WORK)];
        let object = load(options, &CRYPTO, &entries);
        let reader = Self::open(&object);
        (object, reader)
    }

    fn open(object: &Object) -> io::Result<Self> {
        let names: HashMap<u64, Name> =
            kallsyms::addresses(&FUNCTIONS)?.into_iter().map(|(name, address)| (address, Name::from(name))).collect();
        if names.is_empty() {
            return Err(io::Error::other("no function of WireGuard has an address in /proc/kallsyms"));
        }
        let [end, begin] = CRYPTO.map(|probe| maps(object, probe.name));
        let ebpf = begin.and(end)?;
        let functions: Table<u64, u32> = Table::open(ebpf, "obs_tun_funcs")?;
        names.keys().try_for_each(|address| functions.set(address, &1))?;
        Ok(Self { work: Table::open(ebpf, "obs_tun_work")?, names })
    }

    /// Reads what was done so far.
    pub(super) fn read(&mut self) -> io::Result<Vec<CryptoWork>> {
        let (mut all, names) = (Vec::new(), &self.names);
        self.work.for_each(|key, work| {
            let Some(function) = names.get(&key.function) else { return };
            all.push(CryptoWork { function: function.clone(), cpu: key.cpu, calls: work.calls, ns: work.ns });
        })?;
        all.sort_by(|a, b| (a.function.as_str(), a.cpu).cmp(&(b.function.as_str(), b.cpu)));
        Ok(all)
    }
}
