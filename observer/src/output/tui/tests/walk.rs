//! Walks over every number of every pane with the keys, as a user would, and reads the line at the bottom.

use std::collections::{BTreeSet, HashSet};

use super::{Stage, fixtures};
use crate::{
    output::tui::{keymap::Action, panes::PANES, screen::Stop},
    snapshot::{Snapshot, coverage::ProbeState},
    units,
};

/// One of these tells the unit of a number. What stands in words says what it is.
const UNITS: &[&str] = &[
    "bytes",
    "bits",
    "pages",
    "segments",
    "packets",
    "seconds",
    "time",
    "share",
    "percent",
    "number",
    "count",
    "times",
    "requests",
    "reclaims",
    "faults",
    "connections",
    "resets",
    "kills",
    "retransmit",
    "events",
    "name",
    "process",
    "path",
    "whose",
    "what is wrong",
    "what to do",
    "why",
    "objects",
    "files",
    "id",
    "pid",
    "inode",
    "waits",
    "wakes",
    "calls",
    "compactions",
    "fallbacks",
    "order",
    "NUMA node",
    "zone",
    "migrate type",
    "state",
    "device",
    "cycles",
    "stalls",
    "port",
    "cgroup",
    "adjustment",
    "gfp flags",
    "release",
    "counters",
    "half of",
    "99 %",
    "user",
    "kind",
    "rounds",
    "higher",
    "mount",
    "how",
    "what the memory is",
    "file and counters",
    "who",
    "address",
    "function",
    "free blocks",
    "link",
    "a task that needs",
    "watermark",
    "read its cache",
];

/// Opens the details of the chosen row, and closes what lies over the pane where they are more than a few lines.
fn open_details(stage: &mut Stage) {
    stage.act(&[Action::Detail], 160, 50);
    stage.screen.overlay = None;
}

/// Does what a key would and draws.
fn press(stage: &mut Stage, action: Action, width: u16, height: u16) {
    stage.screen.apply(action, &stage.facts);
    stage.draw_at(width, height);
}

/// All that the cursor can reach on a pane, as the line at the bottom tells it, with what is shown of it. Of a table the
/// first rows: those that follow have the same columns.
fn helps(stage: &mut Stage, width: u16, height: u16) -> Vec<String> {
    const ROWS: usize = 2;
    let mut helps = Vec::new();
    stage.draw_at(width, height);
    for _ in 0..stage.facts.tables.len() + 2 {
        press(stage, Action::NextTable, width, height);
        let state = stage.screen.state().unwrap();
        let is_table = state.stop == Stop::Table;
        let rows = if is_table { stage.facts.tables[state.table].rows.clamp(1, ROWS) } else { 1 };
        for row in 0..rows {
            press(stage, Action::Column(-10_000), width, height);
            let mut last = None;
            while last.as_ref() != stage.screen.state() {
                last = stage.screen.state().cloned();
                helps.push(stage.facts.help.clone().unwrap_or_default());
                press(stage, Action::Column(1), width, height);
            }
            if row + 1 < rows {
                press(stage, Action::Rows(1), width, height);
            }
        }
    }
    helps
}

/// The probes and files of a host are gone, one part after the other.
fn degraded() -> Vec<Vec<Snapshot>> {
    let without = |take: fn(&mut Snapshot)| {
        fixtures::busy(3)
            .into_iter()
            .map(|mut s| {
                take(&mut s);
                for probe in &mut s.coverage.probes {
                    let reason = "the kernel said no".into();
                    probe.state = ProbeState::Absent { reason, replaced_by: None, remedy: None };
                }
                s
            })
            .collect()
    };
    vec![
        fixtures::unreadable(3),
        fixtures::busy(1),
        without(|s| {
            (s.page_alloc, s.reclaim, s.kswapd, s.oom) = (None, None, None, None);
            (s.compaction, s.extfrag, s.shrinkers, s.retries) = (None, None, None, None);
        }),
        without(|s| (s.memory.meminfo, s.pressure, s.links) = (None, None, None)),
        without(|s| (s.memory.vmstat, s.cgroups, s.processes, s.memory.zones) = (None, None, None, None)),
    ]
}

#[test]
fn every_number_tells_its_unit_and_source_and_a_missing_one_why() {
    let hosts = [vec![fixtures::busy(3)], degraded()].concat();
    let mut wrong = BTreeSet::new();
    for snapshots in hosts {
        for (place, pane) in PANES.iter().enumerate() {
            let mut stage = Stage::new(place, snapshots.clone());
            open_details(&mut stage);
            let helps = helps(&mut stage, 160, 50);
            assert!(helps.len() > 10, "{}: {helps:?}", pane.name);
            wrong.extend(helps.iter().filter_map(|h| Some(format!("{}: {}: {h}", pane.name, fault(h)?))));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.into_iter().collect::<Vec<_>>().join("\n"));
}

/// What a line at the bottom fails to say.
fn fault(help: &str) -> Option<&'static str> {
    let (before, source) = help.rsplit_once(": ").unwrap_or((help, ""));
    let why = help.split_once("is not known: ").map(|(_, why)| why.split(';').next().unwrap_or_default());
    let is_unknown = help.contains(&format!(" {}: ", units::UNKNOWN));
    if source.len() < 3 {
        Some("no source")
    } else if !UNITS.iter().any(|u| before.contains(u)) {
        Some("no unit")
    } else if is_unknown || why.is_some_and(|why| why.len() < 10) {
        Some("no reason")
    } else {
        None
    }
}

