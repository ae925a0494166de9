//! The panes. Adding one is a file here, a row in [`PANES`] and a screen snapshot.

mod buffers;
mod cgroups;
mod connection;
mod details;
mod drops;
mod first_byte;
mod kswapd;
mod listeners;
mod memory;
mod network;
mod oom;
mod orders;
mod overview;
mod pages;
mod processes;
mod reclaim;
mod traffic;
mod tunnel;
mod tunnels;
mod waits;

use ratatui::{buffer::Buffer, layout::Rect};

use super::{
    context::{Context, Facts},
    table::Column,
};

/// A pane.
pub struct Pane {
    /// Its name on the command line.
    pub name: &'static str,
    /// Its name on the tab.
    pub title: &'static str,
    /// The same where there is little room.
    pub(super) short: &'static str,
    /// True if it lists the findings, which the other panes name the worst of.
    pub(super) lists_findings: bool,
    /// Table that has the keys at first.
    pub(super) first_table: usize,
    /// Its tables, for the list of all numbers.
    pub(super) tables: &'static [(&'static str, &'static [Column])],
    /// Draws it.
    pub(super) draw: fn(&Context<'_>, Rect, &mut Buffer) -> Facts,
}

/// Every pane, in the order of the tabs.
pub const PANES: &[Pane] =
    &[overview::PANE, memory::PANE, cgroups::PANE, reclaim::PANE, pages::PANE, network::PANE, oom::PANE, tunnels::PANE];

/// Place of a pane by its name.
pub fn by_name(name: &str) -> Option<usize> {
    PANES.iter().position(|p| p.name == name)
}
