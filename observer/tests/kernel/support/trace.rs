//! A recording of ftrace in an instance of its own.

use std::{fs, path::PathBuf};

/// A recording that goes on. Dropping it removes the instance.
#[derive(Debug)]
pub(crate) struct Trace {
    folder: PathBuf,
}

/// One event.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// Thread that hit it.
    pub(crate) tid: u32,
    /// Name of the event.
    pub(crate) event: String,
    fields: String,
}

impl Line {
    /// A field `name=NUMBER`.
    pub(crate) fn number(&self, name: &str) -> u64 {
        self.word(name).parse().expect("a number")
    }

    /// A field `name=WORD`.
    pub(crate) fn word(&self, name: &str) -> &str {
        let word = self.fields.split(' ').find_map(|w| w.strip_prefix(name)?.strip_prefix('='));
        word.unwrap_or_else(|| panic!("{} has no {name}: {}", self.event, self.fields))
    }
}

impl Trace {
    /// Records `events`, each with a filter or without, into buffers of so many KiB a CPU.
    pub(crate) fn start(name: &str, kib: u32, events: &[(&str, Option<&str>)]) -> Self {
        let roots = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"].map(PathBuf::from);
        let root = roots.into_iter().find(|r| r.join("instances").is_dir()).expect("tracefs is mounted");
        let folder = root.join(format!("instances/observer-test-{name}-{}", std::process::id()));
        fs::create_dir(&folder).expect("a new instance");
        let trace = Self { folder };
        trace.write("buffer_size_kb", &kib.to_string());
        for (event, filter) in events {
            if let Some(filter) = filter {
                trace.write(&format!("events/{event}/filter"), filter);
            }
            trace.write(&format!("events/{event}/enable"), "1");
        }
        trace
    }

    /// Every event so far, in their order.
    pub(crate) fn lines(&self) -> Vec<Line> {
        let text = fs::read_to_string(self.folder.join("trace")).expect("the trace is readable");
        text.lines().filter(|l| !l.starts_with('#')).map(parse).collect()
    }

    /// Events that the buffers had no room for.
    pub(crate) fn lost(&self) -> u64 {
        let cpus = fs::read_dir(self.folder.join("per_cpu")).expect("there are CPUs").flatten();
        cpus.map(|cpu| {
            let stats = fs::read_to_string(cpu.path().join("stats")).expect("a CPU has statistics");
            let count = |name: &str| -> u64 {
                let line = stats.lines().find_map(|l| l.strip_prefix(name)).expect("the kernel has the line");
                line.trim().parse().expect("a number")
            };
            count("overrun:") + count("dropped events:")
        })
        .sum()
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.folder.join(file);
        fs::write(&path, text).unwrap_or_else(|e| panic!("cannot write {text} to {}: {e}", path.display()));
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.folder);
    }
}

/// `         kswapd0-44      [001] ..... 12.345678: mm_vmscan_kswapd_wake: nid=0 order=0`. A task's name may hold anything;
/// the CPU is the first word in brackets that is a number.
fn parse(line: &str) -> Line {
    let cpu = line.match_indices(" [").map(|(at, _)| at).find(|at| {
        let rest = &line[at + 2..];
        rest.find(']').is_some_and(|end| rest[..end].bytes().all(|b| b.is_ascii_digit()))
    });
    let (task, rest) = line.split_at(cpu.unwrap_or_else(|| panic!("no CPU in {line:?}")));
    let tid = task.trim_end().rsplit('-').next().and_then(|t| t.parse().ok());
    let mut parts = rest.splitn(3, ": ");
    let (_, event, fields) = (parts.next(), parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    Line {
        tid: tid.unwrap_or_else(|| panic!("no thread in {line:?}")),
        event: event.to_owned(),
        fields: fields.to_owned(),
    }
}
