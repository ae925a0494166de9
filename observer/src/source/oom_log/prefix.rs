//! What loggers put before the kernel's words: time, host, priority, caller.
//!
//! Known are `dmesg` with each of its time formats and with `-x`, `/dev/kmsg`, syslog (RFC 3164 and ISO times), `journalctl`,
//! container logs of Kubernetes and Docker, and none. What is no prefix belongs to the words.

use std::borrow::Cow;

use crate::{
    snapshot::{Name, oom_report::Stamp},
    source::lines::number,
};

/// A line, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// When.
    pub(super) stamp: Stamp,
    /// Whose log it is, where a logger names a host.
    pub(super) host: Option<Name>,
    /// The task or CPU that printed it (`CONFIG_PRINTK_CALLER`), such as `T123`.
    pub(super) caller: Option<Name>,
    /// The kernel's words.
    pub(super) words: Cow<'a, [u8]>,
    /// False if a logger says that another program than the kernel wrote it.
    pub(super) of_kernel: bool,
}

/// Most prefixes that stand one before the other: syslog, priority, time, caller, and one to spare.
const MOST: usize = 6;

/// Takes a line apart. It has no line end.
pub(super) fn take(line: &[u8]) -> Line<'_> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut out =
        Line { stamp: Stamp::default(), host: None, caller: None, words: Cow::Borrowed(line), of_kernel: true };
    let unpacked = json(line, &mut out).or_else(|| kmsg(line, &mut out.stamp));
    match unpacked {
        Some(owned) => {
            let at = owned.len() - strip(&owned, &mut out).len();
            out.words = Cow::Owned(owned.get(at..).unwrap_or_default().to_vec());
        }
        None => out.words = Cow::Borrowed(strip(line, &mut out)),
    }
    out
}

fn strip<'a>(line: &'a [u8], out: &mut Line<'_>) -> &'a [u8] {
    let mut rest = line;
    for _ in 0..MOST {
        let next = priority(rest)
            .or_else(|| bracket(rest, out))
            .or_else(|| iso(rest, out))
            .or_else(|| month(rest, out))
            .or_else(|| facility(rest));
        match next {
            Some(next) => rest = next,
            None => break,
        }
    }
    rest
}

/// `<6>` of a raw kernel log or of syslog.
fn priority(rest: &[u8]) -> Option<&[u8]> {
    let inner = rest.strip_prefix(b"<")?;
    let end = inner.iter().take(5).position(|b| *b == b'>')?;
    number(inner.get(..end)?)?;
    inner.get(end + 1..)
}

/// `[  929.507193] `, `[T1234]`, `[Mon Nov 20 10:11:12 2026] `, `[Nov20 10:11] `, `[  +0.000012] `.
fn bracket<'a>(rest: &'a [u8], out: &mut Line<'_>) -> Option<&'a [u8]> {
    let inner = rest.trim_ascii_start().strip_prefix(b"[")?;
    let end = inner.iter().take(48).position(|b| *b == b']')?;
    let text = inner.get(..end)?.trim_ascii();
    let after = inner.get(end + 1..)?;
    // `[  929.507193 <    0.000014>] ` of `dmesg -d`.
    let time = text.split(|b| *b == b'<').next()?.trim_ascii();
    if let Some(ns) = seconds(time) {
        out.stamp.boot_ns = Some(ns);
    } else if let Some((b'T' | b'C', digits)) = text.split_first()
        && number(digits).is_some()
    {
        out.caller = Some(Name::from_bytes(text));
    } else if is_date(text) || (text.starts_with(b"+") && seconds(text.get(1..)?).is_some()) {
        out.stamp.wall = Some(Name::from_bytes(text));
    } else {
        return None;
    }
    // After the time of `journalctl -o short-monotonic` comes what comes after the time of syslog; but the kernel's own words
    // may look like a host and a program without a number: `Call Trace:`, `Hardware name: x`.
    let after = after.strip_prefix(b" ").unwrap_or(after);
    let is_tagged = after.split(|b| *b == b' ').nth(1).is_some_and(|tag| tag == b"kernel:" || tag.ends_with(b"]:"));
    Some(if is_tagged { host_and_tag(after, out).unwrap_or(after) } else { after })
}

