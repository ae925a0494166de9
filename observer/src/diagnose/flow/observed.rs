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

impl<'a> Observed<'a> {
    fn new(connection: &'a Connection) -> Self {
        Self { connection, seconds: 0.0, grown: Grown::default(), samples: vec![&connection.now.info] }
    }

    /// What was counted in a further part of the time, and read at its end.
    fn add(&mut self, grown: &Grown, seconds: f64, end: &'a TcpInfo) {
        self.grown = if self.seconds > 0.0 { self.grown.and(grown) } else { *grown };
        self.seconds += seconds;
        if !std::ptr::eq(end, &raw const self.connection.now.info) {
            self.samples.push(end);
        }
    }
}

/// How far back one connection has been followed.
struct Back<'a> {
    /// Its place among the rows.
    row: usize,
    /// Its oldest reading so far.
    oldest: &'a TcpInfo,
    /// Seconds between that reading and the newest one.
    ago: f64,
    /// True if its growth up to that reading is known and counted.
    counted: bool,
}

/// Every connection of the newest model, in its order, over the last `seconds`. A connection that was not there all the time
/// is seen over a shorter time. Readings that it is missing from, because its namespace or a busier one had its turn, make no
/// gap: the counters of the readings around them tell what it did meanwhile.
pub(super) fn observed<'a>(window: &Window<'a>, seconds: f64) -> Vec<Observed<'a>> {
    let (models, _) = window.last(seconds);
    let Some(newest) = models.last() else { return Vec::new() };
    let mut rows: Vec<Observed<'_>> = connections(newest).map(Observed::new).collect();
    let mut followed: HashMap<Key, Back<'_>> = HashMap::with_capacity(rows.len());
    // Seconds from the end of a model's interval to the newest reading.
    let mut ago = 0.0;
    for model in models.iter().rev() {
        for (place, connection) in connections(model).enumerate() {
            let (info, key) = (&connection.now.info, key(connection));
            let known = followed.get(&key);
            let at = known.map_or(place, |back| back.row);
            if known.is_none() && ago > 0.0 {
                continue;
            }
            let Some(row) = rows.get_mut(at) else { continue };
            if let Some(back) = known.filter(|back| !back.counted && ago > back.ago) {
                row.add(&Grown::between(info, back.oldest), ago - back.ago, back.oldest);
            }
            let grown = connection.grown.as_ref().zip(model.interval);
            if let Some((grown, interval)) = grown {
                row.add(grown, interval.seconds, info);
                row.samples.extend(connection.between.iter().rev());
            }
            followed.insert(key, Back { row: at, oldest: info, ago, counted: grown.is_some() });
        }
        let Some(interval) = model.interval else { break };
        ago += interval.seconds;
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
