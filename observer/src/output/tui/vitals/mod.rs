//! Vital signs: one line each for what RAM is, stalls, allocation, reclaim, kswapd, TCP and links.

mod kernel;
mod network;
mod pressure;
mod ram;

pub(super) use network::own_namespace;

use super::{context::Context, strip::Strip, theme::Tone};

/// All vital signs for a screen of `room` columns.
pub(super) fn lines(ctx: &Context<'_>, room: usize) -> Vec<Strip> {
    let mut lines = ram::lines(ctx);
    lines.push(pressure::line(ctx));
    lines.extend([kernel::allocation(ctx), kernel::reclaim(ctx), kernel::kswapd(ctx)]);
    lines.extend([network::tcp(ctx), network::links(ctx, room)]);
    lines
}

/// Stalls for memory in full, the lists of reclaim and dirty page cache, for the pane of memory.
pub(super) fn memory_lines(ctx: &Context<'_>) -> Vec<Strip> {
    [pressure::line(ctx)].into_iter().chain(pressure::in_full(ctx)).chain(ram::lists(ctx)).collect()
}

/// Worth a look from one value on, wrong from another.
fn tone_of(value: Option<f64>, warn: f64, bad: f64) -> Tone {
    match value {
        Some(v) if v >= bad => Tone::Bad,
        Some(v) if v >= warn => Tone::Warn,
        _ => Tone::Plain,
    }
}
