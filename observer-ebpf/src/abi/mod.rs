//! What crosses the kernel boundary, one file a kernel subsystem.

pub mod alloc_stacks;
pub mod buffers;
pub mod compaction;
pub mod drops;
pub mod fields;
pub mod first_byte;
pub mod kswapd;
pub mod listener;
pub mod losses;
pub mod oom;
pub mod page_alloc;
pub mod reclaim;
pub mod retry;
pub mod shrinker;
pub mod socket;
pub mod socket_owner;
pub mod tcp;
pub mod tunnel;

/// Length of a task's name in the kernel (`TASK_COMM_LEN`), its NUL included.
pub const COMM_LEN: usize = 16;

/// Types whose every bit pattern is a value, without padding that the compiler put in: what a map may hold.
///
/// # Safety
/// The type must be `#[repr(C)]`, hold only integers and arrays of them, and have no implicit padding.
pub unsafe trait Plain: Copy + 'static {}

/// Declares an ABI struct as [`Plain`] and asserts its size, so that an implicit hole is a build error.
macro_rules! plain {
    ($($name:ident = $size:literal),* $(,)?) => {$(
        const _: () = assert!(size_of::<$name>() == $size, "the ABI has a hole or has changed");
        // SAFETY: `#[repr(C)]` integers only, and the sum of the fields is the size asserted above.
        unsafe impl $crate::abi::Plain for $name {}
    )*};
}
pub(crate) use plain;

// SAFETY: an integer.
unsafe impl Plain for u32 {}
// SAFETY: an integer.
unsafe impl Plain for u64 {}
