//! The HTTP side of `observer serve`: `/metrics`, `/-/healthy`, `/-/ready` and a page for people.

mod landing;
mod negotiate;
mod server;

pub use server::{Limits, serve};

use std::time::Duration;

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};

use super::metrics::sampler::Sampler;

/// Time that a scrape may take where the client does not say.
const SCRAPE_TIME: Duration = Duration::from_secs(10);
/// The longest time that a client may ask for.
const LONGEST_SCRAPE_TIME: Duration = Duration::from_secs(60);
/// Prometheus says how long it waits, in seconds.
const SCRAPE_TIMEOUT: HeaderName = HeaderName::from_static("x-prometheus-scrape-timeout-seconds");

/// The routes.
pub fn router(sampler: Sampler) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/metrics", get(metrics))
        .route("/-/healthy", get(|| async { text(StatusCode::OK, "observer is healthy\n") }))
        .route("/-/ready", get(ready))
        .fallback(|| async {
            text(StatusCode::NOT_FOUND, "not found: there are /, /metrics, /-/healthy and /-/ready\n")
        })
        .method_not_allowed_fallback(|| async { text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n") })
        .with_state(sampler)
}

async fn metrics(State(sampler): State<Sampler>, headers: HeaderMap) -> Response {
    let page = match tokio::time::timeout(scrape_time(&headers), sampler.page()).await {
        Ok(Ok(page)) => page,
        Ok(Err(ended)) => return text(StatusCode::SERVICE_UNAVAILABLE, format!("{ended}\n")),
        Err(_) => return text(StatusCode::SERVICE_UNAVAILABLE, "the snapshot took too long\n"),
    };
    let format = negotiate::format(&joined(&headers, header::ACCEPT));
    let gzip = negotiate::gzip(&joined(&headers, header::ACCEPT_ENCODING));
    // Milliseconds of work with many series: not on the thread that accepts.
    let body = tokio::task::spawn_blocking(move || page.body(format, gzip)).await;
    let body = match body {
        Ok(Ok(body)) => body,
        Ok(Err(error)) => return text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        Err(error) => return text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    };
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    headers.insert(header::VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

async fn ready(State(sampler): State<Sampler>) -> Response {
    match sampler.latest() {
        Some(_) => text(StatusCode::OK, "observer is ready\n"),
        None => text(StatusCode::SERVICE_UNAVAILABLE, "the first snapshot has not been taken yet\n"),
    }
}

async fn page(State(sampler): State<Sampler>) -> Response {
    let html = landing::page(sampler.latest().as_deref());
    let mut response = Response::new(Body::from(html));
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        // The page needs nothing but its own style; what a name might smuggle in finds no way to run.
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn text(status: StatusCode, body: impl Into<Body>) -> Response {
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (status, headers, body.into()).into_response()
}

/// All values of a header as one list; what is no text is left out.
fn joined(headers: &HeaderMap, name: HeaderName) -> String {
    let values: Vec<_> = headers.get_all(name).iter().filter_map(|v| v.to_str().ok()).collect();
    values.join(",")
}

/// Half a second less than the client waits, so that it gets an answer and not a cut connection.
fn scrape_time(headers: &HeaderMap) -> Duration {
    let asked = headers.get(SCRAPE_TIMEOUT).and_then(|v| v.to_str().ok()?.parse().ok());
    let asked = asked.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    asked.map_or(SCRAPE_TIME, |time| {
        time.saturating_sub(Duration::from_millis(500)).clamp(Duration::from_millis(500), LONGEST_SCRAPE_TIME)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrape_ends_before_the_client_gives_up() {
        let time = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(SCRAPE_TIMEOUT, HeaderValue::from_static(value));
            scrape_time(&headers).as_secs_f64()
        };
        assert_eq!(time("10"), 9.5);
        assert_eq!(time("0.1"), 0.5);
        assert_eq!(time("1e300"), SCRAPE_TIME.as_secs_f64());
        assert_eq!(time("NaN"), SCRAPE_TIME.as_secs_f64());
        assert_eq!(time("86400"), 60.0);
    }
}
