//! The configuration file: thresholds in TOML. Strict: what it says must be known and make sense.

mod shown;

use std::{
    fs::File,
    io::{self, Read},
    ops::Range,
    path::{Path, PathBuf},
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{
    diagnose::{Thresholds, thresholds::Threshold},
    snapshot::Name,
};

pub use shown::text;

/// Where the file is looked for when no other is named.
pub const DEFAULT_PLACE: &str = "/etc/observer/observer.toml";

/// Bytes of a file at most: a longer one is something else.
const LARGEST: u64 = 1 << 20;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("cannot read the configuration {}", Name::from_bytes(path.as_os_str().as_encoded_bytes()))]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What it says is wrong.
    #[error("{}:{line}: {what}", Name::from_bytes(path.as_os_str().as_encoded_bytes()))]
    Wrong {
        /// The file.
        path: PathBuf,
        /// The line, from 1 on.
        line: usize,
        /// The key and what is wrong with it.
        what: String,
    },
}

/// Reads the thresholds of the file that was named, else of the one at `default_place` if there is one.
pub fn load(named: Option<&Path>, default_place: &Path) -> Result<Thresholds, Error> {
    let path = named.unwrap_or(default_place);
    match read(path) {
        Ok(text) => parse(&text, path),
        Err(e) if named.is_none() && e.kind() == io::ErrorKind::NotFound => Ok(Thresholds::default()),
        Err(source) => Err(Error::Read { path: path.to_owned(), source }),
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(LARGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LARGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it has more than a mebibyte"));
    }
    Ok(text)
}

/// Reads thresholds from the text of the file at `path`.
pub fn parse(text: &str, path: &Path) -> Result<Thresholds, Error> {
    let mut thresholds =
        Thresholds { file: Some(Name::from_bytes(path.as_os_str().as_encoded_bytes())), ..Thresholds::default() };
    fill(&mut thresholds, text).map_err(|(at, what)| {
        let line = text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1;
        Error::Wrong { path: path.to_owned(), line, what }
    })?;
    Ok(thresholds)
}

/// Where something is wrong, in bytes from the start of the text, and what.
type Wrong = (usize, String);

fn fill(thresholds: &mut Thresholds, text: &str) -> Result<(), Wrong> {
    let start = |span: Option<Range<usize>>| span.map_or(0, |s| s.start);
    let tables = DeTable::parse(text).map_err(|e| (start(e.span()), e.message().to_owned()))?;
    for (key, value) in tables.get_ref() {
        let wrong = |what: String| (key.span().start, format!("{}{what}", Name::from(key.get_ref().as_ref())));
        let known = Thresholds::TABLES.iter().find(|t| table_name(t) == key.get_ref().as_ref());
        let known = known.ok_or_else(|| {
            let names: Vec<String> = Thresholds::TABLES.iter().map(|t| format!("[{}]", table_name(t))).collect();
            wrong(format!(": there is no such table; there is {}", names.join(", ")))
        })?;
        let DeValue::Table(entries) = value.get_ref() else {
            return Err(wrong(" is a table: write its keys below a line [...] with its name".to_owned()));
        };
        for (key, value) in entries {
            entry(thresholds, known, key, value)?;
        }
    }
    Ok(())
}

fn entry(
    thresholds: &mut Thresholds,
    table: &[Threshold],
    key: &Spanned<std::borrow::Cow<'_, str>>,
    value: &Spanned<DeValue<'_>>,
) -> Result<(), Wrong> {
    let name = format!("{}.{}", table_name(table), Name::from(key.get_ref().as_ref()));
    let Some(known) = table.iter().find(|t| t.key == key.get_ref().as_ref()) else {
        let keys: Vec<&str> = table.iter().map(|t| t.key).collect();
        return Err((key.span().start, format!("{name}: there is no such threshold; there are {}", keys.join(", "))));
    };
    let at = |what: String| (value.span().start, format!("{name}: {what}"));
    let number = match value.get_ref() {
        DeValue::Integer(n) => i64::from_str_radix(n.as_str(), n.radix()).map(|n| n as f64).ok(),
        DeValue::Float(n) => n.as_str().parse().ok(),
        _ => None,
    };
    let number = number.ok_or_else(|| at("it must be a number".to_owned()))?;
    known.put(thresholds, number).map_err(at)
}

fn table_name(table: &[Threshold]) -> &'static str {
    table.first().map_or("", |t| t.table)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    fn said(text: &str) -> String {
        parse(text, Path::new("/a/b.toml")).unwrap_err().to_string()
    }

    #[test]
    fn a_key_changes_its_threshold_and_no_other() {
        let read = parse("# mine\n[flow]\nidle_share = 0.5\ndead_backoff = 3 # more\n", Path::new("x")).unwrap();
        let changed: Vec<_> = read.changed().map(|c| (c.name, c.value)).collect();
        assert_eq!(changed, [("flow.idle_share".to_owned(), 0.5), ("flow.dead_backoff".to_owned(), 3.0)]);
        assert_eq!(read.file.unwrap().as_str(), "x");
        assert_eq!(parse("flow = { queueing = 3 }", Path::new("x")).unwrap().flow.queueing, 3.0);
        assert_eq!(parse("", Path::new("x")).unwrap().changed().count(), 0);
    }

    #[test]
    fn what_is_wrong_is_named_with_file_line_and_key() {
        let unknown = said("[flow]\n\nidel_share = 0.5\n");
        assert!(unknown.starts_with("/a/b.toml:3: flow.idel_share: there is no such threshold; there are look_back"));
        assert_eq!(said("[flow]\nidle_share = 1.5"), "/a/b.toml:2: flow.idle_share: it must be from 0 to 1");
        assert_eq!(said("[flow]\nidle_share = nan"), "/a/b.toml:2: flow.idle_share: it must be from 0 to 1");
        assert_eq!(said("[flow]\nidle_share = \"a\""), "/a/b.toml:2: flow.idle_share: it must be a number");
        assert!(said("[flow]\ndead_backoff = 2.5").contains(":2: flow.dead_backoff: it counts something"));
        assert!(said("\n[flows]\n").starts_with("/a/b.toml:2: flows: there is no such table; there is [flow]"));
        assert!(said("flow = 1").starts_with("/a/b.toml:1: flow is a table"));
        assert!(said("[flow]\nidle_share = 0.1\nidle_share = 0.2").starts_with("/a/b.toml:3: "), "twice");
        let hostile = said("[flow]\n\"\\u001b[31m\" = 1");
        assert!(hostile.starts_with("/a/b.toml:2: flow.\\x1b[31m: there is no"), "{hostile}");
    }

    #[test]
    fn the_default_place_may_be_empty_and_a_named_file_may_not() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("observer.toml");
        assert_eq!(load(None, &place).unwrap(), Thresholds::default());
        let missing = load(Some(&place), Path::new("/")).unwrap_err();
        assert!(missing.to_string().contains("observer.toml"), "{missing}");
        fs::write(&place, "[flow]\nqueueing = 4").unwrap();
        assert_eq!(load(None, &place).unwrap().flow.queueing, 4.0);
        fs::write(&place, vec![b'#'; LARGEST as usize + 1]).unwrap();
        assert!(matches!(load(None, &place), Err(Error::Read { .. })));
        assert!(matches!(load(None, folder.path()), Err(Error::Read { .. })), "a folder is no file");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(\\[flow\\]\n)?[a-z_]{0,12} ?= ?[-0-9.e_xnaif\"\\[\\]{}]{0,8}\n?.{0,20}") {
            let _ = parse(&text, Path::new("x"));
        }
    }
}
