//! Sums over open sockets that never go back although sockets come and go.

use std::collections::HashMap;

use super::top_k::Counts;
use crate::snapshot::tcp::{Sockets, TcpInfo};

/// Fields that are summed, in the order of the counts.
const FIELDS: [fn(&TcpInfo) -> Option<u64>; 3] = [|i| i.busy_ns, |i| i.rwnd_limited_ns, |i| i.sndbuf_limited_ns];

/// What open sockets have gained while they were looked at.
#[derive(Debug, Default)]
pub(super) struct SocketSums {
    last: HashMap<u64, Counts<3>>,
    sums: Counts<3>,
    known: [bool; 3],
}

impl SocketSums {
    /// Adds what each socket gained since the last look. A socket's past before its first look is not counted: it may
    /// have been open for days before it made its way into the list.
    pub(super) fn update(&mut self, sockets: Option<&Sockets>) {
        let Some(sockets) = sockets else {
            *self = Self::default();
            return;
        };
        let mut seen = HashMap::with_capacity(sockets.list.len());
        for socket in &sockets.list {
            let mut now = [0; 3];
            for (i, field) in FIELDS.iter().enumerate() {
                let Some(value) = field(&socket.info) else { continue };
                now[i] = value;
                self.known[i] = true;
                if let Some(before) = self.last.get(&socket.cookie) {
                    self.sums[i] += value.saturating_sub(before[i]);
                }
            }
            seen.insert(socket.cookie, now);
        }
        self.last = seen;
    }

    /// Nanoseconds of one field. `None` if no socket ever told it.
    pub(super) fn get(&self, field: usize) -> Option<u64> {
        self.known.get(field).filter(|known| **known)?;
        self.sums.get(field).copied()
    }
}
