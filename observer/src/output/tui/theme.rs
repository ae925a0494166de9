//! Colours and glyphs: the sixteen colours that every terminal has, or none.

use ratatui::style::{Color, Modifier, Style};

/// What a piece of text means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tone {
    /// A value.
    #[default]
    Plain,
    /// What stands beside values: labels, units, hints, what is zero.
    Dim,
    /// A heading.
    Title,
    /// The heading, tab or row that the keys act on.
    Focus,
    /// As it should be.
    Good,
    /// Worth a look.
    Warn,
    /// Wrong.
    Bad,
}

/// Characters of graphics.
#[derive(Debug, PartialEq, Eq)]
pub struct Glyphs {
    /// Stands for what was left out.
    pub ellipsis: &'static str,
    /// Bars from low to high.
    pub bars: &'static [&'static str],
    /// A horizontal rule.
    pub rule: &'static str,
    /// Marks the table that the keys act on.
    pub focus: &'static str,
    /// Marks a column sorted from large to small.
    pub descending: &'static str,
    /// Marks a column sorted from small to large.
    pub ascending: &'static str,
    /// Leads to what to do next.
    pub arrow: &'static str,
    /// Between two things on one line.
    pub dot: &'static str,
    /// Stands at the moment that is shown, on an axis of time.
    pub cursor: &'static str,
    /// Something above or below what is shown.
    pub more: &'static str,
}

/// Glyphs of a UTF-8 terminal.
pub const UNICODE: Glyphs = Glyphs {
    ellipsis: "…",
    bars: &["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
    rule: "─",
    focus: "▶",
    descending: "▼",
    ascending: "▲",
    arrow: "→",
    dot: "·",
    cursor: "│",
    more: "↕",
};

/// Glyphs of a terminal that shows nothing but ASCII.
pub const ASCII: Glyphs = Glyphs {
    ellipsis: "~",
    bars: &["_", ".", "-", "=", "+", "*", "%", "#"],
    rule: "-",
    focus: ">",
    descending: "v",
    ascending: "^",
    arrow: "->",
    dot: "|",
    cursor: "|",
    more: "+",
};

/// How things look.
#[derive(Debug, Clone, Copy)]
pub struct Theme {
    color: bool,
    /// Characters of graphics.
    pub glyphs: &'static Glyphs,
}

impl Theme {
    /// A theme with or without colours.
    pub fn new(color: bool, glyphs: &'static Glyphs) -> Self {
        Self { color, glyphs }
    }

    /// The theme that an environment asks for: `NO_COLOR` (no-color.org) and `TERM=dumb` take the colours away, a locale
    /// that is set and is not UTF-8 takes the graphics away.
    pub fn from_environment(no_color: bool, variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|v| !v.is_empty());
        let color = !no_color && set("NO_COLOR").is_none() && set("TERM").is_none_or(|t| t != "dumb");
        let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG"));
        let utf8 = locale.is_none_or(|l| ["utf-8", "utf8"].iter().any(|u| l.to_lowercase().contains(u)));
        Self::new(color, if utf8 { &UNICODE } else { &ASCII })
    }

    /// How a piece of text with this meaning looks.
    pub fn style(&self, tone: Tone) -> Style {
        let (color, modifier) = match tone {
            Tone::Plain => (None, Modifier::empty()),
            Tone::Dim => (None, Modifier::DIM),
            Tone::Title => (Some(Color::Cyan), Modifier::BOLD),
            Tone::Focus => (Some(Color::Cyan), Modifier::BOLD.union(Modifier::UNDERLINED)),
            Tone::Good => (Some(Color::Green), Modifier::empty()),
            Tone::Warn => (Some(Color::Yellow), Modifier::BOLD),
            Tone::Bad => (Some(Color::Red), Modifier::BOLD),
        };
        let style = Style::new().add_modifier(modifier);
        match color.filter(|_| self.color) {
            Some(color) => style.fg(color),
            None => style,
        }
    }

    /// The row or tab that is chosen: readable on any background, with or without colours.
    pub fn chosen(&self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// A part of a bar, told apart from its neighbours by colour where there are colours; its letter tells it always.
    pub fn part(&self, index: usize) -> Style {
        const COLORS: [Color; 7] =
            [Color::Green, Color::Blue, Color::Magenta, Color::Yellow, Color::Red, Color::Cyan, Color::Reset];
        match COLORS.get(index % COLORS.len()).filter(|_| self.color) {
            Some(color) => Style::new().fg(*color),
            None => Style::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn theme(variables: &[(&str, &str)]) -> Theme {
        Theme::from_environment(false, |name| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
    }

    #[test]
    fn the_environment_decides() {
        assert!(theme(&[]).color);
        assert!(!theme(&[("NO_COLOR", "1")]).color);
        assert!(theme(&[("NO_COLOR", "")]).color, "an empty NO_COLOR says nothing");
        assert!(!theme(&[("TERM", "dumb")]).color);
        assert_eq!(theme(&[]).glyphs, &UNICODE);
        assert_eq!(theme(&[("LANG", "en_US.UTF-8")]).glyphs, &UNICODE);
        assert_eq!(theme(&[("LANG", "C.UTF-8"), ("LC_ALL", "C")]).glyphs, &ASCII);
    }

    #[test]
    fn without_colours_no_style_has_one() {
        let plain = Theme::new(false, &ASCII);
        let tones = [Tone::Plain, Tone::Dim, Tone::Title, Tone::Focus, Tone::Good, Tone::Warn, Tone::Bad];
        assert!(tones.iter().all(|t| plain.style(*t).fg.is_none()));
        assert!((0..7).all(|i| plain.part(i).fg.is_none()));
        assert_eq!(plain.chosen().fg, None);
    }
}
