//! Pieces of the kernel's words.

use crate::{snapshot::Name, source::lines::number};

/// What stands between two texts; the first occurrence of each.
pub(super) fn between<'a>(line: &'a [u8], before: &[u8], after: &[u8]) -> Option<&'a [u8]> {
    let start = find(line, before)? + before.len();
    let rest = line.get(start..)?;
    rest.get(..find(rest, after)?)
}

/// What stands after a text.
pub(super) fn after<'a>(line: &'a [u8], before: &[u8]) -> Option<&'a [u8]> {
    line.get(find(line, before)? + before.len()..)
}

/// Where a text begins.
pub(super) fn find(line: &[u8], text: &[u8]) -> Option<usize> {
    line.windows(text.len()).position(|w| w == text)
}

/// Where a text begins for the last time.
pub(super) fn find_last(line: &[u8], text: &[u8]) -> Option<usize> {
    line.windows(text.len()).rposition(|w| w == text)
}

/// The number that a text begins with.
pub(super) fn leading(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii_start();
    let end = text.iter().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    number(text.get(..end)?)
}

/// The number that a text begins with, which may be negative.
pub(super) fn leading_signed(text: &[u8]) -> Option<i64> {
    let text = text.trim_ascii_start();
    match text.strip_prefix(b"-") {
        Some(digits) => leading(digits).and_then(|n| i64::try_from(n).ok()).map(|n| -n),
        None => leading(text).and_then(|n| i64::try_from(n).ok()),
    }
}

/// The number after a text.
pub(super) fn number_after(line: &[u8], before: &[u8]) -> Option<u64> {
    leading(after(line, before)?)
}

/// A number with `kB`, `KB` or `K` after it, in bytes; without a unit `None`.
pub(super) fn kib(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii();
    let digits = [&b"kB"[..], b"KB", b"K"].iter().find_map(|unit| text.strip_suffix(*unit))?;
    number(digits)?.checked_mul(1024)
}

/// A name as it is kept.
pub(super) fn name(text: &[u8]) -> Name {
    Name::from_bytes(text.trim_ascii())
}

/// A name; `None` if there is none.
pub(super) fn some_name(text: &[u8]) -> Option<Name> {
    Some(name(text)).filter(|n| !n.is_empty())
}

/// The pairs `name:value` of a line. A value may be set off by a space, as in `shmem_thp: 0kB`.
pub(super) fn pairs(line: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut words = line.split(|b| *b == b' ').filter(|w| !w.is_empty());
    std::iter::from_fn(move || {
        let word = words.next()?;
        let at = word.iter().position(|b| *b == b':');
        Some(match at {
            Some(at) if at + 1 == word.len() => (word.get(..at)?, words.next().unwrap_or_default()),
            Some(at) => (word.get(..at)?, word.get(at + 1..)?),
            None => (word, &b""[..]),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_may_be_set_apart() {
        let found: Vec<_> = pairs(b"mapped:2376kB shmem_thp: 0kB all_unreclaimable? yes").collect();
        assert_eq!(
            found,
            [(&b"mapped"[..], &b"2376kB"[..]), (b"shmem_thp", b"0kB"), (b"all_unreclaimable?", b""), (b"yes", b"")]
        );
    }

    #[test]
    fn numbers_end_where_digits_end() {
        assert_eq!(number_after(b"order=0, x", b"order="), Some(0));
        assert_eq!(leading_signed(b"-1, x"), Some(-1));
        assert_eq!(kib(b"123kB"), Some(123 * 1024));
        assert_eq!(kib(b"123"), None);
        assert_eq!(between(b"a(b)c", b"(", b")"), Some(&b"b"[..]));
    }
}
