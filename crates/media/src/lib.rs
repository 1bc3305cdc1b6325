//! Commonview media core: bytes on the wire become streams, streams become viewers' pictures.
//!
//! Everything named here is sans-I/O: bytes and a time go in, values come out. Sockets, threads
//! and clocks live in the reactor.
#![deny(unsafe_code)]

pub mod access_unit;
pub mod audio;
pub mod cache;
pub mod fmp4;
pub mod ingest;
pub mod parameters;
