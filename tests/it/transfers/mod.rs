//! Transfers are sound: every way to send and to ask for content works against real registries, streams in bounded memory,
//! and ends in bounded time when one side stops (field 3.1; wire contract R5, R10, R16).

mod connections;
mod http2;
mod large;
mod refusals;
mod registry;
mod stalls;
