//! One receiver of a forwarded stream: its queue, its socket, its right, and what is reported of it.

use std::cell::RefCell;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::{AbortHandle, spawn_local};

use crate::connection::Link;
use crate::events::{Event, Value, text};
use crate::relay::RelayPacket;
use crate::sender_queue::{PACKETS_PER_WRITE, QueueStats, SenderQueue, Wire};
use crate::shared::Shared;
use crate::stream::Transport;
use crate::viewer::QueueLimits;

/// A receiver that takes nothing for this long is gone.
const STUCK_US: u64 = 10_000_000;
/// Datagrams of one turn: a cached group must not leave as one burst that the network drops.
const DATAGRAMS_PER_TURN: usize = 48;

/// Whom a stream is forwarded to, and by what right.
#[derive(Clone, Debug)]
pub struct SenderRequest {
    /// Its id.
    pub sender_id: String,
    /// The stream.
    pub stream_id: String,
    /// How.
    pub transport: Transport,
    /// The receiver; with TCP passive only its address counts.
    pub target: SocketAddr,
    /// The SSRC of our packets.
    pub ssrc: u32,
    /// Their payload type.
    pub payload_type: u8,
    /// The access record it is written down in.
    pub access_id: String,
    /// The grant that allows it.
    pub grant_id: String,
    /// It ends at this moment, milliseconds UTC.
    pub end_by_ms: u64,
}

/// A pair of ports in use; dropping it lets them rest.
pub struct PortLease {
    shared: Arc<Shared>,
    port: u16,
}

impl PortLease {
    /// The pair that begins with `port` is ours.
    pub fn new(shared: Arc<Shared>, port: u16) -> PortLease {
        PortLease { shared, port }
    }

    /// The even port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for PortLease {
    fn drop(&mut self) {
        self.shared
            .ports()
            .release(std::time::Instant::now(), self.port);
    }
}

/// The tasks beside a sender; they end with it.
#[derive(Clone, Debug, Default)]
pub struct Tasks(Rc<RefCell<Vec<AbortHandle>>>);

impl Tasks {
    /// Run a task for as long as the sender lives.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        let handle = spawn_local(task).abort_handle();
        self.0.borrow_mut().push(handle);
    }

    fn abort(&self) {
        self.0.borrow_mut().drain(..).for_each(|task| task.abort());
    }
}

/// The socket of a sender.
#[derive(Clone, Debug)]
pub enum SenderSocket {
    /// Connected to the receiver.
    Udp(Rc<UdpSocket>),
    /// RFC 4571.
    Tcp(Rc<TcpStream>),
}

/// Counters of a sender.
#[derive(Clone, Debug)]
pub struct SenderStats {
    /// The sender.
    pub sender_id: String,
    /// Its stream.
    pub stream_id: String,
    /// How it sends.
    pub transport: &'static str,
    /// Our port.
    pub local_port: u16,
    /// The receiver, once it is connected.
    pub peer: Option<String>,
    /// Of the queue.
    pub queue: QueueStats,
    /// Bytes waiting.
    pub waiting_bytes: usize,
    /// Datagrams the system refused (nobody listens, no route); they are lost.
    pub send_errors: u64,
    /// RTCP packets the receiver sent.
    pub rtcp_packets: u64,
    /// Connections from other addresses than the receiver's, refused.
    pub foreign_sources: u64,
}

/// One sender.
pub struct Sender {
    /// What was asked for.
    pub request: SenderRequest,
    /// RTCP packets of the receiver.
    pub rtcp_packets: u64,
    /// Connections refused.
    pub foreign_sources: u64,
    queue: SenderQueue,
    lease: PortLease,
    link: Rc<Link>,
    tasks: Tasks,
    socket: Option<SenderSocket>,
    peer: Option<SocketAddr>,
    end_us: u64,
    progress_us: u64,
    send_errors: u64,
    is_first_reported: bool,
}

impl Sender {
    /// A sender that is not connected yet and must end at `end_us`.
    pub fn new(
        request: SenderRequest,
        (lease, link, tasks): (PortLease, Rc<Link>, Tasks),
        first_sequence: u16,
        end_us: u64,
        limits: QueueLimits,
    ) -> Sender {
        let wire = if request.transport == Transport::Udp {
            Wire::Datagrams
        } else {
            Wire::Stream
        };
        let queue = SenderQueue::new(
            wire,
            request.ssrc,
            request.payload_type,
            first_sequence,
            limits,
        );
        Sender {
            request,
            rtcp_packets: 0,
            foreign_sources: 0,
            queue,
            lease,
            link,
            tasks,
            socket: None,
            peer: None,
            end_us,
            progress_us: 0,
            send_errors: 0,
            is_first_reported: false,
        }
    }

    /// The way to the receiver stands.
    pub fn connect(&mut self, socket: SenderSocket, peer: SocketAddr, now_us: u64) -> Event {
        self.socket = Some(socket);
        self.peer = Some(peer);
        self.progress_us = now_us;
        Event::lifecycle(
            "SenderConnected",
            self.fields(vec![("peer", text(peer.to_string()))]),
        )
    }

    /// The RTP clock is another one than 90 kHz.
    pub fn set_clock(&mut self, khz: u32) {
        self.queue.set_clock(khz);
    }

    /// Whether packets can be sent.
    pub fn is_connected(&self) -> bool {
        self.socket.is_some()
    }

    /// The source jumps: wait for its next group.
    pub fn await_group(&mut self) {
        self.queue.await_group();
    }

    /// Whether a packet was ever queued.
    pub fn has_started(&self) -> bool {
        self.queue.has_started()
    }

