//! What the user has chosen: pane, table, row, filter, overlay, pause. Changed by actions only.

use super::{context::Facts, filter::Filter, keymap::Action, panes::PANES, table::TableState};
use crate::output::oom::known::Key;

/// What lies over the panes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overlay {
    /// The keys.
    Help,
    /// What is seen, what is missing, what was lost.
    Coverage,
    /// Every number of the pane.
    Numbers,
    /// Why a process was killed.
    Explanation(Key),
}

/// What the keys act on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Stop {
    /// The first lines of the screen.
    Header,
    /// The lines of numbers of the pane.
    Signs,
    /// A table.
    #[default]
    Table,
}

/// Choices within one pane.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct PaneState {
    /// What the keys act on.
    pub(super) stop: Stop,
    /// Number of the first lines of the screen that the line at the bottom tells of.
    pub(super) header_number: usize,
    /// The same of the lines of numbers.
    pub(super) sign_number: usize,
    /// Table that the keys act on, or did.
    pub(super) table: usize,
    /// True if that table has the whole pane.
    pub(super) zoom: bool,
    /// True if all of the chosen row is shown.
    pub(super) detail: bool,
    /// Choices by table.
    pub(super) tables: Vec<TableState>,
    /// Filter of all its tables.
    pub(super) filter: Filter,
}

impl PaneState {
    /// Choices in one table.
    pub(super) fn of(&self, table: usize) -> TableState {
        self.tables.get(table).copied().unwrap_or_default()
    }

    fn change(&mut self, table: usize, change: impl FnOnce(&mut TableState)) {
        if self.tables.len() <= table {
            self.tables.resize(table + 1, TableState::default());
        }
        if let Some(state) = self.tables.get_mut(table) {
            change(state);
        }
    }
}

/// What the loop has to do for an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Draw.
    Draw,
    /// Clear the terminal, then draw.
    Redraw,
    /// Stop or go on.
    Pause,
    /// Go a number of snapshots on or back.
    Step(isize),
    /// Give the terminal back to the shell for a while.
    Suspend,
    /// End.
    Quit,
}

/// Everything that the user has chosen.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Screen {
    /// The pane that is shown.
    pub(super) pane: usize,
    /// Choices by pane.
    pub(super) panes: Vec<PaneState>,
    /// What lies over it.
    pub(super) overlay: Option<Overlay>,
    /// First line of the overlay that is shown.
    pub(super) overlay_line: usize,
    /// True while a filter is being written.
    pub(super) writing_filter: bool,
}

impl Screen {
    /// A screen that shows a pane.
    pub(super) fn new(pane: usize) -> Self {
        Self {
            pane: pane.min(PANES.len().saturating_sub(1)),
            panes: PANES.iter().map(|p| PaneState { table: p.first_table, ..PaneState::default() }).collect(),
            overlay: None,
            overlay_line: 0,
            writing_filter: false,
        }
    }

    /// Choices of the pane that is shown.
    pub(super) fn state(&self) -> Option<&PaneState> {
        self.panes.get(self.pane)
    }

    /// Adds a character to the filter that is being written.
    pub(super) fn write(&mut self, c: char) {
        // Longer than any line that is shown: a key that hangs must not fill the memory.
        const LONGEST: usize = 200;
        if let Some(state) = self.panes.get_mut(self.pane).filter(|s| s.filter.text.len() < LONGEST) {
            state.filter.text.push(c);
        }
    }

    /// Takes the last character of the filter away, or all of them.
    pub(super) fn erase(&mut self, all: bool) {
        if let Some(state) = self.panes.get_mut(self.pane) {
            if all {
                state.filter.text.clear();
            } else {
                state.filter.text.pop();
            }
        }
    }

    /// Chooses a row of a table.
    pub(super) fn choose(&mut self, table: usize, row: usize) {
        if self.overlay.is_none()
            && let Some(state) = self.panes.get_mut(self.pane)
        {
            state.change(table, |t| t.row = row);
        }
    }

    /// Chooses a number of the first lines of the screen or of the pane.
    pub(super) fn choose_number(&mut self, stop: Stop, number: usize) {
        if self.overlay.is_none()
            && let Some(state) = self.panes.get_mut(self.pane)
        {
            state.stop = stop;
            match stop {
                Stop::Header => state.header_number = number,
                Stop::Signs => state.sign_number = number,
                Stop::Table => {}
            }
        }
    }

    /// Does what an action asks for; `facts` are those of the last drawing.
    pub(super) fn apply(&mut self, action: Action, facts: &Facts) -> Effect {
        match action {
            Action::Quit => return Effect::Quit,
            Action::CloseOrQuit if self.overlay.is_none() => return Effect::Quit,
            Action::CloseOrQuit | Action::Back => self.back(),
            Action::Redraw => return Effect::Redraw,
            Action::Suspend => return Effect::Suspend,
            Action::Pause => return Effect::Pause,
            Action::Step(steps) => return Effect::Step(steps),
            Action::Help => self.toggle(Overlay::Help),
            Action::Coverage => self.toggle(Overlay::Coverage),
            Action::Numbers => self.toggle(Overlay::Numbers),
            Action::Pane(pane) => self.go_to(pane),
            Action::NextPane => self.go_to((self.pane + 1) % PANES.len()),
            Action::PreviousPane => self.go_to((self.pane + PANES.len() - 1) % PANES.len()),
            Action::Rows(_) | Action::HalfScreens(_) | Action::First | Action::Last => self.scroll(action, facts),
            Action::Detail if self.overlay.is_some() => self.overlay = None,
            Action::Detail if facts.opens.is_some() => {
                self.overlay = facts.opens.map(Overlay::Explanation);
                self.overlay_line = 0;
            }
            _ => {
                if let Some(state) = self.panes.get_mut(self.pane) {
                    self.writing_filter = in_pane(state, action, facts) && self.overlay.is_none();
                }
            }
        }
        Effect::Draw
    }