#[test]
fn every_sign_of_something_missing_can_be_asked_why() {
    for snapshots in degraded() {
        for (place, pane) in PANES.iter().enumerate() {
            let mut stage = Stage::new(place, snapshots.clone());
            open_details(&mut stage);
            let whys = helps(&mut stage, 160, 50).iter().filter(|h| h.contains("is not known: ")).count();
            stage.act(&[Action::Table(0)], 160, 50);
            let text = stage.text(160, 50);
            let signs = text.matches(&format!(" {} ", units::UNKNOWN)).count();
            assert!(signs == 0 || whys > 0, "{}: {signs} signs, {whys} reasons\n{text}", pane.name);
        }
    }
}

#[test]
fn every_digit_on_the_screen_belongs_to_what_can_be_asked() {
    // Beyond tables, whose columns tell what they hold, a digit stands at the place of a number, in the keys, or in the
    // words that tell of a number.
    for snapshots in [fixtures::busy(3), fixtures::unreadable(3), fixtures::busy(1)] {
        for place in 0..PANES.len() {
            let (width, height) = (140, 45);
            let mut stage = Stage::new(place, snapshots.clone());
            let buffer = stage.buffer(width, height);
            let facts = stage.facts.clone();
            let of_lines: HashSet<(u16, u16)> = [&facts.header, &facts.signs]
                .into_iter()
                .flat_map(|l| &l.places)
                .flat_map(|(_, area)| area.positions())
                .map(|p| (p.x, p.y))
                .collect();
            let first = facts.tables.iter().map(|t| t.area).filter(|a| !a.is_empty());
            let of_tables: HashSet<(u16, u16)> = first.flat_map(|a| a.positions()).map(|p| (p.x, p.y)).collect();
            // The tabs, the worst finding, the help and the hints.
            let below = height - 1 - 5;
            for y in (0..height).filter(|y| *y != 1 && *y != 2 && *y < below) {
                for x in 0..width {
                    let symbol = buffer[(x, y)].symbol();
                    let is_digit = symbol.starts_with(|c: char| c.is_ascii_digit());
                    let words = words_at(&buffer, x, y);
                    assert!(
                        !is_digit || of_lines.contains(&(x, y)) || of_tables.contains(&(x, y)) || is_fixed(&words),
                        "pane {place}: nobody tells what {words:?} at {x},{y} is"
                    );
                }
            }
        }
    }
}

/// The word around a place.
fn words_at(buffer: &ratatui::buffer::Buffer, x: u16, y: u16) -> String {
    let is_blank = |x: u16| buffer[(x, y)].symbol() == " ";
    let start = (0..=x).rev().take_while(|x| !is_blank(*x)).last().unwrap_or(x);
    (start..buffer.area.right()).take_while(|x| !is_blank(*x)).map(|x| buffer[(x, y)].symbol()).collect()
}

/// Fixed words that have digits: the lengths of averages, and `p99`.
fn is_fixed(word: &str) -> bool {
    let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    matches!(word, "10" | "60" | "300") || word.starts_with("p99")
}

#[test]
fn nothing_of_the_help_is_cut_at_80_columns() {
    let squeezed = |text: &str| text.split_whitespace().collect::<String>();
    for (place, pane) in PANES.iter().enumerate() {
        let mut stage = Stage::new(place, fixtures::busy(3));
        for _ in 0..2 {
            // The longest are those of the first columns, and of what stands above the tables.
            press(&mut stage, Action::PreviousTable, 80, 24);
            press(&mut stage, Action::PreviousTable, 80, 24);
            press(&mut stage, Action::Column(-10_000), 80, 24);
            for _ in 0..16 {
                let text = stage.text(80, 24).replace(['"', '\n'], " ");
                let help = stage.facts.help.clone().unwrap_or_default();
                assert!(squeezed(&text).contains(&squeezed(&help)), "{}: {help:?}:\n{}", pane.name, stage.text(80, 24));
                press(&mut stage, Action::Column(1), 80, 24);
            }
        }
    }
}

#[test]
fn a_number_that_is_left_out_for_want_of_room_can_be_asked_all_the_same() {
    let mut stage = Stage::new(0, fixtures::busy(3));
    let wide = helps(&mut stage, 160, 50);
    let narrow = helps(&mut Stage::new(0, fixtures::busy(3)), 80, 24);
    let has = |helps: &[String], what: &str| helps.iter().any(|h| h.contains(what));
    for what in ["swapped in ", "asked by ", "bars: ", "unevictable", "listen drops"] {
        assert_eq!(has(&wide, what), has(&narrow, what), "{what}");
    }
}
