//! OOM reports of real kernels, read whole and explained.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../../fuzz/check.rs"]
mod check;
mod corpus;
mod explained;
mod scan;
mod scenes;
mod whole;
mod written;

use std::{fs, path::PathBuf};

/// A log of `tests/oom/logs`.
fn log(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/oom/logs").join(name);
    fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Names of all logs, sorted.
fn logs() -> Vec<String> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/oom/logs");
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(Result::unwrap)
        .filter(|e| e.path().is_file())
        .map(|e| e.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
