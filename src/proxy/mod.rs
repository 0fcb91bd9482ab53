//! The data plane: one file per step of a request's journey.
//!
//! | step | file |
//! |---|---|
//! | 1 listener | `listener/` |
//! | 2 source | `source/`, called from `journey` |
//! | 3–8 registry, admission, route, credential, principal, authorization | `journey`, `locks` |
//! | 9 forward, unless it is `kept` | `forward`, `peer`, `relay/`, `redirect`, `upload`, `minter` |
//! | 10 rewrite | `returned`, `rewrite`, `upload`, `learn` |
//! | 11 audit | `trail`, `record` |
//!
//! `mutual_tls` says what a client's certificate means in steps 3 and 6.
//! At a data endpoint steps 5 to 8 are `data_endpoint`'s.
//!
//! `serve` takes a request through these steps as far as pingora is not needed, `gate` holds pingora's hooks for the rest; `client`
//! is what both know of whoever asks. `reject` says what a client sees of every refusal, `token_endpoint` and `exchange` are the
//! logins, which come as what `form` reads, `sign_in` where people sign in, `metadata` what is known of a registry's contents.

mod answer;
mod client;
mod client_body;
mod data_endpoint;
mod door;
mod exchange;
mod form;
mod forward;
mod gate;
mod http1;
mod journey;
mod kept;
mod learn;
pub mod listener;
mod locks;
mod metadata;
mod minter;
mod mutual_tls;
mod passage;
mod peer;
mod record;
mod redirect;
mod reject;
mod relay;
mod returned;
mod rewrite;
mod serve;
mod sign_in;
pub mod source;
mod target;
mod token_endpoint;
mod trail;
mod upload;

pub use gate::Gate;
pub use minter::Minter;
pub use passage::Shared;
