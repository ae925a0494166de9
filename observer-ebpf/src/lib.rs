//! The ABI between observer's kernel side and its user side.
//!
//! Every type is `#[repr(C)]` with explicit padding and a size assertion: the two sides are built by different
//! compilers for different targets. The types have the same file name as the probe that fills them.
#![no_std]

pub mod abi;
