//! Which key does what. The help overlay and the hints at the bottom are made from this table.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// What a key, a click or a wheel asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Ends the screen.
    Quit,
    /// Closes what is open; ends the screen where nothing is.
    CloseOrQuit,
    /// Closes the overlay, or the filter, or the detail.
    Back,
    /// Opens or closes the help.
    Help,
    /// Opens or closes the coverage.
    Coverage,
    /// Goes to a pane by its place.
    Pane(usize),
    /// Goes to the next pane.
    NextPane,
    /// Goes to the pane before.
    PreviousPane,
    /// Moves the row by a number of rows.
    Rows(isize),
    /// Moves the row by a number of half screens.
    HalfScreens(isize),
    /// Goes to the first row.
    First,
    /// Goes to the last row.
    Last,
    /// Gives the keys to the next table.
    NextTable,
    /// Gives the keys to the table before.
    PreviousTable,
    /// Gives the keys to a table by its place.
    Table(usize),
    /// Gives the whole pane to the table, or takes it back.
    Zoom,
    /// Shows all of the chosen row, or less again.
    Detail,
    /// Sorts by the next column.
    SortNext,
    /// Sorts by the column before.
    SortPrevious,
    /// Turns the order round.
    SortInvert,
    /// Chooses the next column, or the one before, for the line at the bottom.
    Column(isize),
    /// Opens or closes the list of all numbers.
    Numbers,
    /// Begins to write a filter.
    Filter,
    /// Stops and goes on; plays a recording.
    Pause,
    /// Goes a number of snapshots on or back.
    Step(isize),
    /// Draws everything anew.
    Redraw,
    /// Gives the terminal back to the shell for a while.
    Suspend,
}

/// A key with its modifiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key(pub KeyCode, pub KeyModifiers);

/// Part of the help that a binding stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// The screen as a whole.
    Screen,
    /// Tables.
    Tables,
    /// Time.
    Time,
}

impl Group {
    /// All groups in the order of the help.
    pub const ALL: [Self; 3] = [Self::Screen, Self::Tables, Self::Time];

    /// Its heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::Screen => "Screen",
            Self::Tables => "Tables and findings",
            Self::Time => "Time",
        }
    }
}

/// A row of the table: keys that do the same.
#[derive(Debug)]
pub struct Binding {
    /// Keys, the usual one first.
    pub keys: &'static [Key],
    /// What they do.
    pub action: Action,
    /// The same for people.
    pub help: &'static str,
    /// A word for the hints at the bottom; `None` if it is not among them.
    pub hint: Option<&'static str>,
    /// Where it stands in the help.
    pub group: Group,
}

const fn plain(code: KeyCode) -> Key {
    Key(code, KeyModifiers::NONE)
}

const fn letter(c: char) -> Key {
    plain(KeyCode::Char(c))
}

const fn ctrl(c: char) -> Key {
    Key(KeyCode::Char(c), KeyModifiers::CONTROL)
}

const fn row(
    keys: &'static [Key],
    action: Action,
    help: &'static str,
    hint: Option<&'static str>,
    g: Group,
) -> Binding {
    Binding { keys, action, help, hint, group: g }
}

use Group::{Screen, Tables, Time};

