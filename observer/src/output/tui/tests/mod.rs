//! Whole screens, drawn onto a terminal in memory.

#[path = "../../../../tests/synthetic/mod.rs"]
mod fixtures;
mod walk;

use jiff::tz::TimeZone;
use ratatui::{Terminal, backend::TestBackend, buffer::Buffer, layout::Rect, style::Color};

use super::{
    context::Facts,
    draw::{self, View},
    header::{Position, Status},
    keymap::Action,
    panes::{PANES, by_name},
    screen::{Overlay, Screen},
    theme::{ASCII, Theme, UNICODE},
    timeline::Timeline,
};
use crate::{
    diagnose::RULES,
    output::oom,
    snapshot::{Snapshot, coverage::ProbeState},
};

/// A screen with all that it shows.
struct Stage {
    screen: Screen,
    timeline: Timeline,
    status: Status,
    theme: Theme,
    facts: Facts,
}

impl Stage {
    fn new(pane: usize, snapshots: Vec<Snapshot>) -> Self {
        let mut timeline = Timeline::default();
        snapshots.into_iter().for_each(|s| timeline.push(s));
        let status = Status { asked_seconds: 1.0, ..Status::default() };
        Self { screen: Screen::new(pane), timeline, status, theme: Theme::new(true, &UNICODE), facts: Facts::default() }
    }

    fn terminal(&mut self, width: u16, height: u16) -> Terminal<TestBackend> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| self.draw(frame.area(), frame.buffer_mut())).unwrap();
        terminal
    }

    fn buffer(&mut self, width: u16, height: u16) -> Buffer {
        let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
        self.draw(buffer.area, &mut buffer);
        buffer
    }

    /// Draws onto nothing that is kept.
    fn draw_at(&mut self, width: u16, height: u16) {
        drop(self.buffer(width, height));
    }

    fn draw(&mut self, area: Rect, buffer: &mut Buffer) {
        let zone = TimeZone::UTC;
        let view = View {
            screen: &self.screen,
            timeline: &self.timeline,
            status: &self.status,
            theme: &self.theme,
            zone: &zone,
        };
        self.facts = draw::draw(&view, area, buffer);
    }

    fn text(&mut self, width: u16, height: u16) -> String {
        self.terminal(width, height).backend().to_string()
    }

    /// Does what a key would, after a drawing of that size.
    fn act(&mut self, actions: &[Action], width: u16, height: u16) {
        for action in actions {
            self.draw_at(width, height);
            self.screen.apply(*action, &self.facts);
        }
    }
}

fn golden(name: &str, snapshots: &[Snapshot]) {
    for (i, pane) in PANES.iter().enumerate() {
        for (width, height) in [(80, 24), (140, 45)] {
            let text = Stage::new(i, snapshots.to_vec()).text(width, height);
            insta::assert_snapshot!(format!("{name}_{}_{width}x{height}", pane.name), text);
        }
    }
}

#[test]
fn a_busy_host() {
    golden("busy", &fixtures::busy(12));
}

#[test]
fn a_host_of_which_nothing_can_be_read() {
    golden("unreadable", &fixtures::unreadable(3));
}

#[test]
fn a_host_with_hostile_names() {
    golden("hostile", &fixtures::hostile(12));
}

#[test]
fn before_the_first_snapshot_and_before_the_second() {
    insta::assert_snapshot!("no_snapshot", Stage::new(0, Vec::new()).text(80, 8));
    insta::assert_snapshot!("one_snapshot", Stage::new(0, fixtures::busy(1)).text(80, 24));
}

#[test]
fn help_and_coverage() {
    let mut stage = Stage::new(1, fixtures::busy(3));
    stage.act(&[Action::Help], 80, 24);
    insta::assert_snapshot!("help_80x24", stage.text(80, 24));
    stage.act(&[Action::Last], 80, 24);
    insta::assert_snapshot!("help_end_80x24", stage.text(80, 24));
    stage.act(&[Action::Coverage], 80, 24);
    insta::assert_snapshot!("coverage_80x24", stage.text(80, 24));
}

