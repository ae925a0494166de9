//! Starts qemu, follows the guest's output, and tells how it ended.

use super::Guest;
use crate::{exec, paths};
use anyhow::{Context, Result, bail};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Instant;

/// How a guest ended.
pub(crate) enum Ending {
    /// Its command ended with this code.
    Exited(u8),
    /// It was still running when its time was up.
    TimedOut,
    /// It was still running, and had said nothing for too long: the first complaint in the kernel's log.
    Silent { why: String },
    /// It was gone before its command ended: the first complaint in the kernel's log, and a copy of that log.
    Died { why: String, console: PathBuf },
}

/// The file of what a guest sends when its command has ended: an archive of `tar`.
pub(super) const TAKEN: &str = "taken";

/// Boots a kernel with a root file system, and copies the output of the guest's command to `out`.
pub(super) fn boot(guest: &Guest, image: &Path, initrd: &Path, run_dir: &Path, out: &mut dyn Write) -> Result<Ending> {
    let console = run_dir.join("console");
    let status = run_dir.join("status");
    let mut command = Command::new("qemu-system-x86_64");
    command
        .args([
            "-accel",
            if guest.one_thread { "tcg,thread=single" } else { "tcg,thread=multi" },
            "-cpu",
            "max",
            "-nodefaults",
            "-no-user-config",
            "-no-reboot",
            "-display",
            "none",
        ])
        .args(["-smp", &guest.cpus.to_string(), "-m", &guest.memory])
        .args(numa(guest)?)
        .arg("-kernel")
        .arg(image)
        .arg("-initrd")
        .arg(initrd)
        // A kernel that panics ends the guest at once, instead of at its timeout. Without its check of the timer it also boots
        // where the host is so busy that emulated ticks come late. Where programs always lie at the same addresses, the
        // emulator translates one that is started again only once: a third of the time.
        .args([
            "-append",
            &format!("console=ttyS0 panic=-1 mitigations=off no_timer_check norandmaps loglevel=5 {}", guest.append),
        ])
        .arg("-serial")
        .arg(file_line(&console))
        .args(["-serial", "stdio", "-serial"])
        .arg(file_line(&status))
        .arg("-serial")
        .arg(file_line(&run_dir.join(TAKEN)));
    if let Some(wanted) = &guest.disk {
        let disk = run_dir.join("disk");
        let file = fs::File::create(&disk).with_context(|| format!("cannot make {}", disk.display()))?;
        file.set_len(parse_size(&wanted.size)?).with_context(|| format!("cannot make {} so large", disk.display()))?;
        let slow = wanted.write.map_or(String::new(), |bytes| format!(",throttling.bps-write={bytes}"));
        let drive = format!("file={},if=virtio,format=raw,cache=unsafe{slow}", disk.display());
        command.args(["-drive", &drive]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    exec::clean(&mut command);
    // SAFETY: between fork and exec only prctl(2) is called, which is async-signal-safe.
    unsafe { command.pre_exec(|| prctl::set_pdeathsig(Signal::SIGTERM).map_err(Into::into)) };

    let mut child = command.spawn().with_context(|| format!("cannot start: {}", exec::line(&command)))?;
    let followed = follow(&mut child, guest, out)?;
    if followed != Followed::Gone {
        child.kill().context("cannot end qemu")?;
    }
    child.wait().context("cannot wait for qemu")?;
    let status = fs::read_to_string(&status).unwrap_or_default();
    if let Some(code) = parse_status(&status) {
        return Ok(Ending::Exited(code));
    }
    let kept = paths::log(&format!("vm-{}-console", guest.kernel.name()))?;
    fs::copy(&console, &kept).with_context(|| format!("cannot copy {} to {}", console.display(), kept.display()))?;
    let why = last_words(&String::from_utf8_lossy(&fs::read(&console).unwrap_or_default()));
    Ok(match followed {
        Followed::Gone => Ending::Died { why, console: kept },
        Followed::Silent => Ending::Silent { why },
        Followed::Late => Ending::TimedOut,
    })
}

/// Divides memory and processors between the nodes. Nothing for one node, which is what qemu makes by itself.
fn numa(guest: &Guest) -> Result<Vec<String>> {
    if guest.numa < 2 {
        return Ok(Vec::new());
    }
    if guest.cpus < guest.numa {
        bail!("{} nodes need as many processors, not {}", guest.numa, guest.cpus);
    }
    let bytes = parse_size(&guest.memory)? / u64::from(guest.numa);
    let mut arguments = Vec::new();
    for node in 0..guest.numa {
        // The last processors go to the last node.
        let first = node * guest.cpus / guest.numa;
        let last = (node + 1) * guest.cpus / guest.numa - 1;
        arguments.extend(["-object".to_owned(), format!("memory-backend-ram,id=node{node},size={bytes}")]);
        arguments.extend(["-numa".to_owned(), format!("node,nodeid={node},memdev=node{node},cpus={first}-{last}")]);
    }
    Ok(arguments)
}

/// Bytes of a size as qemu's `-m` takes it: MiB, unless a letter says other.
fn parse_size(text: &str) -> Result<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text.get(digits.len()..).unwrap_or_default() {
        "" | "M" | "m" => 20,
        "K" | "k" => 10,
        "G" | "g" => 30,
        _ => bail!("{text} is no size such as 512M or 2G"),
    };
    let number: u64 = digits.parse().with_context(|| format!("{text} is no size such as 512M or 2G"))?;
    number.checked_mul(1 << shift).with_context(|| format!("{text} is too large"))
}

fn file_line(path: &Path) -> std::ffi::OsString {
    let mut argument = std::ffi::OsString::from("file:");
    argument.push(path);
    argument
}

/// Why nobody listens to a guest any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Followed {
    Gone,
    /// It has said nothing for too long.
    Silent,
    /// Its time is up.
    Late,
}

