//! The ABI between observer's kernel side and its user side.
#![no_std]
