//! Who holds each socket of the internet protocols: the open files of every process, as far as they are such.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::{bpf_seq_write, bpf_sock_from_file};
use observer_ebpf::abi::socket_owner::Owner;

use super::socket::{AF_INET, AF_INET6};
use crate::kernel::{far_field, field, offsets, pointer, task_cgroup, task_comm, tgid};

/// `struct bpf_iter__task_file`: the layout is fixed by the kernel's interface, four words.
#[repr(C)]
struct IterTaskFile {
    meta: *const *mut c_void,
    task: *const c_void,
    fd: u64,
    file: *mut c_void,
}

/// Called for each open file of each process, and once more with null at the end.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task_file")]
fn obs_tcp_owners(ctx: *const IterTaskFile) -> i32 {
    // SAFETY: the kernel passes a valid context; the pointers in it are typed.
    let (meta, task, file) = unsafe { ((*ctx).meta, (*ctx).task, (*ctx).file) };
    if task.is_null() || file.is_null() {
        return 0;
    }
    // SAFETY: the pointer is typed; the helper returns null for a file that is no socket.
    let socket = unsafe { bpf_sock_from_file(file.cast()) }.cast::<c_void>().cast_const();
    if socket.is_null() {
        return 0;
    }
    // The TCP sockets under an MPTCP one have its inode, and no file of their own.
    let family = pointer(socket, &offsets::SOCKET_SK).and_then(|sk| field::<u16>(sk, &offsets::SK_FAMILY));
    let is_inet = matches!(family, Some(AF_INET | AF_INET6));
    let Some(inode) = far_field(socket, &offsets::SOCKET_INO).filter(|_| is_inet) else {
        return 0;
    };
    let owner = Owner { inode, cgroup: task_cgroup(task), tgid: tgid(task), zero: 0, comm: task_comm(task) };
    // SAFETY: the first member of `struct bpf_iter_meta` is the sequence file; the record is as long as it is told.
    unsafe { bpf_seq_write((*meta).cast(), (&raw const owner).cast_mut().cast(), size_of::<Owner>() as u32) };
    0
}
