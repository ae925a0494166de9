//! Text that fits into columns, and graphics made of text.

use ratatui::{style::Style, text::Span};

use super::theme::Glyphs;

/// Which end of a text is left out when it does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Cut {
    /// The end, as of a process name.
    #[default]
    End,
    /// The start, as of a path, whose last part says most.
    Start,
    /// The middle, as of two ends of a connection.
    Middle,
}

/// Columns that a terminal needs for the text.
pub(super) fn width(text: &str) -> usize {
    Span::raw(text).width()
}

/// The text in at most `max` columns; what is left out is shown by an ellipsis.
pub(super) fn fit(text: &str, max: usize, cut: Cut, glyphs: &Glyphs) -> String {
    if width(text) <= max {
        return text.to_owned();
    }
    let room = max.saturating_sub(width(glyphs.ellipsis));
    let (head, tail) = match cut {
        Cut::End => (room, 0),
        Cut::Start => (0, room),
        Cut::Middle => (room.div_ceil(2), room / 2),
    };
    if max < width(glyphs.ellipsis) {
        return String::new();
    }
    let graphemes: Vec<&str> = split(text);
    let first = take(graphemes.iter().copied(), head);
    let mut last = take(graphemes.iter().rev().copied(), tail);
    last.reverse();
    format!("{}{}{}", first.concat(), glyphs.ellipsis, last.concat())
}

/// The text as it would be drawn, cut into what shares one place.
fn split(text: &str) -> Vec<&str> {
    let mut rest = text;
    // The iterator of ratatui lends its symbols from a value that does not live long enough; their lengths suffice.
    let lengths: Vec<usize> = Span::raw(text).styled_graphemes(Style::new()).map(|g| g.symbol.len()).collect();
    let mut parts = Vec::with_capacity(lengths.len());
    for length in lengths {
        let Some((part, after)) = rest.split_at_checked(length) else { break };
        parts.push(part);
        rest = after;
    }
    parts
}

/// As many graphemes as fit into `room` columns.
fn take<'a>(graphemes: impl Iterator<Item = &'a str>, room: usize) -> Vec<&'a str> {
    let mut used = 0;
    graphemes
        .take_while(|g| {
            used += width(g);
            used <= room
        })
        .collect()
}

