//! Open sockets without BPF, against what the iterator says of the same sockets.

use std::net::Shutdown;

use observer::snapshot::tcp::{Socket, State};

use crate::support::{
    needs_root,
    netns::Netns,
    seen,
    socket::{LOOPBACKS, Pair, begin_connect, cookie, full, listen, pair},
    sockets::Eyes,
    wait::wait_for,
};

/// A socket without what sock_diag cannot tell: interfaces, whether the window was used up, parts of a microsecond, the
/// cgroup of the process.
fn told_by_both(socket: &Socket) -> Socket {
    let mut socket = socket.clone();
    (socket.rx_ifindex, socket.tx_ifindex, socket.tx_spi) = (None, None, None);
    (socket.txhash, socket.cgroup) = (None, None);
    if let Some(owner) = &mut socket.owner {
        owner.cgroup = None;
    }
    let info = &mut socket.info;
    info.cwnd_limited = None;
    info.delivery_rate = info.delivery_rate.filter(|rate| *rate > 0);
    for time in [&mut info.srtt_ns, &mut info.mdev_ns] {
        *time = time.map(|ns| ns / 1000 * 1000);
    }
    socket
}

#[test]
fn sock_diag_and_the_iterator_say_the_same_of_a_socket_at_rest() {
    needs_root!("sock_diag_and_the_iterator_say_the_same_of_a_socket_at_rest");
    let mut eyes = Eyes::open();
    let netns = Netns::new();
    for ip in LOOPBACKS {
        let mut ends = netns.inside(|| pair(&listen(ip)));
        ends.send(1_234_567);
        ends.answer(7890);
        let half_closed = netns.inside(|| pair(&listen(ip)));
        half_closed.client.shutdown(Shutdown::Write).expect("it is connected");
        let (listener, filler) = netns.inside(|| full(ip));
        let attempt = netns.inside(|| begin_connect(listener.local_addr().expect("an address")));
        let sockets = |p: &Pair| [cookie(&p.client), cookie(&p.server)];
        let names = [sockets(&ends), sockets(&half_closed), [cookie(&filler), cookie(&attempt)]].concat();
        let mut states = Vec::new();
        for name in names {
            let [mut first, second] = wait_for("a socket at rest that both see with its owner", || {
                let by = |list: &[Socket]| list.iter().find(|s| s.cookie == name).map(told_by_both);
                let before = by(&eyes.iterator().list)?;
                let diag = by(&eyes.diag().list)?;
                let after = by(&eyes.iterator().list)?;
                (before == after && diag.owner.is_some() && after.owner.is_some()).then_some([after, diag])
            });
            assert_eq!(first.netns, netns.inode());
            // Younger fields of `struct tcp_info`.
            first.info.snd_wnd = first.info.snd_wnd.filter(|_| second.info.snd_wnd.is_some());
            first.info.rcv_wnd = first.info.rcv_wnd.filter(|_| second.info.rcv_wnd.is_some());
            assert_eq!(first, second, "the iterator's first");
            states.push(first.state);
        }
        seen!("{ip}: alike in {states:?}");
        assert_eq!(
            states,
            [
                State::Established,
                State::Established,
                State::FinWait2,
                State::CloseWait,
                State::Established,
                State::SynSent
            ]
        );
    }
}

#[test]
fn both_count_what_they_do_not_list() {
    needs_root!("both_count_what_they_do_not_list");
    let mut eyes = Eyes::open();
    let netns = Netns::new();
    let listeners: Vec<_> = netns.inside(|| (0..7).map(|n| listen(LOOPBACKS[n % 2])).collect());
    // The end that closes first is left in TIME_WAIT.
    for listener in listeners.iter().take(5) {
        let Pair { client, server } = netns.inside(|| pair(listener));
        client.shutdown(Shutdown::Both).expect("it is connected");
        drop(server);
        drop(client);
    }
    let [first, second] = wait_for("both to agree on what is there", || {
        let counts = eyes.look().map(|(_, s)| [s.listening, s.time_wait, s.syn_recv, s.namespaces]);
        (counts[0] == counts[1]).then_some(counts)
    });
    seen!("listening, TIME_WAIT, half open, namespaces: {first:?}");
    assert_eq!(first, second);
    assert!(first[0] >= 7 && first[1] >= 5, "{first:?}");
}
