//! RTSP 1.0 server (RFC 2326, with the corrections of RFC 7826): a stream for whatever player speaks it.
//!
//! ```text
//! door      a connection says who it is: a ticket in its URL, or a digest made with one that was deposited
//!   '-> task      it moves to the reactor of its stream and is attended there
//!         '-> player    its session, its queue, its sockets
//! packets -> feed     each picture is packed into RTP once a stream; every player sends the same octets
//! ```
//!
//! [`request`], [`session`], [`description`], [`packets`], [`digest`], [`queue`] and [`reports`] are sans-I/O. A session is its connection: nobody else can steer it, and
//! it ends with it. Players of a stream share SSRC and numbering, so that a picture costs each of them one write; what a slow
//! player was not sent shows in its numbering as loss, which it is.

pub mod description;
pub mod digest;
mod door;
pub mod feed;
mod group;
pub mod packets;
mod player;
pub mod queue;
pub mod reports;
pub mod request;
pub mod session;
mod task;
mod wall_clock;

pub use door::{NewPlayer, serve};
pub use player::Player;
pub use task::start;