/// A time with a fraction, which tells it from a process id in brackets.
fn seconds(text: &[u8]) -> Option<u64> {
    let dot = text.iter().position(|b| *b == b'.')?;
    let (whole, fraction) = (text.get(..dot)?, text.get(dot + 1..)?);
    let digits = u32::try_from(fraction.len()).ok().filter(|n| (1..=9).contains(n))?;
    let nanos = number(fraction)? * 10u64.pow(9 - digits);
    number(whole)?.checked_mul(1_000_000_000)?.checked_add(nanos)
}

/// Begins with the name of a weekday or of a month.
fn is_date(text: &[u8]) -> bool {
    const NAMES: [&[u8]; 19] = [
        b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun", b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul",
        b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
    ];
    NAMES.iter().any(|name| text.starts_with(name)) && text.iter().filter(|b| **b == b':').count() >= 1
}

/// `2026-11-20T10:11:12.123456+01:00 host kernel: `, or with ` stdout F ` of a container's log.
fn iso<'a>(rest: &'a [u8], out: &mut Line<'_>) -> Option<&'a [u8]> {
    let rest = rest.trim_ascii_start();
    let end = rest.iter().take(48).position(|b| *b == b' ')?;
    let word = rest.get(..end)?;
    let date = word.get(..10)?;
    let digits = date.iter().enumerate().all(|(i, b)| if matches!(i, 4 | 7) { *b == b'-' } else { b.is_ascii_digit() });
    if !digits || word.get(10) != Some(&b'T') {
        return None;
    }
    out.stamp.wall = Some(Name::from_bytes(word));
    let after = rest.get(end + 1..)?;
    for stream in [&b"stdout "[..], b"stderr "] {
        if let Some(after) = after.strip_prefix(stream) {
            // F: a full line, P: a part of one.
            return after.strip_prefix(b"F ").or_else(|| after.strip_prefix(b"P ")).or(Some(after));
        }
    }
    Some(host_and_tag(after, out).unwrap_or(after))
}

/// `Nov 20 10:11:12 host kernel: `.
fn month<'a>(rest: &'a [u8], out: &mut Line<'_>) -> Option<&'a [u8]> {
    let stamp = rest.get(..15)?;
    let colons = stamp.get(9) == Some(&b':') && stamp.get(12) == Some(&b':');
    if !is_date(stamp) || !colons || rest.get(15) != Some(&b' ') {
        return None;
    }
    out.stamp.wall = Some(Name::from_bytes(stamp));
    let after = rest.get(16..)?;
    Some(host_and_tag(after, out).unwrap_or(after))
}

/// `host kernel: ` after a time, or `host program[123]: `.
fn host_and_tag<'a>(rest: &'a [u8], out: &mut Line<'_>) -> Option<&'a [u8]> {
    let space = rest.iter().take(256).position(|b| *b == b' ')?;
    let (first, after) = (rest.get(..space)?, rest.get(space + 1..)?);
    if first == b"kernel:" {
        return Some(after);
    }
    let is_host = !first.is_empty() && first.iter().all(|b| b.is_ascii_alphanumeric() || b"-._:".contains(b));
    if !is_host || first.ends_with(b":") {
        return None;
    }
    // A line of /dev/kmsg that a program wrote looks the same, with its own tag.
    let end = after.iter().take(64).position(|b| *b == b' ').unwrap_or(after.len().min(64));
    let tag = after.get(..end)?.strip_suffix(b":")?;
    let name = tag.split(|b| *b == b'[').next()?;
    let usual = !name.is_empty() && name.iter().all(|b| b.is_ascii_alphanumeric() || b"-_./()".contains(b));
    if !usual || matches!(name, b"CPU" | b"memory" | b"swap" | b"kmem" | b"Code") {
        return None;
    }
    out.host = Some(Name::from_bytes(first));
    out.of_kernel = name == b"kernel";
    Some(after.get(end + 1..).unwrap_or_default())
}

