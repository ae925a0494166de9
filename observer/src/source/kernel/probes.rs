//! The table of programs: what is loaded, where it is attached, what it needs and what replaces it.

/// How a program is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attach {
    /// To a raw tracepoint with types from BTF: the first form whose arguments are those of the running kernel.
    TpBtf(&'static str, &'static [Form]),
    /// Run by the user side on a chosen CPU; never attached. The program's name.
    RunOnCpu(&'static str),
    /// An iterator over kernel objects: which, and the program's name.
    Iter(&'static str, &'static str),
}

/// A program for one signature of a tracepoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// Name in the object and, cut at 15 bytes, in `bpftool prog show`.
    pub program: &'static str,
    /// The arguments that it expects; more may follow.
    pub args: &'static [Arg],
    /// What this form of the tracepoint does not tell and the first one does.
    pub lacks: Option<&'static str>,
}

/// Shape of a tracepoint's argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arg {
    /// An integer or flags.
    Int,
    /// A pointer to the named structure.
    Ptr(&'static str),
}

/// One probe.
#[derive(Debug, PartialEq, Eq)]
pub struct ProbeSpec {
    /// Name in the coverage.
    pub name: &'static str,
    /// How it is attached.
    pub attach: Attach,
    /// Part of the snapshot that it fills.
    pub feeds: &'static str,
    /// Groups of kernel structure fields that it reads.
    pub fields: &'static [&'static str],
    /// What tells part of the same when it is absent.
    pub replaced_by: Option<&'static str>,
}

impl ProbeSpec {
    /// Where it is attached, for people: `tp_btf/mm_page_alloc`.
    pub fn place(&self) -> String {
        match self.attach {
            TpBtf(name, _) => format!("tp_btf/{name}"),
            RunOnCpu(program) => format!("raw_tp/{program}, run on each CPU"),
            Iter(name, _) => format!("iter/{name}"),
        }
    }
}

use Arg::{Int, Ptr};
use Attach::{Iter, RunOnCpu, TpBtf};

/// A probe with one form.
pub(super) const fn tp(
    name: &'static str,
    tracepoint: &'static str,
    forms: &'static [Form],
    feeds: &'static str,
) -> ProbeSpec {
    ProbeSpec { name, attach: TpBtf(tracepoint, forms), feeds, fields: &["task"], replaced_by: None }
}

pub(super) const fn form(program: &'static str, args: &'static [Arg]) -> Form {
    Form { program, args, lacks: None }
}

