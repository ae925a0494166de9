use super::*;
use crate::output::tui::context::{Lines, Number, TableFacts};

fn facts(rows: usize) -> Facts {
    let table = TableFacts { rows, visible: 10, columns: 2, ..TableFacts::default() };
    Facts { tables: vec![table; 3], ..Facts::default() }
}

fn row(screen: &Screen) -> usize {
    let state = screen.state().unwrap();
    state.of(state.table).row
}

#[test]
fn rows_stay_in_the_table_also_when_it_shrinks() {
    let mut screen = Screen::new(1);
    screen.apply(Action::Last, &facts(100));
    assert_eq!(row(&screen), 99);
    screen.apply(Action::Rows(-1), &facts(10));
    assert_eq!(row(&screen), 8);
    screen.apply(Action::HalfScreens(2), &facts(100));
    assert_eq!(row(&screen), 18);
    screen.apply(Action::Rows(5), &facts(0));
    assert_eq!(row(&screen), 0);
}

#[test]
fn sorting_walks_all_columns_and_the_order_of_the_model() {
    let mut screen = Screen::new(1);
    let mut sort = |action| {
        screen.apply(action, &facts(3));
        let state = screen.state().unwrap();
        state.of(state.table).sort
    };
    assert_eq!([sort(Action::SortNext), sort(Action::SortNext), sort(Action::SortNext)], [Some(0), Some(1), None]);
    assert_eq!(sort(Action::SortPrevious), Some(1));
}

#[test]
fn q_closes_what_is_open_and_then_quits() {
    let mut screen = Screen::new(0);
    screen.apply(Action::Help, &facts(0));
    assert_eq!(screen.apply(Action::CloseOrQuit, &facts(0)), Effect::Draw);
    assert_eq!(screen.overlay, None);
    assert_eq!(screen.apply(Action::CloseOrQuit, &facts(0)), Effect::Quit);
    screen.apply(Action::Coverage, &facts(0));
    assert_eq!(screen.apply(Action::Quit, &facts(0)), Effect::Quit);
}

#[test]
fn panes_come_round() {
    let mut screen = Screen::new(0);
    screen.apply(Action::PreviousPane, &facts(0));
    assert_eq!(screen.pane, PANES.len() - 1);
    screen.apply(Action::NextPane, &facts(0));
    assert_eq!(screen.pane, 0);
}

#[test]
fn the_keys_go_round_header_lines_and_tables() {
    let number = || Number { name: "n".into(), value: "1".into(), about: "a".into(), why: None };
    let lines = |count: usize| Lines { numbers: vec![number(); count], places: Vec::new() };
    let all = Facts { header: lines(3), signs: lines(2), ..facts(0) };
    let mut screen = Screen::new(0);
    let mut stop = |action, facts: &Facts| {
        screen.apply(action, facts);
        let state = screen.state().unwrap();
        (state.stop, state.table)
    };
    assert_eq!(stop(Action::PreviousTable, &all).0, Stop::Signs);
    assert_eq!(stop(Action::PreviousTable, &all).0, Stop::Header);
    assert_eq!(stop(Action::PreviousTable, &all), (Stop::Table, 2));
    assert_eq!(stop(Action::NextTable, &all).0, Stop::Header);
    assert_eq!(stop(Action::NextTable, &all).0, Stop::Signs);
    assert_eq!(stop(Action::NextTable, &all), (Stop::Table, 0));
    assert_eq!(stop(Action::PreviousTable, &facts(0)), (Stop::Table, 2), "where there are no lines of numbers");

    let mut screen = Screen::new(0);
    screen.apply(Action::PreviousTable, &all);
    screen.apply(Action::Column(5), &all);
    assert_eq!(screen.state().map(|s| s.sign_number), Some(1));
    screen.apply(Action::Rows(-9), &all);
    assert_eq!(screen.state().map(|s| s.sign_number), Some(0));
    screen.apply(Action::Back, &all);
    assert_eq!(screen.state().map(|s| s.stop), Some(Stop::Table));
    screen.apply(Action::PreviousTable, &all);
    screen.apply(Action::Zoom, &all);
    assert_eq!(screen.state().map(|s| s.stop), Some(Stop::Table), "a table that has the whole pane has the keys");
}

#[test]
fn escape_undoes_one_thing_at_a_time() {
    let mut screen = Screen::new(1);
    "abc".chars().for_each(|c| screen.write(c));
    screen.apply(Action::Zoom, &facts(1));
    screen.apply(Action::Detail, &facts(1));
    screen.apply(Action::Back, &facts(1));
    assert!(screen.state().is_some_and(|s| s.zoom && !s.detail));
    screen.apply(Action::Back, &facts(1));
    assert!(screen.state().is_some_and(|s| !s.zoom && s.filter.text == "abc"));
    screen.apply(Action::Back, &facts(1));
    assert!(screen.state().is_some_and(|s| s.filter.is_empty()));
}
