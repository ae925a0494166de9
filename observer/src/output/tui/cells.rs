//! Cells that several panes have: the same unit and the same warning everywhere.

use super::{
    context::Context,
    table::{Cell, Value},
    theme::Tone,
};
use crate::{
    snapshot::{CgroupId, Name, reclaim::ReclaimKind},
    units,
};

/// Bytes, `1.5 GiB`.
pub(super) fn bytes(value: Option<u64>) -> Cell {
    Cell::number(value.map(|v| v as f64), units::bytes)
}

/// Bytes a second under a heading that says so, `1.5 MiB`.
pub(super) fn byte_rate(value: Option<f64>) -> Cell {
    Cell::number(value, units::bytes)
}

/// Bytes a second as bits a second under a heading that says so, `940 M`.
pub(super) fn bit_rate(bytes_per_second: Option<f64>) -> Cell {
    Cell::number(bytes_per_second.map(|v| v * 8.0), units::count)
}

/// Events a second under a heading that says so, `12.3 k`.
pub(super) fn rate(value: Option<f64>) -> Cell {
    Cell::number(value, units::count)
}

/// A count.
pub(super) fn count(value: Option<u64>) -> Cell {
    Cell::number(value.map(|v| v as f64), units::count)
}

/// A count of things that are wrong.
pub(super) fn trouble(value: Option<f64>) -> Cell {
    let cell = Cell::number(value, units::count);
    if value.is_some_and(|v| v > 0.0) { cell.tone(Tone::Warn) } else { cell }
}

/// A ratio as a percentage.
pub(super) fn ratio(value: Option<f64>) -> Cell {
    Cell::number(value, units::percent)
}

/// A time.
pub(super) fn seconds(value: Option<f64>) -> Cell {
    Cell::number(value, units::seconds)
}

/// An upper bound of a time, which is all that a log2 histogram tells: `<4.19 ms`.
pub(super) fn bound(value: Option<f64>) -> Cell {
    Cell::number(value, |v| format!("<{}", units::seconds(v)))
}

/// A number that names something, such as a process id: sorted, but not scaled.
pub(super) fn id(value: u64) -> Cell {
    Cell { text: value.to_string(), tone: Tone::Plain, value: Value::Number(Some(value as f64)) }
}

/// What [`netns`] shows.
pub(super) const NETNS: &str =
    "network namespace: own for observer's, else its name, a process in it or its inode: /proc/PID/ns/net";

/// What to call a network namespace.
pub(super) fn netns(ctx: &Context<'_>, inode: Option<u64>) -> Cell {
    Cell::text_or_unknown(inode.map(|inode| ctx.model.netns_titles.of(inode)).as_deref())
}

/// The path of a cgroup, or its number where no path is known.
pub(super) fn cgroup(path: Option<&Name>, id: Option<CgroupId>) -> Cell {
    match (path, id) {
        (Some(path), _) => Cell::text(path.as_str()),
        (None, Some(id)) => Cell::text(format!("id {}", id.0)).tone(Tone::Dim),
        (None, None) => Cell::text_or_unknown(None::<&str>),
    }
}

/// Whose limit made a task reclaim.
pub(super) fn kind(kind: ReclaimKind) -> &'static str {
    match kind {
        ReclaimKind::Direct => "direct",
        ReclaimKind::Memcg => "memcg",
    }
}
