//! Private endpoints and virtual networks: what balancers and listeners say about where a connection comes from (S2-6 to
//! S2-11, threat class N).

mod approval;
mod marks;
mod networks;
mod world;
