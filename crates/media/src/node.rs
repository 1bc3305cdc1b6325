//! The node: reactor threads, receivers, the outlet. Every call here is short and comes from the control plane.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

use crate::events::unix_us;
use crate::file_sink::{FileSink, SinkEnd, SinkStats};
use crate::pace::is_valid_scale;
use crate::ports::{AllocationError, PortsExhausted};
use crate::reactor::{self, Command, Cut, Handle, Playback};
use crate::receiver::ReceiverSockets;
use crate::rtsp::auth::Credentials;
use crate::rtsp::client::Delivery;
use crate::rtsp::session::{Network, RtspTarget};
use crate::rtsp::url::RtspUrl;
use crate::sender::{PortLease, SenderRequest, SenderStats};
use crate::sender_task::{NewSender, SenderSockets};
use crate::settings::Settings;
use crate::shared::{Owner, Shared};
use crate::stats::{NodeStats, StreamStats};
use crate::stream::{ExpectedSender, Transport};
use crate::talk::Carriage;
use crate::ticket::{KEY_MIN, Verifier, is_valid_id};

/// A reactor that does not answer within this is in trouble; the control plane must not hang with it.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// What a closing node waits for files to be on the disk.
const FILES_FINISH_WITHIN: Duration = Duration::from_secs(10);
const BACKLOG: i32 = 1024;

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
    /// Closed, not startable or not answering; says which.
    Unavailable(String),
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
            NodeError::Unavailable(_) => "media_node_unavailable",
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
            NodeError::Invalid(what) | NodeError::Unavailable(what) => out.write_str(what),
        }
    }
}

impl std::error::Error for NodeError {}

/// A running media node.
pub struct Node {
    shared: Arc<Shared>,
    viewer_port: u16,
    reactors: Mutex<Vec<Handle>>,
    is_closed: AtomicBool,
}

impl Node {
    /// Bind the outlet and start the threads.
    pub fn start(settings: Settings, ticket_key: &[u8]) -> Result<Node, NodeError> {
        let verifier = Verifier::new(ticket_key).ok_or_else(|| {
            NodeError::Invalid(format!("the ticket key needs {KEY_MIN} bytes or more"))
        })?;
        check(&settings)?;
        let address = SocketAddr::new(settings.viewer_host, settings.viewer_port);
        let unavailable = |error: std::io::Error| {
            NodeError::Unavailable(format!("cannot listen for viewers on {address}: {error}"))
        };
        let listener = bind_outlet(address).map_err(unavailable)?;
        let viewer_port = listener.local_addr().map_err(unavailable)?.port();
        let count = settings.reactor_count();
        let shared = Arc::new(Shared::new(settings, verifier).map_err(unavailable)?);
        let epoch = Instant::now();
        let reactors: Vec<Handle> = (0..count)
            .map(|index| reactor::spawn(index, Arc::clone(&shared), epoch))
            .collect::<Result<_, _>>()
            .map_err(unavailable)?;
        let senders = reactors
            .iter()
            .map(|reactor| reactor.commands.clone())
            .collect();
        let node = Node {
            shared,
            viewer_port,
            reactors: Mutex::new(reactors),
            is_closed: AtomicBool::new(false),
        };
        node.send(
            0,
            Command::Serve {
                listener,
                reactors: senders,
            },
        )?;
        Ok(node)
    }

    /// The port viewers connect to.
    pub fn viewer_port(&self) -> u16 {
        self.viewer_port
    }

    /// What the threads share: events, counters.
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

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

