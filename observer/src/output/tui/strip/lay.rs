//! Lays strips out in the columns of a terminal, and draws them.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Modifier, Style},
};

use super::{
    super::{
        text::{Cut, fit, shares, sparkline, width, wrap},
        theme::{Theme, Tone},
    },
    Drawing, DrawingKind, Ink, Piece, Strip, Way,
};

/// A piece of a laid line.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::output::tui) struct Bit {
    text: String,
    style: Style,
    field: Option<usize>,
}

impl Strip {
    /// The lines that it fills in so many columns of the terminal.
    pub(in crate::output::tui) fn lay(&self, room: usize, theme: &Theme) -> Vec<Vec<Bit>> {
        match self.way {
            Way::Leave => vec![self.lay_line(room, theme)],
            Way::Flow => self.lay_flow(room, theme),
            Way::Wrap => self.lay_wrapped(room, theme),
        }
    }

    fn bit(piece: &Piece, theme: &Theme) -> Bit {
        let style = match piece.ink {
            Ink::Tone(tone) => theme.style(tone),
            Ink::Part(part) => theme.part(part).add_modifier(Modifier::BOLD),
        };
        Bit { text: piece.text.clone(), style, field: piece.field }
    }

    /// Numbers, each with the words before it.
    fn groups(&self) -> Vec<&[Piece]> {
        self.pieces.split_inclusive(|p| p.field.is_some()).collect()
    }

    fn lay_line(&self, room: usize, theme: &Theme) -> Vec<Bit> {
        /// A blank and the sign that something was left out.
        const MORE: usize = 2;
        let groups = self.groups();
        let mut bits = Vec::new();
        let mut used = 0;
        for (i, group) in groups.iter().enumerate() {
            let needed: usize = group.iter().map(|p| width(&p.text)).sum();
            let after = if i + 1 < groups.len() { MORE } else { 0 };
            let may_be_cut = group.iter().any(|p| p.may_be_cut);
            if i > 0 && !may_be_cut && used + needed + after > room {
                // What was cut shows it already.
                if used + MORE <= room {
                    let text = format!(" {}", theme.glyphs.ellipsis);
                    bits.push(Bit { text, style: theme.style(Tone::Dim), field: None });
                }
                return bits;
            }
            for piece in *group {
                let bit = Self::bit(piece, theme);
                let text = fit(&bit.text, room.saturating_sub(used), Cut::End, theme.glyphs);
                used += width(&text);
                bits.push(Bit { text, ..bit });
            }
        }
        bits.extend(self.draw_rest(used, room, theme));
        bits
    }

    fn draw_rest(&self, used: usize, room: usize, theme: &Theme) -> Vec<Bit> {
        const WIDEST: usize = 60;
        const NARROWEST: usize = 5;
        let Some(Drawing { field, tone, kind }) = &self.drawing else { return Vec::new() };
        let field = Some(*field);
        match kind {
            DrawingKind::Bars(values, top) => {
                let left = room.saturating_sub(used + 2).min(WIDEST);
                if left < NARROWEST {
                    return Vec::new();
                }
                let indent = " ".repeat(room.saturating_sub(used + left));
                let bars = sparkline(values, left, *top, theme.glyphs);
                vec![
                    Bit { text: indent, style: Style::new(), field: None },
                    Bit { text: bars, style: theme.style(*tone), field },
                ]
            }
            DrawingKind::Gauge(parts) => {
                let sizes: Vec<f64> = parts.iter().map(|(_, size)| *size).collect();
                let columns = shares(&sizes, room.saturating_sub(used));
                let part = |(i, ((letter, _), columns)): (usize, (&(&str, f64), usize))| Bit {
                    text: letter.repeat(columns),
                    style: if i + 1 == parts.len() { theme.style(Tone::Dim) } else { theme.part(i) },
                    field,
                };
                parts.iter().zip(columns).enumerate().map(part).collect()
            }
        }
    }

