//! The filter: `text`, `!text`, or a comparison with a column such as `usage > 1 GiB` or `retrans>0`.

use super::{
    table::{Column, Row, Value},
    text::width,
};

/// A filter over the rows of any table.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Filter {
    /// As it was written.
    pub(super) text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Above,
    AtLeast,
    Below,
    AtMost,
}

impl Filter {
    /// True if there is nothing to filter by.
    pub(super) fn is_empty(&self) -> bool {
        self.text.trim().is_empty()
    }

    /// Whether a row stays. A comparison with a column that the table does not have lets every row pass; a value that is
    /// not known meets no comparison.
    pub(super) fn keeps(&self, columns: &[Column], row: &Row) -> bool {
        let text = self.text.trim();
        let (inverted, text) = match text.strip_prefix('!') {
            Some(rest) => (true, rest.trim()),
            None => (false, text),
        };
        if text.is_empty() {
            return true;
        }
        let kept = match comparison(text) {
            Some((name, comparison, bound)) => {
                let column = columns.iter().position(|c| c.title.to_lowercase().starts_with(&name.to_lowercase()));
                let Some(cell) = column.and_then(|i| row.cells.get(i)) else { return true };
                matches!(cell.value, Value::Number(Some(n)) if holds(n, comparison, bound))
            }
            None => {
                let wanted = text.to_lowercase();
                row.cells.iter().any(|c| c.text.to_lowercase().contains(&wanted))
            }
        };
        kept != inverted
    }
}

fn holds(n: f64, comparison: Comparison, bound: f64) -> bool {
    match comparison {
        Comparison::Above => n > bound,
        Comparison::AtLeast => n >= bound,
        Comparison::Below => n < bound,
        Comparison::AtMost => n <= bound,
    }
}

/// Takes `column > number unit` apart; `None` if the text is none, and so is looked for as it stands.
fn comparison(text: &str) -> Option<(&str, Comparison, f64)> {
    let at = text.find(['<', '>'])?;
    let (name, rest) = text.split_at(at);
    let (comparison, rest) =
        [(">=", Comparison::AtLeast), ("<=", Comparison::AtMost), (">", Comparison::Above), ("<", Comparison::Below)]
            .into_iter()
            .find_map(|(sign, comparison)| rest.strip_prefix(sign).map(|rest| (comparison, rest)))?;
    let name = name.trim();
    (width(name) > 0).then_some(())?;
    Some((name, comparison, number(rest.trim())?))
}

/// A number with a unit: binary for bytes (`1 GiB`, `1gb`), decimal for counts (`1 k`), `ms` and `us`, `%`.
fn number(text: &str) -> Option<f64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '-').unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let factor = match unit.trim().to_lowercase().as_str() {
        "" | "b" | "s" => 1.0,
        "kib" | "kb" => 1024.0,
        "mib" | "mb" => 1024f64.powi(2),
        "gib" | "gb" => 1024f64.powi(3),
        "tib" | "tb" => 1024f64.powi(4),
        "k" => 1e3,
        "m" => 1e6,
        "g" => 1e9,
        "ms" => 1e-3,
        "us" => 1e-6,
        "%" => 1e-2,
        _ => return None,
    };
    digits.parse::<f64>().ok().map(|n| n * factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::tui::table::{Cell, Column};

    const COLUMNS: &[Column] = &[
        Column::text("name", 8, "of the test"),
        Column::number("usage", 8, "of the test"),
        Column::number("rss", 8, "of the test"),
    ];

    fn keeps(filter: &str, name: &str, usage: Option<f64>) -> bool {
        let row = Row { cells: vec![Cell::text(name), Cell::number(usage, |n| n.to_string())] };
        Filter { text: filter.to_owned() }.keeps(COLUMNS, &row)
    }

    #[test]
    fn text_is_found_anywhere_in_a_row_in_any_case() {
        assert!(keeps("", "nginx", None));
        assert!(keeps("NGI", "nginx", None));
        assert!(!keeps("!ngi", "nginx", None));
        assert!(keeps("!ngi", "redis", None));
        assert!(keeps("a->b", "a->b", None), "what is no comparison is a text");
    }

    #[test]
    fn columns_are_compared_in_their_units() {
        assert!(keeps("usage > 1 kib", "x", Some(2048.0)));
        assert!(!keeps("us>=2049", "x", Some(2048.0)));
        assert!(keeps("usage<= 80%", "x", Some(0.8)));
        assert!(!keeps("usage > 0", "x", None), "unknown is above nothing");
        assert!(keeps("latency > 5", "x", Some(1.0)), "a column that the table lacks filters nothing");
    }
}
