//! HLS and Low-Latency HLS (RFC 8216, draft-pantos-hls-rfc8216bis): a stream as playlists, segments and parts.

pub mod cadence;
pub mod playlist;
pub mod ring;

#[cfg(test)]
mod tests;