#[test]
fn the_chosen_row_sort_filter_zoom_and_detail() {
    let mut stage = Stage::new(2, fixtures::busy(3));
    stage.act(&[Action::Rows(1), Action::Detail, Action::SortNext, Action::SortNext], 100, 30);
    insta::assert_snapshot!("network_detail_100x30", stage.text(100, 30));
    let mut stage = Stage::new(1, fixtures::busy(3));
    stage.act(&[Action::Zoom, Action::Filter], 80, 12);
    "pages".chars().for_each(|c| stage.screen.write(c));
    stage.screen.erase(true);
    "usage < 1 GiB".chars().for_each(|c| stage.screen.write(c));
    insta::assert_snapshot!("memory_filter_80x12", stage.text(80, 12));
}

#[test]
fn a_kill_opens_into_what_oom_explain_says_of_it() {
    let mut stage = Stage::new(by_name("oom").unwrap(), fixtures::busy(12));
    stage.act(&[Action::Rows(1), Action::Detail], 80, 24);
    let text = stage.text(80, 24);
    insta::assert_snapshot!("explained_80x24", text);
    let kill = stage.timeline.kills().newest_first().nth(1).unwrap().clone();
    let account = kill.account.as_ref().expect("the kernel's log tells of it");
    let said = oom::lines(&account.explanation, &account.report, Some(76));
    for line in said.iter().take(10) {
        assert!(text.contains(line.text.trim()), "{line:?}\n{text}");
    }
    // It stays the explanation of the same kill when others come.
    stage.timeline.push(fixtures::busy(20).remove(19));
    assert_eq!(stage.text(80, 24).lines().nth(6), text.lines().nth(6));
    stage.act(&[Action::Last], 80, 24);
    assert!(stage.text(80, 24).contains("NOT KNOWN"));
    // Of another one there is the event alone.
    stage.act(&[Action::Back, Action::First, Action::Rows(1), Action::Detail], 80, 24);
    insta::assert_snapshot!("explained_by_event_80x24", stage.text(80, 24));
    for (width, height) in [(0, 0), (1, 1), (2, 2), (5, 4), (17, 6), (40, 10), (500, 200)] {
        stage.buffer(width, height);
    }
    stage.act(&[Action::Back], 80, 24);
    assert_eq!(stage.screen.overlay, None);
}

#[test]
fn kills_stand_where_they_were_and_the_moment_that_is_shown_among_them() {
    let mut stage = Stage::new(by_name("oom").unwrap(), fixtures::busy(30));
    stage.timeline.step(-12);
    insta::assert_snapshot!("oom_paused_120x30", stage.text(120, 30));
    // Details of some were lost: they are counted where they were.
    let lossy = fixtures::busy(30).into_iter().enumerate().map(|(i, mut s)| {
        let oom = s.oom.as_mut().unwrap();
        oom.kills += if i >= 20 { 300 } else { 0 };
        oom.recent.retain(|k| k.sequence < 4);
        s.oom_watch = None;
        s
    });
    let text = Stage::new(by_name("oom").unwrap(), lossy.collect()).text(120, 30);
    let line = text.lines().find(|l| l.contains("kills without details")).unwrap();
    assert!(line.contains(" 305 ") && line.contains('+'), "{text}");
}

#[test]
fn a_host_without_kills_says_what_is_watched_and_since_when() {
    let none = fixtures::busy(5).into_iter().map(|mut s| {
        s.oom.as_mut().unwrap().kills = 0;
        s.oom.as_mut().unwrap().recent.clear();
        s
    });
    let text = Stage::new(by_name("oom").unwrap(), none.collect()).text(80, 24);
    insta::assert_snapshot!("no_kill_80x24", text);
}

#[test]
fn paused_replaying_slow_and_in_trouble() {
    let mut stage = Stage::new(3, fixtures::busy(12));
    stage.timeline.step(-4);
    stage.status.paused = true;
    stage.status.newer = stage.timeline.newer();
    insta::assert_snapshot!("paused_80x24", stage.text(80, 24));
    stage.status.replay = Some(Position { index: 7, count: Some(12) });
    stage.status.slow_seconds = Some(3.0);
    stage.status.trouble = Some("segment 3 is damaged".to_owned());
    insta::assert_snapshot!("replay_140x12", stage.text(140, 12));
}

