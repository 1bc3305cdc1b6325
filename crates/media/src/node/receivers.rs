//! Streams that come in: receivers whose address is offered or dialled, RTSP servers that are asked by URL.

use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::sync_channel;
use std::time::Instant;

use super::{Node, NodeError, check_id, wait};
use crate::pace::is_valid_scale;
use crate::ports::AllocationError;
use crate::reactor::{Command, Playback};
use crate::receiver::ReceiverSockets;
use crate::rtsp::auth::Credentials;
use crate::rtsp::client::Delivery;
use crate::rtsp::target::{Network, RtspTarget};
use crate::rtsp::trust::Trust;
use crate::rtsp::url::RtspUrl;
use crate::shared::Owner;
use crate::stream::{ExpectedSender, Transport};

/// A stream to be asked for by URL, as the control plane says it.
pub struct RtspRequest<'a> {
    /// The stream.
    pub stream_id: &'a str,
    /// Where it is.
    pub url: &'a str,
    /// Who we are.
    pub credentials: Credentials,
    /// How its media is to come: `tcp` or `udp`.
    pub transport: &'a str,
    /// What the host of the URL means.
    pub address: &'a str,
    /// Where redirects may lead.
    pub networks: &'a [String],
    /// Who may vouch for servers inside TLS: certificates in PEM, or empty.
    pub authorities: &'a str,
    /// SHA-256 of the one certificate that is accepted instead, or empty.
    pub certificate: &'a str,
}

impl RtspRequest<'_> {
    fn target(self) -> Result<RtspTarget, NodeError> {
        // Nothing of the URL is repeated: it may hold a password.
        let url = RtspUrl::parse(self.url).ok_or_else(|| {
            NodeError::Invalid("the URL is not an rtsp:// or rtsps:// URL".to_owned())
        })?;
        let address = self.address;
        let ip: IpAddr = address
            .parse()
            .map_err(|_| NodeError::Invalid(format!("{address:?} is not an IP address")))?;
        let delivery = match self.transport {
            "tcp" => Delivery::Tcp,
            "udp" if !url.is_tls => Delivery::Udp,
            other => {
                return Err(NodeError::Invalid(format!(
                    "no transport of such a stream is called {other:?}"
                )));
            }
        };
        let networks = self.networks.iter().map(|text| {
            Network::parse(text)
                .ok_or_else(|| NodeError::Invalid(format!("{text:?} is no network")))
        });
        let trust = match (self.certificate, self.authorities) {
            ("", "") if url.is_tls => {
                return Err(NodeError::Invalid(
                    "nothing says whom to trust inside TLS".to_owned(),
                ));
            }
            ("", "") => None,
            ("", authorities) => Some(Trust::authorities(authorities)),
            (certificate, _) => Some(Trust::certificate(certificate)),
        };
        Ok(RtspTarget {
            address: SocketAddr::new(ip, url.port),
            url,
            credentials: self.credentials,
            delivery,
            networks: networks.collect::<Result<_, _>>()?,
            trust: trust
                .transpose()
                .map_err(|error| NodeError::Invalid(error.to_string()))?,
        })
    }
}

impl Node {
    /// Open a stream; returns its RTP port, RTCP is the next one.
    pub fn open_receiver(
        &self,
        stream_id: &str,
        transport: Transport,
        sender: ExpectedSender,
    ) -> Result<u16, NodeError> {
        check_id("stream_id", stream_id)?;
        let host = self.shared.settings.rtp_host;
        let mut owners = self.shared.owners();
        if owners.contains_key(stream_id) {
            return Err(NodeError::StreamExists(stream_id.to_owned()));
        }
        let bind = |port| ReceiverSockets::bind(host, port, transport);
        let (port, sockets) =
            self.shared
                .ports()
                .allocate(Instant::now(), bind)
                .map_err(|error| match error {
                    AllocationError::Exhausted(exhausted) => NodeError::PortsExhausted(exhausted),
                    AllocationError::System(error) => {
                        NodeError::Unavailable(format!("cannot receive media on {host}: {error}"))
                    }
                })?;
        let reactor = self.least_loaded(owners.values());
        let owner = Owner {
            reactor,
            port,
            is_active: transport == Transport::TcpActive,
        };
        let stream_id = stream_id.to_owned();
        owners.insert(stream_id.clone(), owner);
        drop(owners);
        let command = Command::Open {
            stream_id: stream_id.clone(),
            transport,
            port,
            sender,
            sockets,
        };
        self.send(reactor, command)
            .inspect_err(|_| self.shared.forget_stream(&stream_id))?;
        Ok(port)
    }

