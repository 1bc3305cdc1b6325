//! Fragmented MP4 (ISO/IEC 14496-12) for live viewers: an init segment per generation, a fragment per access unit.

use bytes::Bytes;

/// Room for the longest WebSocket server frame header (RFC 6455 5.2: 2 + 8 bytes, unmasked).
pub const WEBSOCKET_ROOM: usize = 10;

/// fMP4 bytes with a ready-made WebSocket binary frame header in front, in one shared allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// The whole allocation.
    pub buffer: Bytes,
    /// Where the WebSocket frame begins in `buffer`.
    pub ws_offset: usize,
    /// Where the fMP4 boxes begin in `buffer`.
    pub payload_offset: usize,
}

impl Fragment {
    /// The bytes to write to a WebSocket viewer: frame header and boxes.
    pub fn websocket(&self) -> Bytes {
        self.buffer.slice(self.ws_offset..)
    }

    /// The bytes to write to an HTTP viewer or a file: boxes only.
    pub fn boxes(&self) -> Bytes {
        self.buffer.slice(self.payload_offset..)
    }
}
