//! What operators see: metrics, the audit log, the process log.