/// Every key.
pub const KEYMAP: &[Binding] = &[
    row(&[letter('?'), letter('h'), plain(KeyCode::F(1))], Action::Help, "this help", Some("help"), Screen),
    row(&[letter('q')], Action::CloseOrQuit, "close what is open, or quit", Some("quit"), Screen),
    row(&[ctrl('c')], Action::Quit, "quit", None, Screen),
    row(&[plain(KeyCode::Tab)], Action::NextPane, "next pane", Some("pane"), Screen),
    row(&[plain(KeyCode::BackTab)], Action::PreviousPane, "pane before", None, Screen),
    row(&[letter('1')], Action::Pane(0), "overview", None, Screen),
    row(&[letter('2')], Action::Pane(1), "memory", None, Screen),
    row(&[letter('3')], Action::Pane(2), "cgroups and processes", None, Screen),
    row(&[letter('4')], Action::Pane(3), "reclaim", None, Screen),
    row(&[letter('5')], Action::Pane(4), "free pages and fragmentation", None, Screen),
    row(&[letter('6')], Action::Pane(5), "network", None, Screen),
    row(&[letter('7')], Action::Pane(6), "OOM kills", None, Screen),
    row(&[letter('8')], Action::Pane(7), "tunnels", None, Screen),
    row(
        &[letter('c')],
        Action::Coverage,
        "what is seen, what is missing and why, what was lost",
        Some("coverage"),
        Screen,
    ),
    row(&[letter('i')], Action::Numbers, "every number of the pane: what it is, its unit and source", None, Screen),
    row(&[plain(KeyCode::Esc)], Action::Back, "close what is open, clear the filter", None, Screen),
    row(&[ctrl('l')], Action::Redraw, "draw everything anew", None, Screen),
    row(&[ctrl('z')], Action::Suspend, "back to the shell; fg returns", None, Screen),
    row(&[plain(KeyCode::Up), letter('k')], Action::Rows(-1), "row up", None, Tables),
    row(&[plain(KeyCode::Down), letter('j')], Action::Rows(1), "row down", None, Tables),
    row(&[plain(KeyCode::PageUp)], Action::HalfScreens(-2), "screen up", None, Tables),
    row(&[plain(KeyCode::PageDown)], Action::HalfScreens(2), "screen down", None, Tables),
    row(&[ctrl('u')], Action::HalfScreens(-1), "half a screen up", None, Tables),
    row(&[ctrl('d')], Action::HalfScreens(1), "half a screen down", None, Tables),
    row(&[letter('g'), plain(KeyCode::Home)], Action::First, "first row", None, Tables),
    row(&[letter('G'), plain(KeyCode::End)], Action::Last, "last row", None, Tables),
    row(
        &[plain(KeyCode::Right)],
        Action::NextTable,
        "next table; after the last the first line, and the lines of numbers",
        None,
        Tables,
    ),
    row(&[plain(KeyCode::Left)], Action::PreviousTable, "table, or lines of numbers, before", None, Tables),
    row(&[letter('z')], Action::Zoom, "give the whole pane to the table, and back", None, Tables),
    row(
        &[plain(KeyCode::Enter)],
        Action::Detail,
        "all of the chosen row, or why that process was killed; and back",
        None,
        Tables,
    ),
    row(&[letter('s'), letter('>')], Action::SortNext, "sort by the next column", Some("sort"), Tables),
    row(&[letter('<')], Action::SortPrevious, "sort by the column before", None, Tables),
    row(&[letter('.')], Action::Column(1), "next column or number for the line at the bottom", Some("explain"), Tables),
    row(&[letter(',')], Action::Column(-1), "column or number before", None, Tables),
    row(&[letter('I')], Action::SortInvert, "turn the order round", None, Tables),
    row(&[letter('/')], Action::Filter, "keep rows that hold a text; !text keeps the others", Some("filter"), Tables),
    row(&[letter(' '), letter('p')], Action::Pause, "pause and go on; play a recording", Some("pause"), Time),
    row(&[letter('[')], Action::Step(-1), "snapshot before (stops first)", None, Time),
    row(&[letter(']')], Action::Step(1), "next snapshot", None, Time),
    row(&[letter('{')], Action::Step(-60), "60 snapshots back", None, Time),
    row(&[letter('}')], Action::Step(60), "60 snapshots on", None, Time),
];

/// The action of a key event; `None` if the key does nothing.
pub fn action(event: KeyEvent) -> Option<Action> {
    if event.kind == KeyEventKind::Release {
        return None;
    }
    // A character already tells whether shift was held; terminals disagree on whether they report it too.
    let shift = matches!(event.code, KeyCode::Char(_) | KeyCode::BackTab);
    let modifiers = if shift { event.modifiers.difference(KeyModifiers::SHIFT) } else { event.modifiers };
    KEYMAP.iter().find(|b| b.keys.contains(&Key(event.code, modifiers))).map(|b| b.action)
}

/// The first key of an action, for hints in text; empty if it has none.
pub fn label_of(action: Action) -> String {
    KEYMAP.iter().find(|b| b.action == action).and_then(|b| b.keys.first()).map(Key::label).unwrap_or_default()
}

impl Key {
    /// What stands on the key.
    pub fn label(&self) -> String {
        let Self(code, modifiers) = self;
        match code {
            KeyCode::Char(' ') => "Space".to_owned(),
            KeyCode::Char(c) if modifiers.contains(KeyModifiers::CONTROL) => format!("Ctrl-{c}"),
            KeyCode::Char(c) => c.to_string(),
            KeyCode::F(n) => format!("F{n}"),
            KeyCode::BackTab => "Shift-Tab".to_owned(),
            KeyCode::PageUp => "PgUp".to_owned(),
            KeyCode::PageDown => "PgDn".to_owned(),
            other => format!("{other:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_is_bound_twice() {
        let keys: Vec<Key> = KEYMAP.iter().flat_map(|b| b.keys).copied().collect();
        for (i, key) in keys.iter().enumerate() {
            assert!(!keys[..i].contains(key), "{} is bound twice", key.label());
        }
    }

    #[test]
    fn shift_on_a_character_does_not_matter() {
        assert_eq!(action(KeyEvent::new(KeyCode::Char('G'), KeyModifiers::SHIFT)), Some(Action::Last));
        assert_eq!(action(KeyEvent::new(KeyCode::Char('G'), KeyModifiers::NONE)), Some(Action::Last));
        assert_eq!(action(KeyEvent::new(KeyCode::BackTab, KeyModifiers::SHIFT)), Some(Action::PreviousPane));
        assert_eq!(action(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Some(Action::Quit));
        assert_eq!(action(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::NONE)), Some(Action::Coverage));
        assert_eq!(action(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::ALT)), None);
    }

    #[test]
    fn digits_name_the_panes_in_order() {
        for (i, pane) in crate::output::tui::panes::PANES.iter().enumerate() {
            let digit = char::from_digit(i as u32 + 1, 10).expect("under ten panes");
            let event = KeyEvent::new(KeyCode::Char(digit), KeyModifiers::NONE);
            assert_eq!(action(event), Some(Action::Pane(i)), "{} has no digit", pane.title);
        }
    }
}
