//! Every kernel structure field that the programs read, named once.
//!
//! The kernel side declares one read-only global for each row; the user side looks the field up in the running kernel's
//! BTF and sets the global before loading. A global left at [`ABSENT`] turns the code that reads the field off.

/// Value of a global whose field the running kernel does not have.
pub const ABSENT: u32 = u32::MAX;

/// A row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Name of the read-only global.
    pub symbol: &'static str,
    /// Which programs need it.
    pub group: &'static str,
    /// Kernel structure.
    pub container: &'static str,
    /// Member, with `.` into members and `[ENUMERATOR]` or `[0]` into arrays.
    pub path: &'static str,
    /// Bytes that the programs read; 0 for a bit field of at most 8 bits inside one byte.
    pub size: u32,
}

/// Global of a bit field: byte offset in bits 0 to 15, shift in bits 16 to 23, width in bits 24 to 31.
pub const fn pack_bits(byte_offset: u32, shift: u32, width: u32) -> u32 {
    byte_offset | shift << 16 | width << 24
}

/// Calls a macro with the rows `SYMBOL, "group", "struct", "path", bytes;`.
#[macro_export]
macro_rules! for_each_kernel_field {
    ($callback:ident) => {
        $callback! {
            TASK_TGID, "task", "task_struct", "tgid", 4;
            TASK_PID, "task", "task_struct", "pid", 4;
            TASK_COMM, "task", "task_struct", "comm", 16;
            TASK_LEADER, "task", "task_struct", "group_leader", 8;
            TASK_START, "task", "task_struct", "start_boottime", 8;
            TASK_CGROUPS, "task", "task_struct", "cgroups", 8;
            CSS_SET_MEMORY, "task", "css_set", "subsys[cgroup_subsys_id::memory_cgrp_id]", 8;
            CSS_CGROUP, "task", "cgroup_subsys_state", "cgroup", 8;
            CGROUP_KN, "task", "cgroup", "kn", 8;
            KN_ID, "task", "kernfs_node", "id", 8;
        }
    };
}

macro_rules! table {
    ($($symbol:ident, $group:literal, $container:literal, $path:literal, $size:literal;)*) => {
        /// The table.
        pub const FIELDS: &[Field] = &[$(Field {
            symbol: stringify!($symbol),
            group: $group,
            container: $container,
            path: $path,
            size: $size,
        }),*];
    };
}
for_each_kernel_field!(table);
