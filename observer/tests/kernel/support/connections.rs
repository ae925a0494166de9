//! A process with many connections: some that stay open, some that come and go at a rate.

use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

use super::child::{say, stop_here};

/// Networks that the connections lead to, 127.2.n.0/24; those that stay lead to 127.1.0.0/24.
pub(crate) const NETWORKS: u8 = 8;
/// Bytes that a connection sends to the end that accepted it, and that it gets back.
pub(crate) const REQUEST: usize = 100;
/// The answer.
pub(crate) const ANSWER: usize = 1000;
/// Connections that one process may have open: both ends of each are files of it.
pub(crate) const MOST: usize = 8000;

/// First step: `open` connections, each with a request and an answer. Second: `rate` connections a second for so many
/// milliseconds, one after the other; one that stays goes on. Then it waits until it may close. `port` is the first of two.
pub(super) fn connections(port: u16, open: usize, rate: usize, ms: usize) {
    let stay = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).expect("a listening socket");
    let churn = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port + 1)).expect("a listening socket");
    say("ready");
    stop_here();
    let mut held: Vec<_> = (0..open).map(|_| exchange(&stay, Ipv4Addr::new(127, 1, 0, 1), port)).collect();
    say("done");
    stop_here();
    let (begin, time) = (Instant::now(), Duration::from_millis(ms as u64));
    let mut made = 0;
    while begin.elapsed() < time {
        let due = (begin.elapsed().as_secs_f64() * rate as f64) as usize;
        while made < due && begin.elapsed() < time {
            let network = 1 + (made % usize::from(NETWORKS)) as u8;
            let (mut client, server) = exchange(&churn, Ipv4Addr::new(127, 2, network, 1), port + 1);
            client.shutdown(std::net::Shutdown::Write).expect("it is open");
            drop(server);
            // The end of the other side has come when this returns.
            assert_eq!(client.read(&mut [0]).expect("read"), 0);
            made += 1;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let (client, server) = held.first_mut().expect("at least one stays");
    transfer(client, server, 1 << 16);
    say(&format!("{made} {}", begin.elapsed().as_millis()));
    stop_here();
}

fn exchange(listener: &TcpListener, to: Ipv4Addr, port: u16) -> (TcpStream, TcpStream) {
    let mut client = TcpStream::connect((IpAddr::V4(to), port)).expect("connect");
    let (mut server, _) = listener.accept().expect("accept");
    transfer(&mut client, &mut server, REQUEST);
    transfer(&mut server, &mut client, ANSWER);
    (client, server)
}

/// As much as fits into buffers.
fn transfer(from: &mut TcpStream, to: &mut TcpStream, bytes: usize) {
    from.write_all(&vec![7; bytes]).expect("write");
    to.read_exact(&mut vec![0; bytes]).expect("read");
}
