//! RTSP 1.0 client (RFC 2326): cameras that are asked for their stream by URL.
//!
//! Everything but [`session`], [`connection`] and [`udp`] is sans-I/O: bytes and a time go in, bytes to send and media packets come out. Servers are
//! taken for hostile: heads, bodies, tracks, redirects and challenges are all bounded.

pub mod audio;
pub mod auth;
pub mod client;
pub mod connection;
pub mod message;
pub mod rtcp;
pub mod sdp;
pub mod session;
pub mod target;
pub mod tracks;
pub mod trust;
pub mod udp;
pub mod url;

/// Why an RTSP session is not to be had or has ended. Stable words for events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RtspFailure {
    /// The TCP connection was refused.
    Refused,
    /// No way to the server, or no answer to the connection.
    Unreachable,
    /// The server does not answer a request in time.
    Timeout,
    /// No user name is set, or the server did not accept it with its password.
    Unauthorised,
    /// The server knows no such stream (404, 454).
    NotFound,
    /// Another error status.
    Status,
    /// The description names no video that can be taken.
    NoMedia,
    /// The server will not send by the transport that is set (461).
    Transport,
    /// TLS cannot be spoken with the server.
    Tls,
    /// Nothing that we trust vouches for the server's certificate, or it is another one than is known.
    Certificate,
    /// Not RTSP, or beyond the bounds.
    Protocol,
    /// A redirect to an address that may not be dialled, or too many of them.
    Redirect,
    /// A standing session ended.
    Closed,
    /// No local ports are free.
    Ports,
}

impl RtspFailure {
    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Unauthorised => "unauthorised",
            Self::NotFound => "not_found",
            Self::Status => "status",
            Self::NoMedia => "no_media",
            Self::Transport => "transport",
            Self::Tls => "tls",
            Self::Certificate => "certificate",
            Self::Protocol => "protocol",
            Self::Redirect => "redirect",
            Self::Closed => "closed",
            Self::Ports => "ports",
        }
    }
}
