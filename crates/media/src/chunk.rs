//! What waits in a viewer's queue: bytes that reach it whole or not at all, shared by all viewers of a protocol.

use bytes::Bytes;

use crate::access_unit::AccessUnit;
use crate::fmp4::Fragment;
use crate::http;
use crate::outlets::flv;
use crate::ticket::Protocol;

/// Bytes that reach the viewer whole or not at all.
#[derive(Clone, Debug)]
pub struct Chunk {
    pub(crate) parts: [Bytes; 3],
    pub(crate) len: usize,
    pub(crate) kind: ChunkKind,
    pub(crate) queued_us: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChunkKind {
    /// Handshakes, messages, init segments.
    Preamble,
    /// A picture decoding may start with.
    KeyFrame,
    /// A picture that needs the ones before it.
    Delta,
    /// What sounds with the pictures around it, and goes with them.
    Sound,
}

impl ChunkKind {
    pub(crate) fn is_picture(self) -> bool {
        matches!(self, ChunkKind::KeyFrame | ChunkKind::Delta)
    }
}

impl Chunk {
    pub(crate) fn new(kind: ChunkKind, parts: [Bytes; 3], now_us: u64) -> Chunk {
        let len = parts.iter().map(Bytes::len).sum();
        Chunk {
            parts,
            len,
            kind,
            queued_us: now_us,
        }
    }

    /// Bytes that are neither picture nor container, such as a handshake.
    pub fn preamble(bytes: impl Into<Bytes>, now_us: u64) -> Chunk {
        Chunk::new(
            ChunkKind::Preamble,
            [bytes.into(), Bytes::new(), Bytes::new()],
            now_us,
        )
    }

    /// A picture for viewers of `protocol`. Made once per picture and protocol, cloned per viewer.
    pub fn picture(unit: &AccessUnit, protocol: Protocol, now_us: u64) -> Chunk {
        let kind = if unit.is_key_frame {
            ChunkKind::KeyFrame
        } else {
            ChunkKind::Delta
        };
        let parts = match protocol.is_flv() {
            true => flv::picture(unit, protocol),
            false => fragment_parts(&unit.fragment, protocol),
        };
        Chunk::new(kind, parts, now_us)
    }

    /// Sound for viewers of `protocol`.
    pub fn sound(fragment: &Fragment, protocol: Protocol, now_us: u64) -> Chunk {
        Chunk::new(ChunkKind::Sound, fragment_parts(fragment, protocol), now_us)
    }

    /// Its size on the wire.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

pub(crate) fn fragment_parts(fragment: &Fragment, protocol: Protocol) -> [Bytes; 3] {
    match protocol {
        // Nobody watches a talk; what a speaker gets are words of a WebSocket.
        Protocol::WebSocket | Protocol::WsFlv | Protocol::Talk | Protocol::Rtsp => {
            [fragment.websocket(), Bytes::new(), Bytes::new()]
        }
        Protocol::Http | Protocol::HttpFlv | Protocol::Hls => {
            let boxes = fragment.boxes();
            let head = Bytes::from(http::chunk_head(boxes.len()));
            [head, boxes, Bytes::from_static(http::CHUNK_END)]
        }
    }
}