    fn lay_flow(&self, room: usize, theme: &Theme) -> Vec<Vec<Bit>> {
        const BETWEEN: usize = 2;
        let blank = |columns| Bit { text: " ".repeat(columns), style: Style::new(), field: None };
        let mut lines: Vec<Vec<Bit>> = Vec::new();
        let mut used = usize::MAX;
        for group in self.groups() {
            let bits: Vec<Bit> = group.iter().map(|p| Self::bit(p, theme)).collect();
            let needed: usize = group.iter().map(|p| width(&p.text)).sum();
            match lines.last_mut().filter(|_| used.saturating_add(BETWEEN + needed) <= room) {
                Some(line) => {
                    line.push(blank(BETWEEN));
                    line.extend(bits);
                    used += BETWEEN + needed;
                }
                None => {
                    lines.push([blank(self.indent)].into_iter().chain(bits).collect());
                    used = self.indent + needed;
                }
            }
        }
        lines
    }

    fn lay_wrapped(&self, room: usize, theme: &Theme) -> Vec<Vec<Bit>> {
        let indent = self.indent.min(room.saturating_sub(1));
        let whole: String = self.pieces.iter().map(|p| p.text.as_str()).collect();
        // The name of a sign stands out to the left of what is wrapped.
        let name = whole.len().min(if self.indent > 0 { self.indent } else { 0 });
        let (_, rest) = whole.split_at_checked(name).unwrap_or(("", &whole));
        let owners: Vec<(char, usize)> =
            self.pieces.iter().enumerate().flat_map(|(i, p)| p.text.chars().map(move |c| (c, i))).collect();
        let lead = owners.len() - rest.chars().count();
        let mut at = lead;
        let mut lines = Vec::new();
        for (n, text) in wrap(rest, room.saturating_sub(indent)).into_iter().enumerate() {
            let mut line: Vec<Bit> = Vec::new();
            match self.pieces.first().filter(|_| n == 0 && lead > 0) {
                Some(first) => line.push(Self::bit(first, theme)),
                None if indent > 0 => {
                    line.push(Bit { text: " ".repeat(indent), style: Style::new(), field: None });
                }
                None => {}
            }
            let mut last = None;
            for c in text.chars() {
                // Blanks at the end of a line are not in it.
                while owners.get(at).is_some_and(|(owned, _)| *owned != c) {
                    at += 1;
                }
                let owner = owners.get(at).map(|(_, i)| *i);
                at += 1;
                match line.last_mut().filter(|_| last == owner && last.is_some()) {
                    Some(bit) => bit.text.push(c),
                    None => {
                        let piece = owner.and_then(|i| self.pieces.get(i));
                        line.extend(piece.map(|p| Bit { text: c.to_string(), ..Self::bit(p, theme) }));
                    }
                }
                last = owner;
            }
            lines.push(line);
        }
        lines
    }
}

/// Draws laid lines from the top of an area, with the chosen number turned round; gives the place of every number that came
/// to stand somewhere.
pub(in crate::output::tui) fn draw(
    lines: &[Vec<Bit>],
    area: Rect,
    buf: &mut Buffer,
    theme: &Theme,
    chosen: Option<usize>,
) -> Vec<(usize, Rect)> {
    let mut places: Vec<(usize, Rect)> = Vec::new();
    for (line, y) in lines.iter().zip(area.top()..area.bottom()) {
        let mut x = area.x;
        for bit in line {
            let style = match bit.field {
                Some(_) if bit.field == chosen => bit.style.patch(theme.chosen()),
                _ => bit.style,
            };
            let (end, _) = buf.set_stringn(x, y, &bit.text, usize::from(area.right().saturating_sub(x)), style);
            if let Some(field) = bit.field.filter(|_| end > x) {
                places.push((field, Rect { x, y, width: end - x, height: 1 }));
            }
            x = end;
        }
    }
    places
}

/// Columns that the widest of laid lines fills.
pub(in crate::output::tui) fn width_of(lines: &[Vec<Bit>]) -> usize {
    lines.iter().map(|line| line.iter().map(|b| width(&b.text)).sum()).max().unwrap_or(0)
}

