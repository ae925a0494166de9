//! Where logs come from: files (also compressed), folders of them, standard input, the kernel's buffer, the journal.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Read},
    os::unix::fs::{FileTypeExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

use crate::snapshot::Name;

/// A log that can be read, with its name.
pub struct Log {
    /// As reports name it.
    pub name: Name,
    /// Its bytes.
    pub bytes: Box<dyn Read>,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A log that cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The system refused.
    #[error("{0}")]
    Open(Name, #[source] io::Error),
    /// It is neither a file nor a folder.
    #[error("{0}: it is neither a file nor a folder")]
    Kind(Name),
    /// A folder without files.
    #[error("{0}: the folder has no file")]
    Empty(Name),
    /// There is no journal, or no program to read it.
    #[error("the journal cannot be read: journalctl")]
    Journal(#[source] io::Error),
}

fn name(path: &Path) -> Name {
    Name::from_bytes(path.as_os_str().as_encoded_bytes())
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> InputError {
    let name = name(path);
    move |error| InputError::Open(name, error)
}

/// Paths of the files that a path stands for: itself, or all files below a folder, sorted.
pub fn files(path: &Path) -> Result<Vec<PathBuf>, InputError> {
    let kind = fs::metadata(path).map_err(failed(path))?;
    if !kind.is_dir() {
        let readable = kind.is_file() || kind.file_type().is_fifo() || kind.file_type().is_char_device();
        return if readable { Ok(vec![path.to_owned()]) } else { Err(InputError::Kind(name(path))) };
    }
    let (mut found, mut folders) = (Vec::new(), vec![path.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(failed(&folder))? {
            let entry = entry.map_err(failed(&folder))?;
            // Links are not followed: they may lead anywhere, also back here.
            let kind = entry.file_type().map_err(failed(&entry.path()))?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    if found.is_empty() { Err(InputError::Empty(name(path))) } else { Ok(found) }
}

/// Opens a file; what its first bytes say is compressed is decompressed.
pub fn open(path: &Path) -> Result<Log, InputError> {
    if path == Path::new("/dev/kmsg") {
        return kmsg();
    }
    let file = File::open(path).map_err(failed(path))?;
    let bytes = decompressed(BufReader::with_capacity(1 << 16, file)).map_err(failed(path))?;
    Ok(Log { name: name(path), bytes })
}

/// Standard input.
pub fn stdin() -> Result<Log, InputError> {
    let bytes = decompressed(BufReader::new(io::stdin())).map_err(|e| InputError::Open("standard input".into(), e))?;
    Ok(Log { name: "-".into(), bytes })
}

fn decompressed(mut log: impl BufRead + 'static) -> io::Result<Box<dyn Read>> {
    let start = log.fill_buf()?;
    Ok(if start.starts_with(b"\x1f\x8b") {
        Box::new(flate2::bufread::MultiGzDecoder::new(log))
    } else if start.starts_with(b"\xfd7zXZ\0") {
        Box::new(lzma_rust2::XzReader::new(log, true))
    } else if start.starts_with(b"\x28\xb5\x2f\xfd") {
        Box::new(zstd::Decoder::with_buffer(log)?)
    } else {
        Box::new(log)
    })
}

/// What the kernel's buffer holds now.
pub fn kmsg() -> Result<Log, InputError> {
    let path = Path::new("/dev/kmsg");
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(failed(path))?;
    Ok(Log { name: name(path), bytes: Box::new(Kmsg { file, record: Vec::new(), at: 0 }) })
}

/// Records of /dev/kmsg as lines. A read of it gives one record, and needs room for all of it.
struct Kmsg {
    file: File,
    record: Vec<u8>,
    at: usize,
}

/// Room for a record: `PRINTK_MESSAGE_MAX` of the kernel, and more than any it had.
const RECORD: usize = 16 << 10;

impl Read for Kmsg {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at >= self.record.len() {
            self.record.resize(RECORD, 0);
            self.at = 0;
            match self.file.read(&mut self.record) {
                Ok(n) => {
                    self.record.truncate(n);
                    // Lines behind the first are fields of a device, not words.
                    if let Some(end) = memchr::memchr(b'\n', &self.record) {
                        self.record.truncate(end + 1);
                    }
                    if n == 0 {
                        return Ok(0);
                    }
                }
                Err(e) => {
                    self.record.clear();
                    match e.raw_os_error() {
                        Some(libc::EAGAIN) => return Ok(0),
                        // Records were overwritten before they were read: the next read is of the oldest that is there.
                        Some(libc::EPIPE) => {}
                        _ => return Err(e),
                    }
                }
            }
        }
        let rest = self.record.get(self.at..).unwrap_or_default();
        let n = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..n), rest.get(..n)) {
            to.copy_from_slice(from);
        }
        self.at += n;
        Ok(n)
    }
}

/// Kernel lines of all boots that the journal has.
pub fn journal() -> Result<Log, InputError> {
    let mut child = Command::new("journalctl")
        .args(["--no-pager", "--quiet", "--output=short-iso-precise", "_TRANSPORT=kernel"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(InputError::Journal)?;
    let stdout = child.stdout.take().ok_or_else(|| InputError::Journal(io::ErrorKind::BrokenPipe.into()))?;
    Ok(Log { name: "journal".into(), bytes: Box::new(Journal { child, stdout }) })
}

/// The output of journalctl; its failure is one of reading.
struct Journal {
    child: Child,
    stdout: ChildStdout,
}

impl Read for Journal {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.stdout.read(buffer)?;
        if n == 0 && !buffer.is_empty() {
            let status = self.child.wait()?;
            if !status.success() {
                return Err(io::Error::other(format!("journalctl ended with {status}")));
            }
        }
        Ok(n)
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // Whoever stopped reading has no use for it. It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn read(bytes: &[u8]) -> Vec<u8> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), bytes).unwrap();
        let mut out = Vec::new();
        open(file.path()).unwrap().bytes.read_to_end(&mut out).unwrap();
        out
    }

    #[test]
    fn compressed_logs_are_known_by_their_first_bytes() {
        let text = b"line\n".repeat(1000);
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(&text).unwrap();
        let gz = gz.finish().unwrap();
        // Logs that were appended to are several streams in one file.
        assert_eq!(read(&[gz.clone(), gz].concat()), [text.clone(), text.clone()].concat());
        assert_eq!(read(&zstd::encode_all(text.as_slice(), 1).unwrap()), text);
        assert_eq!(read(&text), text);
        assert_eq!(read(b""), b"");
    }

    #[test]
    fn a_folder_is_all_files_below_it() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(files(folder.path()), Err(InputError::Empty(_))));
        fs::create_dir(folder.path().join("b")).unwrap();
        for file in ["z", "a", "b/c"] {
            fs::write(folder.path().join(file), "x").unwrap();
        }
        std::os::unix::fs::symlink("/", folder.path().join("loop")).unwrap();
        let found = files(folder.path()).unwrap();
        let names: Vec<_> = found.iter().map(|p| p.strip_prefix(folder.path()).unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["a", "b/c", "z"]);
    }

    #[test]
    fn what_is_not_there_is_named() {
        let error = files(Path::new("/no/such\u{1b}log")).unwrap_err();
        assert_eq!(error.to_string(), "/no/such\\x1blog");
    }
}