    /// Open a stream that is asked for by URL at `address`, which is what the host of the URL means. Redirects lead
    /// to `networks` only.
    pub fn open_rtsp(
        &self,
        stream_id: &str,
        url: &str,
        credentials: Credentials,
        transport: &str,
        address: &str,
        networks: &[String],
    ) -> Result<(), NodeError> {
        check_id("stream_id", stream_id)?;
        // Nothing of the URL is repeated: it may hold a password.
        let url = RtspUrl::parse(url)
            .ok_or_else(|| NodeError::Invalid("the URL is not an rtsp:// URL".to_owned()))?;
        let ip: IpAddr = address
            .parse()
            .map_err(|_| NodeError::Invalid(format!("{address:?} is not an IP address")))?;
        let (transport, delivery) = match transport {
            "tcp" => (Transport::TcpActive, Delivery::Tcp),
            "udp" => (Transport::Udp, Delivery::Udp),
            other => {
                return Err(NodeError::Invalid(format!(
                    "no RTSP transport is called {other:?}"
                )));
            }
        };
        let networks = networks
            .iter()
            .map(|text| {
                Network::parse(text)
                    .ok_or_else(|| NodeError::Invalid(format!("{text:?} is no network")))
            })
            .collect::<Result<_, _>>()?;
        let target = Box::new(RtspTarget {
            address: SocketAddr::new(ip, url.port),
            url,
            credentials,
            delivery,
            networks,
        });
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

    /// Forward a stream to a receiver; returns our RTP port.
    pub fn open_sender(&self, request: SenderRequest) -> Result<u16, NodeError> {
        self.check_sender(&request)?;
        let owner = self.owner(&request.stream_id)?;
        {
            let mut senders = self.shared.senders();
            if senders.contains_key(&request.sender_id) {
                return Err(NodeError::OutputExists(request.sender_id));
            }
            senders.insert(request.sender_id.clone(), request.stream_id.clone());
        }
        let sender_id = request.sender_id.clone();
        self.start_sender(owner, request)
            .inspect_err(|_| drop(self.shared.senders().remove(&sender_id)))
    }

    fn check_sender(&self, request: &SenderRequest) -> Result<(), NodeError> {
        for (name, id) in [
            ("sender_id", &request.sender_id),
            ("access_id", &request.access_id),
            ("grant_id", &request.grant_id),
        ] {
            check_id(name, id)?;
        }
        let host = self.shared.settings.rtp_host;
        let has_port = request.target.port() != 0 || request.transport == Transport::TcpPassive;
        if request.target.is_ipv4() != host.is_ipv4() || !has_port || request.payload_type > 127 {
            return Err(NodeError::Invalid(format!(
                "cannot send to {} from {host} with payload type {}",
                request.target, request.payload_type
            )));
        }
        Ok(())
    }

    fn start_sender(&self, owner: Owner, request: SenderRequest) -> Result<u16, NodeError> {
        let sender = self.bind_sender(request)?;
        let port = sender.lease.port();
        self.send(owner.reactor, Command::AttachSender(Box::new(sender)))?;
        Ok(port)
    }

    fn bind_sender(&self, request: SenderRequest) -> Result<NewSender, NodeError> {
        let host = self.shared.settings.rtp_host;
        let bind = |port| SenderSockets::bind(host, port, request.transport);
        let allocated = self.shared.ports().allocate(Instant::now(), bind);
        let (port, sockets) = allocated.map_err(|error| match error {
            AllocationError::Exhausted(exhausted) => NodeError::PortsExhausted(exhausted),
            AllocationError::System(error) => {
                NodeError::Unavailable(format!("cannot send media from {host}: {error}"))
            }
        })?;
        Ok(NewSender {
            request,
            sockets,
            lease: PortLease::new(Arc::clone(&self.shared), port),
            first_sequence: unix_us() as u16,
        })
    }

    /// Open a talk to a device; `request.sender_id` is its id, its stream is without meaning. Returns our RTP port.
    pub fn open_talk(&self, request: SenderRequest, carriage: Carriage) -> Result<u16, NodeError> {
        let talk_id = request.sender_id.clone();
        self.check_sender(&request)?;
        let reactor = {
            let mut talks = self.shared.talks();
            if talks.contains_key(&talk_id) {
                return Err(NodeError::OutputExists(talk_id));
            }
            let reactor = talks.len() % self.lock().len().max(1);
            talks.insert(
                talk_id.clone(),
                Owner {
                    reactor,
                    port: 0,
                    is_active: false,
                },
            );
            reactor
        };
        self.bind_sender(request)
            .and_then(|sender| {
                let port = sender.lease.port();
                let sender = Box::new(sender);
                self.send(reactor, Command::OpenTalk { sender, carriage })?;
                Ok(port)
            })
            .inspect_err(|_| {
                self.shared.talks().remove(&talk_id);
            })
    }

    /// End a talk and its speaker; its sockets are closed on return. Fine for talks that are gone.
    pub fn close_talk(&self, talk_id: &str) -> Result<(), NodeError> {
        let owner = self.shared.talks().get(talk_id).copied();
        let Some(owner) = owner else {
            return Ok(());
        };
        let (reply, answer) = sync_channel(1);
        let talk_id = talk_id.to_owned();
        self.send(owner.reactor, Command::CloseTalk { talk_id, reply })?;
        wait(&answer)
    }

    /// End a sender; its sockets are closed on return. Fine for senders that are gone.
    pub fn close_sender(&self, sender_id: &str) -> Result<(), NodeError> {
        let Some((stream_id, owner)) = self.sender(sender_id) else {
            return Ok(());
        };
        let (reply, answer) = sync_channel(1);
        let sender_id = sender_id.to_owned();
        self.send(
            owner.reactor,
            Command::CloseSender {
                stream_id,
                sender_id,
                reply,
            },
        )?;
        wait(&answer)
    }

    /// Counters of a sender, or none.
    pub fn sender_stats(&self, sender_id: &str) -> Result<Option<SenderStats>, NodeError> {
        let Some((stream_id, owner)) = self.sender(sender_id) else {
            return Ok(None);
        };
        let (reply, answer) = sync_channel(1);
        let sender_id = sender_id.to_owned();
        self.send(
            owner.reactor,
            Command::SenderStats {
                stream_id,
                sender_id,
                reply,
            },
        )?;
        wait(&answer)
    }

    /// Keep a stream's packets of the current group while nobody is served, so that the next sender starts at once.
    pub fn keep_packets(&self, stream_id: &str, are_kept: bool) -> Result<(), NodeError> {
        let owner = self.owner(stream_id)?;
        let stream_id = stream_id.to_owned();
        self.send(
            owner.reactor,
            Command::KeepPackets {
                stream_id,
                are_kept,
            },
        )
    }

    fn sender(&self, sender_id: &str) -> Option<(String, Owner)> {
        let stream_id = self.shared.senders().get(sender_id).cloned()?;
        let owner = self.owner(&stream_id).ok()?;
        Some((stream_id, owner))
    }

    /// Write a stream to a file from its next key frame on. The file has its name when it is finished.
    pub fn open_file_sink(
        &self,
        sink_id: &str,
        stream_id: &str,
        path: &Path,
        max_bytes: Option<u64>,
    ) -> Result<(), NodeError> {
        check_id("sink_id", sink_id)?;
        let owner = self.owner(stream_id)?;
        let mut sinks = self.shared.sinks();
        if sinks.contains_key(sink_id) {
            return Err(NodeError::OutputExists(sink_id.to_owned()));
        }
        let sink = FileSink::open(&self.shared, sink_id, stream_id, path, max_bytes);
        let sink = sink.map_err(|error| {
            NodeError::Invalid(format!("cannot write {}: {error}", path.display()))
        })?;
        sinks.insert(sink_id.to_owned(), Arc::clone(&sink));
        drop(sinks);
        let command = Command::AttachSink(Arc::clone(&sink));
        self.send(owner.reactor, command)
            .inspect_err(|_| sink.end(SinkEnd::StreamEnded))
    }

    /// Finish a file; `FileSinkEnded` comes when it is on the disk. Fine for files that are finished.
    pub fn close_file_sink(&self, sink_id: &str) {
        let sink = self.shared.sinks().get(sink_id).cloned();
        sink.inspect(|sink| sink.end(SinkEnd::Closed));
    }

    /// Counters of a file being written, or none.
    pub fn sink_stats(&self, sink_id: &str) -> Option<SinkStats> {
        self.shared.sinks().get(sink_id).map(|sink| sink.stats())
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

    /// End the viewers of a grant and refuse its unused tickets.
    pub fn cut_grant(&self, grant_id: &str) -> Result<usize, NodeError> {
        // First the memory, then the viewers: who comes in between is caught by one of them.
        if !self.shared.tickets().cut_grant(grant_id, unix_us() / 1000) {
            self.shared.counters.count("cuts_not_remembered");
        }
        self.cut(&Cut::Grant(grant_id.to_owned()))
    }

    /// End the viewer of an access record and refuse its unused ticket.
    pub fn cut_access(&self, access_id: &str) -> Result<usize, NodeError> {
        if !self
            .shared
            .tickets()
            .cut_access(access_id, unix_us() / 1000)
        {
            self.shared.counters.count("cuts_not_remembered");
        }
        self.cut(&Cut::Access(access_id.to_owned()))
    }

    /// Counters of one stream, or none if it is not open.
    pub fn stream_stats(&self, stream_id: &str) -> Result<Option<StreamStats>, NodeError> {
        let Ok(owner) = self.owner(stream_id) else {
            return Ok(None);
        };
        let (reply, answer) = sync_channel(1);
        self.send(
            owner.reactor,
            Command::Stats {
                stream_id: Some(stream_id.to_owned()),
                reply,
            },
        )?;
        Ok(wait(&answer)?.pop())
    }

    /// Counters of every stream.
    pub fn all_stats(&self) -> Result<Vec<StreamStats>, NodeError> {
        let answers = self.ask_all(|reply| Command::Stats {
            stream_id: None,
            reply,
        })?;
        Ok(answers.into_iter().flatten().collect())
    }

    /// Counters of the node.
    pub fn node_stats(&self) -> NodeStats {
        let shared = &self.shared;
        let (ports_free, ports_quarantined) = {
            let mut ports = shared.ports();
            (ports.free(Instant::now()), ports.quarantined())
        };
        NodeStats {
            reactors: self.lock().len(),
            streams: shared.owners().len(),
            viewers: shared.viewers.taken(),
            connections: shared.viewers.taken() + shared.unverified.taken(),
            ports_free,
            ports_quarantined,
            nonces: shared.tickets().len(),
            events_lost: shared.events.lost(),
            counters: shared.counters.snapshot(),
        }
    }

    /// End every stream and viewer and stop the threads. May be called twice.
    pub fn close(&self) {
        let reactors = std::mem::take(&mut *self.lock());
        for reactor in &reactors {
            let _already_stopped = reactor.commands.send(Command::Stop);
        }
        for reactor in reactors {
            if reactor.thread.join().is_err() {
                self.shared.counters.count("reactors_failed");
            }
        }
        self.finish_files();
        // In this order: a reader that is woken by the last events finds the node closed after them.
        self.is_closed.store(true, Ordering::Release);
        self.shared.events.wake();
    }

    /// The streams have ended: give their files time to reach the disk, and their events the reader.
    fn finish_files(&self) {
        let until = Instant::now() + FILES_FINISH_WITHIN;
        let open: Vec<_> = self.shared.sinks().values().cloned().collect();
        // One whose stream never learned of it would wait for ever; for the others this is a second end, which is ignored.
        open.iter().for_each(|sink| sink.end(SinkEnd::StreamEnded));
        while !self.shared.sinks().is_empty() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whether [`Node::close`] has come to its end: no further events will come.
    pub fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    fn cut(&self, cut: &Cut) -> Result<usize, NodeError> {
        let counts = self.ask_all(|reply| Command::Cut {
            cut: cut.clone(),
            reply,
        })?;
        Ok(counts.into_iter().sum())
    }

    /// Ask every reactor at once, then collect. One that is gone fails the call only after all others were told.
    fn ask_all<T>(&self, command: impl Fn(SyncSender<T>) -> Command) -> Result<Vec<T>, NodeError> {
        let count = self.lock().len();
        let ask = |reactor| {
            let (reply, answer) = sync_channel(1);
            self.send(reactor, command(reply)).map(|()| answer)
        };
        let asked: Vec<_> = (0..count).map(ask).collect();
        asked.into_iter().map(|answer| wait(&answer?)).collect()
    }

    fn least_loaded<'a>(&self, owners: impl Iterator<Item = &'a Owner>) -> usize {
        let mut loads = vec![0usize; self.lock().len()];
        for owner in owners {
            if let Some(load) = loads.get_mut(owner.reactor) {
                *load += 1;
            }
        }
        let lightest = loads.iter().enumerate().min_by_key(|(_, load)| **load);
        lightest.map_or(0, |(reactor, _)| reactor)
    }

    fn owner(&self, stream_id: &str) -> Result<Owner, NodeError> {
        let owner = self.shared.owners().get(stream_id).copied();
        owner.ok_or_else(|| NodeError::StreamUnknown(stream_id.to_owned()))
    }

    fn send(&self, reactor: usize, command: Command) -> Result<(), NodeError> {
        let reactors = self.lock();
        let sent = reactors
            .get(reactor)
            .map(|reactor| reactor.commands.send(command));
        match sent {
            Some(Ok(())) => Ok(()),
            _ => Err(NodeError::Unavailable(
                "the media node is closed".to_owned(),
            )),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Handle>> {
        self.reactors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.close();
    }
}

fn wait<T>(answer: &Receiver<T>) -> Result<T, NodeError> {
    answer
        .recv_timeout(ANSWER_WITHIN)
        .map_err(|_| NodeError::Unavailable("a media reactor does not answer".to_owned()))
}

fn check_id(name: &str, id: &str) -> Result<(), NodeError> {
    if is_valid_id(id) {
        return Ok(());
    }
    Err(NodeError::Invalid(format!(
        "{name} must be 1 to 128 characters of A-Z a-z 0-9 . _ ~ -"
    )))
}

fn check(settings: &Settings) -> Result<(), NodeError> {
    let Settings {
        rtp_port_min,
        rtp_port_max,
        ..
    } = *settings;
    if rtp_port_min == 0 || rtp_port_max <= rtp_port_min {
        return Err(NodeError::Invalid(format!(
            "rtp ports {rtp_port_min} to {rtp_port_max} hold no pair; the first must be above 0 and below the last"
        )));
    }
    if settings.media_timeout.is_zero() || settings.request_head_timeout.is_zero() {
        return Err(NodeError::Invalid("time-outs must be above 0".to_owned()));
    }
    Ok(())
}

fn bind_outlet(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_nonblocking(true)?;
    // A restarted server must not wait for its former viewers' connections to be forgotten.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
#[path = "node_tests.rs"]
mod tests;