    /// Queue a packet of the source; before the connection stands there is nobody to queue for.
    pub fn offer(&mut self, packet: &RelayPacket, now_us: u64) {
        if self.is_connected() {
            self.queue.offer(packet, now_us);
        }
    }

    /// Send what waits, as far as the socket takes it. Returns the event of the first packet.
    pub fn flush(&mut self, now_us: u64) -> Result<Option<Event>, &'static str> {
        match self.socket.clone() {
            None => return Ok(None),
            Some(SenderSocket::Udp(socket)) => self.send_datagrams(&socket, now_us),
            Some(SenderSocket::Tcp(socket)) => self.write(&socket, now_us)?,
        }
        let is_first = !self.is_first_reported && self.queue.stats().packets_sent > 0;
        self.is_first_reported |= is_first;
        Ok(is_first.then(|| Event::lifecycle("SenderFirstPacket", self.fields(vec![]))))
    }

    fn send_datagrams(&mut self, socket: &UdpSocket, now_us: u64) {
        for _ in 0..DATAGRAMS_PER_TURN {
            let Some(parts) = self.queue.datagram() else {
                return self.block(false);
            };
            let sent = socket.try_io(Interest::WRITABLE, || {
                SockRef::from(socket).send_vectored(&parts)
            });
            match sent {
                Ok(_) => {
                    self.progress_us = now_us;
                    self.queue.datagram_done(true);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return self.block(true),
                Err(_nobody_listens_or_no_route) => {
                    self.send_errors += 1;
                    self.queue.datagram_done(false);
                }
            }
        }
    }

    fn write(&mut self, socket: &TcpStream, now_us: u64) -> Result<(), &'static str> {
        while !self.queue.is_empty() {
            let mut slices = Vec::with_capacity(2 * PACKETS_PER_WRITE);
            self.queue.slices(&mut slices);
            match socket.try_write_vectored(&slices) {
                Ok(written) => {
                    drop(slices);
                    self.progress_us = now_us;
                    self.queue.advance(written);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    drop(slices);
                    self.block(true);
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err("connection_lost"),
            }
        }
        self.block(false);
        Ok(())
    }

    /// Whether its socket is full.
    pub fn is_blocked(&self) -> bool {
        self.link.is_blocked.get()
    }

    /// Whether something waits that the socket would take.
    pub fn is_behind(&self) -> bool {
        !self.is_blocked() && !self.queue.is_empty()
    }

    /// Whether its time is up.
    pub fn has_ended(&self, now_us: u64) -> bool {
        now_us >= self.end_us
    }

    /// Why it must end now, if it must.
    pub fn overdue(&self, now_us: u64) -> Option<&'static str> {
        let is_stuck = self.is_blocked() && now_us.saturating_sub(self.progress_us) >= STUCK_US;
        if self.has_ended(now_us) {
            Some("grant_ended")
        } else if is_stuck && self.request.transport != Transport::Udp {
            Some("too_slow")
        } else {
            None
        }
    }

    /// What a sender report says now; none before the first packet.
    pub fn report(&self, now_us: u64, unix_us: u64) -> Option<Vec<u8>> {
        let stats = self.queue.stats();
        let time = self.queue.time_now(now_us);
        let report =
            || crate::sender_queue::sender_report(self.request.ssrc, unix_us, time, &stats);
        (stats.packets_sent > 0).then(report)
    }

    /// End it: its task goes, what waits is dropped.
    pub fn end(self, reason: &'static str) -> Event {
        if let Some(SenderSocket::Tcp(socket)) = &self.socket {
            // Pictures wait in the kernel as well; a receiver whose right has ended must not get them.
            let _peer_may_be_gone =
                SockRef::from(&**socket).set_linger(Some(std::time::Duration::ZERO));
        }
        self.tasks.abort();
        let stats = self.queue.stats();
        let fields = vec![
            ("access_id", text(&*self.request.access_id)),
            ("grant_id", text(&*self.request.grant_id)),
            ("reason", text(reason)),
            ("bytes_sent", Value::Number(stats.bytes_sent)),
            ("packets_sent", Value::Number(stats.packets_sent)),
            ("drops", Value::Number(stats.drops)),
        ];
        Event::lifecycle("SenderEnded", self.fields(fields))
    }

    /// The counters.
    pub fn stats(&self) -> SenderStats {
        SenderStats {
            sender_id: self.request.sender_id.clone(),
            stream_id: self.request.stream_id.clone(),
            transport: self.request.transport.word(),
            local_port: self.lease.port(),
            peer: self.peer.map(|peer| peer.to_string()),
            queue: self.queue.stats(),
            waiting_bytes: self.queue.bytes(),
            send_errors: self.send_errors,
            rtcp_packets: self.rtcp_packets,
            foreign_sources: self.foreign_sources,
        }
    }

    fn fields(&self, more: Vec<(&'static str, Value)>) -> Vec<(&'static str, Value)> {
        let mut fields = vec![
            ("sender_id", text(&*self.request.sender_id)),
            ("stream_id", text(&*self.request.stream_id)),
        ];
        fields.extend(more);
        fields
    }

    fn block(&self, is_blocked: bool) {
        if self.link.is_blocked.replace(is_blocked) != is_blocked {
            self.link.wake.notify_one();
        }
    }
}

/// The stable word for a connection that could not be made.
pub fn connect_failure(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::ConnectionRefused => "connect_refused",
        ErrorKind::TimedOut => "connect_timeout",
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => "connect_unreachable",
        _ => "connect_failed",
    }
}