/// The table, in the order of loading.
pub const PROBES: &[ProbeSpec] = &[
    ProbeSpec {
        name: "page_alloc_flush",
        attach: RunOnCpu("obs_alloc_flush"),
        feeds: "page_alloc",
        fields: &[],
        replaced_by: Some("the same counts, late by what each CPU holds back"),
    },
    ProbeSpec {
        replaced_by: Some("/proc/vmstat pgalloc_*, of the whole host"),
        ..tp("page_alloc", "mm_page_alloc", &[form("obs_page_alloc", &[Ptr("page"), Int, Int, Int])], "page_alloc")
    },
    ProbeSpec {
        fields: &[],
        replaced_by: Some("/proc/vmstat pageoutrun"),
        ..tp("kswapd_wake", "mm_vmscan_kswapd_wake", &[form("obs_kswapd_wake", &[Int, Int, Int])], "kswapd")
    },
    ProbeSpec {
        fields: &[],
        ..tp("kswapd_sleep", "mm_vmscan_kswapd_sleep", &[form("obs_kswapd_sleep", &[Int])], "kswapd")
    },
    tp("kswapd_requesters", "mm_vmscan_wakeup_kswapd", &[form("obs_kswapd_asked", &[Int, Int, Int, Int])], "kswapd"),
    // The end first: a reclaim that ends between the two would seem to go on for ever.
    tp("direct_reclaim_end", "mm_vmscan_direct_reclaim_end", &[form("obs_direct_end", &[Int])], "reclaim"),
    tp("memcg_reclaim_end", "mm_vmscan_memcg_reclaim_end", &[form("obs_memcg_end", &[Int])], "reclaim"),
    ProbeSpec {
        replaced_by: Some("/proc/vmstat allocstall_*, /proc/pressure/memory"),
        ..tp(
            "direct_reclaim_begin",
            "mm_vmscan_direct_reclaim_begin",
            &[form("obs_direct_begin", &[Int, Int])],
            "reclaim",
        )
    },
    ProbeSpec {
        replaced_by: Some("memory.pressure of the cgroup, memory.events max"),
        ..tp("memcg_reclaim_begin", "mm_vmscan_memcg_reclaim_begin", &[form("obs_memcg_begin", &[Int, Int])], "reclaim")
    },
    ProbeSpec {
        fields: &["task", "kswapd"],
        replaced_by: Some("/proc/vmstat pgscan_*, pgsteal_*, of the whole host"),
        ..tp(
            "reclaim_scans",
            "mm_vmscan_lru_shrink_inactive",
            &[form("obs_lru_shrink", &[Int, Int, Int, Ptr("reclaim_stat"), Int, Int])],
            "reclaim.scans",
        )
    },
    ProbeSpec {
        replaced_by: Some("/proc/vmstat pgscan_direct_throttle, nr_throttled_written"),
        ..tp(
            "reclaim_throttles",
            "mm_vmscan_throttled",
            &[form("obs_throttled", &[Int, Int, Int, Int])],
            "reclaim.throttles",
        )
    },
    ProbeSpec {
        replaced_by: Some("/proc/vmstat compact_stall, compact_daemon_wake"),
        ..tp("compaction_begin", "mm_compaction_begin", &[form("obs_compact_begin", &[])], "compaction")
    },
    ProbeSpec {
        fields: &["compaction"],
        replaced_by: Some("/proc/vmstat compact_success, compact_fail"),
        ..tp(
            "compaction_end",
            "mm_compaction_end",
            &[form("obs_compact_end", &[Ptr("compact_control"), Int, Int, Int, Int])],
            "compaction",
        )
    },
    tp("extfrag", "mm_page_alloc_extfrag", &[form("obs_extfrag", &[Ptr("page"), Int, Int, Int, Int])], "extfrag"),
    ProbeSpec {
        fields: &["shrinker"],
        replaced_by: Some("/proc/vmstat slabs_scanned"),
        ..tp("shrinker_begin", "mm_shrink_slab_start", &[form("obs_shrink_begin", &[Ptr("shrinker")])], "shrinkers")
    },
    ProbeSpec {
        fields: &[],
        ..tp("shrinker_end", "mm_shrink_slab_end", &[form("obs_shrink_end", &[Ptr("shrinker"), Int, Int])], "shrinkers")
    },
    tp(
        "reclaim_retries",
        "reclaim_retry_zone",
        &[form("obs_retry_reclaim", &[Ptr("zoneref"), Int, Int, Int, Int, Int, Int])],
        "retries",
    ),
    tp("compact_retries", "compact_retry", &[form("obs_retry_compact", &[Int, Int, Int, Int, Int, Int])], "retries"),
    ProbeSpec {
        replaced_by: Some("/proc/vmstat oom_kill, the kernel log"),
        ..tp(
            "oom",
            "mark_victim",
            &[
                form("obs_oom_task", &[Ptr("task_struct"), Int]),
                Form { lacks: Some("name and cgroup of the victim"), ..form("obs_oom_pid", &[Int]) },
            ],
            "oom",
        )
    },
    ProbeSpec {
        fields: &["sock", "lifecycle", "tcp", "task"],
        replaced_by: Some("/proc/net/snmp of each namespace"),
        ..tp(
            "tcp_states",
            "inet_sock_set_state",
            &[Form {
                lacks: Some("AttemptFails: a half-open connection that is reset hits no tracepoint"),
                ..form("obs_tcp_state", &[Ptr("sock"), Int, Int])
            }],
            "tcp.namespaces",
        )
    },
    ProbeSpec {
        fields: &["sock", "retransmit"],
        replaced_by: Some("/proc/net/snmp RetransSegs"),
        ..tp(
            "tcp_retransmits",
            "tcp_retransmit_skb",
            &[
                form("obs_tcp_retrans", &[Ptr("sock"), Ptr("sk_buff"), Int]),
                Form {
                    lacks: Some("retransmits that the host itself dropped (/proc/net/netstat TCPRetransFail)"),
                    ..form("obs_tcp_retrans", &[Ptr("sock"), Ptr("sk_buff")])
                },
            ],
            "tcp.namespaces",
        )
    },
    ProbeSpec {
        fields: &["sock"],
        replaced_by: Some("/proc/net/netstat TCPSynRetrans"),
        ..tp(
            "tcp_synack_retransmits",
            "tcp_retransmit_synack",
            &[form("obs_tcp_synack", &[Ptr("sock"), Ptr("request_sock")])],
            "tcp.namespaces",
        )
    },
    ProbeSpec {
        fields: &["sock", "reset"],
        replaced_by: Some("/proc/net/snmp OutRsts"),
        ..tp(
            "tcp_resets_sent",
            "tcp_send_reset",
            &[
                form("obs_tcp_rst_sent", &[Ptr("sock"), Ptr("sk_buff"), Int]),
                // Before the reset's reason was passed, the tracepoint was hit only where there is a socket.
                Form {
                    lacks: Some("resets without a socket (/proc/net/snmp OutRsts)"),
                    ..form("obs_tcp_rst_sent", &[Ptr("sock"), Ptr("sk_buff")])
                },
            ],
            "tcp.namespaces",
        )
    },
    ProbeSpec {
        fields: &["sock"],
        ..tp("tcp_resets_received", "tcp_receive_reset", &[form("obs_tcp_rst_rcvd", &[Ptr("sock")])], "tcp.namespaces")
    },
    ProbeSpec {
        fields: &["sock", "lifecycle", "tcp", "task", "remote"],
        ..tp("tcp_closed", "tcp_destroy_sock", &[form("obs_tcp_destroy", &[Ptr("sock")])], "tcp.closed")
    },
    ProbeSpec {
        fields: &["sock", "reset", "socket", "drops"],
        replaced_by: Some("the counters of each protocol: /proc/net/snmp, /proc/net/netstat"),
        ..tp(
            "drops",
            "kfree_skb",
            &[
                form("obs_drop", &[Ptr("sk_buff"), Ptr(""), Int]),
                Form { lacks: Some("the reason of a drop"), ..form("obs_drop_at", &[Ptr("sk_buff"), Ptr("")]) },
            ],
            "drops",
        )
    },
    ProbeSpec {
        fields: &["sock", "lifecycle", "task", "socket", "buffers"],
        ..tp("buffers_full", "sock_rcvqueue_full", &[form("obs_buf_queue", &[Ptr("sock"), Ptr("sk_buff")])], "buffers")
    },
    ProbeSpec {
        fields: &["sock", "lifecycle", "task", "socket", "buffers"],
        replaced_by: Some("/proc/net/snmp Udp RcvbufErrors, MemErrors"),
        ..tp("buffers_udp", "udp_fail_queue_rcv_skb", &[form("obs_buf_udp", &[Int, Ptr("sock")])], "buffers")
    },
    ProbeSpec {
        fields: &["sock", "lifecycle", "task", "socket", "buffers"],
        replaced_by: Some("/proc/net/sockstat, memory.kmem.tcp.failcnt of the cgroup"),
        ..tp(
            "buffers_memory",
            "sock_exceed_buf_limit",
            &[form("obs_buf_memory", &[Ptr("sock"), Ptr("proto"), Int, Int])],
            "buffers",
        )
    },
    ProbeSpec {
        name: "tcp_listeners",
        attach: Iter("tcp", "obs_tcp_listeners"),
        feeds: "tcp.listeners",
        fields: &["sock", "lifecycle", "task", "socket", "listen"],
        replaced_by: Some("sock_diag, as `ss -tl` reads it"),
    },
    ProbeSpec {
        name: "tcp_sockets",
        attach: Iter("tcp", "obs_tcp_sockets"),
        feeds: "tcp.sockets",
        fields: &["sock", "lifecycle", "tcp", "task", "remote", "socket"],
        replaced_by: Some("sock_diag, as `ss -ti` reads it"),
    },
    ProbeSpec {
        name: "tcp_owners",
        attach: Iter("task_file", "obs_tcp_owners"),
        feeds: "tcp.owners",
        fields: &["task", "sock", "socket", "owner"],
        replaced_by: Some("/proc/PID/fd, as `ss -tp` reads it"),
    },
];

