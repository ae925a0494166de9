//! The folder of stored kills: written so that a file is whole or not there, and bounded.

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use crate::{
    recording::RecordingError,
    source::oom_record::{FileName, list},
};

/// How much a folder may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Files.
    pub files: usize,
    /// Bytes of all files.
    pub bytes: u64,
}

/// A folder of stored kills.
#[derive(Debug)]
pub(super) struct Store {
    folder: PathBuf,
    bounds: Bounds,
    /// Oldest first.
    files: VecDeque<(FileName, u64)>,
    bytes: u64,
}

impl Store {
    /// Opens a folder, or makes it. What an observer that was stopped short left unfinished is removed.
    pub(super) fn open(folder: &Path, bounds: Bounds) -> Result<Self, RecordingError> {
        let failed = |call| move |e| RecordingError::io(call, folder, e);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed("create folder"))?;
        for entry in fs::read_dir(folder).map_err(failed("list"))? {
            let entry = entry.map_err(failed("list"))?;
            let name = entry.file_name();
            if name.to_str().and_then(unfinished).is_some() {
                // If it cannot be removed it is in nobody's way.
                let _ = fs::remove_file(entry.path());
            }
        }
        let (mut files, mut bytes) = (VecDeque::new(), 0);
        for path in list(folder).map_err(failed("list"))? {
            let name = path.file_name().and_then(|n| n.to_str()).and_then(FileName::parse);
            if let Some((name, meta)) = name.zip(fs::metadata(&path).ok()) {
                bytes += meta.len();
                files.push_back((name, meta.len()));
            }
        }
        let mut store = Self { folder: folder.to_owned(), bounds, files, bytes };
        store.prune()?;
        Ok(store)
    }

    /// Writes a file of these pieces, and waits until it is on the disk.
    pub(super) fn write<'a>(
        &mut self,
        name: FileName,
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<(), RecordingError> {
        let path = self.path(name);
        let (written, size) = self.unfinished(name, pieces)?;
        if let Err(e) = fs::rename(&written, &path) {
            // The first error is the one to tell.
            let _ = fs::remove_file(&written);
            return Err(RecordingError::io("write", &path, e));
        }
        self.sync_folder()?;
        self.files.push_back((name, size));
        self.bytes += size;
        self.prune()
    }

    /// Writes a file that does not stay.
    pub(super) fn rehearse(&self, content: &[u8]) -> Result<(), RecordingError> {
        let (written, _) = self.unfinished(FileName { realtime_ms: 0, sequence: 0, pid: 0 }, [content])?;
        fs::remove_file(&written).map_err(|e| RecordingError::io("remove", &written, e))?;
        self.sync_folder()
    }

    /// Writes a file that has not got its name yet, and gives its path and size.
    fn unfinished<'a>(
        &self,
        name: FileName,
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<(PathBuf, u64), RecordingError> {
        let path = self.folder.join(format!(".{name}.new"));
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let mut file = made.map_err(|e| RecordingError::io("create", &path, e))?;
        let mut size = 0;
        let fill = || {
            for piece in pieces {
                file.write_all(piece)?;
                size += piece.len() as u64;
            }
            file.sync_all()
        };
        if let Err(e) = fill() {
            // The first error is the one to tell.
            let _ = fs::remove_file(&path);
            return Err(RecordingError::io("write", &path, e));
        }
        Ok((path, size))
    }

    /// Adds to a file. What a failed attempt left behind is cut off again.
    pub(super) fn append(&mut self, name: FileName, content: &[u8]) -> Result<(), RecordingError> {
        let path = self.path(name);
        let failed = |call: &'static str| {
            let path = path.clone();
            move |e: io::Error| RecordingError::io(call, &path, e)
        };
        let mut file = OpenOptions::new().append(true).open(&path).map_err(failed("open"))?;
        let before = file.metadata().map_err(failed("ask for the size of"))?.len();
        if let Err(e) = file.write_all(content).and_then(|()| file.sync_data()) {
            // The first error is the one to tell; half a frame at the end costs a reader nothing else.
            let _ = file.set_len(before);
            return Err(failed("write to")(e));
        }
        if let Some((_, size)) = self.files.iter_mut().rev().find(|(n, _)| *n == name) {
            *size += content.len() as u64;
            self.bytes += content.len() as u64;
        }
        self.prune()
    }

    /// Removes the oldest files until the rest is within bounds. The newest one stays.
    fn prune(&mut self) -> Result<(), RecordingError> {
        while self.files.len() > 1 && (self.files.len() > self.bounds.files || self.bytes > self.bounds.bytes) {
            let Some((name, size)) = self.files.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(size);
            let path = self.path(name);
            match fs::remove_file(&path) {
                Err(e) if e.kind() != ErrorKind::NotFound => return Err(RecordingError::io("remove", &path, e)),
                _ => {}
            }
        }
        Ok(())
    }

    fn path(&self, name: FileName) -> PathBuf {
        self.folder.join(name.to_string())
    }

    fn sync_folder(&self) -> Result<(), RecordingError> {
        let synced = File::open(&self.folder).and_then(|f| f.sync_all());
        synced.map_err(|e| RecordingError::io("sync", &self.folder, e))
    }
}

