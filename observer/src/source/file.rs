//! Files of the kernel, read again and again into one buffer.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::read;

use super::{Malformed, SourceError};

/// Where `/` is: the host's own, or a folder that holds copies of its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root(PathBuf);

impl Default for Root {
    fn default() -> Self {
        Self(PathBuf::from("/"))
    }
}

impl Root {
    /// A folder with `proc` and `sys` in it.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// The path under this root of a file that is named by its absolute path.
    pub fn path(&self, absolute: impl AsRef<Path>) -> PathBuf {
        let absolute = absolute.as_ref();
        self.0.join(absolute.strip_prefix("/").unwrap_or(absolute))
    }

    /// True for the host itself.
    pub fn is_host(&self) -> bool {
        self.0 == Path::new("/")
    }
}

/// A buffer that takes one file after the other.
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
}

impl Default for Buffer {
    fn default() -> Self {
        // What the kernel makes for a file fits into a page or four, most of the time.
        Self { bytes: vec![0; 16 << 10] }
    }
}

/// How the end of a file is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Lines that the kernel makes one by one: the end is a read of nothing.
    Lines,
    /// One piece of text, such as a cgroup file or /proc/PID/stat: a read that leaves room was the last one.
    Piece,
}

impl Buffer {
    /// Reads a file whose path is relative to `dir`.
    pub fn read_at<P: ?Sized + nix::NixPath>(
        &mut self,
        dir: impl AsFd,
        path: &P,
        shape: Shape,
    ) -> Result<&[u8], Errno> {
        let file = openat(dir, path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
        self.fill(shape, |room, _| read(&file, room))
    }

    /// Reads a file that stays open from its beginning; the kernel makes its text anew.
    pub fn read_again(&mut self, file: &File, shape: Shape) -> Result<&[u8], Errno> {
        self.fill(shape, |room, at| {
            file.read_at(room, at as u64).map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or(0)))
        })
    }

    /// `read` is given the room and the place in the file.
    fn fill(
        &mut self,
        shape: Shape,
        mut read: impl FnMut(&mut [u8], usize) -> Result<usize, Errno>,
    ) -> Result<&[u8], Errno> {
        let mut len = 0;
        loop {
            if len == self.bytes.len() {
                self.bytes.resize(len * 2, 0);
            }
            let room = self.bytes.get_mut(len..).unwrap_or_default();
            let wanted = room.len();
            match read(room, len) {
                Ok(0) => break,
                Ok(n) => {
                    len += n;
                    if shape == Shape::Piece && n < wanted {
                        break;
                    }
                }
                Err(Errno::EINTR) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(self.bytes.get(..len).unwrap_or_default())
    }

    /// Reads a file by its absolute path and parses it; an error names the file as the host calls it.
    pub fn parse<T>(
        &mut self,
        root: &Root,
        path: &str,
        parse: impl FnOnce(&[u8]) -> Result<T, Malformed>,
    ) -> Result<T, SourceError> {
        let bytes = self
            .read_at(AT_FDCWD, root.path(path).as_path(), Shape::Lines)
            .map_err(|e| SourceError::io("read", path, e))?;
        parse(bytes).map_err(|problem| SourceError::malformed(path, problem))
    }
}

/// Opens a folder to read files relative to it.
pub fn open_folder(path: &Path) -> Result<OwnedFd, SourceError> {
    openat(AT_FDCWD, path, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
        .map_err(|e| SourceError::io("open", path.as_os_str().as_bytes(), e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_larger_than_the_buffer_is_read_whole() {
        let folder = tempfile::tempdir().unwrap();
        let text: Vec<u8> = (0..100_000u32).map(|i| (i % 251) as u8).collect();
        std::fs::write(folder.path().join("large"), &text).unwrap();
        let dir = open_folder(folder.path()).unwrap();
        let mut buffer = Buffer::default();
        assert_eq!(buffer.read_at(&dir, "large", Shape::Lines).unwrap(), text);
        assert_eq!(Buffer::default().read_at(&dir, "large", Shape::Piece).unwrap(), text);
        std::fs::write(folder.path().join("small"), "7\n").unwrap();
        assert_eq!(buffer.read_at(&dir, "small", Shape::Piece).unwrap(), b"7\n");
    }

    #[test]
    fn an_error_names_the_file_as_the_host_calls_it() {
        let folder = tempfile::tempdir().unwrap();
        let error = Buffer::default().parse(&Root::at(folder.path()), "/proc/none", |_| Ok(())).unwrap_err();
        assert_eq!(error.to_string(), "cannot read /proc/none: No such file or directory (os error 2)");
    }
}
