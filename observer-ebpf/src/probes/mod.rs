//! One file a kernel subsystem.

mod page_alloc;
