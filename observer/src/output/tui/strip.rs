//! Lines of words and numbers outside of tables. What is not a fixed word gets into one only together with what it is, its
//! unit and its source, which the line at the bottom tells as it does of a column.

use std::borrow::Cow;

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Modifier, Style},
};

use super::{
    context::{Context, Number, why_missing},
    table::Origin,
    text::{Cut, fit, shares, sparkline, width, wrap},
    theme::{Theme, Tone},
};
use crate::{model::Model, units};

/// What a number is.
#[derive(Debug, Clone, Copy)]
pub(super) struct About {
    /// Its name on the line at the bottom.
    pub(super) name: &'static str,
    /// What it is, with its unit.
    pub(super) what: &'static str,
    /// File, call or tracepoint that tells it.
    pub(super) source: &'static str,
    /// Part of the snapshot and sources whose coverage has the reason if it is missing.
    pub(super) from: Origin,
}

impl About {
    /// A number: its name, what it is with its unit, its source, and whose coverage tells why it is missing.
    pub(super) const fn new(name: &'static str, what: &'static str, source: &'static str, from: Origin) -> Self {
        Self { name, what, source, from }
    }
}

/// A number as it is shown, with what it is.
#[derive(Debug, Clone, PartialEq)]
struct Field {
    name: Cow<'static, str>,
    what: Cow<'static, str>,
    source: Cow<'static, str>,
    from: Origin,
    /// What is shown; empty for a drawing.
    text: String,
    missing: bool,
    /// True if what it is is said beside it, so that the line at the bottom need not repeat it.
    quiet: bool,
}

impl Field {
    fn new(about: &About, text: String, missing: bool) -> Self {
        let About { name, what, source, from } = *about;
        Self { name: name.into(), what: what.into(), source: source.into(), from, text, missing, quiet: false }
    }

    fn number(&self, model: Option<&Model>) -> Number {
        Number {
            name: self.name.to_string(),
            value: if self.quiet { String::new() } else { self.text.clone() },
            about: format!("{}: {}", self.what, self.source),
            why: self.missing.then(|| why_missing(model, self.from, &self.source)),
        }
    }
}

/// How a piece of text looks.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Ink {
    Tone(Tone),
    /// The letter of a part of a gauge.
    Part(usize),
}

/// A piece of text, of a field if it has one.
#[derive(Debug, Clone, PartialEq)]
struct Piece {
    text: String,
    ink: Ink,
    field: Option<usize>,
    /// True for words, of which the start says more than nothing.
    may_be_cut: bool,
}

/// A drawing that takes the room that is left.
#[derive(Debug, Clone, PartialEq)]
struct Drawing {
    field: usize,
    tone: Tone,
    kind: DrawingKind,
}

#[derive(Debug, Clone, PartialEq)]
enum DrawingKind {
    /// Bars, newest at the right; the tallest stands for that number or more.
    Bars(Vec<Option<f64>>, f64),
    /// Letters of parts in proportion to their sizes.
    Gauge(Vec<(&'static str, f64)>),
}

/// How a line gives way where there is no room for all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Way {
    /// Numbers that do not fit are left out, with a sign that they are.
    #[default]
    Leave,
    /// Numbers go on below, each with its words on one line.
    Flow,
    /// Words go on below.
    Wrap,
}

/// Words and numbers on a line.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Strip {
    pieces: Vec<Piece>,
    fields: Vec<Field>,
    drawing: Option<Drawing>,
    /// Columns that are left free below the name where it goes on.
    indent: usize,
    way: Way,
}

/// A piece of a laid line.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bit {
    text: String,
    style: Style,
    field: Option<usize>,
}

impl From<&'static str> for Strip {
    fn from(words: &'static str) -> Self {
        Self::sentence().label(words)
    }
}

impl Strip {
    /// Width of the names of vital signs.
    pub(super) const NAME: usize = 9;

    /// A line that begins with a name.
    pub(super) fn sign(name: &'static str) -> Self {
        let mut strip = Self { indent: Self::NAME, ..Self::default() };
        strip.push(format!("{name:<width$}", width = Self::NAME), Ink::Tone(Tone::Title), None);
        strip
    }

    /// A line that is wrapped where it is too long, like a sentence.
    pub(super) fn sentence() -> Self {
        Self { way: Way::Wrap, ..Self::default() }
    }

    /// A line below a vital sign.
    pub(super) fn below() -> Self {
        Self { indent: Self::NAME, ..Self::default() }
    }

    /// The same line whose numbers go on below.
    pub(super) fn flow(self) -> Self {
        Self { way: Way::Flow, ..self }
    }

    fn push(&mut self, text: impl Into<String>, ink: Ink, field: Option<usize>) {
        self.pieces.push(Piece { text: text.into(), ink, field, may_be_cut: false });
    }

    /// Fixed words.
    pub(super) fn label(self, words: &'static str) -> Self {
        self.label_toned(words, Tone::Dim)
    }

    /// Fixed words with a tone.
    pub(super) fn label_toned(mut self, words: &'static str, tone: Tone) -> Self {
        self.push(words, Ink::Tone(tone), None);
        self
    }

    /// The letter of a part of a gauge.
    pub(super) fn letter(mut self, letter: &'static str, part: usize) -> Self {
        self.push(letter, Ink::Part(part), None);
        self
    }

    /// Why there is nothing to show, as a sentence.
    pub(super) fn reason(why: impl Into<String>) -> Self {
        let mut strip = Self::sentence();
        strip.push(why, Ink::Tone(Tone::Dim), None);
        strip
    }