    /// Open a stream that is asked for by URL.
    pub fn open_rtsp(&self, request: RtspRequest<'_>) -> Result<(), NodeError> {
        let stream_id = request.stream_id;
        check_id("stream_id", stream_id)?;
        let target = Box::new(request.target()?);
        let transport = match target.delivery {
            Delivery::Tcp => Transport::TcpActive,
            Delivery::Udp => Transport::Udp,
        };
        let mut owners = self.shared.owners();
        if owners.contains_key(stream_id) {
            return Err(NodeError::StreamExists(stream_id.to_owned()));
        }
        let reactor = self.least_loaded(owners.values());
        let owner = Owner {
            reactor,
            port: 0,
            is_active: false,
        };
        let stream_id = stream_id.to_owned();
        owners.insert(stream_id.clone(), owner);
        drop(owners);
        let command = Command::OpenRtsp {
            stream_id: stream_id.clone(),
            transport,
            target,
        };
        self.send(reactor, command)
            .inspect_err(|_| self.shared.forget_stream(&stream_id))
    }

    /// Ask the server of a stream opened by [`Node::open_rtsp`] again, with a new session.
    pub fn retry_rtsp(&self, stream_id: &str) -> Result<(), NodeError> {
        let owner = self.owner(stream_id)?;
        let stream_id = stream_id.to_owned();
        self.send(owner.reactor, Command::RetryRtsp { stream_id })
    }

    /// Dial the camera of a stream.
    pub fn connect_receiver(
        &self,
        stream_id: &str,
        host: &str,
        port: u16,
    ) -> Result<(), NodeError> {
        let owner = self.owner(stream_id)?;
        if !owner.is_active {
            return Err(NodeError::NotActive(stream_id.to_owned()));
        }
        let host: IpAddr = host
            .parse()
            .map_err(|_| NodeError::Invalid(format!("{host:?} is not an IP address")))?;
        let ours = self.shared.settings.rtp_host;
        if host.is_ipv4() != ours.is_ipv4() {
            return Err(NodeError::Invalid(format!(
                "{host} cannot be dialled from {ours}: other address family"
            )));
        }
        let (local, camera) = (
            SocketAddr::new(ours, owner.port),
            SocketAddr::new(host, port),
        );
        self.send(
            owner.reactor,
            Command::Dial {
                stream_id: stream_id.to_owned(),
                local,
                camera,
            },
        )
    }

    /// Expect another SSRC.
    pub fn set_ssrc(&self, stream_id: &str, ssrc: u32) -> Result<(), NodeError> {
        let owner = self.owner(stream_id)?;
        self.send(
            owner.reactor,
            Command::SetSsrc {
                stream_id: stream_id.to_owned(),
                ssrc,
            },
        )
    }

    /// A playback pauses, jumps or changes its speed.
    pub fn play(&self, stream_id: &str, change: Playback) -> Result<(), NodeError> {
        if let Playback::Scale(scale) = change
            && !is_valid_scale(scale)
        {
            return Err(NodeError::Invalid(format!(
                "scale {scale} is no speed: 1/32 to 32, below 0 for reverse"
            )));
        }
        let owner = self.owner(stream_id)?;
        let stream_id = stream_id.to_owned();
        self.send(owner.reactor, Command::Playback { stream_id, change })
    }

    /// End a stream and its viewers; its sockets are closed on return. Fine for streams that are gone.
    pub fn close_stream(&self, stream_id: &str) -> Result<(), NodeError> {
        let Ok(owner) = self.owner(stream_id) else {
            return Ok(());
        };
        let (reply, answer) = sync_channel(1);
        self.send(
            owner.reactor,
            Command::Close {
                stream_id: stream_id.to_owned(),
                reply,
            },
        )?;
        wait(&answer)
    }
}
