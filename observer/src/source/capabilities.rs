//! Capabilities of this process, and the command that grants them. Source: /proc/self/status CapEff, include/uapi/linux/capability.h.

use std::path::Path;

use serde::Serialize;

use super::{Malformed, Root, SourceError, file::Buffer};
use crate::snapshot::Name;

/// Capabilities that observer can use: number, name, what for.
pub const USED: &[(u32, &str, &str)] = &[
    (39, "cap_bpf", "load eBPF programs and maps"),
    (38, "cap_perfmon", "attach eBPF programs to tracepoints"),
    (21, "cap_sys_admin", "enter other network namespaces; stands in for the two above"),
    (19, "cap_sys_ptrace", "find the network namespaces of other users' processes"),
    (2, "cap_dac_read_search", "read tracefs and files of other users' cgroups"),
    (34, "cap_syslog", "name kernel functions: shrinkers, and stacks of allocations"),
];

/// A capability that observer can use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Capability {
    /// Its name, as setcap(8) takes it.
    pub name: &'static str,
    /// What observer does with it.
    pub used_to: &'static str,
    /// True if this process has it.
    pub held: bool,
}

/// Reads which of them this process has.
pub fn read(root: &Root, buffer: &mut Buffer) -> Result<Vec<Capability>, SourceError> {
    let effective = buffer.parse(root, "/proc/self/status", effective)?;
    let held = |bit: u32| effective.checked_shr(bit).is_some_and(|rest| rest & 1 == 1);
    Ok(USED.iter().map(|(bit, name, used_to)| Capability { name, used_to, held: held(*bit) }).collect())
}

/// True if this process may lock any amount of memory.
pub fn may_lock_memory() -> bool {
    const CAP_IPC_LOCK: u32 = 14;
    let held = Buffer::default().parse(&Root::default(), "/proc/self/status", effective);
    held.is_ok_and(|bits| bits >> CAP_IPC_LOCK & 1 == 1)
}

/// The command that lets an executable use them without being root.
pub fn grant_command(executable: &Path) -> String {
    let names: Vec<&str> = USED.iter().map(|(_, name, _)| *name).collect();
    let path = Name::from(executable.display().to_string());
    let plain = path.as_str().chars().all(|c| c.is_ascii_alphanumeric() || "/._-+".contains(c));
    let path = if plain { path.to_string() } else { format!("'{}'", path.as_str().replace('\'', "'\\''")) };
    format!("sudo setcap {}+ep {path}", names.join(","))
}

fn effective(status: &[u8]) -> Result<u64, Malformed> {
    let text = String::from_utf8_lossy(status);
    let mut lines = text.lines().zip(1..);
    let (value, line) = lines
        .find_map(|(text, number)| Some((text.strip_prefix("CapEff:")?.trim().to_owned(), number)))
        .ok_or_else(|| Malformed::new(text.lines().count(), "no CapEff".to_owned()))?;
    u64::from_str_radix(&value, 16).map_err(|_| Malformed::no_number(line, "CapEff", value.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_can_be_copied_into_a_shell() {
        let command = grant_command(Path::new("/usr/bin/observer"));
        assert_eq!(
            command,
            "sudo setcap cap_bpf,cap_perfmon,cap_sys_admin,cap_sys_ptrace,cap_dac_read_search,cap_syslog+ep /usr/bin/observer"
        );
        assert!(grant_command(Path::new("/a b/it's")).ends_with(r"+ep '/a b/it'\''s'"));
    }

    #[test]
    fn cap_eff_is_a_set_of_bits() {
        assert_eq!(effective(b"Name:\tx\nCapEff:\t000001fffeffffff\n"), Ok(0x1ff_feff_ffff));
        assert!(effective(b"Name:\tx\n").is_err());
        assert_eq!(effective(b"CapEff:\tnone\n").unwrap_err().line, 1);
    }
}
