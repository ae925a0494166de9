//! Draws the tables of a pane above one another: the one that the keys act on gets the most room.

use ratatui::{buffer::Buffer, layout::Rect, text::Line};

use super::{
    context::{Context, Facts, Lines, Number},
    laid::Laid,
    screen::Stop,
    strip::{self, Bit, Strip},
    table::Table,
    theme::{Theme, Tone},
};

/// Lines that a table without the keys gets before the one with the keys takes more than half: title, heading, a row or two.
const MODEST: usize = 4;

/// Draws lines of numbers and below them all tables of a pane.
pub(super) fn draw(ctx: &Context<'_>, area: Rect, buf: &mut Buffer, signs: &[Strip], tables: &[Table<'_>]) -> Facts {
    let focus = ctx.state.table.min(tables.len().saturating_sub(1));
    let signs = if ctx.state.zoom { &[] } else { signs };
    let lines = strip::lay_all(signs, usize::from(area.width), ctx.theme);
    let (top, body) = split(area, lines.len().min(usize::from(area.height) / 2));
    let (signs, help) = draw_signs(ctx, top, buf, signs, &lines);
    let facts = draw_tables(ctx, body, buf, tables, 0, focus);
    Facts { signs, help: help.or(facts.help), ..facts }
}

/// Draws laid lines of numbers; gives where they stand, and the help of the chosen one if the keys act on them.
pub(super) fn draw_signs(
    ctx: &Context<'_>,
    area: Rect,
    buf: &mut Buffer,
    signs: &[Strip],
    lines: &[Vec<Bit>],
) -> (Lines, Option<String>) {
    let numbers: Vec<Number> = signs.iter().flat_map(|s| s.numbers(Some(ctx.model))).collect();
    let last = numbers.len().saturating_sub(1);
    let chosen = (ctx.state.stop == Stop::Signs).then_some(ctx.state.sign_number.min(last));
    let help = chosen.and_then(|c| numbers.get(c)).map(Number::help);
    let shown = from_line(lines, chosen, usize::from(area.height));
    let places = strip::draw(shown, area, buf, ctx.theme, chosen);
    (Lines { numbers, places }, help)
}

/// The lines from that on which lets the chosen number be seen in so many lines.
pub(super) fn from_line(lines: &[Vec<Bit>], chosen: Option<usize>, height: usize) -> &[Vec<Bit>] {
    let at = chosen.and_then(|c| strip::line_of(lines, c)).unwrap_or(0);
    lines.get((at + 1).saturating_sub(height.max(1))..).unwrap_or_default()
}

/// Draws some tables of a pane: `first` is the place of the first of them in the pane, `focus` that of the one with the
/// keys, which may be none of these.
pub(super) fn draw_tables(
    ctx: &Context<'_>,
    area: Rect,
    buf: &mut Buffer,
    tables: &[Table<'_>],
    first: usize,
    focus: usize,
) -> Facts {
    let laid: Vec<Laid<'_>> =
        tables.iter().enumerate().map(|(i, t)| Laid::new(ctx, t, area, first + i, focus)).collect();
    let inner = focus.checked_sub(first);
    let heights = if let [_] = tables {
        vec![usize::from(area.height)]
    } else if ctx.state.zoom {
        let only = |(i, _)| if inner == Some(i) { usize::from(area.height) } else { 0 };
        laid.iter().enumerate().map(only).collect()
    } else {
        let wanted: Vec<usize> = laid.iter().map(Laid::wanted).collect();
        heights(&wanted, inner.unwrap_or(usize::MAX), usize::from(area.height))
    };
    let mut facts = Facts::default();
    let mut rest = area;
    for (laid, height) in laid.iter().zip(heights) {
        let (place, below) = split(rest, height);
        rest = below;
        let (table, beside) = laid.draw(place, buf);
        facts.tables.push(table);
        if laid.focused {
            facts.help = Some(laid.help(&beside));
            facts.beside = beside;
        }
    }
    facts
}

/// The lines that a table would fill if it had the room.
pub(super) fn wanted(ctx: &Context<'_>, table: &Table<'_>, area: Rect, place: usize, focus: usize) -> usize {
    Laid::new(ctx, table, area, place, focus).wanted()
}

/// Draws lines from the top of an area; what is wider is cut with a sign that it was.
pub(super) fn draw_lines(buf: &mut Buffer, area: Rect, lines: &[Line<'_>], theme: &Theme) {
    for (line, y) in lines.iter().zip(area.top()..area.bottom()) {
        buf.set_line(area.x, y, line, area.width);
        if line.width() > usize::from(area.width) && area.width > 0 {
            buf.set_stringn(area.right() - 1, y, theme.glyphs.ellipsis, 1, theme.style(Tone::Dim));
        }
    }
}

/// The first `height` lines of an area, and the others.
pub(super) fn split(area: Rect, height: usize) -> (Rect, Rect) {
    let height = u16::try_from(height).unwrap_or(u16::MAX).min(area.height);
    let top = Rect { height, ..area };
    (top, Rect { y: area.y + height, height: area.height - height, ..area })
}

/// Shares the lines of a pane among tables.
fn heights(wanted: &[usize], focus: usize, total: usize) -> Vec<usize> {
    let mut given: Vec<usize> = wanted.iter().map(|_| 0).collect();
    let mut left = total;
    let mut raise = |given: &mut Vec<usize>, i: usize, to: usize| {
        let (Some(given), Some(wanted)) = (given.get_mut(i), wanted.get(i)) else { return };
        let more = to.min(*wanted).saturating_sub(*given).min(left);
        *given += more;
        left -= more;
    };
    raise(&mut given, focus, 3);
    (0..wanted.len()).for_each(|i| raise(&mut given, i, 1));
    raise(&mut given, focus, total / 2);
    // Two lines would show a heading and no row.
    (0..wanted.len()).filter(|i| *i != focus).for_each(|i| raise(&mut given, i, MODEST));
    raise(&mut given, focus, total * 2 / 3);
    (0..wanted.len()).for_each(|i| raise(&mut given, i, 2 * MODEST));
    raise(&mut given, focus, usize::MAX);
    (0..wanted.len()).for_each(|i| raise(&mut given, i, usize::MAX));
    given
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_table_with_the_keys_gets_the_most() {
        assert_eq!(heights(&[6, 100, 100, 2, 2], 1, 21), [4, 10, 4, 2, 1]);
        assert_eq!(heights(&[6, 100], 1, 40), [6, 34], "what others do not need it takes");
        assert_eq!(heights(&[5, 5], 0, 40), [5, 5]);
        assert_eq!(heights(&[50, 50, 50], 2, 3), [0, 0, 3]);
        assert_eq!(heights(&[], 0, 10), Vec::<usize>::new());
    }

    proptest! {
        #[test]
        fn no_line_is_given_twice(wanted in proptest::collection::vec(2usize..60, 0..6), focus in 0usize..6, total in 0usize..80) {
            let given = heights(&wanted, focus, total);
            prop_assert!(given.iter().sum::<usize>() <= total);
            prop_assert!(given.iter().zip(&wanted).all(|(g, w)| g <= w));
        }
    }
}
