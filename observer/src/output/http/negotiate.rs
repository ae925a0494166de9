//! Which format and which coding a client wants (RFC 9110, sections 12.4.2, 12.5.1 and 12.5.3).

use crate::output::metrics::Format;

/// One element of an `Accept` or `Accept-Encoding` header.
struct Element<'a> {
    /// Media range or coding.
    what: &'a str,
    /// Value of the parameter `version`.
    version: Option<&'a str>,
    /// Quality, 0 to 1000.
    quality: u16,
}

/// The format that `Accept` prefers: OpenMetrics only where it is asked for by name and nothing is liked better, else
/// 0.0.4, also where nothing that is named can be had: a scraper that cannot read it says so better than an error does.
pub(super) fn format(accept: &str) -> Format {
    let quality = |ranges: &[&str], version: &str| {
        // The most specific range decides, so they come in that order.
        ranges.iter().find_map(|range| {
            elements(accept)
                .filter(|e| e.what.eq_ignore_ascii_case(range) && e.version.is_none_or(|v| v == version))
                .map(|e| e.quality)
                .max()
        })
    };
    let open_metrics = quality(&["application/openmetrics-text"], "1.0.0").unwrap_or(0);
    let text = quality(&["text/plain", "text/*", "*/*"], "0.0.4").unwrap_or(0);
    if open_metrics > 0 && open_metrics >= text { Format::OpenMetrics } else { Format::Text }
}

/// True if `Accept-Encoding` takes gzip and does not like plain text better.
pub(super) fn gzip(accept_encoding: &str) -> bool {
    let quality =
        |coding: &str| elements(accept_encoding).find(|e| e.what.eq_ignore_ascii_case(coding)).map(|e| e.quality);
    let gzip = quality("gzip").or_else(|| quality("x-gzip")).or_else(|| quality("*")).unwrap_or(0);
    gzip > 0 && gzip >= quality("identity").unwrap_or(0)
}

/// The elements of a header; one whose quality is no number is left out.
fn elements(header: &str) -> impl Iterator<Item = Element<'_>> {
    header.split(',').filter_map(|element| {
        let mut parts = element.split(';').map(str::trim);
        let mut out = Element { what: parts.next().filter(|w| !w.is_empty())?, version: None, quality: 1000 };
        for (name, value) in parts.filter_map(|p| p.split_once('=')) {
            match name.trim().to_ascii_lowercase().as_str() {
                "q" => {
                    let q = value.trim().parse::<f32>().ok().filter(|q| (0.0..=1.0).contains(q))?;
                    out.quality = (q * 1000.0).round() as u16;
                }
                "version" => out.version = Some(value.trim().trim_matches('"')),
                _ => {}
            }
        }
        Some(out)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_follows_the_quality() {
        for (accept, expected) in [
            ("", Format::Text),
            ("*/*", Format::Text),
            ("text/html", Format::Text),
            ("application/openmetrics-text", Format::OpenMetrics),
            ("Application/OpenMetrics-Text; Version=\"1.0.0\"", Format::OpenMetrics),
            ("application/openmetrics-text; version=0.0.1", Format::Text),
            ("application/openmetrics-text; version=1.0.0; q=0", Format::Text),
            ("application/openmetrics-text;q=0.3,text/plain;version=0.0.4;q=0.8", Format::Text),
            ("application/openmetrics-text;q=0.3,text/plain;version=0.0.4;q=0.2", Format::OpenMetrics),
            ("application/openmetrics-text;q=0.3,text/plain;q=0.1,*/*;q=0.9", Format::OpenMetrics),
            ("application/openmetrics-text;q=0.3,*/*;q=0.9", Format::Text),
            ("application/openmetrics-text;q=much, text/plain", Format::Text),
            ("text/plain;version=1.0.0,application/openmetrics-text;q=0.1", Format::OpenMetrics),
            // Prometheus 2.42 and 3.
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                Format::OpenMetrics,
            ),
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                 text/plain;version=1.0.0;q=0.4,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
                Format::OpenMetrics,
            ),
            (",;=,;;q=,", Format::Text),
        ] {
            assert_eq!(format(accept), expected, "{accept}");
        }
    }

    #[test]
    fn gzip_only_where_it_is_taken() {
        for (accept, expected) in [
            ("", false),
            ("gzip", true),
            ("deflate, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("identity;q=1, gzip;q=0.5", false),
            ("identity;q=0.5, gzip", true),
            ("*", true),
            ("*;q=0", false),
            ("gzip;q=0, *", false),
            ("br", false),
        ] {
            assert_eq!(gzip(accept), expected, "{accept}");
        }
    }
}
