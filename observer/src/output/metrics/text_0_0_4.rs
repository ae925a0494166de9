//! The Prometheus text format, version 0.0.4, which prometheus-client does not write.
//! <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>

use std::fmt::{self, Write};

use super::family::{Family, Kind, Number, Value};

/// The whole answer to a scrape.
pub(super) fn encode(families: &[Family]) -> Result<String, fmt::Error> {
    let mut out = String::with_capacity(families.iter().map(|f| 256 + 128 * f.points.len()).sum());
    families.iter().try_for_each(|f| family(&mut out, f))?;
    Ok(out)
}

fn family(out: &mut String, family: &Family) -> fmt::Result {
    let metric = family.metric;
    let kind = match metric.kind {
        Kind::Counter => "counter",
        // 0.0.4 has no info: it is a gauge that is always 1.
        Kind::Gauge | Kind::Info => "gauge",
        Kind::Histogram => "histogram",
    };
    write!(out, "# HELP {} ", metric.name)?;
    escape(out, metric.help, false)?;
    writeln!(out, "\n# TYPE {} {kind}", metric.name)?;
    for point in &family.points {
        let labels = Labels { names: metric.labels, values: &point.labels };
        match &point.value {
            Value::Number(n) => sample(out, metric.name, "", &labels, None, *n)?,
            Value::Histogram { buckets, sum } => {
                let mut count = 0;
                for (bound, n) in buckets {
                    count += n;
                    sample(out, metric.name, "_bucket", &labels, Some(*bound), Number::Whole(count))?;
                }
                sample(out, metric.name, "_sum", &labels, None, Number::Real(*sum))?;
                sample(out, metric.name, "_count", &labels, None, Number::Whole(count))?;
            }
        }
    }
    Ok(())
}

struct Labels<'a> {
    names: &'a [&'a str],
    values: &'a [String],
}

fn sample(out: &mut String, name: &str, suffix: &str, labels: &Labels<'_>, le: Option<f64>, n: Number) -> fmt::Result {
    write!(out, "{name}{suffix}")?;
    let mut open = '{';
    for (name, value) in labels.names.iter().zip(labels.values) {
        write!(out, "{open}{name}=\"")?;
        escape(out, value, true)?;
        out.push('"');
        open = ',';
    }
    if let Some(bound) = le {
        write!(out, "{open}le=\"")?;
        number(out, Number::Real(bound))?;
        out.push('"');
        open = ',';
    }
    if open == ',' {
        out.push('}');
    }
    out.push(' ');
    number(out, n)?;
    out.push('\n');
    Ok(())
}

fn number(out: &mut String, n: Number) -> fmt::Result {
    match n {
        Number::Whole(n) => write!(out, "{n}"),
        Number::Real(n) if n.is_nan() => out.write_str("NaN"),
        Number::Real(n) if n.is_infinite() => out.write_str(if n > 0.0 { "+Inf" } else { "-Inf" }),
        Number::Real(n) => write!(out, "{n}"),
    }
}

/// Backslash and line feed; in a label value the quote too.
fn escape(out: &mut String, text: &str, label: bool) -> fmt::Result {
    for c in text.chars() {
        match c {
            '\\' => out.write_str("\\\\")?,
            '\n' => out.write_str("\\n")?,
            '"' if label => out.write_str("\\\"")?,
            _ => out.push(c),
        }
    }
    Ok(())
}
