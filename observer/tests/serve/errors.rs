//! Addresses that cannot be had, and clients that do not behave.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    http,
    target::{Target, run_to_end},
};

/// Exit code and stderr of `observer serve --listen ADDRESS`.
fn refused(address: &str) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_observer"));
    let (code, stdout, stderr) = run_to_end(command.args(["serve", "--listen", address]));
    assert_eq!(stdout, "", "{address}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    (code, stderr)
}

#[test]
fn a_port_in_use_is_one_clear_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, stderr) = refused(&address);
    assert_eq!(code, Some(1));
    let expected =
        format!("observer: cannot listen on {address}: the port is in use; choose another one with --listen\n");
    assert_eq!(stderr, expected);
}

#[test]
fn an_address_of_somebody_else_is_named() {
    // TEST-NET-1 (RFC 5737): no host has it.
    let (code, stderr) = refused("192.0.2.1:19435");
    assert_eq!(code, Some(1));
    assert_eq!(stderr, "observer: cannot listen on 192.0.2.1:19435: this host does not have the address 192.0.2.1\n");
}

#[test]
fn what_is_no_address_is_wrong_usage() {
    for address in ["", "19435", "localhost", "127.0.0.1", "127.0.0.1:99999", "[::1", "127.0.0.1:\u{202e}1"] {
        let (code, stderr) = refused(address);
        assert_eq!(code, Some(2), "{address}");
        assert!(stderr.contains("such as 127.0.0.1:19435"), "{stderr}");
    }
    for arguments in [["--top", "0"], ["--top", "100000"], ["--interval", "0"], ["--interval", "soon"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_observer"));
        let (code, _, stderr) = run_to_end(command.arg("serve").args(arguments));
        assert_eq!(code, Some(2), "{arguments:?}");
        assert!(stderr.contains(arguments[0]), "{stderr}");
    }
}

#[test]
fn what_is_no_request_is_refused_and_harms_nobody() {
    let target = Target::start(&[]);
    let long = format!("GET /metrics HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "a".repeat(64 * 1024));
    let many = format!("GET /metrics HTTP/1.1\r\nHost: x\r\n{}\r\n", "a: b\r\n".repeat(500));
    for request in
        [long.as_bytes(), many.as_bytes(), b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"GET\r\n\r\n"]
    {
        // A connection that is cut off without an answer is a refusal too.
        if let Ok(response) = http::send(target.address, request) {
            assert!((400..500).contains(&response.status), "{response:?}");
        }
    }
    // What looks like a path to a file is only a path that is not there.
    assert_eq!(http::get(target.address, "/../../etc/passwd").status, 404);
    assert_eq!(http::get(target.address, "/metrics/..%2f").status, 404);
    assert_eq!(http::get(target.address, "/metrics").status, 200);
}

#[test]
fn a_client_that_never_ends_its_header_is_cut_off() {
    let target = Target::start(&[]);
    let mut slow = TcpStream::connect(target.address).unwrap();
    slow.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n").unwrap();
    slow.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let began = Instant::now();
    let mut answer = Vec::new();
    // Closed or reset, with or without an answer, but not waited for.
    let _ = slow.read_to_end(&mut answer);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&answer));
}