/// The name that an unfinished file was to get.
fn unfinished(name: &str) -> Option<FileName> {
    FileName::parse(name.strip_prefix('.')?.strip_suffix(".new")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Bounds = Bounds { files: 3, bytes: 100 };

    fn name(n: u64) -> FileName {
        FileName { realtime_ms: 1_700_000_000_000 + n, sequence: n, pid: 7 }
    }

    fn numbers(folder: &Path) -> Vec<u64> {
        let name = |p: PathBuf| FileName::parse(p.file_name().unwrap().to_str().unwrap()).unwrap();
        list(folder).unwrap().into_iter().map(|p| name(p).sequence).collect()
    }

    #[test]
    fn the_oldest_go_by_count_and_by_size() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path(), ROOM).unwrap();
        (1..=5).for_each(|n| store.write(name(n), [&b"ten bytes."[..]]).unwrap());
        assert_eq!(numbers(folder.path()), [3, 4, 5]);
        store.append(name(4), &[0; 75]).unwrap();
        assert_eq!(numbers(folder.path()), [4, 5], "105 bytes are too many");
        store.write(name(6), [&[0; 200][..]]).unwrap();
        assert_eq!(numbers(folder.path()), [6], "the newest stays, whatever its size");
        drop(store);
        let again = Store::open(folder.path(), Bounds { files: 9, bytes: 1 }).unwrap();
        assert_eq!((again.bytes, numbers(folder.path())), (200, vec![6]));
    }

    #[test]
    fn what_was_left_unfinished_goes_and_what_is_others_stays() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(format!(".{}.new", name(1))), "half").unwrap();
        fs::write(folder.path().join("notes.txt"), "of somebody").unwrap();
        let mut store = Store::open(folder.path(), Bounds { files: 1, bytes: 1 }).unwrap();
        store.write(name(2), [&b"x"[..]]).unwrap();
        store.write(name(3), [&b"x"[..]]).unwrap();
        let mut left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, [name(3).to_string().as_str(), "notes.txt"]);
    }

    #[test]
    fn a_name_that_is_taken_while_it_is_written_is_refused_and_told() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path(), ROOM).unwrap();
        fs::create_dir(folder.path().join(name(1).to_string())).unwrap();
        let error = store.write(name(1), [&b"x"[..]]).unwrap_err().to_string();
        assert!(error.contains("cannot write") && error.contains("directory"), "{error}");
        assert!(!folder.path().join(format!(".{}.new", name(1))).exists());
        let gone = store.append(name(9), b"x").unwrap_err().to_string();
        assert!(gone.contains("cannot open"), "{gone}");
    }

    #[test]
    fn a_full_disk_leaves_no_part_of_a_file() {
        // Writing into a device that is always full: the folder is only a way to it.
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path(), ROOM).unwrap();
        std::os::unix::fs::symlink("/dev/full", folder.path().join(name(1).to_string())).unwrap();
        let error = store.append(name(1), b"x").unwrap_err().to_string();
        assert!(error.contains("No space left"), "{error}");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_an_error_with_its_path() {
        let error = Store::open(Path::new("/proc/no-such/folder"), ROOM).unwrap_err().to_string();
        assert!(error.contains("cannot create folder /proc/no-such/folder"), "{error}");
    }
}
