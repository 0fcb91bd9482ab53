//! The control plane: the resource API of `Microsoft.ContainerRegistry`, and its client.

pub mod client;
