//! Docker, and Podman through its Docker-compatible API.
//!
//! Thin I/O: what goes out is made by `write`, what comes back is read by
//! `read`, both pure. Every call has a time limit of its own; the client's is
//! switched off, because a stop or a migration takes longer than any default.
//!
//! Objects without lfctl's label are never changed or removed, whatever name
//! the caller gives.

mod api;
mod call;
mod client;
mod connect;
mod containers;
mod context;
mod image;
mod make;
mod own;
mod raw;
mod read;
mod resources;
mod seal;
mod stream;
mod transfer;
mod write;

pub use client::Docker;
