//! Streams that leave for a program beside the server, and streams that come from one: a transcoder takes the one and gives the other.
//!
//! Both go over a Unix socket pair whose other end belongs to whoever asked for it inside this process. Nothing of it is named
//! in the file system or on the network, so there is no way here but by the control plane's hand.
//!
//! [`frame`] is what is said on the sockets, [`tap`] a stream's way out; a fed stream is a stream like any other. The
//! tasks that read and write stand in the reactor.

pub mod frame;
pub mod tap;