    fn back(&mut self) {
        if self.overlay.take().is_some() {
            return;
        }
        let Some(state) = self.panes.get_mut(self.pane) else { return };
        if state.stop != Stop::Table {
            state.stop = Stop::Table;
        } else if state.detail {
            state.detail = false;
        } else if state.zoom {
            state.zoom = false;
        } else {
            state.filter.text.clear();
        }
    }

    fn toggle(&mut self, overlay: Overlay) {
        self.overlay = if self.overlay == Some(overlay) { None } else { Some(overlay) };
        self.overlay_line = 0;
    }

    fn go_to(&mut self, pane: usize) {
        if pane < PANES.len() {
            self.pane = pane;
            self.overlay = None;
        }
    }

    fn scroll(&mut self, action: Action, facts: &Facts) {
        let table = if self.overlay.is_some() {
            0
        } else {
            self.state().map_or(0, |s| s.table.min(facts.tables.len().saturating_sub(1)))
        };
        let seen = facts.tables.get(table).copied().unwrap_or_default();
        let moved = |from: usize, count: usize| {
            let last = count.saturating_sub(1);
            let from = from.min(last);
            match action {
                Action::Rows(n) => from.saturating_add_signed(n).min(last),
                Action::HalfScreens(n) => {
                    let half = isize::try_from(seen.visible / 2).unwrap_or(0).max(1);
                    from.saturating_add_signed(n.saturating_mul(half)).min(last)
                }
                Action::Last => last,
                _ => 0,
            }
        };
        if self.overlay.is_some() {
            self.overlay_line = moved(self.overlay_line, seen.rows);
        } else if let Some(state) = self.panes.get_mut(self.pane) {
            match state.stop {
                Stop::Header => state.header_number = moved(state.header_number, facts.header.numbers.len()),
                Stop::Signs => state.sign_number = moved(state.sign_number, facts.signs.numbers.len()),
                Stop::Table => state.change(table, |t| t.row = moved(t.row, seen.rows)),
            }
        }
    }
}

/// Gives the keys to what comes so many places after what has them: header, lines of numbers, tables, and round again.
fn turn_stop(state: &mut PaneState, facts: &Facts, by: usize) {
    let header = (!facts.header.numbers.is_empty()).then_some((Stop::Header, state.table));
    let signs = (!facts.signs.numbers.is_empty()).then_some((Stop::Signs, state.table));
    let tables = (0..facts.tables.len()).map(|i| (Stop::Table, i));
    let stops: Vec<(Stop, usize)> = header.into_iter().chain(signs).chain(tables).collect();
    let at = stops.iter().position(|s| *s == (state.stop, state.table));
    let at = at.or_else(|| stops.iter().position(|s| s.0 == Stop::Table)).unwrap_or(0);
    if let Some((stop, table)) = stops.get((at + by % stops.len().max(1)) % stops.len().max(1)) {
        (state.stop, state.table) = (*stop, *table);
    }
}

/// Actions on the tables of a pane. True if a filter is to be written.
fn in_pane(state: &mut PaneState, action: Action, facts: &Facts) -> bool {
    let tables = facts.tables.len().max(1);
    let table = state.table.min(tables - 1);
    let seen = facts.tables.get(table).copied().unwrap_or_default();
    let columns = seen.columns;
    let stops = [!facts.header.numbers.is_empty(), !facts.signs.numbers.is_empty()].iter().filter(|s| **s).count();
    let before = (facts.tables.len() + stops).saturating_sub(1);
    let stepped = |from: usize, by: isize, count: usize| {
        from.min(count.saturating_sub(1)).saturating_add_signed(by).min(count.saturating_sub(1))
    };
    // Place 0 is the order of the model, place i + 1 is column i.
    let turn = |sort: Option<usize>, by: usize| ((sort.map_or(0, |c| c + 1) + by) % (columns + 1)).checked_sub(1);
    match action {
        Action::NextTable => turn_stop(state, facts, 1),
        Action::PreviousTable => turn_stop(state, facts, before),
        Action::Table(wanted) if wanted < tables => (state.stop, state.table) = (Stop::Table, wanted),
        // Both are for a table, which so has the keys again.
        Action::Zoom => (state.zoom, state.stop) = (!state.zoom, Stop::Table),
        Action::Detail => (state.detail, state.stop) = (!state.detail, Stop::Table),
        Action::SortNext => state.change(table, |t| t.sort = turn(t.sort, 1)),
        Action::SortPrevious => state.change(table, |t| t.sort = turn(t.sort, columns)),
        Action::SortInvert => state.change(table, |t| t.inverted = !t.inverted),
        Action::Column(by) => match state.stop {
            Stop::Header => state.header_number = stepped(state.header_number, by, facts.header.numbers.len()),
            Stop::Signs => state.sign_number = stepped(state.sign_number, by, facts.signs.numbers.len()),
            Stop::Table => state.change(table, |t| t.column = stepped(t.column, by, columns + seen.numbers)),
        },
        Action::Filter => return true,
        _ => {}
    }
    false
}

#[cfg(test)]
mod tests;
