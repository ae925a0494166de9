//! What a metric is, and the small table of families that every encoder reads.

use super::View;

/// Kind of a metric family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows; the name ends in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Cumulative buckets with sum and count.
    Histogram,
    /// Constant 1 whose labels carry the information; the name ends in `_info`. A gauge in the 0.0.4 text.
    Info,
}

impl Kind {
    /// The word that the documentation uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Info => "info",
        }
    }
}

/// One row of the table of metrics.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Full name as the 0.0.4 text has it, with unit and with `_total` or `_info`.
    pub name: &'static str,
    /// Kind of the family.
    pub kind: Kind,
    /// Unit at the end of the name (before `_total`): `seconds` or `bytes`; `None` for a number of things.
    pub unit: Option<&'static str>,
    /// Names of the labels, in the order in which [`Points`] takes their values.
    pub labels: &'static [&'static str],
    /// One sentence without a full stop, a line break or a backslash.
    pub help: &'static str,
    /// File, tracepoint or netlink message behind it.
    pub source: &'static str,
    /// Fills the family. What is not known is not pushed.
    pub read: fn(&View<'_>, &mut Points),
}

impl Metric {
    /// Name without `_total` or `_info`: the family's name in OpenMetrics.
    pub fn family_name(&self) -> &'static str {
        let suffix = match self.kind {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            Kind::Gauge | Kind::Histogram => "",
        };
        self.name.strip_suffix(suffix).unwrap_or(self.name)
    }
}

/// A number as it was counted: whole numbers stay whole.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// A count.
    Whole(u64),
    /// A measure.
    Real(f64),
}

impl From<u64> for Number {
    fn from(n: u64) -> Self {
        Self::Whole(n)
    }
}

impl From<bool> for Number {
    fn from(yes: bool) -> Self {
        Self::Whole(u64::from(yes))
    }
}

impl From<f64> for Number {
    fn from(n: f64) -> Self {
        Self::Real(n)
    }
}

/// Value of one point.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Of a counter, a gauge or an info.
    Number(Number),
    /// Of a histogram.
    Histogram {
        /// Upper bound and count of each bucket, not cumulative; the last bound is infinity.
        buckets: Vec<(f64, u64)>,
        /// Sum of all values.
        sum: f64,
    },
}

/// One point of a family: the values of its labels, in the family's order, and a value.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Values of the labels.
    pub labels: Vec<String>,
    /// The value.
    pub value: Value,
}

/// Collects the points of one family.
#[derive(Debug, Default)]
pub struct Points {
    list: Vec<Point>,
}

impl Points {
    /// Adds a number. One that is not finite is no value and is left out.
    pub fn push(&mut self, labels: &[&str], value: impl Into<Number>) {
        let value = value.into();
        if !matches!(value, Number::Real(n) if !n.is_finite()) {
            self.add(labels, Value::Number(value));
        }
    }

    /// Adds a number if it is known.
    pub fn push_known(&mut self, labels: &[&str], value: Option<impl Into<Number>>) {
        if let Some(value) = value {
            self.push(labels, value);
        }
    }

    /// Adds a histogram from the counts of its buckets; the last bound is infinity.
    pub fn histogram(&mut self, labels: &[&str], buckets: Vec<(f64, u64)>, sum: f64) {
        self.add(labels, Value::Histogram { buckets, sum });
    }

    fn add(&mut self, labels: &[&str], value: Value) {
        self.list.push(Point { labels: labels.iter().map(|l| (*l).to_owned()).collect(), value });
    }
}

/// A metric with its points, ready for an encoder.
#[derive(Debug, Clone)]
pub struct Family {
    /// The row of the table.
    pub metric: &'static Metric,
    /// Its points, no two with the same labels. Never empty.
    pub points: Vec<Point>,
}

/// Reads every metric of the table. A metric without a point is left out: what is not known is not there.
///
/// Two points with equal labels would make a scrape fail as a whole, so the second is dropped; the number of such
/// drops is returned. It is 0 unless a source lists something twice.
pub fn read(table: impl Iterator<Item = &'static Metric>, view: &View<'_>) -> (Vec<Family>, u64) {
    let mut dropped = 0;
    let families = table
        .filter_map(|metric| {
            let mut points = Points::default();
            (metric.read)(view, &mut points);
            let mut seen = std::collections::HashSet::new();
            let before = points.list.len();
            points.list.retain(|p| p.labels.len() == metric.labels.len() && seen.insert(p.labels.clone()));
            dropped += (before - points.list.len()) as u64;
            (!points.list.is_empty()).then_some(Family { metric, points: points.list })
        })
        .collect();
    (families, dropped)
}
