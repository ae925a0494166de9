//! Which process holds each socket. Source: the links in /proc/PID/fd.
//!
//! Going through all open files of a host costs more than its sockets do: it is done only when there is a socket that was
//! not there before, and for no more than a tenth of the time.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    os::unix::ffi::OsStrExt,
    path::Path,
    time::{Duration, Instant},
};

use crate::{
    snapshot::{
        Name,
        tcp::{Owner, Socket},
    },
    source::lines::number,
};

/// For each time that a look took so many times pass before the next.
const PAUSE: u32 = 10;

/// Reader of the owners of sockets.
#[derive(Debug, Default)]
pub(super) struct Owners {
    /// By inode in sockfs; `None` if nobody held it when it was looked for.
    known: HashMap<u64, Option<Owner>>,
    looked: Option<(Instant, Duration)>,
    processes: u64,
    refused: u64,
}

impl Owners {
    /// Fills in who holds each socket.
    pub(super) fn fill(&mut self, sockets: &mut [Socket]) -> io::Result<()> {
        let open: HashSet<u64> = sockets.iter().map(|s| s.inode).filter(|inode| *inode != 0).collect();
        self.known.retain(|inode, _| open.contains(inode));
        let rested = self.looked.is_none_or(|(at, took)| at.elapsed() >= took * PAUSE);
        if rested && open.iter().any(|inode| !self.known.contains_key(inode)) {
            let begun = Instant::now();
            self.look(&open)?;
            self.looked = Some((Instant::now(), begun.elapsed()));
        }
        for socket in sockets {
            socket.owner = self.known.get(&socket.inode).cloned().flatten();
        }
        Ok(())
    }

    /// Why some owners are not known, if some are not.
    pub(super) fn missing(&self) -> Option<Name> {
        let (refused, processes) = (self.refused, self.processes);
        let text =
            format!("the open files of {refused} of {processes} processes cannot be read (needs CAP_SYS_PTRACE)");
        (refused > 0).then(|| Name::from(text))
    }

    /// Goes through the open files of all processes. Where several hold a socket the one with the smallest number is named:
    /// the parent, as a rule.
    fn look(&mut self, open: &HashSet<u64>) -> io::Result<()> {
        (self.processes, self.refused) = (0, 0);
        let mut pids: Vec<u32> =
            fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
        pids.sort_unstable();
        let mut held = HashMap::with_capacity(open.len());
        for pid in pids {
            let folder = Path::new("/proc").join(pid.to_string());
            self.processes += 1;
            let files = match fs::read_dir(folder.join("fd")) {
                Ok(files) => files,
                Err(e) => {
                    // A process that ended meanwhile holds nothing.
                    self.refused += u64::from(e.kind() == io::ErrorKind::PermissionDenied);
                    continue;
                }
            };
            let mut owner = None;
            for inode in files.filter_map(|file| socket_of(&fs::read_link(file.ok()?.path()).ok()?)) {
                if open.contains(&inode) && !held.contains_key(&inode) {
                    let comm = || Name::from_bytes(fs::read(folder.join("comm")).unwrap_or_default().trim_ascii_end());
                    let owner = owner.get_or_insert_with(|| Owner { pid, comm: comm(), cgroup: None });
                    held.insert(inode, owner.clone());
                }
            }
        }
        self.known = open.iter().map(|inode| (*inode, held.remove(inode))).collect();
        Ok(())
    }
}

/// The inode in a link such as `socket:[4711]`.
fn socket_of(link: &Path) -> Option<u64> {
    number(link.as_os_str().as_bytes().strip_prefix(b"socket:[")?.strip_suffix(b"]")?)
}

#[cfg(test)]
mod tests {
    use std::{
        net::{Ipv4Addr, TcpListener},
        os::{fd::AsRawFd, unix::fs::MetadataExt},
    };

    use super::*;

    #[test]
    fn this_process_holds_what_it_opened_and_nobody_the_rest() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let inode = fs::metadata(format!("/proc/self/fd/{}", listener.as_raw_fd())).unwrap().ino();
        let end = (Ipv4Addr::LOCALHOST.into(), 0);
        let socket = |inode| Socket { inode, ..Socket::new(1, 1, end, end) };
        let mut sockets = [socket(inode), socket(u64::MAX), socket(0)];
        let mut owners = Owners::default();
        owners.fill(&mut sockets).unwrap();
        let pids = sockets.map(|s| s.owner.map(|o| o.pid));
        assert_eq!(pids, [Some(std::process::id()), None, None]);
        assert!(owners.processes > 0);
    }

    #[test]
    fn links_to_sockets_alone_have_an_inode() {
        let inode = |link: &str| socket_of(Path::new(link));
        assert_eq!(inode("socket:[4711]"), Some(4711));
        assert_eq!((inode("pipe:[4711]"), inode("socket:[x]"), inode("/tmp/socket:[1]")), (None, None, None));
    }
}
