//! Open sockets, against what `ss` prints of them at the same instant.

use std::{collections::HashMap, net::Shutdown, process::Command};

use observer::snapshot::tcp::Socket;

use crate::support::{
    needs_root,
    netns::Netns,
    seen,
    socket::{LOOPBACKS, Pair, begin_connect, cookie, full, listen, mapped, mptcp, pair},
    sockets::Eyes,
    wait::wait_for,
};

/// A number by its name.
type Numbers = HashMap<&'static str, f64>;

/// What `ss` prints as `name:value` and is a number there.
const PLAIN: &[&str] = &[
    "mss",
    "pmtu",
    "advmss",
    "cwnd",
    "ssthresh",
    "bytes_sent",
    "bytes_retrans",
    "bytes_acked",
    "bytes_received",
    "segs_out",
    "segs_in",
    "delivered",
    "unacked",
    "lost",
    "sacked",
    "dsack_dups",
    "reord_seen",
    "notsent",
    "minrtt",
    "snd_wnd",
    "rcv_wnd",
    "backoff",
    "ino",
    "uid",
];

/// The sockets of a namespace as `ss` tells of them, by cookie, one line each.
fn ss(netns: &Netns) -> HashMap<u64, String> {
    let output = netns.inside(|| Command::new("ss").arg("-tinmoepHO").output().expect("ss is installed"));
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("text");
    let cookie = |line: &str| u64::from_str_radix(value(line, "sk:")?, 16).ok();
    text.lines().filter_map(|line| Some((cookie(line)?, line.to_owned()))).collect()
}

/// The rest of the word that begins so.
fn value<'a>(line: &'a str, begin: &str) -> Option<&'a str> {
    line.split_whitespace().find_map(|word| word.strip_prefix(begin))
}

/// The word after this one.
fn after<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split_whitespace().skip_while(|word| *word != name).nth(1)
}

/// The numbers of a line of `ss`; it leaves out what is zero.
fn printed(line: &str) -> Numbers {
    let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("{text} in {line}"));
    let mut numbers = Numbers::new();
    for name in PLAIN {
        if let Some(text) = value(line, &format!("{name}:")) {
            numbers.insert(name, number(text));
        }
    }
    for (name, place, of) in
        [("rtt", 0, "rtt:"), ("rttvar", 1, "rtt:"), ("retrans_out", 0, "retrans:"), ("retrans", 1, "retrans:")]
    {
        if let Some(text) = value(line, of).and_then(|pair| pair.split('/').nth(place)) {
            numbers.insert(name, number(text));
        }
    }
    for name in ["busy", "rwnd_limited", "sndbuf_limited"] {
        if let Some(text) = value(line, &format!("{name}:")) {
            numbers.insert(name, number(text.split("ms").next().expect("one part")));
        }
    }
    for (name, place) in [("pacing_rate", 0), ("max_pacing_rate", 1)] {
        if let Some(text) = after(line, "pacing_rate").and_then(|rates| rates.split('/').nth(place)) {
            numbers.insert(name, number(text.trim_end_matches("bps")));
        }
    }
    if let Some(text) = after(line, "delivery_rate") {
        numbers.insert("delivery_rate", number(text.trim_end_matches("bps")));
    }
    let memory = value(line, "skmem:(").expect("ss -m").trim_end_matches(')');
    for (name, key) in [("rcvbuf", "rb"), ("sndbuf", "tb"), ("wmem_queued", "w")] {
        let text = memory.split(',').find_map(|part| part.strip_prefix(key).filter(|t| t.parse::<u64>().is_ok()));
        numbers.insert(name, number(text.expect("every ss tells")));
    }
    numbers.insert("app_limited", f64::from(u8::from(line.split_whitespace().any(|word| word == "app_limited"))));
    numbers.retain(|_, value| *value != 0.0);
    numbers
}

/// The same numbers of a socket, in the units of `ss`.
fn observed(socket: &Socket) -> Numbers {
    let i = &socket.info;
    let micros = |ns: Option<u64>| ns.map(|ns| (ns / 1000) as f64 / 1000.0);
    let millis = |ns: Option<u64>| ns.map(|ns| (ns / 1_000_000) as f64);
    let bits = |rate: Option<u64>| rate.map(|rate| rate as f64 * 8.0);
    let count = |n: Option<u64>| n.map(|n| n as f64);
    let small = |n: Option<u32>| n.map(f64::from);
    let numbers = [
        ("mss", small(i.mss)),
        ("pmtu", small(i.pmtu)),
        ("advmss", small(i.advmss)),
        ("cwnd", small(i.cwnd)),
        // ss holds what is larger for unlimited.
        ("ssthresh", small(i.ssthresh.filter(|n| *n < 0xffff))),
        ("bytes_sent", count(i.bytes_sent)),
        ("bytes_retrans", count(i.bytes_retrans)),
        ("bytes_acked", count(i.bytes_acked)),
        ("bytes_received", count(i.bytes_received)),
        ("segs_out", count(i.segs_out)),
        ("segs_in", count(i.segs_in)),
        ("delivered", count(i.delivered)),
        ("unacked", small(i.packets_out)),
        ("lost", small(i.lost_out)),
        ("sacked", small(i.sacked_out)),
        ("dsack_dups", count(i.dsack_dups)),
        ("reord_seen", count(i.reord_seen)),
        ("notsent", count(i.notsent_bytes)),
        ("minrtt", micros(i.min_rtt_ns)),
        ("snd_wnd", small(i.snd_wnd)),
        ("rcv_wnd", small(i.rcv_wnd)),
        ("backoff", small(i.backoff)),
        ("ino", Some(socket.inode as f64)),
        ("uid", Some(f64::from(socket.uid))),
        ("rtt", micros(i.srtt_ns)),
        ("rttvar", micros(i.mdev_ns)),
        ("retrans_out", small(i.retrans_out)),
        ("retrans", count(i.retrans_segs)),
        ("busy", millis(i.busy_ns)),
        ("rwnd_limited", millis(i.rwnd_limited_ns)),
        ("sndbuf_limited", millis(i.sndbuf_limited_ns)),
        ("pacing_rate", bits(i.pacing_rate)),
        ("max_pacing_rate", bits(i.max_pacing_rate)),
        ("delivery_rate", bits(i.delivery_rate)),
        ("rcvbuf", count(i.rcvbuf)),
        ("sndbuf", count(i.sndbuf)),
        ("wmem_queued", count(i.wmem_queued)),
        ("app_limited", i.app_limited.map(|limited| f64::from(u8::from(limited)))),
    ];
    numbers.into_iter().filter_map(|(name, value)| Some((name, value.filter(|v| *v != 0.0)?))).collect()
}