#[test]
fn a_quiet_host_is_said_to_be_well_only_when_all_rules_could_tell() {
    let quiet: Vec<Snapshot> = fixtures::busy(12)
        .into_iter()
        .map(|s| {
            // Time goes on, nothing else does.
            let mut quiet = fixtures::busy(1).remove(0);
            quiet.stamp = s.stamp;
            quiet.reclaim.as_mut().unwrap().in_flight.clear();
            quiet.kswapd.as_mut().unwrap().nodes.truncate(1);
            quiet.pressure = None;
            quiet.network.as_mut().unwrap().namespaces.iter_mut().for_each(|n| n.tunnels = Some(Vec::new()));
            quiet
        })
        .collect();
    assert!(Stage::new(0, quiet.clone()).text(80, 24).contains(&format!("nothing wrong: all {} rules", RULES.len())));
    let blind: Vec<Snapshot> = quiet.into_iter().map(|s| Snapshot { reclaim: None, ..s }).collect();
    let text = Stage::new(0, blind).text(80, 24);
    assert!(!text.contains("nothing wrong") && text.contains("cannot tell"), "{text}");
}

#[test]
fn every_column_says_what_it_is_with_unit_and_source() {
    for pane in PANES {
        assert!(!pane.tables.is_empty(), "{}", pane.name);
        for (table, columns) in pane.tables {
            for column in *columns {
                assert!(column.about.len() > 15, "{table}: {} says {:?}", column.title, column.about);
                if column.right {
                    let names_a_source = column.about.contains(": ");
                    assert!(names_a_source, "{table}: {} names no source: {}", column.title, column.about);
                }
            }
        }
    }
}

#[test]
fn the_bottom_line_tells_of_the_chosen_column_and_why_a_number_is_missing() {
    let mut stage = Stage::new(2, fixtures::busy(3));
    assert!(stage.text(140, 45).contains("cgroup: path of the memory cgroup"));
    stage.act(&[Action::Column(1)], 140, 45);
    assert!(stage.text(140, 45).contains("usage: bytes charged to it and those below"));
    stage.act(&[Action::Column(100), Action::Column(-100)], 140, 45);
    assert!(stage.text(140, 45).contains("cgroup: path of the memory cgroup"));

    // Without the probe the cells of stalls are unknown, and the line says why.
    let blind = fixtures::busy(3).into_iter().map(|mut s| {
        s.reclaim = None;
        for probe in &mut s.coverage.probes {
            probe.feeds = "reclaim".to_owned();
            probe.state = ProbeState::Absent { reason: "the kernel said no".into(), replaced_by: None, remedy: None };
        }
        s
    });
    let mut stage = Stage::new(2, blind.collect());
    stage.act(&[Action::Column(6)], 140, 45);
    let text = stage.text(140, 45);
    assert!(
        text.contains("stalled is not known: ") && text.contains("the kernel said no; seconds stalled in each second"),
        "{text}"
    );
}

#[test]
fn all_numbers_of_a_pane_can_be_listed() {
    for (place, pane) in PANES.iter().enumerate() {
        let mut stage = Stage::new(place, fixtures::busy(3));
        stage.act(&[Action::Numbers], 140, 200);
        let text = stage.text(140, 200);
        for (_, columns) in pane.tables {
            assert!(columns.iter().all(|c| text.contains(c.title)), "{text}");
        }
    }
}

