//! Runs a command under another Linux kernel: a stock Debian kernel in a throw-away qemu guest without network, and without
//! disk unless it is asked for.
//!
//! The guest's root file system is two archives joined: one for each kernel, kept under `target/vm`, with a shell, tools
//! and modules; and one for each run, with what was added for it. Emulation only: no `/dev/kvm` is needed.
//!
//! For memory under pressure: `--mem 512M` is short of memory soon (less is too little for the tests themselves),
//! `--disk 256M` is a disk to swap to, `--disk-write` makes it a slow one, `modprobe zram` gives one in memory, `--numa 2`
//! makes two nodes.

mod archive;
mod base;
mod files;
mod kernel;
mod modules;
mod qemu;

use crate::setup::{self, apt};
use crate::{exec, paths};
use anyhow::{Context, Result};
use archive::Archive;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

pub(crate) use kernel::Series;
pub(crate) use qemu::Ending;

/// Programs that a guest needs here, with the packages they come in.
pub(crate) const NEEDS: [(&str, &str); 4] = [
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("busybox", "busybox-static"),
    ("xz", "xz-utils"),
    ("dpkg-deb", "dpkg"),
];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Kernel series; the newest build that Debian offers of it
    #[arg(long, default_value = "6.12")]
    kernel: Series,
    /// Memory of the guest, as qemu takes it
    #[arg(long, default_value = "1G", value_name = "SIZE")]
    mem: String,
    /// Processors of the guest
    #[arg(long, default_value_t = 2, value_name = "N")]
    cpus: u32,
    /// NUMA nodes of the guest, each with an equal share of its memory and processors
    #[arg(long, default_value_t = 1, value_name = "N")]
    numa: u32,
    /// Give the guest an empty disk, `/dev/vda`: for swap (`mkswap /dev/vda; swapon /dev/vda`) or a file system
    #[arg(long, value_name = "SIZE")]
    disk: Option<String>,
    /// Let the disk take no more than so many bytes a second
    #[arg(long, value_name = "BYTES", requires = "disk")]
    disk_write: Option<u64>,
    /// Put a file or a folder into the guest, at DEST or at its own path, with the shared libraries of a program
    #[arg(long = "add", value_name = "FILE[:DEST]")]
    adds: Vec<String>,
    /// Put a program from PATH into the guest
    #[arg(long = "tool", value_name = "NAME")]
    tools: Vec<String>,
    /// When the command has ended, copy a folder of the guest here, at DEST or into the current folder
    #[arg(long, value_name = "FOLDER[:DEST]")]
    take: Option<String>,
    /// More of the kernel's command line, such as `psi=0`
    #[arg(long, default_value = "", value_name = "TEXT")]
    append: String,
    /// Seconds after which the guest is ended
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    timeout: u64,
    /// Emulate its CPUs in turns, on one thread
    #[arg(long)]
    one_thread: bool,
    /// What to run as root: one word is a piece of shell, several are a program and its arguments
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// An empty disk of a guest.
pub(crate) struct Disk {
    /// As qemu takes it.
    pub(crate) size: String,
    /// Bytes a second that it takes at most.
    pub(crate) write: Option<u64>,
}

/// What to run in which guest.
pub(crate) struct Guest {
    pub(crate) kernel: Series,
    /// As qemu's `-m` takes it.
    pub(crate) memory: String,
    pub(crate) cpus: u32,
    /// True to emulate its CPUs in turns on one thread: slower where nothing else runs, but no CPU meets code that another
    /// one is just patching, which kills guests whose tracepoints are switched on and off much.
    pub(crate) one_thread: bool,
    /// NUMA nodes, at least 1.
    pub(crate) numa: u32,
    pub(crate) disk: Option<Disk>,
    /// (path here, path in the guest)
    pub(crate) adds: Vec<(PathBuf, String)>,
    /// Programs from PATH.
    pub(crate) tools: Vec<String>,
    /// (folder in the guest, folder here that gets what is in it when the command has ended)
    pub(crate) take: Option<(String, PathBuf)>,
    pub(crate) append: String,
    pub(crate) timeout: Duration,
    /// The guest is ended when it has said nothing for so long: its kernel hangs.
    pub(crate) silence: Option<Duration>,
    pub(crate) command: Vec<OsString>,
}

/// The command `vm`. The exit code is that of the command in the guest.
pub(crate) fn vm(args: Args) -> Result<ExitCode> {
    let adds = args.adds.iter().map(|add| parse_add(add)).collect::<Result<_>>()?;
    let guest = Guest {
        kernel: args.kernel,
        memory: args.mem,
        cpus: args.cpus,
        one_thread: args.one_thread,
        numa: args.numa,
        disk: args.disk.map(|size| Disk { size, write: args.disk_write }),
        adds,
        tools: args.tools,
        take: args.take.as_deref().map(parse_take),
        append: args.append,
        timeout: Duration::from_secs(args.timeout),
        silence: None,
        command: args.command,
    };
    Ok(match run(&guest, &mut std::io::stdout())? {
        Ending::Exited(code) => ExitCode::from(code),
        Ending::TimedOut => {
            eprintln!("error: the guest was ended after {} s", guest.timeout.as_secs());
            ExitCode::from(124)
        }
        Ending::Silent { why } => {
            eprintln!("error: the guest was ended for its silence: {why}");
            ExitCode::from(124)
        }
        Ending::Died { why, console } => {
            eprintln!("error: the guest ended before its command did: {why}\n(its kernel log: {})", console.display());
            ExitCode::from(125)
        }
    })
}

