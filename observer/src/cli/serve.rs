//! `observer serve`: a target for Prometheus.

use std::{io, net::SocketAddr, process::ExitCode, time::Duration};

use anyhow::Context;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

use super::{
    Global, config, duration, live,
    watched::{self, Watched},
};
use crate::output::{
    http::{self, Limits},
    metrics::{
        Exporter,
        sampler::{Pace, Sampler},
    },
};

/// Scrapes closer together than this share a snapshot.
const MIN_AGE: Duration = Duration::from_millis(500);

/// Options of `observer serve`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Address and port to listen on; port 0 takes a free one and says which on stdout
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:19435", value_parser = address)]
    pub listen: SocketAddr,
    /// Processes, cgroups, ports and namespaces that a metric names at most; the rest is in "other"
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub top: u16,
    /// Time after which a snapshot is taken although nobody scrapes, for the findings
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration::interval)]
    pub interval: Duration,
    /// What to look at.
    #[command(flatten)]
    pub look: live::Args,
    /// Storing of OOM kills.
    #[command(flatten)]
    pub watch: watched::Args,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "write an IP address and a port, such as 127.0.0.1:19435 or [::1]:19435".to_owned())
}

/// Runs the command.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    let exporter = Exporter::new(args.top.into()).judging_by(config::thresholds(global)?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the runtime")?;
    let code = runtime.block_on(serve(args, exporter));
    // What is still being encoded has nobody left to read it.
    runtime.shutdown_background();
    code
}

async fn serve(args: &Args, exporter: Exporter) -> anyhow::Result<ExitCode> {
    // The port comes first: whoever gets none should not have loaded programs into the kernel.
    let listener = TcpListener::bind(args.listen).await.map_err(|e| cannot_listen(args.listen, &e))?;
    let at = listener.local_addr().context("asking for the address that is listened on")?;
    let mut terminate = signal(SignalKind::terminate()).context("waiting for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("waiting for SIGINT")?;

    let (watch, look) = (args.watch.clone(), args.look.clone());
    let pace = Pace { interval: args.interval, min_age: MIN_AGE };
    let (sampler, thread) = Sampler::start(move || Watched::new(&watch, &look), exporter, pace)
        .context("starting the thread that takes snapshots")?;

    println!("observer: metrics at http://{at}/metrics");
    let watched = sampler.clone();
    let mut failed = false;
    let shutdown = async {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: ending"),
            _ = interrupt.recv() => tracing::info!("SIGINT: ending"),
            () = watched.ended() => failed = true,
        }
    };
    http::serve(listener, http::router(sampler), Limits::default(), shutdown).await;
    drop(watched);
    // The thread ends when nobody can ask it any more; its sources are closed there, the kernel's probes with them.
    let joined = tokio::task::spawn_blocking(move || thread.join()).await;
    anyhow::ensure!(!failed && matches!(joined, Ok(Ok(()))), "the thread that takes snapshots panicked");
    Ok(ExitCode::SUCCESS)
}

fn cannot_listen(at: SocketAddr, error: &io::Error) -> anyhow::Error {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            anyhow::anyhow!("cannot listen on {at}: the port is in use; choose another one with --listen")
        }
        io::ErrorKind::AddrNotAvailable => {
            anyhow::anyhow!("cannot listen on {at}: this host does not have the address {}", at.ip())
        }
        io::ErrorKind::PermissionDenied => {
            anyhow::anyhow!("cannot listen on {at}: no permission; a port below 1024 needs CAP_NET_BIND_SERVICE")
        }
        _ => anyhow::anyhow!("cannot listen on {at}: {error}"),
    }
}
