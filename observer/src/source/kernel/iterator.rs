//! Reads what a BPF iterator writes: records of one size, one after the other.

use std::{
    fs::File,
    io::{self, Read as _},
    os::fd::BorrowedFd,
};

use observer_ebpf::abi::Plain;

use super::{bpf_sys, maps::record};

/// Bytes that one read asks for.
const BUFFER: usize = 256 * 1024;

/// Runs the iterator of a link once and calls `each` with every record. `bytes` is room that is used again.
pub(super) fn read<T: Plain>(link: BorrowedFd<'_>, bytes: &mut Vec<u8>, each: impl FnMut(T)) -> io::Result<()> {
    let mut file = File::from(bpf_sys::open_iterator(link)?);
    bytes.clear();
    bytes.resize(BUFFER, 0);
    let mut filled = 0;
    loop {
        if bytes.len() - filled < BUFFER {
            bytes.resize(filled + BUFFER, 0);
        }
        match file.read(bytes.get_mut(filled..).unwrap_or_default()) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if matches!(e.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {}
            Err(e) => return Err(e),
        }
    }
    bytes.get(..filled).unwrap_or_default().chunks_exact(size_of::<T>()).filter_map(record).for_each(each);
    Ok(())
}
