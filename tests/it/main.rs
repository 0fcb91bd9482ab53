//! Integration tests: the real seawall in front of real registries, driven by real clients.
//!
//! One binary, so that everything is linked once. Every test starts what it needs on free ports of the loopback and
//! in temporary folders of its own; nothing of the machine's own configuration is read or changed. A tool that is
//! missing fails the test: `make test` installs them.

#[cfg(test)]
mod harness;

#[cfg(test)]
mod acr;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod clients;
#[cfg(test)]
mod conditions;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod content_cache;
#[cfg(test)]
mod contents;
#[cfg(test)]
mod data;
#[cfg(test)]
mod distribution_verifies;
#[cfg(test)]
mod endpoints;
#[cfg(test)]
mod firewall;
#[cfg(test)]
mod hosts;
#[cfg(test)]
mod identities;
#[cfg(test)]
mod life;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod logins;
#[cfg(test)]
mod management;
#[cfg(test)]
mod metadata;
#[cfg(test)]
mod mtls;
#[cfg(test)]
mod network;
#[cfg(test)]
mod proxies;
#[cfg(test)]
mod records;
#[cfg(test)]
mod registries;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod transfers;
#[cfg(test)]
mod trusted;
#[cfg(test)]
mod uploads;
#[cfg(test)]
mod upstreams;
#[cfg(test)]
mod walkthrough;
#[cfg(test)]
mod watching;
#[cfg(test)]
mod what_if;
