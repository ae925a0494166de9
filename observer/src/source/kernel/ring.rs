//! The ring buffer of rare events.

use std::{
    fmt, io,
    os::fd::{AsFd, BorrowedFd},
};

use aya::{
    Ebpf,
    maps::{MapData, RingBuf},
};
use observer_ebpf::abi::Plain;

use super::maps::record;

/// A ring buffer, drained to its end whenever it is looked at.
pub(super) struct Ring {
    ring: RingBuf<MapData>,
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring").field("fd", &self.as_fd()).finish()
    }
}

impl Ring {
    /// Takes the map of that name.
    pub(super) fn open(ebpf: &mut Ebpf, name: &str) -> io::Result<Self> {
        let map = ebpf.take_map(name).ok_or_else(|| io::Error::other(format!("the object has no map {name}")))?;
        Ok(Self { ring: RingBuf::try_from(map).map_err(io::Error::other)? })
    }

    /// Calls `each` with every event that is there.
    pub(super) fn drain<T: Plain>(&mut self, mut each: impl FnMut(&T)) {
        while let Some(item) = self.ring.next() {
            if let Some(event) = record(&item) {
                each(&event);
            }
        }
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }
}