/// Copies output as long as there may be some.
fn follow(child: &mut Child, guest: &Guest, out: &mut dyn Write) -> Result<Followed> {
    let mut stdout = child.stdout.take().context("qemu has no stdout")?;
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count) = stdout.read(&mut buffer) {
            let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else { return };
            if sender.send(bytes.to_vec()).is_err() {
                return;
            }
        }
    });
    let end = Instant::now() + guest.timeout;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        match receiver.recv_timeout(guest.silence.map_or(left, |silence| silence.min(left))) {
            Ok(bytes) => {
                out.write_all(&bytes).and_then(|()| out.flush()).context("cannot write the guest's output")?;
            }
            Err(RecvTimeoutError::Disconnected) => return Ok(Followed::Gone),
            Err(RecvTimeoutError::Timeout) if Instant::now() < end => return Ok(Followed::Silent),
            Err(RecvTimeoutError::Timeout) => return Ok(Followed::Late),
        }
    }
}

/// The line of a kernel's log that says best why it ended: where trouble began, else the last one.
fn last_words(log: &str) -> String {
    let trouble = ["BUG:", "Oops", "int3:", "invalid opcode", "general protection", "Kernel panic", "sysrq:"];
    let first = log.lines().find(|line| trouble.iter().any(|word| line.contains(word)));
    first.or_else(|| log.lines().last()).unwrap_or("the kernel said nothing").trim().to_owned()
}

/// The exit code that `/init` reports on its own line.
fn parse_status(text: &str) -> Option<u8> {
    text.lines().find_map(|line| line.strip_prefix("exit ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_trouble_is_told() {
        let log = "[0.1] Linux\n[5.0] Oops: int3: 0000 [#1]\n[5.1] Kernel panic - not syncing\n[5.2] Offset\n";
        assert_eq!(last_words(log), "[5.0] Oops: int3: 0000 [#1]");
        assert_eq!(last_words("[0.1] Linux\n[0.2] end\n"), "[0.2] end");
        assert_eq!(last_words(""), "the kernel said nothing");
    }

    #[test]
    fn sizes_are_those_of_qemu() {
        assert_eq!(parse_size("512M").unwrap(), 512 << 20);
        assert_eq!(parse_size("512").unwrap(), 512 << 20);
        assert_eq!(parse_size("2g").unwrap(), 2 << 30);
        for wrong in ["", "M", "1.5G", "1T", "99999999999999G"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_exit_code_is_what_init_reported() {
        assert_eq!(parse_status("exit 0\n"), Some(0));
        assert_eq!(parse_status("exit 137\r\n"), Some(137));
        assert_eq!(parse_status(""), None);
        assert_eq!(parse_status("exit \n"), None);
    }
}