/// `kern  :info  : ` of `dmesg -x`.
fn facility(rest: &[u8]) -> Option<&[u8]> {
    let after = rest.strip_prefix(b"kern")?.trim_ascii_start().strip_prefix(b":")?;
    let end = after.iter().take(8).position(|b| *b == b':')?;
    let level = after.get(..end)?.trim_ascii();
    let known: [&[u8]; 8] = [b"emerg", b"alert", b"crit", b"err", b"warn", b"notice", b"info", b"debug"];
    let after = after.get(end + 1..)?;
    known.contains(&level).then(|| after.strip_prefix(b" ").unwrap_or(after))
}

/// `6,1234,929507193,-;words` of /dev/kmsg, with bytes written as `\xNN`.
fn kmsg(line: &[u8], stamp: &mut Stamp) -> Option<Vec<u8>> {
    let end = line.iter().take(96).position(|b| *b == b';')?;
    let mut fields = line.get(..end)?.split(|b| *b == b',');
    let (_, _) = (number(fields.next()?)?, number(fields.next()?)?);
    let micros = number(fields.next()?)?;
    fields.next()?;
    stamp.boot_ns = micros.checked_mul(1000);
    Some(unescape(line.get(end + 1..)?))
}

/// Undoes `\xNN`.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        let hex = tail.strip_prefix(b"x").filter(|_| byte == b'\\').and_then(|t| t.get(..2));
        let code = hex.and_then(|h| std::str::from_utf8(h).ok()).and_then(|h| u8::from_str_radix(h, 16).ok());
        out.push(code.unwrap_or(byte));
        rest = if code.is_some() { tail.get(3..).unwrap_or_default() } else { tail };
    }
    out
}

/// `{"log":"...\n","stream":"stdout","time":"..."}` of Docker, or `{"MESSAGE":"..."}` of `journalctl -o json`.
fn json(line: &[u8], out: &mut Line<'_>) -> Option<Vec<u8>> {
    if !line.starts_with(b"{\"") {
        return None;
    }
    let value: serde_json::Value = serde_json::from_slice(line).ok()?;
    let text = |key: &str| value.get(key)?.as_str();
    let micros = |key: &str| number(text(key)?.as_bytes());
    let words = ["log", "MESSAGE", "message"].iter().find_map(|key| bytes(value.get(key)?))?;
    out.host = text("_HOSTNAME").map(|host| Name::from_bytes(host.as_bytes()));
    out.of_kernel = text("_TRANSPORT").is_none_or(|transport| transport == "kernel");
    out.stamp.boot_ns = micros("_SOURCE_MONOTONIC_TIMESTAMP").and_then(|us| us.checked_mul(1000));
    let clock = micros("__REALTIME_TIMESTAMP").and_then(|us| i64::try_from(us).ok());
    let clock = clock.and_then(|us| jiff::Timestamp::from_microsecond(us).ok()).map(|time| time.to_string());
    let wall = clock.or_else(|| text("time").map(str::to_owned));
    out.stamp.wall = wall.map(|wall| Name::from_bytes(wall.as_bytes()));
    Some(words)
}