    /// Why a number is not there, on the line where it should be.
    pub(super) fn missing(mut self, about: &About, ctx: &Context<'_>) -> Self {
        let (part, sources) = about.from;
        self.fields.push(Field::new(about, String::new(), true));
        let field = Some(self.fields.len() - 1);
        let text = ctx.no_data(part, sources);
        self.pieces.push(Piece { text, ink: Ink::Tone(Tone::Dim), field, may_be_cut: true });
        self
    }

    fn field(mut self, field: Field, tone: Tone) -> Self {
        let text = field.text.clone();
        self.fields.push(field);
        let index = self.fields.len() - 1;
        self.push(text, Ink::Tone(tone), Some(index));
        self
    }

    /// A number that may not be known.
    pub(super) fn number(self, about: &About, value: Option<f64>, show: impl Fn(f64) -> String) -> Self {
        self.number_toned(about, value, show, Tone::Plain)
    }

    /// The same with a tone.
    pub(super) fn number_toned(
        self,
        about: &About,
        value: Option<f64>,
        show: impl Fn(f64) -> String,
        tone: Tone,
    ) -> Self {
        self.field(Field::new(about, units::or_unknown(value, show), value.is_none()), tone)
    }

    /// Bytes that may not be known.
    pub(super) fn bytes(self, about: &About, value: Option<u64>) -> Self {
        self.number(about, value.map(|v| v as f64), units::bytes)
    }

    /// A count that may not be known.
    pub(super) fn count(self, about: &About, value: Option<u64>) -> Self {
        self.number(about, value.map(|v| v as f64), units::count)
    }

    /// Numbers or names in words.
    pub(super) fn words(self, about: &About, words: impl Into<String>, tone: Tone) -> Self {
        self.field(Field::new(about, words.into(), false), tone)
    }

    /// The same, `None` if they are not known.
    pub(super) fn words_or_unknown(self, about: &About, words: Option<impl Into<String>>) -> Self {
        let missing = words.is_none();
        let text = words.map_or_else(|| units::UNKNOWN.to_owned(), Into::into);
        self.field(Field::new(about, text, missing), Tone::Plain)
    }

    /// A number of which only the data tells what it is: its name, what it is with its unit, its source.
    pub(super) fn told(
        self,
        name: impl Into<Cow<'static, str>>,
        what: impl Into<Cow<'static, str>>,
        source: impl Into<Cow<'static, str>>,
        text: impl Into<String>,
    ) -> Self {
        let (name, what, source) = (name.into(), what.into(), source.into());
        let from = ("", &[] as &[&str]);
        self.field(Field { name, what, source, from, text: text.into(), missing: false, quiet: true }, Tone::Plain)
    }

    fn drawing(mut self, about: &About, tone: Tone, kind: DrawingKind) -> Self {
        self.fields.push(Field::new(about, String::new(), false));
        self.drawing = Some(Drawing { field: self.fields.len() - 1, tone, kind });
        self
    }

    /// Bars at the right edge, newest at the right, `top` being the least that fills the line.
    pub(super) fn bars(self, about: &About, values: Vec<Option<f64>>, top: f64, tone: Tone) -> Self {
        self.drawing(about, tone, DrawingKind::Bars(values, top))
    }

    /// Letters of parts in proportion to their sizes, over the rest of the line.
    pub(super) fn gauge(self, about: &About, parts: Vec<(&'static str, f64)>) -> Self {
        self.drawing(about, Tone::Plain, DrawingKind::Gauge(parts))
    }

    /// The same line with another behind it.
    pub(super) fn then(mut self, other: &Self) -> Self {
        let first = self.fields.len();
        self.fields.extend(other.fields.iter().cloned());
        self.pieces.extend(other.pieces.iter().cloned().map(|p| Piece { field: p.field.map(|f| f + first), ..p }));
        self
    }

    /// How many numbers it has.
    pub(super) fn len(&self) -> usize {
        self.fields.len()
    }

    /// Columns of the terminal that its words and numbers need.
    pub(super) fn width(&self) -> usize {
        self.pieces.iter().map(|p| width(&p.text)).sum()
    }

    /// True if it says nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.drawing.is_none()
    }

    /// All of its numbers with what they are.
    pub(super) fn numbers(&self, model: Option<&Model>) -> impl Iterator<Item = Number> {
        self.fields.iter().map(move |f| f.number(model))
    }

    /// The lines that it fills in so many columns of the terminal.
    pub(super) fn lay(&self, room: usize, theme: &Theme) -> Vec<Vec<Bit>> {
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
                bits.push(Bit {
                    text: format!(" {}", theme.glyphs.ellipsis),
                    style: theme.style(Tone::Dim),
                    field: None,
                });
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
pub(super) fn draw(
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
pub(super) fn width_of(lines: &[Vec<Bit>]) -> usize {
    lines.iter().map(|line| line.iter().map(|b| width(&b.text)).sum()).max().unwrap_or(0)
}

/// The line of that number among laid lines.
pub(super) fn line_of(lines: &[Vec<Bit>], field: usize) -> Option<usize> {
    lines.iter().position(|line| line.iter().any(|b| b.field == Some(field)))
}

/// Several strips below one another, their numbers counted through.
pub(super) fn lay_all(strips: &[Strip], room: usize, theme: &Theme) -> Vec<Vec<Bit>> {
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
    use super::*;
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