#[test]
fn every_size_can_be_drawn() {
    let hosts = [fixtures::busy(3), fixtures::unreadable(2), fixtures::hostile(3), Vec::new()];
    for (host, snapshots) in hosts.into_iter().enumerate() {
        for pane in 0..PANES.len() {
            let mut stage = Stage::new(pane, snapshots.clone());
            // One host at many sizes, the others at fewer: all the branches, in seconds.
            let step = if host == 0 { 3 } else { 11 };
            for width in (1..=120).step_by(step) {
                (1..=40).step_by(step).for_each(|height| drop(stage.buffer(width, height)));
            }
            stage.act(&[Action::Zoom, Action::Detail, Action::Last], 9, 7);
            for (width, height) in [(0, 0), (1, 1), (2, 2), (5, 4), (17, 6), (40, 10), (500, 200)] {
                for overlay in [None, Some(Overlay::Help), Some(Overlay::Coverage)] {
                    stage.screen.overlay = overlay;
                    stage.buffer(width, height);
                }
            }
        }
    }
}

#[test]
fn without_colours_the_screen_has_none_and_without_utf8_it_is_ascii() {
    for pane in 0..PANES.len() {
        let mut stage = Stage::new(pane, fixtures::busy(5));
        stage.theme = Theme::new(false, &ASCII);
        let terminal = stage.terminal(120, 40);
        let buffer = terminal.backend().buffer();
        assert!(buffer.content().iter().all(|c| c.fg == Color::Reset && c.bg == Color::Reset));
        let text: String = buffer.content().iter().map(|c| c.symbol()).collect();
        assert!(text.is_ascii(), "{:?}", text.chars().find(|c| !c.is_ascii()));
    }
}

#[test]
fn colours_are_of_the_sixteen() {
    for pane in 0..PANES.len() {
        let mut stage = Stage::new(pane, fixtures::busy(5));
        let terminal = stage.terminal(120, 40);
        let sixteen = |c: &Color| !matches!(c, Color::Rgb(..) | Color::Indexed(_));
        assert!(terminal.backend().buffer().content().iter().all(|c| sixteen(&c.fg) && sixteen(&c.bg)));
    }
}

#[test]
fn nothing_that_steers_a_terminal_reaches_the_screen() {
    for pane in 0..PANES.len() {
        let mut stage = Stage::new(pane, fixtures::hostile(5));
        stage.act(&[Action::Detail], 200, 60);
        let terminal = stage.terminal(200, 60);
        for cell in terminal.backend().buffer().content() {
            let steers = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            assert!(!cell.symbol().chars().any(steers), "{:?}", cell.symbol());
        }
    }
}

#[test]
fn wide_names_do_not_shift_columns() {
    // The same numbers stand in the same columns of the screen, whatever the names are.
    let columns_of = |snapshots: Vec<Snapshot>| {
        let mut stage = Stage::new(2, snapshots);
        stage.act(&[Action::NextTable, Action::Zoom], 120, 20);
        let terminal = stage.terminal(120, 20);
        let buffer = terminal.backend().buffer().clone();
        // Columns 20 to the right edge of the pid and the numbers, without the names at either side.
        let line = |y: u16| -> String {
            let heading: String = (0..120).map(|x| buffer[(x, 4)].symbol().to_owned()).collect();
            let end = heading.find("cgroup").expect("a column of cgroups");
            let start = heading.find("alloc/s").expect("a column of rates") - 3;
            (start..end).map(|x| buffer[(x as u16, y)].symbol().to_owned()).collect()
        };
        (5..9).map(line).collect::<Vec<_>>()
    };
    let usual = columns_of(fixtures::busy(3));
    assert!(usual.iter().all(|line| line.contains("iB")), "{usual:?}");
    assert_eq!(usual, columns_of(fixtures::hostile(3)));
}

#[test]
fn a_click_finds_tabs_and_rows() {
    let mut stage = Stage::new(1, fixtures::busy(3));
    stage.terminal(80, 40);
    let tabs = super::tabs::tab_areas(draw::tabs_line(Rect::new(0, 0, 80, 40)));
    assert_eq!(tabs.iter().position(|t| t.contains((15, 1).into())), Some(1));
    let cgroups = stage.facts.tables[1];
    assert_eq!(cgroups.row_at(cgroups.area.y + 1), None, "the heading is no row");
    assert_eq!(cgroups.row_at(cgroups.area.y + 3), Some(1));
}