/// Samples the stacks of page allocations. In a table of its own: it is loaded on demand only.
pub const ALLOC_STACKS: ProbeSpec = ProbeSpec {
    fields: &["task", "kswapd"],
    ..tp("alloc_stacks", "mm_page_alloc", &[form("obs_alloc_stacks", &[Ptr("page"), Int, Int, Int])], "alloc_stacks")
};

/// The stages of first bytes. In a table of its own: they run at each segment and at each reading, so they are loaded on demand
/// only.
pub const FIRST_BYTE: &[ProbeSpec] = &[
    ProbeSpec {
        fields: &["task", "sock", "tcp", "socket", "retransmit", "first_byte", "run_delay"],
        ..tp(
            "first_byte_segments",
            "tcp_probe",
            &[form("obs_fb_segment", &[Ptr("sock"), Ptr("sk_buff")])],
            "tcp.first_bytes",
        )
    },
    ProbeSpec {
        fields: &["task", "sock", "tcp", "socket", "first_byte", "run_delay"],
        ..tp("first_byte_reads", "tcp_rcv_space_adjust", &[form("obs_fb_read", &[Ptr("sock")])], "tcp.first_bytes")
    },
];

/// How long packets wait for the soft interrupt that takes them. In a table of its own: it is loaded on demand only.
pub const SOFTIRQ_WAIT: &[ProbeSpec] = &[
    ProbeSpec {
        fields: &[],
        ..tp("softirq_raise", "softirq_raise", &[form("obs_irq_raise", &[Int])], "tcp.first_bytes.softirq")
    },
    ProbeSpec {
        fields: &[],
        ..tp("softirq_entry", "softirq_entry", &[form("obs_irq_entry", &[Int])], "tcp.first_bytes.softirq")
    },
    ProbeSpec {
        fields: &[],
        ..tp("softirq_exit", "softirq_exit", &[form("obs_irq_exit", &[Int])], "tcp.first_bytes.softirq")
    },
];
