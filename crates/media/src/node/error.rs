//! Why a command to the node was not carried out.

use std::fmt;

use crate::ports::PortsExhausted;
use crate::wire::IdentityError;

/// Why a command was not carried out.
#[derive(Debug)]
pub enum NodeError {
    /// No ports.
    PortsExhausted(PortsExhausted),
    /// No such stream.
    StreamUnknown(String),
    /// Open already.
    StreamExists(String),
    /// Not a stream that is dialled.
    NotActive(String),
    /// No sender, file or talk of that id.
    OutputUnknown(String),
    /// A sender, file or talk of that id exists already.
    OutputExists(String),
    /// A value that makes no sense; says which and why.
    Invalid(String),
    /// The certificate or key that the outlet is to show.
    Certificate(IdentityError),
    /// Closed, not startable or not answering; says which.
    Unavailable(String),
    /// The outlet for RTSP players cannot be bound; says why.
    RtspUnavailable(String),
}

impl NodeError {
    /// The stable word, as `commonview.media.errors` knows it.
    pub fn code(&self) -> &'static str {
        match self {
            NodeError::PortsExhausted(_) => "media_ports_exhausted",
            NodeError::StreamUnknown(_) => "media_stream_unknown",
            NodeError::StreamExists(_) => "media_stream_exists",
            NodeError::NotActive(_) => "media_transport_mismatch",
            NodeError::OutputUnknown(_) => "media_output_unknown",
            NodeError::OutputExists(_) => "media_output_exists",
            NodeError::Invalid(_) => "media_invalid_argument",
            NodeError::Certificate(_) => "media_certificate_unusable",
            NodeError::Unavailable(_) => "media_node_unavailable",
            NodeError::RtspUnavailable(_) => "media_rtsp_unavailable",
        }
    }
}

impl fmt::Display for NodeError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NodeError::PortsExhausted(error) => error.fmt(out),
            NodeError::StreamUnknown(id) => write!(out, "no stream {id} on this node"),
            NodeError::StreamExists(id) => {
                write!(out, "stream {id} is open already; close it first")
            }
            NodeError::NotActive(id) => write!(
                out,
                "stream {id} was not opened as tcp-active, so it is not dialled"
            ),
            NodeError::OutputUnknown(id) => {
                write!(out, "no sender, file or talk {id} on this node")
            }
            NodeError::OutputExists(id) => write!(out, "{id} is open already; close it first"),
            NodeError::Certificate(error) => error.fmt(out),
            NodeError::Invalid(what)
            | NodeError::Unavailable(what)
            | NodeError::RtspUnavailable(what) => out.write_str(what),
        }
    }
}

impl std::error::Error for NodeError {}
