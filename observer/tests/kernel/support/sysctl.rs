//! Settings of the kernel that a test changes.

use std::fs;

/// A file below /proc/sys with another value. Dropping it sets the old one.
pub(crate) struct Sysctl {
    path: String,
    before: String,
}

impl Sysctl {
    /// Sets a value; `name` as in `vm/swappiness`.
    pub(crate) fn set(name: &str, value: &str) -> Self {
        let kept = Self::keep(name);
        fs::write(&kept.path, value).unwrap_or_else(|e| panic!("{}: {e}", kept.path));
        kept
    }

    /// Leaves the value, which something else may change.
    pub(crate) fn keep(name: &str) -> Self {
        let path = format!("/proc/sys/{name}");
        let before = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        Self { path, before }
    }
}

impl Drop for Sysctl {
    fn drop(&mut self) {
        let _ = fs::write(&self.path, self.before.split_whitespace().collect::<Vec<_>>().join(" "));
    }
}
