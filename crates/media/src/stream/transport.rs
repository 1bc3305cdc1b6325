//! How a stream was negotiated, and whose packets it expects.

use std::net::IpAddr;

use crate::ingest::SsrcPolicy;

/// How a stream was negotiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// RTP over UDP.
    Udp,
    /// The camera dials us.
    TcpPassive,
    /// We dial the camera.
    TcpActive,
}

impl Transport {
    /// The transport named by a word of the settings.
    pub fn from_word(word: &str) -> Option<Transport> {
        Some(match word {
            "udp" => Transport::Udp,
            "tcp-passive" => Transport::TcpPassive,
            "tcp-active" => Transport::TcpActive,
            _ => return None,
        })
    }

    /// The word of the settings.
    pub fn word(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::TcpPassive => "tcp-passive",
            Transport::TcpActive => "tcp-active",
        }
    }
}

/// Counters of the receiving sockets, kept by [`crate::receiver`].
#[derive(Clone, Copy, Debug, Default)]
pub struct SocketCounters {
    /// RTCP packets drained beside the media.
    pub rtcp_packets: u64,
    /// Media connections taken.
    pub tcp_connections: u64,
    /// Connections refused because another peer's stands.
    pub foreign_sources: u64,
}

/// Whose packets a stream expects.
#[derive(Clone, Copy, Debug)]
pub struct ExpectedSender {
    /// Which SSRC to accept.
    pub ssrc: SsrcPolicy,
    /// Where it signals from, when that is known.
    pub home: Option<IpAddr>,
}

impl Default for ExpectedSender {
    fn default() -> Self {
        Self {
            ssrc: SsrcPolicy::Learn(None),
            home: None,
        }
    }
}
