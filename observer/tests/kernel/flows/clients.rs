//! Programs that many people measure networks with, at work between two namespaces.

use std::{
    io::{Read, Write},
    net::{IpAddr, TcpListener, TcpStream},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

use super::tunnels::need;
use crate::support::{netns::Netns, wait::wait_for};

/// Processes that share the receiver's CPU.
const SHARERS: usize = 4;
/// Port that clients ask for.
pub(super) const PORT: u16 = 5201;

/// iperf3 at both ends, or wrk and a server; they end with it.
#[derive(Debug)]
pub(crate) struct Client {
    processes: Vec<Child>,
    stop: Arc<AtomicBool>,
    server: Option<JoinHandle<()>>,
    /// True if the end that sends the bulk is the far one.
    pub(super) far_sends: bool,
}

impl Client {
    /// iperf3 sends from the near end, with further arguments. If a CPU is given, the receiver runs there, and has to share
    /// it with others that never rest and come first.
    pub(crate) fn iperf(
        (near, far): (&Netns, &Netns),
        to: IpAddr,
        arguments: &[&str],
        cpu: Option<u32>,
    ) -> Result<Self, String> {
        need("iperf3")?;
        let mut client = Self::none(false);
        let mut server = quiet("iperf3");
        server.args(["-s", "-1", "-B", &to.to_string()]);
        if let Some(cpu) = cpu {
            server.args(["-A", &cpu.to_string()]);
            nice(&mut server);
        }
        client.start(far, server)?;
        listening(far);
        for _ in 0..cpu.map_or(0, |_| SHARERS) {
            client.start(far, spinner(cpu.unwrap_or_default()))?;
        }
        let mut sender = quiet("iperf3");
        sender.args(["-c", &to.to_string(), "-t", "600", "--connect-timeout", "20000"]).args(arguments);
        client.start(near, sender)?;
        Ok(client)
    }

    /// wrk asks from the near end for `bytes`, by four connections; a server at the far end answers after `think`.
    pub(crate) fn requests(
        (near, far): (&Netns, &Netns),
        to: IpAddr,
        bytes: usize,
        think: Duration,
    ) -> Result<Self, String> {
        need("wrk")?;
        let mut client = Self::none(true);
        let listener = far.inside(|| TcpListener::bind((to, PORT)).expect("a listening socket"));
        listener.set_nonblocking(true).expect("non-blocking");
        let stop = Arc::clone(&client.stop);
        client.server = Some(std::thread::spawn(move || serve(&listener, &stop, bytes, think)));
        let mut wrk = quiet("wrk");
        wrk.args(["-t", "1", "-c", "4", "-d", "600s", &format!("http://{to}:{PORT}/")]);
        client.start(near, wrk)?;
        Ok(client)
    }

    fn none(far_sends: bool) -> Self {
        Self { processes: Vec::new(), stop: Arc::default(), server: None, far_sends }
    }

    fn start(&mut self, end: &Netns, mut command: Command) -> Result<(), String> {
        let process = end.inside(|| command.spawn()).map_err(|e| format!("{command:?}: {e}"))?;
        self.processes.push(process);
        Ok(())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
        self.server.take().into_iter().for_each(|server| server.join().expect("the server does not panic"));
    }
}

/// A process that keeps a CPU busy.
fn spinner(cpu: u32) -> Command {
    let mut command = quiet("sh");
    command.args(["-c", "while :; do :; done"]);
    let mut there = CpuSet::new();
    there.set(cpu as usize).expect("there are so many CPUs");
    // SAFETY: between fork and exec only one system call is made.
    unsafe { command.pre_exec(move || Ok(sched_setaffinity(Pid::from_raw(0), &there)?)) };
    command
}

/// Lets a process have a thirtieth of the time that others get (the weight of nice 15).
fn nice(command: &mut Command) {
    let set = || {
        // SAFETY: the call has no preconditions.
        let done = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 15) };
        if done == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    };
    // SAFETY: between fork and exec only one system call is made.
    unsafe { command.pre_exec(set) };
}

fn quiet(program: &str) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Waits until somebody listens on the port.
fn listening(end: &Netns) {
    let port = format!(":{PORT:04X} ");
    wait_for("iperf3 to listen", || {
        let text = ["tcp", "tcp6"].map(|file| end.file(&format!("net/{file}"))).concat();
        // State 0A is LISTEN.
        text.lines().any(|line| line.contains(&port) && line.contains(" 0A ")).then_some(())
    });
}

/// Answers each request, a thread for each connection.
fn serve(listener: &TcpListener, stop: &Arc<AtomicBool>, bytes: usize, think: Duration) {
    let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n").into_bytes();
    answer.resize(answer.len() + bytes, b'x');
    std::thread::scope(|scope| {
        while !stop.load(Ordering::Relaxed) {
            match listener.accept() {
                Ok((stream, _)) => drop(scope.spawn(|| converse(stream, stop, &answer, think))),
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    });
}

fn converse(mut stream: TcpStream, stop: &AtomicBool, answer: &[u8], think: Duration) {
    stream.set_nonblocking(false).expect("blocking");
    stream.set_nodelay(true).expect("no delay");
    stream.set_read_timeout(Some(Duration::from_millis(100))).expect("a time-out");
    let mut request = [0; 4096];
    while !stop.load(Ordering::Relaxed) {
        match stream.read(&mut request) {
            // A request of wrk is smaller than a segment.
            Ok(len) if len > 0 => {
                std::thread::sleep(think);
                if stream.write_all(answer).is_err() {
                    return;
                }
            }
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
            _ => return,
        }
    }
}
