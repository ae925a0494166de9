//! Accepts connections and bounds what a client may take of the host.

use std::{future::Future, pin::pin, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    time::{sleep, timeout},
};

/// What a client may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at one time; more wait to be accepted.
    pub connections: usize,
    /// Time for the header of a request, and between two requests of a connection.
    pub header_time: Duration,
    /// Time after which a connection may finish its request and begin no other.
    pub connection_time: Duration,
    /// Time to finish a request when the server or the connection ends.
    pub grace: Duration,
    /// Bytes of a request's header.
    pub header_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            header_time: Duration::from_secs(10),
            connection_time: Duration::from_secs(120),
            grace: Duration::from_secs(5),
            header_bytes: 16 * 1024,
        }
    }
}

/// Serves until `shutdown` is done, then lets the requests that are being answered finish within [`Limits::grace`].
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, shutdown: impl Future<Output = ()>) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let (stop, stopped) = watch::channel(());
    let mut shutdown = pin!(shutdown);
    loop {
        let accept = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            accepted = accept => accepted,
            () = &mut shutdown => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of descriptors or memory: the connection stays in the queue, so trying at once would spin.
                tracing::warn!("accepting a connection failed: {error}");
                sleep(Duration::from_millis(200)).await;
                continue;
            }
        };
        let (router, stopped) = (router.clone(), stopped.clone());
        tokio::spawn(async move {
            connection(stream, router, limits, stopped).await;
            drop(place);
        });
    }
    drop(listener);
    drop(stopped);
    // An error means that no connection is left to tell.
    let _ = stop.send(());
    if timeout(limits.grace, stop.closed()).await.is_err() {
        tracing::warn!("a client did not take its answer in time; closing");
    }
}

async fn connection(stream: TcpStream, router: Router, limits: Limits, mut stopped: watch::Receiver<()>) {
    // Answers are written whole: waiting for more to send would only delay them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!("TCP_NODELAY: {error}");
    }
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_time)
        .max_buf_size(limits.header_bytes)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        _ = stopped.changed() => None,
        () = sleep(limits.connection_time) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            match timeout(limits.grace, connection).await {
                Ok(ended) => ended,
                Err(_) => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!("connection: {error}");
    }
}
