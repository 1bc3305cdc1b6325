//! HLS and Low-Latency HLS (RFC 8216, draft-pantos-hls-rfc8216bis): a stream as playlists, segments and parts.

//!
//! ```text
//! stream (its reactor) --feed--> ring --output--> connections (on any reactor): playlists, parts, segments
//! ticket --admission--> session, known by its key from then on
//! ```
//!
//! [`ring`], [`sound`], [`cadence`], [`playlist`] and [`request`] are without I/O. A stream has a ring from the first session on and until
//! the last one ends, by its grant, by a cut, or because its client asked for nothing for half a minute.

pub mod admission;
pub mod cadence;
pub mod connection;
pub mod feed;
mod lookup;
pub mod output;
pub mod pieces;
pub mod playlist;
pub mod request;
pub mod ring;
pub mod session;
pub mod sound;

/// The media type of playlists (RFC 8216 10).
pub const PLAYLIST_TYPE: &str = "application/vnd.apple.mpegurl";

#[cfg(test)]
mod tests;
