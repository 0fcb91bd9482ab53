//! The registry protocol's words: names, references, digests, routes, scopes, challenges, error codes. No I/O.
