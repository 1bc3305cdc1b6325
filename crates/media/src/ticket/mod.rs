//! Media tickets: the signed, single-use right to open one stream by one protocol, soon and until a moment.
//!
//! The token is `base64url(payload || HMAC-SHA256(key, payload))` without padding. The payload, big-endian:
//!
//! ```text
//! offset  size  field
//! 0       1     version: 1, or 2 for one that names from where it may be used
//! 1       1     protocol: 1 HTTP, 2 WebSocket, 3 talk (the stream id is that of the talk), 4 RTSP, 5 HLS,
//!               6 FLV over HTTP, 7 FLV over WebSocket
//! 2       8     start_by, milliseconds UTC since 1970
//! 10      8     end_by, milliseconds UTC since 1970
//! 18      16    nonce
//! 34      ...   in version 2 only: family (4 or 6), prefix length, network address of 4 or 16 bytes
//! ...     ...   stream_id, access_id, grant_id: each a length byte (1-128) and as many characters
//! ```
//!
//! `src/commonview/media/tickets.py` is the signing side.
//!
//! [`Verifier`] checks signatures and times, [`TicketBook`] that a ticket is used once and not after a cut.
//! [`ExpectedPlayers`] keeps the tickets of players that sign in with a name and a password.

mod book;
mod expected;
mod peers;
mod verifier;

pub use book::TicketBook;
pub use expected::{EXPECTED_MAX, ExpectedPlayers};
pub use peers::Peers;
pub use verifier::{KEY_MIN, Verifier};

use std::net::IpAddr;

/// The longest id a ticket can carry.
pub const ID_MAX: usize = 128;
/// A ticket whose `start_by` lies further ahead than this is refused.
pub const START_WITHIN_MAX_MS: u64 = 60_000;

/// The one-time number inside a ticket.
pub type Nonce = [u8; 16];

/// How a viewer reads a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// fMP4 as one endless HTTP/1.1 response.
    Http,
    /// fMP4 as WebSocket messages.
    WebSocket,
    /// Not reading but speaking: G.711 in WebSocket messages to a talk.
    Talk,
    /// RTSP, for other programs' players.
    Rtsp,
    /// Playlists, segments and parts: many requests under one ticket.
    Hls,
    /// FLV as one endless HTTP/1.1 response.
    HttpFlv,
    /// FLV as WebSocket messages.
    WsFlv,
}

impl Protocol {
    /// Whether what it carries are messages of a WebSocket.
    pub fn is_websocket(self) -> bool {
        matches!(self, Protocol::WebSocket | Protocol::Talk | Protocol::WsFlv)
    }

    /// Whether pictures go as FLV.
    pub fn is_flv(self) -> bool {
        matches!(self, Protocol::HttpFlv | Protocol::WsFlv)
    }

    /// The protocol's word in events.
    pub fn word(self) -> &'static str {
        match self {
            Protocol::Http => "http",
            Protocol::WebSocket => "ws",
            Protocol::Talk => "talk",
            Protocol::Rtsp => "rtsp",
            Protocol::Hls => "hls",
            Protocol::HttpFlv => "http-flv",
            Protocol::WsFlv => "ws-flv",
        }
    }
}

/// What one viewer may open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The stream to be read.
    pub stream_id: String,
    /// The access record this viewing is written down in.
    pub access_id: String,
    /// The grant that allows it.
    pub grant_id: String,
    /// The only protocol the ticket is good for.
    pub protocol: Protocol,
    /// Connect before this moment, milliseconds UTC.
    pub start_by_ms: u64,
    /// The viewer is cut at this moment, milliseconds UTC.
    pub end_by_ms: u64,
    /// The one-time number.
    pub nonce: Nonce,
    /// From where it may be used; none for anywhere.
    pub peers: Option<Peers>,
}

impl Ticket {
    /// Whether it may be used from this address.
    pub fn admits(&self, address: IpAddr) -> bool {
        self.peers.is_none_or(|peers| peers.admits(address))
    }
}

/// Why a ticket was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No ticket came with the request.
    Missing,
    /// Not a ticket at all.
    Malformed,
    /// The signature is not ours.
    Forged,
    /// Good for the other protocol.
    WrongProtocol,
    /// Good for another stream than the path names.
    WrongStream,
    /// `start_by` lies too far ahead.
    StartTooFar,
    /// `start_by` has passed.
    Expired,
    /// `end_by` has passed.
    Ended,
    /// Presented before.
    Reused,
    /// Its grant or access was cut.
    Cut,
    /// Used from another address than it is good for.
    WrongAddress,
    /// The node has no such stream.
    StreamUnknown,
    /// Too many used tickets to remember another one.
    Overloaded,
}

impl Refusal {
    /// Every refusal, for counters.
    pub const ALL: [Refusal; 13] = [
        Refusal::Missing,
        Refusal::Malformed,
        Refusal::Forged,
        Refusal::WrongProtocol,
        Refusal::WrongStream,
        Refusal::StartTooFar,
        Refusal::Expired,
        Refusal::Ended,
        Refusal::Reused,
        Refusal::Cut,
        Refusal::WrongAddress,
        Refusal::StreamUnknown,
        Refusal::Overloaded,
    ];

    /// The stable word of this refusal.
    pub fn word(self) -> &'static str {
        match self {
            Refusal::Missing => "missing",
            Refusal::Malformed => "malformed",
            Refusal::Forged => "forged",
            Refusal::WrongProtocol => "wrong_protocol",
            Refusal::WrongStream => "wrong_stream",
            Refusal::StartTooFar => "start_too_far",
            Refusal::Expired => "expired",
            Refusal::Ended => "ended",
            Refusal::Reused => "reused",
            Refusal::Cut => "cut",
            Refusal::WrongAddress => "wrong_address",
            Refusal::StreamUnknown => "stream_unknown",
            Refusal::Overloaded => "overloaded",
        }
    }
}

/// Whether `id` can stand in a ticket and in a URL path.
pub fn is_valid_id(id: &str) -> bool {
    (1..=ID_MAX).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte))
}
