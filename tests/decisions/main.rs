//! The rules from the outside: a text in YAML is compiled, and decisions are made with what comes of it.
//!
//! No server, no network, no files: what documents refer to is answered by a stand-in.

#[cfg(test)]
mod anonymous;
#[cfg(test)]
mod authenticator;
#[cfg(test)]
mod compile;
#[cfg(test)]
mod conditions;
#[cfg(test)]
mod explain;
#[cfg(test)]
mod identities;
#[cfg(test)]
mod layers;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod links;
#[cfg(test)]
mod lint;
#[cfg(test)]
mod locks;
#[cfg(test)]
mod manage;
#[cfg(test)]
mod matrix;
#[cfg(test)]
mod policy;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod shadow;
#[cfg(test)]
mod sign_in;
#[cfg(test)]
mod stored_identities;
#[cfg(test)]
mod trusted;
#[cfg(test)]
mod what_if;
