//! Private copies of what names the functions of ELF files.
//!
//! A file that somebody cuts short while it is mapped ends whoever reads the mapping (`SIGBUS`), and files that other users'
//! processes run are theirs to cut. So the names are taken from a copy in memory that nobody else can change: the tables of
//! symbols and strings, and the headers. Where the file has code and data the copy has a hole, which takes no memory.

use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap},
    fmt,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    os::{
        fd::AsRawFd,
        unix::fs::{FileExt, MetadataExt},
    },
    path::Path,
    rc::Rc,
};

use ::object::{
    Endianness, File as ObjectFile, FileKind, Object, ReadCache, ReadRef, elf,
    read::elf::{FileHeader, SectionHeader},
};
use blazesym::{
    helper::ElfResolver,
    symbolize::{
        FindSymOpts, ProcessMemberInfo, ProcessMemberType, Reason, Resolve, ResolvedSym, Symbolize, TranslateFileOffset,
    },
};
use nix::{
    fcntl::{FcntlArg, SealFlag, fcntl},
    sys::memfd::{MFdFlags, memfd_create},
};

/// Bytes that all copies together may take, and that may be read of one file to find its tables.
const MOST_BYTES: u64 = 256 << 20;

/// Which file it is, and which state of it: number of the device, of the inode, size, time of the last change.
type Identity = (u64, u64, u64, i64, i64);

/// Copies of files, each made once.
#[derive(Default)]
pub(super) struct Copies {
    made: RefCell<HashMap<Identity, Result<Rc<ElfResolver>, String>>>,
    bytes: RefCell<u64>,
}

impl fmt::Debug for Copies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Copies").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

/// A copy that several processes share.
#[derive(Debug)]
struct Shared(Rc<ElfResolver>);

impl Symbolize for Shared {
    fn find_sym(&self, address: u64, options: &FindSymOpts) -> blazesym::Result<Result<ResolvedSym<'_>, Reason>> {
        self.0.find_sym(address, options)
    }
}

impl TranslateFileOffset for Shared {
    fn file_offset_to_virt_offset(&self, offset: u64) -> blazesym::Result<Option<u64>> {
        self.0.file_offset_to_virt_offset(offset)
    }
}

impl Copies {
    /// Names for one mapping of a process; `None` for what is no file.
    pub(super) fn resolver(&self, member: &ProcessMemberInfo<'_>) -> blazesym::Result<Option<Box<dyn Resolve>>> {
        let ProcessMemberType::Path(entry) = member.member_entry else { return Ok(None) };
        let file = File::open(&entry.maps_file)?;
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(io::Error::other("it is no plain file").into());
        }
        let identity = (meta.dev(), meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec());
        let mut made = self.made.borrow_mut();
        let copy = made.entry(identity).or_insert_with(|| self.copy(&file).map(Rc::new));
        match copy {
            Ok(resolver) => Ok(Some(Box::new(Shared(Rc::clone(resolver))))),
            Err(why) => Err(io::Error::other(why.clone()).into()),
        }
    }

    fn copy(&self, file: &File) -> Result<ElfResolver, String> {
        let mut bytes = self.bytes.borrow_mut();
        let copy = copy(file, &mut bytes).map_err(|e| e.to_string())?;
        // Once it is mapped the descriptor is not needed any more.
        ElfResolver::open(format!("/proc/self/fd/{}", copy.as_raw_fd())).map_err(|e| format!("{e:#}"))
    }
}

/// Copies what names the functions of a file. `taken` are the bytes of all copies so far.
fn copy(file: &File, taken: &mut u64) -> io::Result<File> {
    let cache = ReadCache::new(Bounded { file, left: MOST_BYTES });
    let malformed = |e: ::object::Error| io::Error::other(format!("it is no ELF file that can be read: {e}"));
    let ranges = match FileKind::parse(&cache).map_err(malformed)? {
        FileKind::Elf32 => ranges::<elf::FileHeader32<Endianness>, _>(&cache),
        FileKind::Elf64 => ranges::<elf::FileHeader64<Endianness>, _>(&cache),
        other => return Err(io::Error::other(format!("it is no ELF file but {other:?}"))),
    };
    let ranges = ranges.map_err(malformed)?;
    let copy = File::from(memfd_create(c"observer-symbols", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?);
    let end = file.metadata()?.len();
    copy.set_len(end)?;
    for (from, len) in ranges {
        copy_range(file, &copy, from, len.min(end.saturating_sub(from)), taken)?;
    }
    fcntl(&copy, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE))?;
    Ok(copy)
}

