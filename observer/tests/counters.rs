//! What a counter promises a server that scrapes it, on every committed recording: it never goes back, and a series that
//! was gone does not come back lower. Nothing is left out, the buckets of histograms neither.

use std::{collections::HashMap, fs, path::Path, time::Duration};

use observer::{
    output::metrics::{
        Exporter, Page,
        family::{Kind, Number, Value},
        table,
    },
    recording::Reader,
    snapshot::Snapshot,
};

/// One number of a page: family, labels, and which bucket or sum of a histogram it is.
type Series = (&'static str, Vec<String>, String);

/// Everything in a page that may only grow.
fn growing(page: &Page) -> Vec<(Series, f64)> {
    let mut out = Vec::new();
    for family in page.families.iter() {
        if !matches!(family.metric.kind, Kind::Counter | Kind::Histogram) {
            continue;
        }
        for point in &family.points {
            let mut add = |part: String, n: f64| out.push(((family.metric.name, point.labels.clone(), part), n));
            match &point.value {
                Value::Number(Number::Whole(n)) => add(String::new(), *n as f64),
                Value::Number(Number::Real(n)) => add(String::new(), *n),
                Value::Histogram { buckets, sum } => {
                    add("sum".to_owned(), *sum);
                    // Cumulative, as a server gets them: each must grow, the last is the count.
                    let mut below = 0;
                    for (bound, n) in buckets {
                        below += n;
                        add(format!("le {bound}"), below as f64);
                    }
                }
            }
        }
    }
    out
}

fn recordings() -> Vec<(String, Vec<Snapshot>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings");
    let folders = fs::read_dir(root).expect("recordings").map(|entry| entry.expect("a folder").path());
    let mut all: Vec<_> = folders
        .map(|folder| {
            let name = folder.file_name().expect("a folder in it").to_string_lossy().into_owned();
            let snapshots = Reader::open(&folder).expect("a recording").collect::<Result<_, _>>().expect("whole");
            (name, snapshots)
        })
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

/// Panics if a series of these pages goes back; gives the series that grew.
fn only_grow(name: &str, pages: impl Iterator<Item = Page>) -> Vec<&'static str> {
    let mut highest: HashMap<Series, f64> = HashMap::new();
    let mut grew = Vec::new();
    for (at, page) in pages.enumerate() {
        for (series, value) in growing(&page) {
            // Series that are gone stay in the map: coming back lower is going back.
            let before = highest.insert(series.clone(), value);
            assert!(before.is_none_or(|before| value >= before), "{name}[{at}]: {series:?}: {before:?} to {value}");
            if before.is_some_and(|before| value > before) {
                grew.push(series.0);
            }
        }
    }
    grew
}

#[test]
fn no_counter_of_any_recording_goes_back() {
    let mut grew = Vec::new();
    for (name, snapshots) in recordings() {
        // With room for all, and with so little that most of it is in "other".
        for top in [50, 2] {
            let mut exporter = Exporter::new(top);
            let pages = snapshots.iter().map(|s| exporter.page(s.clone(), Duration::from_millis(1)));
            grew.extend(only_grow(&name, pages));
        }
    }
    // The test sees what grows: of the recordings together, nearly every family that is not observer's own does.
    let expected = [
        "page_alloc",
        "reclaim",
        "kswapd",
        "compaction",
        "shrinker",
        "oom",
        "tcp",
        "cgroup",
        "eviction",
        "tunnel",
        "softnet",
        "host",
    ];
    let still: Vec<_> =
        expected.iter().filter(|s| !grew.iter().any(|g| g.starts_with(&format!("observer_{s}_")))).collect();
    assert!(still.is_empty(), "no recording in which these grow: {still:?}");
    let silent: Vec<_> =
        table().filter(|m| m.kind == Kind::Counter && !grew.contains(&m.name)).map(|m| m.name).collect();
    println!("counters that no recording moves: {silent:?}");
}

#[test]
fn a_snapshot_taken_again_moves_nothing() {
    for (name, snapshots) in recordings() {
        let mut exporter = Exporter::new(50);
        let own = |page: &Page| -> HashMap<Series, f64> {
            let of_the_kernel = |(family, ..): &Series| {
                !["observer_snapshot", "observer_cpu_seconds"].iter().any(|own| family.starts_with(own))
            };
            growing(page).into_iter().filter(|(series, _)| of_the_kernel(series)).collect()
        };
        for snapshot in snapshots {
            let first = own(&exporter.page(snapshot.clone(), Duration::ZERO));
            let second = own(&exporter.page(snapshot, Duration::ZERO));
            assert_eq!(first, second, "{name}");
        }
    }
}
