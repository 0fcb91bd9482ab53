//! What operators see: metrics, the audit log, the process log.
//!
//! The one room that knows Prometheus. Everything that becomes a label or a fixed word of the audit log is an enum in
//! `labels`, so that neither a repository name nor an address can ever multiply time series.

pub mod audit;
mod labels;
pub mod log;
pub mod metrics;

pub use labels::{
    Cache, ContentResult, Direction, Noted, OperationClass, Outcome, RefusedConnection, Reload, StatusClass,
    UpstreamCall,
};
