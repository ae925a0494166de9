//! The maps of the kernel side, typed by the ABI.

use std::{
    io,
    marker::PhantomData,
    mem::MaybeUninit,
    os::fd::{AsFd, OwnedFd},
};

use aya::{
    Ebpf,
    maps::{Map, MapData},
};
use observer_ebpf::abi::Plain;

use super::bpf_sys::{self, Cursor};

/// Elements that one batch asks for at first.
const BATCH: usize = 1024;

/// Takes the descriptor of a map out of the loaded object.
pub(super) fn descriptor(ebpf: &Ebpf, name: &str) -> io::Result<OwnedFd> {
    let map = ebpf.map(name).ok_or_else(|| io::Error::other(format!("the object has no map {name}")))?;
    data(map)
        .ok_or_else(|| io::Error::other(format!("map {name} is of an unexpected type")))?
        .fd()
        .as_fd()
        .try_clone_to_owned()
}

fn data(map: &Map) -> Option<&MapData> {
    match map {
        Map::Array(data)
        | Map::HashMap(data)
        | Map::LruHashMap(data)
        | Map::PerCpuArray(data)
        | Map::PerCpuHashMap(data)
        | Map::StackTraceMap(data) => Some(data),
        _ => None,
    }
}

/// A hash map that all CPUs share.
#[derive(Debug)]
pub(super) struct Table<K, V> {
    fd: OwnedFd,
    keys: Vec<K>,
    values: Vec<V>,
}

impl<K: Plain, V: Plain> Table<K, V> {
    /// Opens the map of that name.
    pub(super) fn open(ebpf: &Ebpf, name: &str) -> io::Result<Self> {
        Ok(Self { fd: descriptor(ebpf, name)?, keys: Vec::new(), values: Vec::new() })
    }

    /// Calls `each` with every element. An element that is added meanwhile may be left out, none is seen twice.
    pub(super) fn for_each(&mut self, mut each: impl FnMut(&K, &V)) -> io::Result<()> {
        self.grow(BATCH);
        let mut cursor = Cursor::default();
        loop {
            let batch = match bpf_sys::lookup_batch(self.fd.as_fd(), cursor, &mut self.keys, &mut self.values) {
                Ok(batch) => batch,
                Err(e) if e.raw_os_error() == Some(libc::ENOSPC) => {
                    self.grow(self.keys.len() * 2);
                    continue;
                }
                Err(e) => return Err(e),
            };
            self.keys.iter().zip(&self.values).take(batch.count).for_each(|(k, v)| each(k, v));
            match batch.next {
                Some(next) => cursor = next,
                None => return Ok(()),
            }
        }
    }

    /// Sets the value of a key.
    pub(super) fn set(&self, key: &K, value: &V) -> io::Result<()> {
        bpf_sys::update(self.fd.as_fd(), key, value)
    }

    /// Deletes a key; an absent one is no error.
    pub(super) fn delete(&self, key: &K) -> io::Result<()> {
        bpf_sys::delete(self.fd.as_fd(), key)
    }

    fn grow(&mut self, len: usize) {
        if self.keys.len() < len {
            self.keys.resize(len, zeroed());
            self.values.resize(len, zeroed());
        }
    }
}

/// An array map that all CPUs share.
#[derive(Debug)]
pub(super) struct Array<V> {
    fd: OwnedFd,
    value: PhantomData<V>,
}

impl<V: Plain> Array<V> {
    /// Opens the map of that name.
    pub(super) fn open(ebpf: &Ebpf, name: &str) -> io::Result<Self> {
        Ok(Self { fd: descriptor(ebpf, name)?, value: PhantomData })
    }

    /// Sets one element.
    pub(super) fn set(&self, index: u32, value: &V) -> io::Result<()> {
        bpf_sys::update(self.fd.as_fd(), &index, value)
    }

    /// Reads one element.
    pub(super) fn get(&self, index: u32) -> io::Result<V> {
        let mut buffer = vec![0; size_of::<V>().div_ceil(8)];
        bpf_sys::lookup(self.fd.as_fd(), &index, &mut buffer)?;
        Ok(value_at(&buffer, 0))
    }
}

/// An array map with one value a CPU.
#[derive(Debug)]
pub(super) struct PerCpuArray<V> {
    fd: OwnedFd,
    buffer: Vec<u64>,
    value: PhantomData<V>,
}

impl<V: Plain> PerCpuArray<V> {
    const STRIDE: usize = size_of::<V>().div_ceil(8);

    /// Opens the map of that name.
    pub(super) fn open(ebpf: &Ebpf, name: &str) -> io::Result<Self> {
        let buffer = vec![0; possible_cpus()? * Self::STRIDE];
        Ok(Self { fd: descriptor(ebpf, name)?, buffer, value: PhantomData })
    }

