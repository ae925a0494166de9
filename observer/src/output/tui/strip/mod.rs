//! Lines of words and numbers outside of tables. What is not a fixed word gets into one only together with what it is, its
//! unit and its source, which the line at the bottom tells as it does of a column.

mod lay;

use std::borrow::Cow;

pub(super) use lay::{Bit, draw, lay_all, line_of, width_of};

use super::{
    context::{Context, Number, why_missing},
    table::Origin,
    text::width,
    theme::Tone,
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

    /// A number whose look differs from its text, in pieces that stand together whatever the room.
    pub(super) fn pieces(
        mut self,
        about: &About,
        text: impl Into<String>,
        pieces: impl IntoIterator<Item = (String, Tone)>,
    ) -> Self {
        self.fields.push(Field::new(about, text.into(), false));
        let field = Some(self.fields.len() - 1);
        let piece = |(text, tone)| Piece { text, ink: Ink::Tone(tone), field, may_be_cut: true };
        self.pieces.extend(pieces.into_iter().map(piece));
        self
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
}
