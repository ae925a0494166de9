//! Text of the kernel: lines, words, and `name value` files that are asked by name.

use std::cell::{Cell, RefCell};

use super::Malformed;

/// The lines of a file with their numbers from 1. The kernel ends every line, so a last one without an end was cut off.
pub fn numbered(bytes: &[u8]) -> Result<impl Iterator<Item = (usize, &[u8])>, Malformed> {
    let count = bytes.split(|b| *b == b'\n').count();
    if bytes.last().is_some_and(|b| *b != b'\n') {
        return Err(Malformed::new(count, "the file ends within the line"));
    }
    Ok(bytes.split(|b| *b == b'\n').enumerate().take(count.saturating_sub(1)).map(|(i, line)| (i + 1, line)))
}

/// The words of a line, separated by spaces and tabs.
pub fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|b| matches!(b, b' ' | b'\t')).filter(|w| !w.is_empty())
}

/// A whole number without sign.
pub fn number(word: &[u8]) -> Option<u64> {
    if word.is_empty() {
        return None;
    }
    word.iter().try_fold(0u64, |sum, b| {
        let digit = b.is_ascii_digit().then(|| u64::from(b - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

/// The one number that a file consists of.
pub fn single_number(bytes: &[u8], field: &str) -> Result<u64, Malformed> {
    let text = bytes.trim_ascii();
    number(text).ok_or_else(|| Malformed::no_number(1, field, text))
}

/// The kernel writes space, tab, line end and backslash in a path as three octal digits.
pub fn unescape(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&byte, tail)) = rest.split_first() {
        let octal = tail.get(..3).filter(|_| byte == b'\\').and_then(|d| std::str::from_utf8(d).ok());
        match octal.and_then(|d| u8::from_str_radix(d, 8).ok()) {
            Some(byte) => {
                out.push(byte);
                rest = tail.get(3..).unwrap_or_default();
            }
            None => {
                out.push(byte);
                rest = tail;
            }
        }
    }
    out
}

/// What a value of a `name value` file is followed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Nothing: the number stands for itself.
    None,
    /// `kB`, which means KiB; the value comes out in bytes.
    Kib,
}

struct Entry<'a> {
    line: usize,
    name: &'a [u8],
    value: &'a [u8],
}

/// A file of names and numbers that is asked by name.
///
/// A name that the file does not have is `None`. A name that was asked for and has no number is remembered, and
/// [`Fields::checked`] turns it into an error: a broken file must not pass for an old kernel.
pub struct Fields<'a> {
    entries: Vec<Entry<'a>>,
    unit: Unit,
    /// Where the last name was found: fields are asked for in about the order of the file.
    cursor: Cell<usize>,
    problem: RefCell<Option<Malformed>>,
}

impl<'a> Fields<'a> {
    /// From lines such as `MemFree:   123 kB` or `pgfault 123`.
    pub fn from_lines(bytes: &'a [u8], unit: Unit) -> Result<Self, Malformed> {
        let mut entries = Vec::with_capacity(64);
        for (line, text) in numbered(bytes)? {
            let at = text.iter().position(|b| matches!(b, b' ' | b'\t')).unwrap_or(text.len());
            let (name, value) = text.split_at(at);
            entries.push(Entry { line, name: name.strip_suffix(b":").unwrap_or(name), value: value.trim_ascii() });
        }
        Self::new(entries, unit)
    }

    /// From a line of names and a line of values, as /proc/net/snmp has them: `Tcp: A B` over `Tcp: 1 2`.
    pub fn from_table(bytes: &'a [u8], table: &[u8]) -> Result<Self, Malformed> {
        let mut rows = numbered(bytes)?.filter_map(|(line, text)| {
            let mut words = words(text);
            (words.next()?.strip_suffix(b":")? == table).then_some((line, words))
        });
        let (Some((head_line, names)), Some((line, values))) = (rows.next(), rows.next()) else {
            let table = crate::snapshot::Name::from_bytes(table);
            return Err(Malformed::new(1, format!("there are no two lines that begin with {table}:")));
        };
        let (names, values): (Vec<_>, Vec<_>) = (names.collect(), values.collect());
        if names.len() != values.len() {
            let what = format!("{} values for the {} names of line {head_line}", values.len(), names.len());
            return Err(Malformed::new(line, what));
        }
        let entries = names.into_iter().zip(values).map(|(name, value)| Entry { line, name, value }).collect();
        Self::new(entries, Unit::None)
    }