/// The bytes of a string, or of a list of them, as the journal writes what is not UTF-8.
fn bytes(value: &serde_json::Value) -> Option<Vec<u8>> {
    if let Some(text) = value.as_str() {
        return Some(text.trim_end_matches('\n').as_bytes().to_vec());
    }
    value.as_array()?.iter().map(|byte| u8::try_from(byte.as_u64()?).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: &str = "Memory cgroup out of memory: Killed process 1 (a)";

    fn words(line: &str) -> (String, Line<'_>) {
        let line = take(line.as_bytes());
        (String::from_utf8_lossy(&line.words).into_owned(), line)
    }

    #[test]
    fn every_style_is_taken_off() {
        for prefix in [
            "",
            "[  929.507193] ",
            "<4>[  929.507193] ",
            "[  929.507193][T12345] ",
            "[  929.507193] [ T12345] ",
            "[    5.2] [    C3] ",
            "[Mon Nov 20 10:11:12 2026] ",
            "[Nov20 10:11] ",
            "[  +0.000012] ",
            "[  929.507193 <    0.000014>] ",
            "kern  :info  : [  929.507193] ",
            "kern  :warn  : [Mon Nov 20 10:11:12 2026] ",
            "2026-11-20T10:11:12,123456+00:00 ",
            "Nov 20 10:11:12 web-1 kernel: ",
            "Nov  2 10:11:12 web-1 kernel: [  929.507193] ",
            "2026-11-20T10:11:12.123456+01:00 web-1.example.org kernel: [  929.507193] ",
            "2026-11-20T10:11:12+0100 web-1 kernel: ",
            "[  929.507193] web-1 kernel: ",
            "2026-11-20T10:11:12.123456789Z stdout F ",
            "2026-11-20T10:11:12.123456789Z stderr F [  929.507193] ",
            "6,1234,929507193,-;",
            "4,1234,929507193,-,caller=T77;",
        ] {
            let line = format!("{prefix}{WORDS}");
            let (found, line) = words(&line);
            assert_eq!(found, WORDS, "{prefix:?}");
            assert!(line.of_kernel, "{prefix:?}");
            let stamped = line.stamp.boot_ns.is_some() || line.stamp.wall.is_some();
            assert_eq!(stamped, !prefix.is_empty(), "{prefix:?}: {line:?}");
            assert_eq!(line.host.is_some(), prefix.contains("web-1"), "{prefix:?}: {line:?}");
        }
    }

    #[test]
    fn times_are_exact() {
        assert_eq!(words("[  929.507193] x").1.stamp.boot_ns, Some(929_507_193_000));
        assert_eq!(words("6,1,42,-;x").1.stamp.boot_ns, Some(42_000));
        assert_eq!(words("[Mon Nov 20 10:11:12 2026] x").1.stamp.wall.unwrap().as_str(), "Mon Nov 20 10:11:12 2026");
        assert_eq!(words("[    1.5][  T12] x").1.caller.unwrap().as_str(), "T12");
    }

    #[test]
    fn what_is_no_prefix_stays() {
        for line in [
            "[  10401]     0 10401    18790    16892   188416        0             0 python3",
            "[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name",
            " [<ffffffff81150ac0>] ? dump_header+0x90/0x1b0",
            "CPU: 1 UID: 0 PID: 10401 Comm: python3 Not tainted 6.18.44 #1",
            "memory: usage 65536kB, limit 65536kB, failcnt 3656",
            "Node 0 DMA: 1*4kB (M) = 4kB",
            "Hardware name: Example Board, BIOS 1.0",
            "Memory allocations:",
            "Call Trace:",
            "Mar",
            "<x>",
            "[",
        ] {
            assert_eq!(words(line).0, line);
            // Behind a time it stays just so.
            assert_eq!(words(&format!("[    1.000000] {line}")).0, line);
        }
    }

    #[test]
    fn other_programs_are_told_from_the_kernel() {
        assert!(!words("Nov 20 10:11:12 web-1 earlyoom[812]: low memory").1.of_kernel);
        assert!(!words("[ 2859.660923] web-1 systemd[1]: Started").1.of_kernel);
    }

    #[test]
    fn containers_and_journals_wrap_in_json() {
        let line = r#"{"log":"[    1.500000] Mem-Info:\n","stream":"stdout","time":"2026-11-20T10:11:12Z"}"#;
        let (found, line) = words(line);
        assert_eq!((found.as_str(), line.stamp.boot_ns), ("Mem-Info:", Some(1_500_000_000)));
        let line = r#"{"MESSAGE":"Mem-Info:","_HOSTNAME":"x","__REALTIME_TIMESTAMP":"1600000000000000","_SOURCE_MONOTONIC_TIMESTAMP":"42"}"#;
        let (found, line) = words(line);
        assert_eq!((found.as_str(), line.host.unwrap().as_str()), ("Mem-Info:", "x"));
        assert_eq!((line.stamp.boot_ns, line.stamp.wall.unwrap().as_str()), (Some(42_000), "2020-09-13T12:26:40Z"));
        assert!(!words(r#"{"MESSAGE":"Mem-Info:","_TRANSPORT":"stdout"}"#).1.of_kernel);
        assert_eq!(take(br#"{"MESSAGE":[120,255]}"#).words.as_ref(), b"x\xff");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_taken(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..120)) {
            let _ = take(&bytes);
        }
    }
}
