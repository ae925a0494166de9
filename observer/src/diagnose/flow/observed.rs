//! What was seen of one connection over a window.

use std::collections::HashMap;

use crate::{
    diagnose::Window,
    model::{Model, flow::Grown, tcp::Connection},
    snapshot::tcp::TcpInfo,
};

/// Names a socket: its network namespace and cookie. The kernel numbers them through all namespaces; both, to be safe.
pub(super) type Key = (u64, u64);

/// One connection over a window.
#[derive(Debug, Clone)]
pub(super) struct Observed<'a> {
    /// As it is now.
    pub(super) connection: &'a Connection,
    /// Seconds that the counts below cover.
    pub(super) seconds: f64,
    /// What was counted in them.
    pub(super) grown: Grown,
    /// What was read at the end of each interval, oldest first.
    pub(super) samples: Vec<&'a TcpInfo>,
}

/// Every connection of the newest model, in its order, over the last `seconds`. A connection that was not there all the time
/// is seen over a shorter time.
pub(super) fn observed<'a>(window: &Window<'a>, seconds: f64) -> Vec<Observed<'a>> {
    let (models, _) = window.last(seconds);
    let Some((newest, earlier)) = models.split_last() else { return Vec::new() };
    let mut rows: Vec<Observed<'_>> = connections(newest)
        .map(|connection| Observed {
            connection,
            seconds: connection.grown.and(newest.interval).map_or(0.0, |i| i.seconds),
            grown: connection.grown.unwrap_or_default(),
            samples: vec![&connection.now.info],
        })
        .collect();
    let mut open: HashMap<Key, usize> =
        rows.iter().enumerate().filter(|(_, r)| r.seconds > 0.0).map(|(i, r)| (key(r.connection), i)).collect();
    for model in earlier.iter().rev() {
        let Some(interval) = model.interval else { break };
        let mut still = HashMap::with_capacity(open.len());
        for connection in connections(model) {
            let (Some(at), Some(grown)) = (open.get(&key(connection)).copied(), &connection.grown) else { continue };
            let Some(row) = rows.get_mut(at) else { continue };
            row.grown = row.grown.and(grown);
            row.seconds += interval.seconds;
            row.samples.push(&connection.now.info);
            still.insert(key(connection), at);
        }
        open = still;
    }
    rows.iter_mut().for_each(|row| row.samples.reverse());
    rows
}

fn connections(model: &Model) -> impl Iterator<Item = &Connection> {
    model.tcp.sockets.iter().flat_map(|open| &open.list)
}

pub(super) fn key(connection: &Connection) -> Key {
    (connection.now.netns, connection.now.cookie)
}