/// Begin and length of everything but code and data.
fn ranges<'d, H, R>(data: R) -> ::object::Result<BTreeSet<(u64, u64)>>
where
    H: FileHeader<Endian = Endianness>,
    R: ReadRef<'d>,
{
    let header = H::parse(data)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, data)?;
    let tables = sections.iter().filter(|s| !matches!(s.sh_type(endian), elf::SHT_PROGBITS | elf::SHT_NOBITS));
    let mut ranges: BTreeSet<(u64, u64)> = tables.filter_map(|section| section.file_range(endian)).collect();
    let segments = header.program_headers(endian, data)?;
    ranges.extend([
        (0, size_of::<H>() as u64),
        (header.e_phoff(endian).into(), size_of_val(segments) as u64),
        (header.e_shoff(endian).into(), (sections.len() * size_of::<H::SectionHeader>()) as u64),
    ]);
    Ok(ranges)
}

/// Copies a range to the same place. What the file does not have any more stays a hole.
fn copy_range(from: &File, to: &File, begin: u64, len: u64, taken: &mut u64) -> io::Result<()> {
    const PIECE: u64 = 1 << 20;
    let mut buffer = Vec::new();
    let mut done = 0;
    while done < len {
        let piece = PIECE.min(len - done);
        if *taken + piece > MOST_BYTES {
            let most = MOST_BYTES >> 20;
            return Err(io::Error::other(format!("the names of all files take more than {most} MiB of memory")));
        }
        buffer.resize(usize::try_from(piece).unwrap_or(0), 0);
        let read = from.read_at(&mut buffer, begin + done)?;
        if read == 0 {
            break;
        }
        to.write_all_at(buffer.get(..read).unwrap_or_default(), begin + done)?;
        done += read as u64;
        *taken += read as u64;
    }
    Ok(())
}

/// Build id of an ELF file, from its note; `None` if it has none.
pub(super) fn build_id(path: &Path) -> Option<String> {
    let file = File::open(path).ok()?;
    let cache = ReadCache::new(Bounded { file: &file, left: MOST_BYTES });
    let object = ObjectFile::parse(&cache).ok()?;
    let id = object.build_id().ok().flatten()?;
    Some(id.iter().map(|b| format!("{b:02x}")).collect())
}

/// A file of which only so much may be read, whatever its headers say.
struct Bounded<'f> {
    file: &'f File,
    left: u64,
}

impl Read for Bounded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let mut file = self.file;
        let read = file.read(buffer.get_mut(..most).unwrap_or_default())?;
        self.left -= read as u64;
        Ok(read)
    }
}

impl Seek for Bounded<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let mut file = self.file;
        file.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> File {
        File::open("/proc/self/exe").unwrap()
    }

    #[test]
    fn a_copy_names_functions_after_its_file_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("program");
        std::fs::copy("/proc/self/exe", &path).unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        let mut taken = 0;
        let copied = copy(&file, &mut taken).unwrap();
        let len = file.metadata().unwrap().len();
        file.set_len(0).unwrap();
        assert_eq!(copied.metadata().unwrap().len(), len);
        assert!(taken > 0 && taken < len, "{taken} of {len} bytes");
        assert!(copied.metadata().unwrap().blocks() * 512 < len, "code and data are a hole");
        assert!(copied.set_len(0).is_err() && copied.write_all_at(b"x", 0).is_err(), "it is sealed");
        let resolver = ElfResolver::open(format!("/proc/self/fd/{}", copied.as_raw_fd())).unwrap();
        let symbols = ::object::File::parse(&*std::fs::read("/proc/self/exe").unwrap()).map(|f| f.entry()).unwrap();
        let found = resolver.find_sym(symbols, &FindSymOpts::Basic).unwrap().unwrap();
        assert_eq!(found.name, "_start");
    }

    #[test]
    fn a_file_that_is_cut_or_lies_is_an_error_and_no_end() {
        let mut bytes = Vec::new();
        own().take(64 << 10).read_to_end(&mut bytes).unwrap();
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&bytes, 0).unwrap();
        assert!(copy(&file, &mut 0).is_err(), "its section headers are cut off");
        // As many section headers as a sparse file of a TiB has room for.
        file.set_len(1 << 40).unwrap();
        file.write_all_at(&64u64.to_ne_bytes(), 0x28).unwrap();
        file.write_all_at(&0u16.to_ne_bytes(), 0x3c).unwrap();
        file.write_all_at(&(1u64 << 33).to_ne_bytes(), 64 + 0x20).unwrap();
        assert!(copy(&file, &mut 0).is_err());
        file.set_len(0).unwrap();
        assert!(copy(&file, &mut 0).is_err());
        assert!(copy(&own(), &mut MOST_BYTES.clone()).unwrap_err().to_string().contains("MiB"));
    }

    #[test]
    fn build_ids_are_those_of_the_note() {
        let folder = tempfile::tempdir().unwrap();
        let no_elf = folder.path().join("text");
        std::fs::write(&no_elf, "text").unwrap();
        assert_eq!(build_id(&no_elf), None);
        let id = build_id(Path::new("/proc/self/exe"));
        let known = blazesym::helper::read_elf_build_id("/proc/self/exe").unwrap();
        assert_eq!(id, known.map(|id| id.iter().map(|b| format!("{b:02x}")).collect()));
    }
}
