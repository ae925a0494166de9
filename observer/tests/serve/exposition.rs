//! Reads the text formats, strictly: anything that is not in the format panics.

use std::collections::BTreeMap;

/// A sample's name and labels, as written.
pub(crate) type Series = (String, BTreeMap<String, String>);

/// Samples of one exposition.
#[derive(Debug)]
pub(crate) struct Exposition {
    pub(crate) samples: BTreeMap<Series, f64>,
    /// Type of each family by the name in its TYPE line.
    pub(crate) types: BTreeMap<String, String>,
}

impl Exposition {
    pub(crate) fn parse(text: &str) -> Self {
        assert!(text.ends_with('\n'), "no line break at the end");
        let mut out = Self { samples: BTreeMap::new(), types: BTreeMap::new() };
        for line in text.lines() {
            if let Some(of) = line.strip_prefix("# TYPE ") {
                let (name, kind) = of.split_once(' ').unwrap();
                assert!(out.types.insert(name.into(), kind.into()).is_none(), "twice: {line}");
            } else if !line.starts_with("# HELP ") && !line.starts_with("# UNIT ") && line != "# EOF" {
                let (series, value) = sample(line);
                assert!(out.samples.insert(series, value).is_none(), "twice: {line}");
            }
        }
        out
    }

    /// The value of the only sample of that name.
    pub(crate) fn value(&self, name: &str) -> f64 {
        let mut values = self.of(name);
        let value = values.next().unwrap_or_else(|| panic!("no {name}")).1;
        assert!(values.next().is_none(), "more than one {name}");
        value
    }

    /// Labels and value of every sample of that name.
    pub(crate) fn of(&self, name: &str) -> impl Iterator<Item = (&BTreeMap<String, String>, f64)> {
        self.samples.iter().filter(move |((n, _), _)| n == name).map(|((_, labels), value)| (labels, *value))
    }

    /// Samples that may only grow: counters and the parts of histograms.
    pub(crate) fn counters(&self) -> impl Iterator<Item = (&Series, f64)> {
        self.samples.iter().filter(|((name, _), _)| self.counts(name)).map(|(series, value)| (series, *value))
    }

    fn counts(&self, name: &str) -> bool {
        let is = |family: &str, kind: &str| self.types.get(family).is_some_and(|k| k == kind);
        is(name, "counter")
            || ["_bucket", "_sum", "_count"].iter().any(|s| name.strip_suffix(s).is_some_and(|f| is(f, "histogram")))
    }
}

fn sample(line: &str) -> (Series, f64) {
    let end = line.find(['{', ' ']).unwrap_or_else(|| panic!("{line:?}"));
    let (name, mut rest) = line.split_at(end);
    assert!(!name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'), "{line:?}");
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("{line:?}"));
            let (value, after) = quoted(after).unwrap_or_else(|| panic!("{line:?}"));
            // A bound may be written as 1 or 1.0.
            let value = value.parse::<f64>().ok().filter(|_| label == "le").map_or(value, |le| le.to_string());
            assert!(labels.insert(label.to_owned(), value).is_none(), "{line:?}");
            rest = match (after.strip_prefix(','), after.strip_prefix('}')) {
                (Some(more), _) => more,
                (None, Some(end)) => {
                    rest = end;
                    break;
                }
                (None, None) => panic!("{line:?}"),
            };
        }
    }
    let value = rest.strip_prefix(' ').and_then(|v| v.replace("+Inf", "inf").parse().ok());
    ((name.to_owned(), labels), value.unwrap_or_else(|| panic!("{line:?}")))
}

/// A label value with its escapes undone, and what follows its closing quote.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    loop {
        match chars.next()? {
            (at, '"') => return Some((value, &text[at + 1..])),
            (_, '\\') => value.push(match chars.next()?.1 {
                'n' => '\n',
                c @ ('\\' | '"') => c,
                _ => return None,
            }),
            (_, c) => value.push(c),
        }
    }
}
