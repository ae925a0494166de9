//! Signals that end the screen, also when its thread hangs in a write to a terminal that takes no more.

use std::{thread, time::Duration};

use anyhow::Context as _;
use nix::sys::signal::Signal;
use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

use super::term;

/// How long the screen may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(2);

/// Listens on a thread of its own, and sends the first signal that asks for the end.
pub(super) fn listen() -> anyhow::Result<mpsc::Receiver<Signal>> {
    let (sender, receiver) = mpsc::channel(1);
    let runtime = Builder::new_current_thread().enable_all().build().context("cannot listen to signals")?;
    let streams = {
        let _inside = runtime.enter();
        [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT]
            .into_iter()
            .map(|s| Ok((s, signal(SignalKind::from_raw(s as i32))?)))
            .collect::<std::io::Result<Vec<_>>>()
            .context("cannot listen to signals")?
    };
    let listening = async move {
        let mut streams = streams.into_iter();
        let (Some((a, mut on_a)), Some((b, mut on_b)), Some((c, mut on_c))) =
            (streams.next(), streams.next(), streams.next())
        else {
            return;
        };
        let got = tokio::select! {
            _ = on_a.recv() => a,
            _ = on_b.recv() => b,
            _ = on_c.recv() => c,
        };
        if sender.send(got).await.is_err() {
            return;
        }
        tokio::time::sleep(PATIENCE).await;
        term::give_back();
        std::process::exit(128 + got as i32);
    };
    thread::Builder::new()
        .name("observer-signals".to_owned())
        .spawn(move || runtime.block_on(listening))
        .context("cannot start the thread that listens to signals")?;
    Ok(receiver)
}
