//! Takes a profile: samples in the kernel, and names while the sampled processes still live.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
    time::Instant,
};

use super::{
    SourceError,
    cgroup::{CgroupReader, find},
    file::{Buffer, Root},
    host::units,
    kernel::alloc_stacks::{
        self, DEPTH, Filter, Key, MAX_CGROUPS, MAX_COUNTS, MAX_PIDS, MAX_STACKS, NO_USER_STACK, Sampler, StacksError,
    },
    symbols::Symbols,
};
use crate::{
    profile::{Frame, Matched, Profile, Scope, Stack, Trace},
    snapshot::{CgroupId, Name},
};

/// What to take.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Processes; empty: all of them.
    pub pids: Vec<u32>,
    /// A memory cgroup and all below it: its path from the root of the hierarchy, or that of its folder.
    pub cgroup: Option<PathBuf>,
    /// Lowest and highest order; `None`: no limit.
    pub orders: (u32, Option<u32>),
    /// One request in so many is sampled.
    pub every: u32,
}

/// Why a profile cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// No such process.
    #[error("there is no process {0} (/proc/{0})")]
    NoProcess(u32),
    /// A thread of a process.
    #[error("{0} is a thread of process {1}: ask for --pid {1}, stacks are chosen by process")]
    Thread(u32, u32),
    /// Numbers of processes mean something else here.
    #[error(
        "observer runs in a PID namespace of its own, where numbers of processes are not the kernel's: run it on the host, or choose by --cgroup"
    )]
    PidNamespace,
    /// Too many processes.
    #[error("{0} processes are too many: at most {MAX_PIDS}, or choose by --cgroup")]
    TooManyPids(usize),
    /// No such cgroup.
    #[error("there is no memory cgroup {path}: {folder}: {cause}; `observer report memory` lists their paths")]
    NoCgroup {
        /// As it was asked for.
        path: Name,
        /// Where it was looked for.
        folder: Name,
        /// What the kernel answered.
        cause: io::Error,
    },
    /// Too many cgroups below.
    #[error("there are more than {MAX_CGROUPS} cgroups below {0}: choose one that is lower")]
    TooManyCgroups(Name),
    /// Cgroups cannot be read.
    #[error("cannot choose by --cgroup: {0}")]
    Cgroups(#[from] SourceError),
    /// The kernel refused.
    #[error(transparent)]
    Stacks(#[from] StacksError),
}

/// Sampling that goes on. Dropping it ends it and leaves nothing in the kernel.
#[derive(Debug)]
pub struct Profiler {
    sampler: Sampler,
    symbols: Symbols,
    scope: Scope,
    every: u32,
    /// Folder of the chosen cgroup, and those that are in the filter already.
    cgroups: Option<(PathBuf, HashSet<CgroupId>)>,
    /// To find the paths of cgroups.
    reader: Option<CgroupReader>,
    paths: HashMap<CgroupId, Option<Name>>,
    kernel: HashMap<i32, Trace>,
    /// By process, its begin and the number of the stack.
    user: HashMap<(u32, u64, i32), Trace>,
    frames: Vec<Frame>,
    interned: HashMap<Frame, usize>,
    missed_cgroups: bool,
    started: Instant,
}

impl Profiler {
    /// Begins to sample.
    pub fn start(object: &[u8], request: &Request) -> Result<Self, ProfileError> {
        check_pids(&request.pids)?;
        let root = Root::default();
        let mut buffer = Buffer::default();
        let cgroups = match &request.cgroup {
            Some(path) => {
                let folder = cgroup_folder(&root, &mut buffer, path)?;
                let ids = below(&folder).ok_or_else(|| ProfileError::TooManyCgroups(name_of(path)))?;
                Some((folder, ids))
            }
            None => None,
        };
        let filter = Filter {
            pids: request.pids.clone(),
            cgroups: cgroups.as_ref().map(|(_, ids)| ids.iter().copied().collect()),
            orders: (request.orders.0, request.orders.1.unwrap_or(u32::MAX)),
            every: request.every.max(1),
            max_stacks: MAX_STACKS,
            max_counts: MAX_COUNTS,
        };
        // The file of names takes long to read: before the time begins.
        let symbols = Symbols::default();
        let sampler = Sampler::start(object, &alloc_stacks::kernel_btf(), &filter)?;
        Ok(Self {
            sampler,
            symbols,
            scope: Scope {
                pids: request.pids.clone(),
                cgroup: request.cgroup.as_deref().map(name_of),
                min_order: request.orders.0,
                max_order: request.orders.1,
            },
            every: filter.every,
            cgroups,
            reader: CgroupReader::open(&root, &mut buffer, 1, units().page_size).ok(),
            paths: HashMap::new(),
            kernel: HashMap::new(),
            user: HashMap::new(),
            frames: Vec::new(),
            interned: HashMap::new(),
            missed_cgroups: false,
            started: Instant::now(),
        })
    }

    /// Looks at what has come since the last call, while those who made it still live. To be called some times a second.
    pub fn look(&mut self) -> Result<(), ProfileError> {
        self.follow_cgroups()?;
        self.read().map(drop)
    }

    /// One request in how many to sample, for so many samples a second of what has matched until now.
    pub fn every_for(&self, samples_per_second: f64) -> Result<u32, ProfileError> {
        let matched = self.sampler.matched()?;
        let seconds = self.started.elapsed().as_secs_f64().max(1e-3);
        let rate = (matched.allocations + matched.failures) as f64 / seconds;
        Ok((rate / samples_per_second.max(1.0)).ceil().clamp(1.0, 1e6) as u32)
    }

    /// Ends the sampling and gives what was seen. `ended_by` is the signal that ended it early.
    pub fn finish(mut self, ended_by: Option<i32>) -> Result<Profile, ProfileError> {
        let seconds = self.started.elapsed().as_secs_f64();
        self.sampler.stop();
        let rows = self.read()?;
        let matched = self.sampler.matched()?;
        let page_size = units().page_size;
        let mut notes: Vec<Name> = self.symbols.notes().cloned().collect();
        if self.missed_cgroups {
            notes.push(Name::from("some cgroups that were made meanwhile found no place in the filter"));
        }
        let stacks = rows.into_iter().map(|(key, samples)| self.row(&key, samples)).collect();
        Ok(Profile {
            scope: self.scope,
            every: self.every,
            seconds,
            ended_by,
            page_size,
            matched: Matched {
                allocations: matched.allocations,
                bytes: matched.pages.saturating_mul(page_size),
                failures: matched.failures,
                samples: matched.samples,
            },
            lost: self.sampler.losses()?,
            notes,
            frames: self.frames,
            stacks,
        })
    }

    fn row(&self, key: &Key, samples: u64) -> Stack {
        let cgroup = (key.cgroup != 0).then_some(CgroupId(key.cgroup));
        Stack {
            kernel: self.kernel.get(&key.kernel).cloned().unwrap_or_default(),
            user: self.user.get(&user_key(key)).cloned().unwrap_or_default(),
            pid: key.tgid,
            comm: Name::from_c_bytes(&key.comm),
            cgroup,
            cgroup_path: cgroup.and_then(|id| self.paths.get(&id).cloned().flatten()),
            order: u32::from(key.order),
            failed: key.failed != 0,
            samples,
        }
    }

    /// Reads the counts and finds names for what is new in them.
    fn read(&mut self) -> Result<Vec<(Key, u64)>, ProfileError> {
        let mut rows = Vec::new();
        self.sampler.counts(|key, n| rows.push((*key, n)))?;
        // A key is there for a moment before its first sample is.
        rows.retain(|(_, n)| *n > 0);
        // By process: its maps are read once for all its new stacks.
        let mut new: HashMap<(u32, u64), Vec<i32>> = HashMap::new();
        for (key, _) in &rows {
            let known = self.user.contains_key(&user_key(key));
            let ids = new.entry((key.tgid, key.start_ns)).or_default();
            if !known && !ids.contains(&key.user) {
                ids.push(key.user);
            }
        }
        for ((pid, start_ns), ids) in new {
            self.name_user(pid, start_ns, &ids);
        }
        for (key, _) in &rows {
            if !self.kernel.contains_key(&key.kernel) {
                let trace = self.name_kernel(key.kernel);
                self.kernel.insert(key.kernel, trace);
            }
            if key.cgroup != 0 {
                let id = CgroupId(key.cgroup);
                let reader = self.reader.as_ref();
                self.paths.entry(id).or_insert_with(|| reader.and_then(|r| r.path_of(id)));
            }
        }
        Ok(rows)
    }

    fn name_kernel(&mut self, id: i32) -> Trace {
        let Some(addresses) = self.sampler.stack(id) else {
            return Trace { absent: Some(absent(id)), ..Trace::default() };
        };
        let cut = addresses.len() >= DEPTH;
        let frames = self.symbols.kernel(&addresses);
        Trace { frames: self.intern(frames), cut, absent: None }
    }

    fn name_user(&mut self, pid: u32, start_ns: u64, ids: &[i32]) {
        let mut stacks = Vec::new();
        let mut addresses = Vec::new();
        let mut index = HashMap::new();
        for id in ids {
            let Some(stack) = self.sampler.stack(*id) else {
                let trace = Trace { absent: Some(absent(*id)), ..Trace::default() };
                self.user.insert((pid, start_ns, *id), trace);
                continue;
            };
            // Only the innermost was executed at its very address; the others are where a call returns to.
            let places: Vec<_> = stack.into_iter().enumerate().map(|(depth, address)| (address, depth == 0)).collect();
            for place in &places {
                index.entry(*place).or_insert_with(|| {
                    addresses.push(*place);
                    addresses.len() - 1
                });
            }
            stacks.push((*id, places));
        }
        if addresses.is_empty() {
            return;
        }
        let frames = self.symbols.user(pid, start_ns, &addresses);
        let frames = self.intern(frames);
        for (id, places) in stacks {
            let cut = places.len() >= DEPTH;
            let of = |place| index.get(place).and_then(|i: &usize| frames.get(*i)).copied();
            let trace = Trace { frames: places.iter().filter_map(of).collect(), cut, absent: None };
            self.user.insert((pid, start_ns, id), trace);
        }
    }

    fn intern(&mut self, frames: Vec<Frame>) -> Vec<usize> {
        let place = |frame: Frame| {
            *self.interned.entry(frame).or_insert_with_key(|frame| {
                self.frames.push(frame.clone());
                self.frames.len() - 1
            })
        };
        frames.into_iter().map(place).collect()
    }

    /// Adds cgroups that were made below the chosen one.
    fn follow_cgroups(&mut self) -> Result<(), ProfileError> {
        let Some((folder, known)) = &mut self.cgroups else { return Ok(()) };
        let Some(now) = below(folder) else {
            self.missed_cgroups = true;
            return Ok(());
        };
        for id in now {
            if known.len() >= MAX_CGROUPS {
                self.missed_cgroups = true;
                break;
            }
            if known.insert(id) {
                self.sampler.add_cgroup(id)?;
            }
        }
        Ok(())
    }
}

fn user_key(key: &Key) -> (u32, u64, i32) {
    (key.tgid, key.start_ns, key.user)
}

/// Why there is no stack under this number.
fn absent(id: i32) -> &'static str {
    match id {
        NO_USER_STACK => "a task of the kernel, without user side",
        _ if id == -libc::EEXIST => "lost: it fell on the place of another stack",
        _ if id == -libc::ENOMEM => "lost: no place in the kernel's map",
        _ if id < 0 => "lost: it could not be walked",
        _ => "lost: it could not be read",
    }
}

