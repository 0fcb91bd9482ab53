//! The listener for machines that watch us: `/metrics`, `/healthz`, `/readyz`.
//!
//! It runs on a thread of its own and stops with the process, so that it still answers while the data plane drains or is
//! overloaded. It knows no policy and authenticates nobody: it belongs on loopback or a management network, never on a
//! public listener.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use serde::Serialize;

/// The format that Prometheus and everything like it reads.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Whether requests should be sent here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Status {
    /// No policy yet.
    Starting,
    /// All is well.
    Ready,
    /// Requests are answered, but something of the store is not in force: it is lost, or not all of it can be used.
    Degraded,
    /// On the way out.
    Draining,
}

/// The answer of `/readyz`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Readiness {
    /// 200 for `Ready` and `Degraded`, else 503.
    pub(super) status: Status,
    /// The version of the policy in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) policy_version: Option<u64>,
    /// Why it is not simply ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<&'static str>,
}

/// The listener, bound but not yet answering.
#[derive(Debug)]
pub(super) struct Probes {
    socket: TcpListener,
}

impl Probes {
    /// Takes the port, so that a start can fail before anything runs.
    pub(super) fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpListener::bind(address)?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket })
    }

    /// Where it listens, with the port that the system chose if 0 was asked for.
    #[cfg(test)]
    fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// Answers from now on until the process ends. Both closures run on the listener's own thread, for every request.
    pub(super) fn start(
        self,
        metrics: impl Fn() -> String + Send + Sync + 'static,
        readiness: impl Fn() -> Readiness + Send + Sync + 'static,
    ) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (metrics, readiness) = (Arc::new(metrics), Arc::new(readiness));
        let routes = Router::new()
            .route("/metrics", get(async move || ([(header::CONTENT_TYPE, TEXT_FORMAT)], metrics())))
            .route("/healthz", get(async || "ok\n"))
            .route("/readyz", get(async move || answer(&readiness())));
        let socket = {
            let _runtime = runtime.enter();
            tokio::net::TcpListener::from_std(self.socket)?
        };
        thread::Builder::new().name("probes".to_owned()).spawn(move || {
            if let Err(error) = runtime.block_on(axum::serve(socket, routes).into_future()) {
                tracing::error!(%error, "the metrics listener ended");
            }
        })?;
        Ok(())
    }
}

fn answer(readiness: &Readiness) -> impl IntoResponse + use<> {
    let code = match readiness.status {
        Status::Ready | Status::Degraded => StatusCode::OK,
        Status::Starting | Status::Draining => StatusCode::SERVICE_UNAVAILABLE,
    };
    match serde_json::to_string(readiness) {
        Ok(body) => (code, [(header::CONTENT_TYPE, "application/json")], body),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, [(header::CONTENT_TYPE, "application/json")], String::new()),
    }
}

#[cfg(test)]
mod tests;
