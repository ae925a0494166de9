//! A little work for the kernel: faults and loopback traffic, for as long as it lives.

use std::{
    hint::black_box,
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

/// Bytes of memory that are touched and given back, again and again.
const MEMORY: usize = 32 << 20;

/// Threads that fault and send until this is dropped.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    connection: TcpStream,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts to work.
    pub(crate) fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut receiver, _) = listener.accept().unwrap();
        let connection = receiver.try_clone().unwrap();
        let stopped = || {
            let stop = Arc::clone(&stop);
            move || stop.load(Ordering::Relaxed)
        };
        let (faulting, sending) = (stopped(), stopped());
        let threads = vec![
            thread::spawn(move || {
                let mut size = MEMORY;
                while !faulting() {
                    let mut memory = vec![0u8; size];
                    memory.iter_mut().step_by(4096).for_each(|b| *b = 1);
                    black_box(&memory);
                    // Of changing size, so that two rates are not the same.
                    size = if size > 4 * MEMORY { MEMORY } else { size + (3 << 20) };
                }
            }),
            thread::spawn(move || {
                let block = [0u8; 16 << 10];
                while !sending() && sender.write_all(&block).is_ok() {}
            }),
            thread::spawn(move || {
                let mut block = [0u8; 16 << 10];
                while receiver.read(&mut block).is_ok_and(|n| n > 0) {}
            }),
        ];
        Self { stop, connection, threads }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.connection.shutdown(Shutdown::Both);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
    }
}
