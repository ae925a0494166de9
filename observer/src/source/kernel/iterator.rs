//! Reads what a BPF iterator writes: records of one size, one after the other.

use std::{
    fs::File,
    io::{self, Read as _},
    os::fd::BorrowedFd,
};

use observer_ebpf::abi::Plain;

use super::{bpf_sys, maps::record};

/// Bytes that one read asks for: more than the kernel gives at once.
const BUFFER: usize = 256 * 1024;

/// Runs the iterator of a link once and calls `each` with every record. `bytes` is room that is used again.
pub(super) fn read<T: Plain>(link: BorrowedFd<'_>, bytes: &mut Vec<u8>, mut each: impl FnMut(T)) -> io::Result<()> {
    let mut file = File::from(bpf_sys::open_iterator(link)?);
    bytes.resize(BUFFER, 0);
    let mut filled = 0;
    loop {
        match file.read(bytes.get_mut(filled..).unwrap_or_default()) {
            Ok(0) => return Ok(()),
            Ok(n) => filled += n,
            Err(e) if matches!(e.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => continue,
            Err(e) => return Err(e),
        }
        let whole = filled - filled % size_of::<T>();
        bytes.get(..whole).unwrap_or_default().chunks_exact(size_of::<T>()).filter_map(record).for_each(&mut each);
        bytes.copy_within(whole..filled, 0);
        filled -= whole;
    }
}