/// True if `ss` is too old to print this number.
fn is_unknown(name: &str, line: &str) -> bool {
    ["rcv_wnd", "snd_wnd"].contains(&name) && !line.contains(&format!(" {name}:"))
}

/// Compares all numbers; times of more than six digits are cut by `ss`.
fn assert_alike(who: &str, socket: &Socket, line: &str) {
    let (ours, theirs) = (observed(socket), printed(line));
    for name in ours.keys().chain(theirs.keys()).filter(|name| !is_unknown(name, line)) {
        let (a, b) = (ours.get(name).copied().unwrap_or(0.0), theirs.get(name).copied().unwrap_or(0.0));
        assert!((a - b).abs() <= a.abs() * 1e-5, "{name} is {a} by {who} and {b} by ss: {socket:?}, {line}");
    }
    let congestion = socket.congestion.as_ref().expect("every connection has one").as_str();
    assert!(line.split_whitespace().any(|word| word == congestion), "{congestion} in {line}");
    if let Some(owner) = &socket.owner {
        let (user, pid) = (value(line, "users:").expect("ss -p"), format!("pid={},", owner.pid));
        assert!(user.contains(&pid), "{pid} in {user}");
    }
    let end = |(ip, port): (std::net::IpAddr, u16)| format!("{ip}:{port}");
    let plain = line.replace("[::ffff:", "").replace(['[', ']'], "");
    for end in [end(socket.local), end(socket.remote)] {
        assert!(plain.split_whitespace().any(|word| word == end), "{end} in {line}");
    }
}

#[test]
fn every_number_of_a_quiet_connection_is_that_of_ss() {
    needs_root!("every_number_of_a_quiet_connection_is_that_of_ss");
    let mut eyes = Eyes::open();
    let netns = Netns::new();
    let mut kinds: Vec<(&str, Vec<u64>)> = Vec::new();
    let mut held = Vec::new();
    let mut hold = |what: &'static str, ends: Pair| {
        kinds.push((what, vec![cookie(&ends.client), cookie(&ends.server)]));
        held.push(ends);
    };
    for (ip, names) in LOOPBACKS.into_iter().zip([["IPv4", "IPv4, half closed"], ["IPv6", "IPv6, half closed"]]) {
        let mut ends = netns.inside(|| pair(&listen(ip)));
        ends.send(3_000_000);
        ends.answer(50_000);
        hold(names[0], ends);
        let mut ends = netns.inside(|| pair(&listen(ip)));
        ends.send(1000);
        ends.client.shutdown(Shutdown::Write).expect("it is connected");
        hold(names[1], ends);
    }
    let mut ends = netns.inside(mapped);
    ends.send(20_000);
    hold("IPv4 in IPv6", ends);
    let (listener, filler) = netns.inside(|| full(LOOPBACKS[0]));
    let attempt = netns.inside(|| begin_connect(listener.local_addr().expect("an address")));
    kinds.push(("not accepted, and an attempt", vec![cookie(&filler), cookie(&attempt)]));
    let multipath = netns.inside(mptcp);

    let mut compared = 0;
    wait_for("ss and both readers to see the same at rest", || {
        let before = eyes.iterator();
        let lines = ss(&netns);
        let (diag, after) = (eyes.diag(), eyes.iterator());
        let here = |s: &&Socket| s.netns == netns.inode();
        let still: Vec<_> = after.list.iter().filter(here).filter(|s| before.list.contains(s)).collect();
        let all = kinds.iter().flat_map(|(_, cookies)| cookies).all(|c| still.iter().any(|s| s.cookie == *c));
        let complete = still.len() == lines.len() && still.iter().all(|s| s.owner.is_some() == (s.inode != 0));
        if !all || !complete {
            return None;
        }
        for socket in &still {
            let line = lines.get(&socket.cookie).unwrap_or_else(|| panic!("ss does not list {socket:?}"));
            assert_alike("the iterator", socket, line);
            let same = diag.list.iter().find(|s| s.cookie == socket.cookie).expect("sock_diag lists it");
            assert_alike("sock_diag", same, line);
            compared += 1;
        }
        Some(())
    });
    let kinds: Vec<_> = kinds.iter().map(|(what, _)| *what).collect();
    seen!("{compared} sockets alike by ss, the iterator and sock_diag: {kinds:?}, MPTCP: {}", multipath.is_some());
}