/// Boots the guest, runs the command, and copies its output to `out` as it comes.
pub(crate) fn run(guest: &Guest, out: &mut dyn std::io::Write) -> Result<Ending> {
    apt::need("a VM", &NEEDS)?;
    let home = paths::work().join("vm");
    let (kernel, base) = {
        let _lock = setup::lock("vm")?;
        let kernel = kernel::get(guest.kernel, &home)?;
        let base = base::get(&kernel)?;
        (kernel, base)
    };

    let mut extra = Archive::default();
    for (file, dest) in &guest.adds {
        files::add(&mut extra, file, dest)?;
    }
    for tool in &guest.tools {
        let file = paths::program(tool).with_context(|| format!("--tool {tool}: not in PATH"))?;
        files::add(&mut extra, &file, &file.to_string_lossy())?;
    }
    extra.text("run/vm-command", 0o755, &shell(&guest.command));
    if let Some((folder, _)) = &guest.take {
        extra.text("run/vm-take", 0o644, &format!("{folder}\n"));
    }

    // Two guests of one kernel may run at the same time.
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let run_dir = home.join(format!("run-{}-{}-{number}", guest.kernel.name(), std::process::id()));
    fs::create_dir_all(&run_dir).with_context(|| format!("cannot create {}", run_dir.display()))?;
    let initrd = run_dir.join("initrd");
    let file = File::create(&initrd).with_context(|| format!("cannot write {}", initrd.display()))?;
    let mut writer = BufWriter::new(file);
    let mut base = BufReader::new(File::open(&base).with_context(|| format!("cannot read {}", base.display()))?);
    std::io::copy(&mut base, &mut writer).with_context(|| format!("cannot write {}", initrd.display()))?;
    extra.write(&mut writer).with_context(|| format!("cannot write {}", initrd.display()))?;
    drop(writer);

    let ending = qemu::boot(guest, &kernel.image, &initrd, &run_dir, out).and_then(|ending| {
        // A guest that died while it was sending has sent a part, and why it died is what is to be told.
        if let (Some((_, here)), Ending::Exited(_)) = (&guest.take, &ending) {
            unpack(&run_dir.join(qemu::TAKEN), here)?;
        }
        Ok(ending)
    });
    fs::remove_dir_all(&run_dir).with_context(|| format!("cannot remove {}", run_dir.display()))?;
    ending
}

fn parse_add(text: &str) -> Result<(PathBuf, String)> {
    let (file, dest) = text.split_once(':').map_or((text, None), |(file, dest)| (file, Some(dest)));
    let path = fs::canonicalize(file).with_context(|| format!("--add {file}"))?;
    let dest = dest.map_or_else(|| path.to_string_lossy().into_owned(), str::to_owned);
    Ok((path, dest))
}

fn parse_take(text: &str) -> (String, PathBuf) {
    let (folder, here) = text.split_once(':').unwrap_or((text, "."));
    (folder.to_owned(), here.into())
}

/// Unpacks what a guest sent, if it came to that.
fn unpack(archive: &Path, folder: &Path) -> Result<()> {
    if fs::metadata(archive).map_or(0, |file| file.len()) == 0 {
        return Ok(());
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let mut tar = Command::new("tar");
    tar.args(["-x", "--no-same-owner", "-f"]).arg(archive).arg("-C").arg(folder);
    exec::step("unpacking what the guest sent", &mut tar)
}

/// The command as a line for the guest's shell.
fn shell(command: &[OsString]) -> String {
    let words: Vec<_> = command.iter().map(|word| word.to_string_lossy()).collect();
    match words.as_slice() {
        [snippet] => format!("{snippet}\n"),
        words => {
            let quoted: Vec<_> = words.iter().map(|word| format!("'{}'", word.replace('\'', r"'\''"))).collect();
            format!("exec {}\n", quoted.join(" "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_word_is_shell_and_several_are_exact() {
        assert_eq!(shell(&["uname -r; id".into()]), "uname -r; id\n");
        assert_eq!(shell(&["echo".into(), "it's $HOME".into()]), "exec 'echo' 'it'\\''s $HOME'\n");
    }

    #[test]
    fn an_added_file_keeps_its_path_unless_told() {
        assert_eq!(parse_add("/etc/hostname:/x/y").unwrap(), ("/etc/hostname".into(), "/x/y".to_owned()));
        assert_eq!(parse_add("/etc/hostname").unwrap().1, "/etc/hostname");
        assert!(parse_add("/no/such/file").is_err());
    }

    #[test]
    fn a_folder_is_taken_to_here_unless_told() {
        assert_eq!(parse_take("/tmp/x"), ("/tmp/x".to_owned(), ".".into()));
        assert_eq!(parse_take("/tmp/x:/y"), ("/tmp/x".to_owned(), "/y".into()));
    }
}
