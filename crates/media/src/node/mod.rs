//! The node: reactor threads, receivers, the outlet. Every call here is short and comes from the control plane.
//!
//! `receivers` opens what comes in, by offer and answer or by URL; `outputs` what goes out: senders, files, talks.

mod error;
mod feeds;
mod outputs;
mod receivers;
mod recorders;

pub use error::NodeError;
pub use receivers::RtspRequest;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::events::unix_us;
use crate::file_sink::SinkEnd;
use crate::reactor::{self, Command, Cut, Handle};
use crate::recording::RecorderEnd;
use crate::settings::Settings;
use crate::shared::{Owner, Shared};
use crate::stats::{NodeStats, StreamStats};
use crate::stream::ViewerStats;
use crate::ticket::{KEY_MIN, Protocol, Verifier, is_valid_id};

/// A reactor that does not answer within this is in trouble; the control plane must not hang with it.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// What a closing node waits for files to be on the disk.
const FILES_FINISH_WITHIN: Duration = Duration::from_secs(10);
const BACKLOG: i32 = 1024;

/// A running media node.
pub struct Node {
    shared: Arc<Shared>,
    viewer_port: u16,
    rtsp_port: u16,
    reactors: Mutex<Vec<Handle>>,
    /// Shakes hands where TLS is spoken: what strangers make it reckon delays no stream.
    door: Mutex<Option<Handle>>,
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
        let players_at = SocketAddr::new(settings.viewer_host, settings.rtsp_port);
        let players = bind_outlet(players_at).map_err(|error| {
            NodeError::RtspUnavailable(format!(
                "cannot listen for players on {players_at}: {error}"
            ))
        })?;
        let rtsp_port = players.local_addr().map_err(unavailable)?.port();
        let count = settings.reactor_count();
        let is_secure = settings.tls.is_some();
        let shared = Arc::new(Shared::new(settings, verifier).map_err(unavailable)?);
        let epoch = Instant::now();
        let spawn = |index| reactor::spawn(index, Arc::clone(&shared), epoch).map_err(unavailable);
        let reactors: Vec<Handle> = (0..count).map(spawn).collect::<Result<_, _>>()?;
        let door = is_secure.then(|| spawn(count)).transpose()?;
        let senders = reactors
            .iter()
            .map(|reactor| reactor.commands.clone())
            .collect();
        let serve = Command::Serve {
            listener,
            players,
            reactors: senders,
        };
        // Threads that were just started listen.
        let _sent = match &door {
            Some(door) => door.commands.send(serve),
            None => reactors[0].commands.send(serve),
        };
        Ok(Node {
            shared,
            viewer_port,
            rtsp_port,
            reactors: Mutex::new(reactors),
            door: Mutex::new(door),
            is_closed: AtomicBool::new(false),
        })
    }

    /// The port viewers connect to.
    pub fn viewer_port(&self) -> u16 {
        self.viewer_port
    }

    /// The port RTSP players connect to.
    pub fn rtsp_port(&self) -> u16 {
        self.rtsp_port
    }

    /// Let a player sign in with a ticket of the protocol RTSP that it does not show; see [`crate::ticket::ExpectedPlayers`].
    pub fn expect_player(&self, token: &str) -> Result<(), NodeError> {
        let now_ms = unix_us() / 1000;
        let verified = self
            .shared
            .verifier
            .verify_any(token, Protocol::Rtsp, now_ms);
        let ticket = verified.map_err(|refusal| {
            NodeError::Invalid(format!("no ticket for a player: {}", refusal.word()))
        })?;
        if self.shared.expected_players().expect(ticket, token, now_ms) {
            return Ok(());
        }
        self.shared.counters.count("rtsp_players_unexpected");
        let why = "too many players are expected already; some expire every second";
        Err(NodeError::Unavailable(why.to_owned()))
    }

    /// Show new connections another certificate; an error when it cannot be used, or TLS is not spoken here.
    pub fn exchange_certificate(&self, certificate: &str, key: &str) -> Result<(), NodeError> {
        let Some(identity) = &self.shared.settings.tls else {
            return Err(NodeError::Invalid(
                "the outlet does not speak TLS".to_owned(),
            ));
        };
        let exchanged = identity.exchange(certificate, key);
        exchanged.map_err(NodeError::Certificate)
    }

    /// What the threads share: events, counters.
    pub fn shared(&self) -> &Shared {
        &self.shared
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

    /// Counters of everybody who watches.
    pub fn viewer_stats(&self) -> Result<Vec<ViewerStats>, NodeError> {
        let answers = self.ask_all(|reply| Command::ViewerStats { reply })?;
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
            connections: shared.viewers.taken()
                + shared.hls_connections.taken()
                + shared.unverified.taken(),
            ports_free,
            ports_quarantined,
            nonces: shared.tickets().len(),
            events_lost: shared.events.lost(),
            counters: shared.counters.snapshot(),
        }
    }

    /// End every stream and viewer and stop the threads. May be called twice.
    pub fn close(&self) {
        let mut reactors = std::mem::take(&mut *self.lock());
        let mut door = self.door.lock().unwrap_or_else(PoisonError::into_inner);
        reactors.extend(door.take());
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
        let recorders: Vec<_> = self.shared.recorders().values().cloned().collect();
        recorders
            .iter()
            .for_each(|recorder| recorder.end(RecorderEnd::StreamEnded));
        drop(recorders);
        let are_open = || !self.shared.sinks().is_empty() || !self.shared.recorders().is_empty();
        while are_open() && Instant::now() < until {
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
        Some(socket2::Protocol::TCP),
    )?;
    socket.set_nonblocking(true)?;
    // A restarted server must not wait for its former viewers' connections to be forgotten.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests;
