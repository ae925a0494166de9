//! Folded stacks: `process;outer;inner;kernel_[k] BYTES`, one line a stack.

use std::collections::BTreeMap;

use crate::profile::{Profile, labels};

/// Lines that any flame-graph tool reads; the number is the estimate in bytes. Requests that the kernel refused got no
/// memory: they end in `[failed]` and weigh what they asked for.
pub fn folded(profile: &Profile) -> String {
    let labels = labels(profile);
    let mut lines: BTreeMap<String, f64> = BTreeMap::new();
    for stack in &profile.stacks {
        let path: Vec<String> = super::path(profile, &labels, stack).iter().map(|part| escape(part)).collect();
        *lines.entry(path.join(";")).or_default() += profile.bytes(stack);
    }
    lines.iter().map(|(path, bytes)| format!("{path} {bytes:.0}\n")).collect()
}

/// A name may hold neither what separates frames nor what ends the line; the number is what follows the last space, and
/// some tools take the first. Control characters and line ends are escaped in every name already.
fn escape(part: &str) -> String {
    part.chars()
        .map(|c| match c {
            ';' => ':',
            c if c.is_whitespace() || c.is_control() => '_',
            c => c,
        })
        .collect()
}