/// The line of that number among laid lines.
pub(in crate::output::tui) fn line_of(lines: &[Vec<Bit>], field: usize) -> Option<usize> {
    lines.iter().position(|line| line.iter().any(|b| b.field == Some(field)))
}

/// Several strips below one another, their numbers counted through.
pub(in crate::output::tui) fn lay_all(strips: &[Strip], room: usize, theme: &Theme) -> Vec<Vec<Bit>> {
    let mut first = 0;
    let mut lines = Vec::new();
    for strip in strips {
        let mut laid = strip.lay(room, theme);
        laid.iter_mut().flatten().for_each(|b| b.field = b.field.map(|f| f + first));
        lines.extend(laid);
        first += strip.len();
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::{super::About, *};
    use crate::output::tui::theme::UNICODE;
    use proptest::prelude::*;

    const BYTES: About = About::new("bytes", "bytes of the test", "the test", ("", &[]));

    fn texts(strip: &Strip, room: usize) -> Vec<String> {
        let lines = strip.lay(room, &Theme::new(true, &UNICODE));
        lines.iter().map(|l| l.iter().map(|b| b.text.as_str()).collect()).collect()
    }

    fn strip() -> Strip {
        let show = |v: f64| format!("{v} B");
        Strip::sign("Name").label("first ").number(&BYTES, Some(12.0), show).label(", second ").number(
            &BYTES,
            Some(3456.0),
            show,
        )
    }

    #[test]
    fn a_number_is_left_out_as_a_whole() {
        assert_eq!(texts(&strip(), 40), ["Name     first 12 B, second 3456 B"]);
        assert_eq!(texts(&strip(), 34), ["Name     first 12 B, second 3456 B"]);
        assert_eq!(texts(&strip(), 33), ["Name     first 12 B …"]);
        assert_eq!(texts(&strip(), 12), ["Name     fi…"], "the first is cut, with a sign that it was");
    }

    #[test]
    fn numbers_go_on_below_their_name() {
        assert_eq!(texts(&Strip { way: Way::Wrap, ..strip() }, 24), ["Name     first 12 B,", "         second 3456 B"]);
        let legend = Strip { indent: 2, ..Strip::default() }.flow();
        let legend = ["a", "b", "c"].iter().enumerate().fold(legend, |s, (i, letter)| {
            s.letter(letter, i).label(" ").number(&BYTES, Some(i as f64), |v| format!("{v} B"))
        });
        assert_eq!(texts(&legend, 16), ["  a 0 B  b 1 B", "  c 2 B"]);
    }

    #[test]
    fn bars_take_what_is_left() {
        let bars = |room| texts(&strip().bars(&BYTES, vec![Some(1.0); 9], 1.0, Tone::Good), room);
        assert_eq!(bars(43), ["Name     first 12 B, second 3456 B  ███████"]);
        assert_eq!(bars(40), ["Name     first 12 B, second 3456 B"]);
    }

    #[test]
    fn a_word_that_is_wrapped_stays_what_it_is() {
        let sentence = Strip::sentence().label("it is ").words(&BYTES, "very long indeed", Tone::Warn).label(" today");
        let lines = sentence.lay(10, &Theme::new(true, &UNICODE));
        assert_eq!(texts(&sentence, 10), ["it is very", "long", "indeed", "today"]);
        let of_field: Vec<bool> = lines.iter().map(|l| l.iter().any(|b| b.field == Some(0))).collect();
        assert_eq!(of_field, [true, true, true, false]);
    }

    proptest! {
        #[test]
        fn nothing_is_wider_than_the_room(words in "\\PC{0,40}", room in 1usize..60) {
            let all = [
                Strip::sign("Name").words(&BYTES, words.clone(), Tone::Plain).label(" more"),
                Strip::sentence().words(&BYTES, words.clone(), Tone::Plain).label(" more"),
                Strip::reason(words),
            ];
            // A wide character needs two columns; a name is not broken.
            for strip in all.iter().filter(|_| room > Strip::NAME + 2) {
                for line in texts(strip, room) {
                    prop_assert!(width(&line) <= room, "{line:?} in {room}");
                }
            }
        }
    }
}
