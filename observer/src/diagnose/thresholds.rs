//! From where on something is a limit or a finding: named values with defaults that a configuration file can change. A value,
//! its meaning, its default and the values that make sense stand in one place.

use std::ops::RangeInclusive;

use serde::Serialize;

use super::{flow, tunnel};
use crate::snapshot::Name;

/// The thresholds of all rules that have any to be changed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Thresholds {
    /// What limits a connection.
    pub flow: flow::Thresholds,
    /// What limits a tunnel.
    pub tunnel: tunnel::Thresholds,
    /// The file that they come from; `None` if no file was read.
    pub file: Option<Name>,
}

/// The thresholds that hold where nothing else is said.
pub(super) static DEFAULTS: Thresholds =
    Thresholds { flow: flow::Thresholds::DEFAULT, tunnel: tunnel::Thresholds::DEFAULT, file: None };

/// What is known of one threshold.
#[derive(Debug, Clone)]
pub struct Threshold {
    /// The table of the configuration file that it stands in.
    pub table: &'static str,
    /// Its key there.
    pub key: &'static str,
    /// What it means.
    pub about: &'static str,
    /// What holds where the file does not name it.
    pub default: f64,
    /// The values that make sense.
    pub range: RangeInclusive<f64>,
    /// True if it counts something.
    pub whole: bool,
    /// Reads it.
    pub get: fn(&Thresholds) -> f64,
    /// Sets it.
    pub(in crate::diagnose) set: fn(&mut Thresholds, f64),
}

impl Threshold {
    /// Its name: table and key.
    pub fn name(&self) -> String {
        format!("{}.{}", self.table, self.key)
    }

    /// Sets it; the error says what would be right.
    pub fn put(&self, thresholds: &mut Thresholds, value: f64) -> Result<(), String> {
        if !self.range.contains(&value) {
            return Err(format!("it must be from {} to {}", self.range.start(), self.range.end()));
        }
        if self.whole && value.fract() != 0.0 {
            return Err("it counts something: write a whole number".to_owned());
        }
        (self.set)(thresholds, value);
        Ok(())
    }
}

impl Thresholds {
    /// Every threshold, table by table.
    pub const TABLES: &[&[Threshold]] = &[flow::Thresholds::ALL, tunnel::Thresholds::ALL];

    /// The thresholds that are not as they are by default.
    pub fn changed(&self) -> impl Iterator<Item = Changed> {
        let all = Self::TABLES.iter().copied().flatten();
        all.filter(|t| (t.get)(self) != t.default).map(|t| Changed {
            name: t.name(),
            value: (t.get)(self),
            default: t.default,
        })
    }
}

/// A threshold that is not as it is by default.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Changed {
    /// Its name: table and key.
    pub name: String,
    /// What holds.
    pub value: f64,
    /// What would hold.
    pub default: f64,
}

/// What a configuration file has to do with a diagnosis.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Configured {
    /// The file that thresholds were read from.
    pub file: Option<Name>,
    /// The thresholds that are not as they are by default.
    pub changed: Vec<Changed>,
}

impl Configured {
    pub(super) fn new(thresholds: &Thresholds) -> Self {
        Self { file: thresholds.file.clone(), changed: thresholds.changed().collect() }
    }

    /// In one sentence, `None` if there is nothing to say.
    pub fn sentence(&self) -> Option<String> {
        if self.file.is_none() && self.changed.is_empty() {
            return None;
        }
        let file = self.file.as_ref().map_or(String::new(), |file| format!(" from {file}"));
        let changed: Vec<String> =
            self.changed.iter().map(|c| format!("{} {} (default {})", c.name, c.value, c.default)).collect();
        let changed = if changed.is_empty() { "all as by default".to_owned() } else { changed.join(", ") };
        Some(format!("thresholds{file}: {changed}"))
    }
}

/// Defines one table of thresholds: a struct with its defaults, and what is known of each field. Says which field of
/// [`Thresholds`] it is.
macro_rules! thresholds {
    (
        $(#[doc = $of_table:literal])*
        $table:ident {$(
            $(#[doc = $about:literal])+
            $name:ident: $kind:ident = $default:literal, $least:literal to $most:literal;
        )*}
    ) => {
        $(#[doc = $of_table])*
        #[derive(Debug, Clone, Copy, PartialEq)]
        pub struct Thresholds {$(
            $(#[doc = $about])+
            pub $name: $kind,
        )*}

        impl Thresholds {
            /// What holds where nothing else is said.
            pub const DEFAULT: Self = Self { $($name: $default,)* };

            /// What is known of each.
            pub(in crate::diagnose) const ALL: &[$crate::diagnose::thresholds::Threshold] =
                &[$($crate::diagnose::thresholds::Threshold {
                    table: stringify!($table),
                    key: stringify!($name),
                    about: concat!($($about),+).trim_ascii(),
                    default: $default as f64,
                    range: ($least as f64)..=($most as f64),
                    whole: $crate::diagnose::thresholds::thresholds!(@whole $kind),
                    get: |all| all.$table.$name as f64,
                    set: |all, value| all.$table.$name = value as $kind,
                },)*];
        }

        impl Default for Thresholds {
            fn default() -> Self {
                Self::DEFAULT
            }
        }
    };
    (@whole u32) => { true };
    (@whole f64) => { false };
}
pub(in crate::diagnose) use thresholds;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_one_that_may_be_set_and_is_told_only_when_it_is_another() {
        for t in Thresholds::TABLES.iter().copied().flatten() {
            let mut all = Thresholds::default();
            t.put(&mut all, t.default).unwrap_or_else(|e| panic!("{}: {e}", t.name()));
            assert_eq!((all.changed().count(), (t.get)(&all)), (0, t.default), "{}", t.name());
            let other = if t.default == *t.range.end() { *t.range.start() } else { *t.range.end() };
            t.put(&mut all, other).unwrap();
            assert_eq!(all.changed().map(|c| c.name).collect::<Vec<_>>(), [t.name()]);
            assert!(t.about.len() > 20 && t.about.ends_with('.') && !t.about.contains("  "), "{}", t.about);
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_and_changes_nothing() {
        let share = &flow::Thresholds::ALL.iter().find(|t| t.key == "idle_share").unwrap();
        let count = &flow::Thresholds::ALL.iter().find(|t| t.key == "dead_backoff").unwrap();
        let mut all = Thresholds::default();
        for value in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert_eq!(share.put(&mut all, value).unwrap_err(), "it must be from 0 to 1", "{value}");
        }
        assert!(count.put(&mut all, 2.5).unwrap_err().contains("whole"));
        assert_eq!(all, Thresholds::default());
    }
}
