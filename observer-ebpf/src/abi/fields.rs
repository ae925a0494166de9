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
            TASK_RUN_DELAY, "run_delay", "task_struct", "sched_info.run_delay", 8;
            TASK_MM, "kswapd", "task_struct", "mm", 8;
            CC_DIRECT, "compaction", "compact_control", "direct_compaction", 1;
            SHRINKER_SCAN, "shrinker", "shrinker", "scan_objects", 8;
            SK_NET, "sock", "sock", "__sk_common.skc_net.net", 8;
            SK_STATE, "sock", "sock", "__sk_common.skc_state", 1;
            SK_FAMILY, "sock", "sock", "__sk_common.skc_family", 2;
            SK_NUM, "sock", "sock", "__sk_common.skc_num", 2;
            SK_DPORT, "sock", "sock", "__sk_common.skc_dport", 2;
            NET_INUM, "sock", "net", "ns.inum", 4;
            NET_COOKIE, "sock", "net", "net_cookie", 8;
            SK_PROTOCOL, "lifecycle", "sock", "sk_protocol", 2;
            SK_MEMCG, "lifecycle", "sock", "sk_memcg", 8;
            MEMCG_CGROUP, "lifecycle", "mem_cgroup", "css.cgroup", 8;
            SKB_CB, "retransmit", "sk_buff", "cb", 48;
            CB_GSO_SEGS, "retransmit", "tcp_skb_cb", "tcp_gso_segs", 2;
            SKB_DEV, "reset", "sk_buff", "dev", 8;
            SKB_PROTOCOL, "drops", "sk_buff", "protocol", 2;
            SK_PROT, "buffers", "sock", "__sk_common.skc_prot", 8;
            PROTO_NAME, "buffers", "proto", "name", 32;
            CB_SEQ, "first_byte", "tcp_skb_cb", "seq", 4;
            CB_END_SEQ, "first_byte", "tcp_skb_cb", "end_seq", 4;
            TP_RCV_NXT, "first_byte", "tcp_sock", "rcv_nxt", 4;
            TP_FIRST_TX, "first_byte", "tcp_sock", "first_tx_mstamp", 8;
            SK_ACK_BACKLOG, "listen", "sock", "sk_ack_backlog", 4;
            SK_MAX_ACK_BACKLOG, "listen", "sock", "sk_max_ack_backlog", 4;
            SK_DROPS, "listen", "sock", "sk_drops.counter", 4;
            DEV_NET, "reset", "net_device", "nd_net.net", 8;
            SK_DADDR, "remote", "sock", "__sk_common.skc_daddr", 4;
            SK_RCV_SADDR, "socket", "sock", "__sk_common.skc_rcv_saddr", 4;
            SK_V6_DADDR, "remote", "sock", "__sk_common.skc_v6_daddr", 16;
            SK_V6_RCV_SADDR, "socket", "sock", "__sk_common.skc_v6_rcv_saddr", 16;
            SK_SOCKET, "socket", "sock", "sk_socket", 8;
            SOCKET_INO, "socket", "socket_alloc", "vfs_inode.i_ino", 8;
            SOCKET_SK, "owner", "socket", "sk", 8;
            SK_PACING_RATE, "socket", "sock", "sk_pacing_rate", 8;
            SK_MAX_PACING_RATE, "socket", "sock", "sk_max_pacing_rate", 8;
            SK_SNDBUF, "socket", "sock", "sk_sndbuf", 4;
            SK_RCVBUF, "socket", "sock", "sk_rcvbuf", 4;
            SK_TXHASH, "socket", "sock", "sk_txhash", 4;
            SK_WMEM_QUEUED, "socket", "sock", "sk_wmem_queued", 4;
            SK_RX_IFINDEX, "remote", "sock", "sk_rx_dst_ifindex", 4;
            SK_DST, "socket", "sock", "sk_dst_cache", 8;
            DST_DEV, "socket", "dst_entry", "dev", 8;
            DST_XFRM, "socket", "dst_entry", "xfrm", 8;
            XFRM_SPI, "socket", "xfrm_state", "id.spi", 4;
            DEV_IFINDEX, "socket", "net_device", "ifindex", 4;
            ICSK_PMTU, "socket", "inet_connection_sock", "icsk_pmtu_cookie", 4;
            ICSK_CA_OPS, "socket", "inet_connection_sock", "icsk_ca_ops", 8;
            CA_NAME, "socket", "tcp_congestion_ops", "name", 16;
            ICSK_CA_STATE, "socket", "inet_connection_sock", "icsk_ca_state", 0;
            ICSK_BACKOFF, "socket", "inet_connection_sock", "icsk_backoff", 1;
            TP_BYTES_ACKED, "tcp", "tcp_sock", "bytes_acked", 8;
            TP_BYTES_RECEIVED, "tcp", "tcp_sock", "bytes_received", 8;
            TP_SEGS_OUT, "tcp", "tcp_sock", "segs_out", 4;
            TP_TOTAL_RETRANS, "tcp", "tcp_sock", "total_retrans", 4;
            TP_SRTT, "tcp", "tcp_sock", "srtt_us", 4;
            TP_SND_NXT, "tcp", "tcp_sock", "snd_nxt", 4;
            TP_SND_UNA, "tcp", "tcp_sock", "snd_una", 4;
            TP_BYTES_SENT, "socket", "tcp_sock", "bytes_sent", 8;
            TP_BYTES_RETRANS, "socket", "tcp_sock", "bytes_retrans", 8;
            TP_SEGS_IN, "socket", "tcp_sock", "segs_in", 4;
            TP_MDEV, "socket", "tcp_sock", "mdev_us", 4;
            TP_MIN_RTT, "socket", "tcp_sock", "rtt_min.s[0].v", 4;
            TP_CWND, "socket", "tcp_sock", "snd_cwnd", 4;
            TP_SSTHRESH, "socket", "tcp_sock", "snd_ssthresh", 4;
            TP_MSS, "socket", "tcp_sock", "mss_cache", 4;
            TP_SND_WND, "socket", "tcp_sock", "snd_wnd", 4;
            TP_RCV_WND, "socket", "tcp_sock", "rcv_wnd", 4;
            TP_WRITE_SEQ, "socket", "tcp_sock", "write_seq", 4;
            TP_PACKETS_OUT, "socket", "tcp_sock", "packets_out", 4;
            TP_SACKED_OUT, "socket", "tcp_sock", "sacked_out", 4;
            TP_LOST_OUT, "socket", "tcp_sock", "lost_out", 4;
            TP_RETRANS_OUT, "socket", "tcp_sock", "retrans_out", 4;
            TP_RATE_DELIVERED, "socket", "tcp_sock", "rate_delivered", 4;
            TP_RATE_INTERVAL, "socket", "tcp_sock", "rate_interval_us", 4;
            TP_APP_LIMITED, "socket", "tcp_sock", "rate_app_limited", 0;
            TP_CHRONO_BUSY, "socket", "tcp_sock", "chrono_stat[0]", 4;
            TP_CHRONO_RWND, "socket", "tcp_sock", "chrono_stat[1]", 4;
            TP_CHRONO_SNDBUF, "socket", "tcp_sock", "chrono_stat[2]", 4;
            TP_CHRONO_START, "socket", "tcp_sock", "chrono_start", 4;
            TP_CHRONO_TYPE, "socket", "tcp_sock", "chrono_type", 0;
            TP_CWND_LIMITED, "socket", "tcp_sock", "is_cwnd_limited", 0;
            TP_DELIVERED, "socket", "tcp_sock", "delivered", 4;
            TP_ADVMSS, "socket", "tcp_sock", "advmss", 2;
            TP_DSACK_DUPS, "socket", "tcp_sock", "dsack_dups", 4;
            TP_REORD_SEEN, "socket", "tcp_sock", "reord_seen", 4;
            SKB_LEN, "packet", "sk_buff", "len", 4;
            SKB_HEAD, "packet", "sk_buff", "head", 8;
            SKB_DATA, "packet", "sk_buff", "data", 8;
            SKB_END, "packet", "sk_buff", "end", 4;
            SKB_NETWORK, "packet", "sk_buff", "network_header", 2;
            SHINFO_GSO_SIZE, "packet", "skb_shared_info", "gso_size", 2;
            SHINFO_GSO_SEGS, "packet", "skb_shared_info", "gso_segs", 2;
            SKB_HASH, "encapsulation", "sk_buff", "hash", 4;
            SKB_L4_HASH, "encapsulation", "sk_buff", "l4_hash", 0;
            SKB_SK, "encapsulation", "sk_buff", "sk", 8;
            SK_COOKIE, "encapsulation", "sock", "__sk_common.skc_cookie.counter", 8;
            NAPI_DEV, "napi", "napi_struct", "dev", 8;
            WORK_FUNC, "work", "work_struct", "func", 8;
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
