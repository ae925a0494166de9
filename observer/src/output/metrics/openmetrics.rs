//! OpenMetrics 1.0.0, written by prometheus-client.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet},
    metrics::MetricType,
    registry::{Registry, Unit},
};

use super::family::{Family, Kind, Number, Point, Value};

/// The whole answer to a scrape.
pub(super) fn encode(families: &Arc<Vec<Family>>) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Families(Arc::clone(families))));
    let mut out = String::with_capacity(families.iter().map(|f| 256 + 128 * f.points.len()).sum());
    prometheus_client::encoding::text::encode(&mut out, &registry)?;
    Ok(out)
}

#[derive(Debug)]
struct Families(Arc<Vec<Family>>);

impl Collector for Families {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|f| family(&mut encoder, f))
    }
}

fn family(encoder: &mut DescriptorEncoder<'_>, family: &Family) -> fmt::Result {
    let metric = family.metric;
    let unit = metric.unit.map(|unit| Unit::Other(unit.to_owned()));
    // The library appends the unit itself.
    let name = metric.family_name();
    let name = metric.unit.and_then(|u| name.strip_suffix(u)?.strip_suffix('_')).unwrap_or(name);
    let kind = match metric.kind {
        Kind::Counter => MetricType::Counter,
        Kind::Gauge => MetricType::Gauge,
        Kind::Histogram => MetricType::Histogram,
        Kind::Info => MetricType::Info,
    };
    let mut encoder = encoder.encode_descriptor(name, metric.help, unit.as_ref(), kind)?;
    for p in &family.points {
        let labels: Vec<_> = metric.labels.iter().copied().zip(p.labels.iter().map(String::as_str)).collect();
        // An info carries its labels itself: with a label set around it the library writes a comma too many.
        if metric.kind == Kind::Info {
            encoder.encode_info(&labels)?;
        } else if labels.is_empty() {
            point(&mut encoder, metric.kind, p)?;
        } else {
            point(&mut encoder.encode_family(&labels)?, metric.kind, p)?;
        }
    }
    Ok(())
}

fn point(encoder: &mut MetricEncoder<'_>, kind: Kind, point: &Point) -> fmt::Result {
    match &point.value {
        Value::Number(Number::Whole(n)) if kind == Kind::Counter => {
            encoder.encode_counter::<NoLabelSet, _, f64>(n, None)
        }
        Value::Number(Number::Real(n)) if kind == Kind::Counter => {
            encoder.encode_counter::<NoLabelSet, _, f64>(n, None)
        }
        Value::Number(Number::Whole(n)) => encoder.encode_gauge(n),
        Value::Number(Number::Real(n)) => encoder.encode_gauge(n),
        Value::Histogram { buckets, sum } => {
            let count = buckets.iter().map(|(_, n)| n).sum();
            encoder.encode_histogram::<NoLabelSet>(*sum, count, buckets, None)
        }
    }
}
