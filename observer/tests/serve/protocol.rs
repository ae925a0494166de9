//! Formats, codings, and what many clients at once get.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    process::{Command, Stdio},
    thread,
};

use nix::sys::signal::Signal;

use crate::{
    exposition::Exposition,
    http::{self, Response},
    target::{Target, has},
};

fn metrics(target: &Target, headers: &str) -> Response {
    let response = http::request(target.address, "GET", "/metrics", headers);
    assert_eq!(response.status, 200, "{headers:?}");
    response
}

#[test]
fn the_format_is_the_one_that_is_asked_for() {
    let target = Target::start(&[]);
    let text = metrics(&target, "");
    assert_eq!(text.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let open =
        metrics(&target, "Accept: application/openmetrics-text; version=1.0.0, text/plain; version=0.0.4; q=0.5\r\n");
    assert_eq!(open.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(open.text().ends_with("\n# EOF\n"));
    let disliked = metrics(&target, "Accept: application/openmetrics-text;q=0.2\r\nAccept: text/plain;q=0.9\r\n");
    assert_eq!(disliked.header("content-type"), text.header("content-type"));

    // Asked for within the time that pages are shared, both must be the same samples.
    let same = crate::target::wait_for("two answers from one snapshot", || {
        let text = Exposition::parse(&metrics(&target, "").text());
        let open = Exposition::parse(&metrics(&target, "Accept: application/openmetrics-text\r\n").text());
        let snapshots = |e: &Exposition| e.value("observer_snapshots_total");
        (snapshots(&text) == snapshots(&open)).then_some((text, open))
    });
    assert_eq!(same.0.samples, same.1.samples);
}

#[test]
fn gzip_where_it_is_taken() {
    let target = Target::start(&[]);
    let zipped = metrics(&target, "Accept-Encoding: gzip\r\n");
    assert_eq!(zipped.header("content-encoding"), "gzip");
    let mut text = String::new();
    flate2::read::GzDecoder::new(&zipped.body[..]).read_to_string(&mut text).unwrap();
    assert!(Exposition::parse(&text).samples.len() > 10);
    assert!(zipped.body.len() < text.len());
    assert_eq!(metrics(&target, "Accept-Encoding: gzip;q=0\r\n").header("content-encoding"), "");
}

#[test]
fn promtool_accepts_what_this_host_shows() {
    if !has("promtool_accepts_what_this_host_shows", "promtool") {
        return;
    }
    let target = Target::start(&[]);
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    promtool.stdin.take().unwrap().write_all(&metrics(&target, "").body).unwrap();
    let output = promtool.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn other_pages_and_methods() {
    let target = Target::start(&[]);
    assert_eq!(http::get(target.address, "/-/healthy").status, 200);
    assert_eq!(http::get(target.address, "/nothing").status, 404);
    let post = http::request(target.address, "POST", "/metrics", "Content-Length: 0\r\n");
    assert_eq!((post.status, post.header("allow")), (405, "GET,HEAD"));
    let head = http::request(target.address, "HEAD", "/metrics", "");
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert!(head.header("content-length").parse::<u64>().unwrap() > 100);

    let page = http::get(target.address, "/");
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(page.header("content-security-policy").contains("default-src 'none'"));
    let html = page.text();
    for part in ["href=\"metrics\"", "Findings", "Coverage", "/proc/meminfo", "reclaim_stalls"] {
        assert!(html.contains(part), "{part}");
    }
    // Self-contained: nothing is fetched from elsewhere.
    for outside in ["src=", "url(", "http:", "https:", "<script"] {
        assert!(!html.contains(outside), "{outside}");
    }
}

#[test]
fn many_scrapes_at_once_share_snapshots() {
    let target = Target::start(&["--interval", "1h"]);
    let snapshots = || Exposition::parse(&metrics(&target, "").text()).value("observer_snapshots_total");
    let before = snapshots();
    let began = std::time::Instant::now();
    // More clients than connections are let in at once.
    let bodies: Vec<_> = thread::scope(|scope| {
        let clients: Vec<_> =
            (0..100).map(|_| scope.spawn(|| (0..5).map(|_| metrics(&target, "")).collect::<Vec<_>>())).collect();
        clients.into_iter().flat_map(|c| c.join().unwrap()).collect()
    });
    let seconds = began.elapsed().as_secs_f64();
    assert_eq!(bodies.len(), 500);
    let distinct: BTreeSet<_> = bodies.iter().map(|b| b.body.clone()).collect();
    // One at the begin, one for each half second, one at the end.
    let most = seconds / 0.5 + 2.0;
    assert!(distinct.len() as f64 <= most, "{} snapshots in {seconds} s", distinct.len());
    assert!(snapshots() - before <= most + 1.0);
}

#[test]
fn signals_end_it_cleanly() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let target = Target::start(&[]);
        // A client that keeps its connection open must not hold it up.
        let idle = std::net::TcpStream::connect(target.address).unwrap();
        let began = std::time::Instant::now();
        assert_eq!(target.end(signal).code(), Some(0));
        assert!(began.elapsed().as_secs() < 15, "{signal} took {:?}", began.elapsed());
        drop(idle);
    }
}
