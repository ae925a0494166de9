//! Which machine, and when.

use nix::sys::utsname::uname;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{SysconfVar, sysconf};
use std::os::unix::ffi::OsStrExt;

use super::Malformed;
use super::file::{Buffer, Root};
use super::lines::number;
use super::process::Units;
use crate::snapshot::{Host, Name, Stamp};

/// The three clocks, read one right after the other. A clock that the kernel refuses is 0; Linux has had all three
/// since 2.6.39.
pub fn stamp() -> Stamp {
    let read = |clock| {
        let time = clock_gettime(clock).ok()?;
        let seconds = u64::try_from(time.tv_sec()).ok()?;
        Some(seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(time.tv_nsec()).ok()?))
    };
    Stamp {
        monotonic_ns: read(ClockId::CLOCK_MONOTONIC).unwrap_or_default(),
        boottime_ns: read(ClockId::CLOCK_BOOTTIME).unwrap_or_default(),
        realtime_ns: read(ClockId::CLOCK_REALTIME).unwrap_or_default(),
    }
}

/// Page size and clock tick of the host. They do not change while it is up.
pub fn units() -> Units {
    let read = |var, default| sysconf(var).ok().flatten().and_then(|v| u64::try_from(v).ok()).unwrap_or(default);
    // Both defaults are what the kernel tells every program on x86-64; sysconf only fails for names it does not know.
    let ticks = read(SysconfVar::CLK_TCK, 100).max(1);
    Units { page_size: read(SysconfVar::PAGE_SIZE, 4096), tick_ns: 1_000_000_000 / ticks }
}

/// What names the machine. Parts that cannot be read stay empty.
pub fn host(root: &Root, buffer: &mut Buffer, units: Units) -> Host {
    let mut host = Host { page_size: Some(units.page_size), ..Host::default() };
    if let Ok(names) = uname() {
        host.hostname = Name::from_bytes(names.nodename().as_bytes());
        host.kernel_release = Name::from_bytes(names.release().as_bytes());
        host.machine = Name::from_bytes(names.machine().as_bytes());
    }
    let boot_id = |bytes: &[u8]| Ok(Name::from_bytes(bytes.trim_ascii()));
    host.boot_id = buffer.parse(root, "/proc/sys/kernel/random/boot_id", boot_id).unwrap_or_default();
    host.cpus = buffer.parse(root, "/sys/devices/system/cpu/online", cpu_list).ok();
    host
}

/// Number of CPUs in a list such as `0-3,5`.
fn cpu_list(bytes: &[u8]) -> Result<u32, Malformed> {
    let text = bytes.trim_ascii();
    let bad = || Malformed::no_number(1, "a CPU", text);
    text.split(|b| *b == b',').try_fold(0u32, |sum, part| {
        let mut ends = part.splitn(2, |b| *b == b'-').map(number);
        let first = ends.next().flatten().ok_or_else(bad)?;
        let last = ends.next().unwrap_or(Some(first)).ok_or_else(bad)?;
        let count = last.checked_sub(first).and_then(|n| u32::try_from(n).ok()?.checked_add(1)).ok_or_else(bad)?;
        sum.checked_add(count).ok_or_else(bad)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_name_a_boot_and_cpus() {
        let host = host(&Root::default(), &mut Buffer::default(), units());
        assert!(!host.kernel_release.is_empty() && !host.machine.is_empty());
        assert_eq!(host.boot_id.as_str().len(), 36);
        assert!(host.cpus.unwrap() >= 1 && host.page_size.unwrap() >= 4096);
    }

    #[test]
    fn clocks_go_on() {
        let (a, b) = (stamp(), stamp());
        assert!(a.monotonic_ns > 0 && a.monotonic_ns <= b.monotonic_ns);
        assert!(a.boottime_ns >= a.monotonic_ns && a.realtime_ns > a.boottime_ns);
    }

    #[test]
    fn cpu_lists_are_ranges() {
        assert_eq!(cpu_list(b"0-3,5,7-8\n"), Ok(7));
        assert_eq!(cpu_list(b"0\n"), Ok(1));
        for bad in [&b""[..], b"x", b"3-1", b"0-", b"0,,1", b"0-18446744073709551615"] {
            assert!(cpu_list(bad).is_err(), "{bad:?}");
        }
    }
}