/// Breaks a sentence into lines of at most `max` columns, at spaces where there are any.
pub(super) fn wrap(text: &str, max: usize) -> Vec<String> {
    let max = max.max(1);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        let space = usize::from(!line.is_empty());
        if width(&line) + space + width(word) <= max {
            line.push_str(if space == 1 { " " } else { "" });
            line.push_str(word);
            continue;
        }
        if !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        // A word longer than a line is broken where it must be.
        let mut rest = split(word);
        while !rest.is_empty() {
            let part = take(rest.iter().copied(), max);
            let taken = part.len().max(1);
            line = rest.iter().take(taken).copied().collect();
            rest.drain(..taken.min(rest.len()));
            if !rest.is_empty() {
                lines.push(std::mem::take(&mut line));
            }
        }
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

/// A line of bars, newest at the right, in `room` columns; a value that is not known leaves its place empty.
///
/// The tallest bar stands for `top`, or for the largest value if that is larger.
pub(super) fn sparkline(values: &[Option<f64>], room: usize, top: f64, glyphs: &Glyphs) -> String {
    let shown = values.get(values.len().saturating_sub(room)..).unwrap_or_default();
    let top = shown.iter().flatten().copied().fold(top, f64::max);
    let steps = glyphs.bars.len();
    let bar = |value: f64| {
        if top <= 0.0 || value <= 0.0 {
            return glyphs.bars.first();
        }
        let step = (value / top * steps as f64).ceil() as usize;
        glyphs.bars.get(step.clamp(1, steps) - 1)
    };
    let drawn: String = shown.iter().map(|v| v.and_then(bar).copied().unwrap_or(" ")).collect();
    format!("{}{drawn}", " ".repeat(room.saturating_sub(shown.len())))
}

/// Splits `room` columns among parts in proportion to their sizes, with at least one column for a part that is not
/// nothing as long as there is room, and without a column too many.
pub(super) fn shares(sizes: &[f64], room: usize) -> Vec<usize> {
    let total: f64 = sizes.iter().sum();
    if total <= 0.0 {
        return vec![0; sizes.len()];
    }
    let exact: Vec<f64> = sizes.iter().map(|s| s / total * room as f64).collect();
    let mut columns: Vec<usize> =
        exact.iter().map(|e| if *e > 0.0 { (e.floor() as usize).max(1) } else { 0 }).collect();
    // The largest remainder takes what rounding left, the widest part gives what it took too much.
    while columns.iter().sum::<usize>() < room {
        let neediest = (0..columns.len()).max_by(|a, b| {
            let need = |i: usize| exact.get(i).copied().unwrap_or(0.0) - columns.get(i).copied().unwrap_or(0) as f64;
            need(*a).total_cmp(&need(*b))
        });
        let Some(part) = neediest.and_then(|i| columns.get_mut(i)) else { break };
        *part += 1;
    }
    while columns.iter().sum::<usize>() > room {
        let Some(part) = columns.iter_mut().max().filter(|c| **c > 0) else { break };
        *part -= 1;
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::tui::theme::{ASCII, UNICODE};
    use proptest::prelude::*;

    #[test]
    fn text_is_cut_where_it_says_least() {
        assert_eq!(fit("/a/long/path", 8, Cut::Start, &UNICODE), "…ng/path");
        assert_eq!(fit("/a/long/path", 8, Cut::End, &UNICODE), "/a/long…");
        assert_eq!(fit("/a/long/path", 8, Cut::Middle, &UNICODE), "/a/l…ath");
        assert_eq!(fit("/a/long/path", 8, Cut::End, &ASCII), "/a/long~");
        assert_eq!(fit("short", 8, Cut::Middle, &UNICODE), "short");
    }

    #[test]
    fn a_wide_character_is_not_halved() {
        assert_eq!(fit("漢字漢字", 4, Cut::End, &UNICODE), "漢…");
        assert_eq!(fit("漢字漢字", 1, Cut::End, &UNICODE), "…");
        assert_eq!(fit("漢字漢字", 0, Cut::End, &UNICODE), "");
    }

    #[test]
    fn sentences_break_at_spaces() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("abcdefghij kl", 4), ["abcd", "efgh", "ij", "kl"]);
        assert_eq!(wrap("", 4), [""]);
    }

    #[test]
    fn bars_show_unknown_as_nothing() {
        assert_eq!(sparkline(&[Some(0.0), None, Some(4.0), Some(8.0)], 5, 0.0, &UNICODE), " ▁ ▄█");
        assert_eq!(sparkline(&[Some(1.0)], 2, 8.0, &UNICODE), " ▁");
        assert_eq!(sparkline(&[], 2, 0.0, &UNICODE), "  ");
    }

    proptest! {
        #[test]
        fn what_fits_is_never_wider(text in "\\PC{0,40}", max in 0usize..30) {
            for cut in [Cut::End, Cut::Start, Cut::Middle] {
                prop_assert!(width(&fit(&text, max, cut, &UNICODE)) <= max);
            }
        }

        #[test]
        fn wrapping_loses_no_word(text in "[a-z ]{0,60}", max in 1usize..20) {
            let together: String = wrap(&text, max).concat();
            prop_assert_eq!(together.replace(' ', ""), text.replace(' ', ""));
        }

        #[test]
        fn shares_fill_the_room(sizes in proptest::collection::vec(0.0f64..1e12, 1..8), room in 0usize..200) {
            let columns = shares(&sizes, room);
            let whole = if sizes.iter().sum::<f64>() > 0.0 { room } else { 0 };
            prop_assert_eq!(columns.iter().sum::<usize>(), whole);
        }
    }
}