    fn new(entries: Vec<Entry<'a>>, unit: Unit) -> Result<Self, Malformed> {
        if entries.is_empty() {
            return Err(Malformed::new(1, "the file is empty"));
        }
        Ok(Self { entries, unit, cursor: Cell::new(0), problem: RefCell::new(None) })
    }

    /// The number under this name.
    pub fn get(&self, name: &str) -> Option<u64> {
        let (before, after) = self.entries.split_at_checked(self.cursor.get())?;
        let (steps, entry) = after.iter().chain(before).enumerate().find(|(_, e)| e.name == name.as_bytes())?;
        self.cursor.set((self.cursor.get() + steps + 1) % self.entries.len());
        let value = match self.unit {
            Unit::None => number(entry.value),
            Unit::Kib => entry.value.strip_suffix(b" kB").and_then(number).and_then(|v| v.checked_mul(1024)),
        };
        if value.is_none() {
            let problem = Malformed::no_number(entry.line, name, entry.value);
            self.problem.borrow_mut().get_or_insert(problem);
        }
        value
    }

    /// What was made of the fields, unless one that was asked for had no number.
    pub fn checked<T>(&self, made: T) -> Result<T, Malformed> {
        self.problem.borrow_mut().take().map_or(Ok(made), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_digits_that_fit() {
        assert_eq!(number(b"18446744073709551615"), Some(u64::MAX));
        for bad in [&b"18446744073709551616"[..], b"", b"-1", b"+1", b"1k", b"0x1", b" 1"] {
            assert_eq!(number(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn octal_digits_in_paths() {
        assert_eq!(unescape(b"a\\040\\134\\x"), b"a \\\\x");
    }

    #[test]
    fn names_are_found_in_any_order() {
        let fields = Fields::from_lines(b"a 1\nb 2\nc 3\n", Unit::None).unwrap();
        let found: Vec<_> = ["b", "a", "x", "c", "c"].iter().map(|n| fields.get(n)).collect();
        assert_eq!(found, [Some(2), Some(1), None, Some(3), Some(3)]);
        assert_eq!(fields.checked(()), Ok(()));
    }

    #[test]
    fn kilobytes_are_kibibytes() {
        let fields = Fields::from_lines(b"MemFree:      12 kB\nHugePages_Total:   7\n", Unit::Kib).unwrap();
        assert_eq!(fields.get("MemFree"), Some(12 << 10));
        assert_eq!(fields.get("HugePages_Total"), None);
        assert_eq!(fields.checked(()).unwrap_err(), Malformed::no_number(2, "HugePages_Total", b"7"));
    }

    #[test]
    fn a_bad_value_is_an_error_only_if_it_was_asked_for() {
        let text = b"good 1\nbad x\x1b\n";
        let fields = Fields::from_lines(text, Unit::None).unwrap();
        assert_eq!(fields.get("good"), Some(1));
        assert_eq!(fields.checked(()), Ok(()));
        assert_eq!(fields.get("bad"), None);
        assert_eq!(fields.checked(()).unwrap_err().to_string(), r#"line 2: bad is "x\\x1b", not a number"#);
    }

    #[test]
    fn a_file_that_was_cut_off_is_not_taken_for_a_short_one() {
        let problem = Fields::from_lines(b"a 1\nb 2", Unit::None).err().unwrap();
        assert_eq!(problem, Malformed::new(2, "the file ends within the line"));
        assert_eq!(Fields::from_lines(b"", Unit::None).err().unwrap().line, 1);
    }

    #[test]
    fn a_table_needs_as_many_values_as_names() {
        let fields = Fields::from_table(b"Ip: a\nIp: 1\nTcp: a b\nTcp: 3 -1\n", b"Tcp").unwrap();
        assert_eq!(fields.get("a"), Some(3));
        let problem = Fields::from_table(b"Tcp: a b\nTcp: 3\n", b"Tcp").err().unwrap();
        assert_eq!(problem.to_string(), "line 2: 1 values for the 2 names of line 1");
        assert!(Fields::from_table(b"Tcp: a b\n", b"Tcp").is_err());
    }
}
