//! A client that sends what it is told, also what no proper client would.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// What a server answered.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// By name in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// Sends bytes and reads until the server closes.
pub(crate) fn send(to: SocketAddr, bytes: &[u8]) -> io::Result<Response> {
    let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.write_all(bytes)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    parse(&answer).ok_or_else(|| io::Error::other(format!("no HTTP: {:?}", String::from_utf8_lossy(&answer))))
}

/// A request of HTTP/1.0, so that no server sends its answer in chunks.
pub(crate) fn request(to: SocketAddr, method: &str, path: &str, headers: &str) -> Response {
    let request = format!("{method} {path} HTTP/1.0\r\nHost: {to}\r\n{headers}\r\n");
    send(to, request.as_bytes()).unwrap()
}

/// A plain GET.
pub(crate) fn get(to: SocketAddr, path: &str) -> Response {
    request(to, "GET", path, "")
}

fn parse(answer: &[u8]) -> Option<Response> {
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let (first, headers) = head.split_once("\r\n").unwrap_or((head, ""));
    let status = first.split(' ').nth(1)?.parse().ok()?;
    let headers =
        headers.lines().filter_map(|l| l.split_once(": ")).map(|(n, v)| (n.to_ascii_lowercase(), v.to_owned()));
    Some(Response { status, headers: headers.collect(), body: answer[end + 4..].to_vec() })
}
