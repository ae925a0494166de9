//! What the fuzz target asks of any bytes holds for its corpus, and for every log.

use std::{fs, path::PathBuf};

use super::check;

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    entries.map(|e| e.unwrap().path()).filter(|path| path.is_file()).collect()
}

#[test]
fn the_corpus_and_all_logs_hold() {
    let corpus = files("fuzz/corpus/oom_log");
    assert!(corpus.len() >= 10, "{} files", corpus.len());
    for path in corpus.into_iter().chain(files("tests/oom/logs")).chain(files("tests/oom/logs/written")) {
        let bytes = fs::read(&path).unwrap();
        // The name of the file that fails is the last that is printed.
        println!("{}", path.display());
        check::log(&bytes);
    }
}

/// Puts a number in the place of every one of a JSON document that is an amount of bytes.
fn all_bytes(value: &mut serde_json::Value, number: u64) {
    match value {
        serde_json::Value::Array(list) => list.iter_mut().for_each(|v| all_bytes(v, number)),
        serde_json::Value::Object(fields) => {
            for (key, value) in fields {
                let small = ["pid", "tgid", "uid", "tid", "cpu", "order", "oom_score_adj", "node", "register_lines"];
                match value.as_u64() {
                    Some(_) if !small.contains(&key.as_str()) => *value = number.into(),
                    Some(_) => {}
                    None => all_bytes(value, number),
                }
            }
        }
        _ => {}
    }
}

#[test]
fn a_stored_report_may_have_any_numbers() {
    for name in super::logs() {
        for report in observer::source::oom_log::reports("log".into(), &super::log(&name)) {
            let mut value = serde_json::to_value(&report).unwrap();
            for number in [u64::MAX, u64::MAX / 2, 0] {
                all_bytes(&mut value, number);
                let text = value.to_string();
                let read: Result<observer::snapshot::oom_report::OomReport, _> = serde_json::from_str(&text);
                assert!(read.is_ok_and(|changed| changed != report), "{name}: {text}");
                check::log(text.as_bytes());
            }
        }
    }
}
