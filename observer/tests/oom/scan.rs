//! Reports are found in any log.

use std::io::Read;

use observer::{
    snapshot::oom_report::{Cut, OomReport},
    source::oom_log::{Scanner, reports},
};

use super::{log, logs};

/// A log that never was in memory.
struct Repeat<'a> {
    parts: Vec<&'a [u8]>,
    part: usize,
    at: usize,
}

impl Read for Repeat<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let Some(part) = self.parts.get(self.part) else { return Ok(0) };
        let rest = &part[self.at..];
        // Odd sizes, so that every place of a chunk's end comes to pass.
        let n = rest.len().min(buffer.len()).min(77_777);
        buffer[..n].copy_from_slice(&rest[..n]);
        self.at += n;
        if self.at == part.len() {
            (self.part, self.at) = (self.part + 1, 0);
        }
        Ok(n)
    }
}

fn scan(log: impl Read) -> Vec<OomReport> {
    Scanner::new(log, "log".into()).unwrap().collect::<Result<_, _>>().unwrap()
}

#[test]
fn a_scan_finds_what_a_parser_finds() {
    for name in logs() {
        let text = log(&name);
        let (direct, scanned) = (reports("log".into(), &text), scan(text.as_slice()));
        assert_eq!(direct, scanned, "{name}");
    }
}

#[test]
fn reports_are_found_between_much_else() {
    let report = log("global-oom-6.12.117+deb12-cloud-amd64.dmesg");
    let noise: Vec<u8> =
        (0..60_000).flat_map(|n| format!("[ {n}.000000] usb 1-1: new device {n}\n").into_bytes()).collect();
    let noise_lines = 60_000;
    let report_lines = report.iter().filter(|b| **b == b'\n').count() as u64;
    let found = scan(Repeat { parts: vec![&noise, &report, &noise, &report, &noise], part: 0, at: 0 });
    let lines: Vec<_> = found.iter().map(|r| r.origin.line).collect();
    assert_eq!(lines, [noise_lines + 1, 2 * noise_lines + report_lines + 1]);
    assert!(found.iter().all(|r| r.cut.is_none() && r.tasks.len() == 2));
}

#[test]
fn two_hosts_in_one_log_do_not_mix() {
    let (a, b) = (log("global-oom-6.12.117+deb12-cloud-amd64.dmesg"), log("memcg-oom-6.1.0-56-cloud-amd64.dmesg"));
    let (a, b) = (String::from_utf8(a).unwrap(), String::from_utf8(b).unwrap());
    let mut mixed = String::new();
    let mut others = b.lines();
    for line in a.lines() {
        mixed.push_str(&format!("Nov 20 10:11:12 web-1 kernel: {line}\n"));
        if let Some(other) = others.next() {
            mixed.push_str(&format!("Nov 20 10:11:12 db-2 kernel: {other}\r\n"));
        }
    }
    others.for_each(|line| mixed.push_str(&format!("Nov 20 10:11:13 db-2 kernel: {line}\n")));
    let found = scan(mixed.as_bytes());
    let hosts: Vec<_> = found.iter().map(|r| r.origin.host.as_ref().unwrap().as_str()).collect();
    assert_eq!(hosts, ["web-1", "db-2"]);
    assert!(found.iter().all(|r| r.unread.is_empty() && r.cut.is_none()), "{found:#?}");
    assert!(found[0].memcg.is_none() && found[1].zones.is_empty());
}

#[test]
fn what_is_cut_off_says_so() {
    let text = String::from_utf8(log("memcg-oom-6.12.117+deb12-cloud-amd64.dmesg")).unwrap();
    let all: Vec<&str> = text.lines().collect();
    let head = all[..20].join("\n");
    assert_eq!(scan(head.as_bytes())[0].cut, Some(Cut::End));
    let tail = all[all.len() - 2..].join("\n");
    let report = &scan(tail.as_bytes())[0];
    assert_eq!((report.cut, report.kills.len()), (Some(Cut::NoBegin), 1));
    let twice = format!("{head}\n{text}");
    let cuts: Vec<_> = scan(twice.as_bytes()).iter().map(|r| r.cut).collect();
    assert_eq!(cuts, [Some(Cut::Overtaken), None]);
    // At every line.
    for at in 0..all.len() {
        let found = scan(all[..at].join("\n").as_bytes());
        assert_eq!(found.len(), usize::from(at > 0), "{at}");
    }
}

#[test]
fn a_line_without_end_and_no_text_at_all() {
    assert!(scan(&b""[..]).is_empty());
    assert!(scan(&[0u8, 255, 10, 0, 1][..]).is_empty());
    let long = vec![b'x'; 100 << 20];
    let report = log("memcg-oom-6.12.117+deb12-cloud-amd64.dmesg");
    let found = scan(Repeat { parts: vec![&long, b"\n", &report], part: 0, at: 0 });
    assert_eq!((found.len(), found[0].origin.line), (1, 2));
    // In the midst of a report as well.
    let half = report.iter().enumerate().filter(|(_, b)| **b == b'\n').nth(30).unwrap().0 + 1;
    let found = scan(Repeat { parts: vec![&report[..half], &long, b"\n", &report[half..]], part: 0, at: 0 });
    assert_eq!((found.len(), found[0].cut, found[0].unread.len()), (1, None, 1));
}

#[test]
fn a_lost_end_does_not_make_all_that_follows_slow_or_part_of_it() {
    let report = log("global-oom-6.12.117+deb12-cloud-amd64.dmesg");
    let head: Vec<u8> = report.split_inclusive(|b| *b == b'\n').take(20).flatten().copied().collect();
    let noise: Vec<u8> =
        (0..6000).flat_map(|n| format!("[ {n}.000000] usb 1-1: new device {n}\n").into_bytes()).collect();
    let found = scan(Repeat { parts: vec![&head, &noise, &report], part: 0, at: 0 });
    let cuts: Vec<_> = found.iter().map(|r| r.cut).collect();
    assert_eq!(cuts, [Some(Cut::Drowned), None]);
    assert_eq!(found[0].unread.len(), 200);
}

#[test]
fn a_report_without_end_is_cut_off() {
    let mut parts = vec![&b"a invoked oom-killer: gfp_mask=0xcc0, order=0, oom_score_adj=0\n"[..]];
    let rows: Vec<u8> = b"[ pid ]   uid  tgid total_vm      rss name\n"
        .iter()
        .copied()
        .chain((0..250).flat_map(|n| format!("[{n}] 0 {n} 1 1 {}\n", "x".repeat(8000)).into_bytes()))
        .collect();
    parts.extend(vec![rows.as_slice(); 40]);
    let found = scan(Repeat { parts, part: 0, at: 0 });
    assert_eq!((found.len(), found[0].cut), (1, Some(Cut::Drowned)));
    assert!((2000..6000).contains(&found[0].tasks.len()), "{}", found[0].tasks.len());
}