fn name_of(path: &Path) -> Name {
    Name::from_bytes(path.as_os_str().as_bytes())
}

fn check_pids(pids: &[u32]) -> Result<(), ProfileError> {
    if pids.is_empty() {
        return Ok(());
    }
    /// Inode of the first PID namespace (`PROC_PID_INIT_INO`), whose numbers the kernel side uses.
    const FIRST: &str = "pid:[4026531836]";
    if fs::read_link("/proc/self/ns/pid").is_ok_and(|link| link.as_os_str() != FIRST) {
        return Err(ProfileError::PidNamespace);
    }
    if pids.len() > MAX_PIDS {
        return Err(ProfileError::TooManyPids(pids.len()));
    }
    for pid in pids {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).map_err(|_| ProfileError::NoProcess(*pid))?;
        let tgid = status.lines().find_map(|l| l.strip_prefix("Tgid:")?.trim().parse().ok());
        if let Some(tgid) = tgid.filter(|tgid| tgid != pid) {
            return Err(ProfileError::Thread(*pid, tgid));
        }
    }
    Ok(())
}

/// The folder of a cgroup that was named by its folder or by its path from the root of the hierarchy.
fn cgroup_folder(root: &Root, buffer: &mut Buffer, path: &Path) -> Result<PathBuf, ProfileError> {
    let mount = find::memory_mount(root, buffer)?;
    let point = mount.folder();
    let folder = if path.starts_with(&point) {
        path.to_owned()
    } else {
        let top = Path::new(std::ffi::OsStr::from_bytes(&mount.top));
        let relative = path.strip_prefix(top).or_else(|_| path.strip_prefix("/")).unwrap_or(path);
        point.join(relative)
    };
    match fs::metadata(folder.join("cgroup.procs")) {
        Ok(_) => Ok(folder),
        Err(cause) => Err(ProfileError::NoCgroup { path: name_of(path), folder: name_of(&folder), cause }),
    }
}

/// A cgroup and all below it, by their ids; `None` if they are too many. What vanishes meanwhile is left out.
fn below(folder: &Path) -> Option<HashSet<CgroupId>> {
    let mut ids = HashSet::new();
    let mut queue = vec![folder.to_owned()];
    while let Some(folder) = queue.pop() {
        let Ok(metadata) = fs::metadata(&folder) else { continue };
        ids.insert(CgroupId(metadata.ino()));
        if ids.len() > MAX_CGROUPS {
            return None;
        }
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        queue.extend(entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()));
    }
    Some(ids)
}