    /// Reads one element: a value for each possible CPU.
    pub(super) fn get(&mut self, index: u32) -> io::Result<Vec<V>> {
        bpf_sys::lookup(self.fd.as_fd(), &index, &mut self.buffer)?;
        Ok(self.buffer.chunks_exact(Self::STRIDE).map(|words| value_at(words, 0)).collect())
    }
}

/// A hash map with one value a CPU.
#[derive(Debug)]
pub(super) struct PerCpuTable<K, V> {
    fd: OwnedFd,
    cpus: usize,
    keys: Vec<K>,
    /// Values of one key lie together, each at a multiple of 8 bytes.
    values: Vec<u64>,
    value: PhantomData<V>,
}

impl<K: Plain, V: Plain> PerCpuTable<K, V> {
    /// Opens the map of that name, which holds at most `capacity` keys.
    pub(super) fn open(ebpf: &Ebpf, name: &str, capacity: u32) -> io::Result<Self> {
        let (fd, cpus) = (descriptor(ebpf, name)?, possible_cpus()?);
        let keys = vec![zeroed(); capacity as usize];
        let values = vec![0; keys.len() * cpus * Self::STRIDE];
        Ok(Self { fd, cpus, keys, values, value: PhantomData })
    }

    const STRIDE: usize = size_of::<V>().div_ceil(8);

    /// Calls `each` with every key and its values, one a possible CPU.
    pub(super) fn for_each(&mut self, mut each: impl FnMut(&K, &mut dyn Iterator<Item = V>)) -> io::Result<()> {
        let per_key = self.cpus * Self::STRIDE;
        let mut cursor = Cursor::default();
        loop {
            let buffers = (self.keys.as_mut_slice(), self.values.as_mut_slice());
            let batch = bpf_sys::lookup_batch_per_cpu(self.fd.as_fd(), cursor, buffers, per_key)?;
            for (key, values) in self.keys.iter().zip(self.values.chunks_exact(per_key)).take(batch.count) {
                each(key, &mut values.chunks_exact(Self::STRIDE).map(|words| value_at(words, 0)));
            }
            match batch.next {
                Some(next) => cursor = next,
                None => return Ok(()),
            }
        }
    }

    /// Deletes a key; an absent one is no error.
    pub(super) fn delete(&self, key: &K) -> io::Result<()> {
        bpf_sys::delete(self.fd.as_fd(), key)
    }
}

/// CPUs that could ever be on line: the kernel keeps a per-CPU value for each. Source: /sys/devices/system/cpu/possible.
pub(super) fn possible_cpus() -> io::Result<usize> {
    aya::util::nr_cpus().map_err(|(path, e)| io::Error::other(format!("cannot read {path}: {e}")))
}

/// A value of zeros.
pub(super) fn zeroed<T: Plain>() -> T {
    // SAFETY: `Plain` promises that every bit pattern is a value.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

/// The value that begins at word `at`; zeros where the buffer is too short.
fn value_at<T: Plain>(buffer: &[u64], at: usize) -> T {
    let mut value = zeroed::<T>();
    let source = buffer.get(at..).unwrap_or_default();
    let len = size_of::<T>().min(size_of_val(source));
    // SAFETY: `len` bytes lie inside both, which do not overlap, and any bytes make a `Plain` value.
    unsafe { std::ptr::copy_nonoverlapping(source.as_ptr().cast::<u8>(), (&raw mut value).cast(), len) };
    value
}

/// Takes a record of the ABI from the begin of some bytes; `None` if they are too few.
pub(super) fn record<T: Plain>(bytes: &[u8]) -> Option<T> {
    // SAFETY: the length was checked, an unaligned read needs no alignment, and any bytes make a `Plain` value.
    (bytes.len() >= size_of::<T>()).then(|| unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}

#[cfg(test)]
mod tests {
    use observer_ebpf::abi::page_alloc::Key;

    use super::*;

    #[test]
    fn per_cpu_values_lie_one_stride_apart() {
        let buffer = [7, 8, 9, 17, 18, 19];
        let key: Key = value_at(&buffer, 3);
        assert_eq!((key.cgroup, key.start_ns, key.tgid), (17, 18, 19));
    }

    #[test]
    fn a_short_buffer_gives_zeros_not_garbage() {
        let key: Key = value_at(&[7], 0);
        assert_eq!((key.cgroup, key.start_ns), (7, 0));
        assert!(record::<Key>(&[0; 23]).is_none());
        assert!(record::<Key>(&[0; 24]).is_some());
    }
}
