//! A viewer's connection: its queue, its socket, its ticket, and what it says back.

use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::rc::Rc;

use tokio::sync::Notify;

use crate::events::{Event, Value, text};
use crate::shared::Slot;
use crate::ticket::{Protocol, Ticket};
use crate::viewer::{Chunk, SLICES_MAX, ViewerQueue, farewell};
use crate::websocket::{self, Decoder, Opcode};
use crate::wire::Wire;

/// A viewer that takes nothing for this long is gone.
const STUCK_US: u64 = 10_000_000;
/// Answers to pings may fill this much of a queue and no more.
const PONG_QUEUE_MAX: usize = 64 * 1024;
/// Nor this many places in it: an empty ping costs the viewer six bytes, and us far more than the answer's two.
const PONG_CHUNKS_MAX: usize = 256;

/// Why a viewer left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// It closed.
    ViewerClosed,
    /// Its ticket's `end_by` came.
    GrantEnded,
    /// Its grant was cut.
    GrantRevoked,
    /// Its access was cut.
    AccessCut,
    /// The stream ended.
    StreamEnded,
    /// What fed the stream is gone.
    FeedLost,
    /// No picture came in time.
    NoMedia,
    /// It took nothing for ten seconds.
    TooSlow,
    /// It broke the WebSocket protocol.
    Violation(websocket::Violation),
    /// It broke the protocol of its outlet.
    Malformed,
    /// It showed no sign of life, or never came to play.
    Silent,
    /// The pictures are coded otherwise from now on, which its protocol cannot tell.
    FormatChanged,
    /// Nobody has acknowledged anything for a while: it is gone without a word.
    Vanished,
    /// Its connection failed.
    ConnectionLost,
}

impl EndReason {
    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            EndReason::ViewerClosed => "viewer_closed",
            EndReason::GrantEnded => "grant_ended",
            EndReason::GrantRevoked => "grant_revoked",
            EndReason::AccessCut => "access_cut",
            EndReason::StreamEnded => "stream_ended",
            EndReason::FeedLost => "feed_lost",
            EndReason::NoMedia => "no_media",
            EndReason::TooSlow => "too_slow",
            EndReason::Violation(_) | EndReason::Malformed => "protocol_error",
            EndReason::Silent => "silent",
            EndReason::FormatChanged => "format_changed",
            EndReason::Vanished => "vanished",
            EndReason::ConnectionLost => "connection_lost",
        }
    }

    /// What the failure of its connection means.
    pub fn of(error: &io::Error) -> EndReason {
        match error.kind() {
            ErrorKind::TimedOut | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
                EndReason::Vanished
            }
            _ => EndReason::ConnectionLost,
        }
    }

    /// Whether there is still somebody to say something to.
    pub fn leaves_a_listener(self) -> bool {
        !matches!(self, EndReason::ConnectionLost | EndReason::Vanished)
    }
}

/// What a viewer's task and its connection tell each other; both live on one thread.
#[derive(Debug, Default)]
pub struct Link {
    /// The connection is over; the task must go.
    pub has_ended: Cell<bool>,
    /// Nothing more may leave, not even what the kernel holds.
    pub is_aborted: Cell<bool>,
    /// The socket is full; the task must wait for room.
    pub is_blocked: Cell<bool>,
    /// Wakes the task when one of these changes.
    pub wake: Notify,
}

/// One viewer.
pub struct ViewerConnection {
    /// What waits for it.
    pub queue: ViewerQueue,
    /// What it presented.
    pub ticket: Ticket,
    wire: Rc<Wire>,
    link: Rc<Link>,
    peer: SocketAddr,
    joined_us: u64,
    end_us: u64,
    progress_us: u64,
    input: Vec<u8>,
    decoder: Decoder,
    _slot: Slot,
}

impl ViewerConnection {
    /// A viewer that joins now and must be gone at `end_us`.
    pub fn new(
        queue: ViewerQueue,
        ticket: Ticket,
        (wire, link, peer): (Rc<Wire>, Rc<Link>, SocketAddr),
        (now_us, end_us): (u64, u64),
        slot: Slot,
    ) -> ViewerConnection {
        ViewerConnection {
            queue,
            ticket,
            wire,
            link,
            peer,
            joined_us: now_us,
            end_us,
            progress_us: now_us,
            input: Vec::new(),
            decoder: Decoder::default(),
            _slot: slot,
        }
    }

    /// Whether its socket is full.
    pub fn is_blocked(&self) -> bool {
        self.link.is_blocked.get()
    }

    /// Write what waits. Returns the milliseconds since it joined when its first picture is out now.
    pub fn flush(&mut self, now_us: u64) -> Result<Option<f64>, EndReason> {
        let mut first_ms = None;
        let outcome = self.write(now_us, &mut first_ms);
        if self.wire.has_moved() {
            self.progress_us = now_us;
        }
        match outcome {
            Ok(()) => self.block(false),
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.block(true),
            Err(error) => return Err(EndReason::of(&error)),
        }
        Ok(first_ms)
    }

    fn write(&mut self, now_us: u64, first_ms: &mut Option<f64>) -> io::Result<()> {
        while !self.queue.is_empty() {
            let mut slices = Vec::with_capacity(SLICES_MAX.min(4));
            self.queue.slices(&mut slices);
            match self.wire.try_write_vectored(&slices) {
                Ok(written) => {
                    drop(slices);
                    if self.queue.advance(written) {
                        *first_ms = Some(now_us.saturating_sub(self.joined_us) as f64 / 1000.0);
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.wire.flush()
    }

    /// Take what the viewer sent; nothing means it closed.
    pub fn receive(&mut self, bytes: &[u8], now_us: u64) -> Result<(), EndReason> {
        if bytes.is_empty() {
            return Err(EndReason::ViewerClosed);
        }
        if !self.queue.protocol().is_websocket() {
            // A second request on this connection is never answered: the response before it has no end.
            return Ok(());
        }
        self.input.extend_from_slice(bytes);
        let mut taken = 0;
        loop {
            let frame = self
                .decoder
                .decode(&self.input[taken..])
                .map_err(EndReason::Violation)?;
            let Some((frame, len)) = frame else { break };
            taken += len;
            match frame.opcode {
                Opcode::Close => return Err(EndReason::ViewerClosed),
                Opcode::Ping if self.may_answer() => {
                    let pong = websocket::frame(Opcode::Pong, &frame.payload);
                    self.queue.push_preamble(Chunk::preamble(pong, now_us));
                }
                Opcode::Text if !self.decoder.is_in_message() => self.heed(&frame.payload, now_us),
                // A viewer has nothing else to say that matters; it was read to keep the framing.
                Opcode::Ping
                | Opcode::Pong
                | Opcode::Text
                | Opcode::Binary
                | Opcode::Continuation => {}
            }
        }
        self.input.drain(..taken);
        Ok(())
    }

    /// Do what a viewer's word says, if it is one we know.
    fn heed(&mut self, word: &[u8], now_us: u64) {
        if self.queue.protocol() != Protocol::WebSocket {
            return;
        }
        match word {
            b"audio on" => self.queue.listen(true),
            b"audio off" => self.queue.listen(false),
            word => {
                let asked = word.strip_prefix(b"age ");
                let number =
                    asked.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
                if let Some(question) = number.filter(|_| self.may_answer()) {
                    self.queue.tell_age(question, now_us);
                }
            }
        }
    }

    /// Whether there is room for an answer; pictures go first.
    fn may_answer(&self) -> bool {
        self.queue.bytes() < PONG_QUEUE_MAX && self.queue.waiting() < PONG_CHUNKS_MAX
    }

    /// Whether its time is up.
    pub fn has_ended(&self, now_us: u64) -> bool {
        now_us >= self.end_us
    }

    /// Why the viewer must leave now, if it must. It waits for media since it joined, at the earliest since `since_us`.
    pub fn overdue(&self, now_us: u64, since_us: u64, media_wait_us: u64) -> Option<EndReason> {
        if self.has_ended(now_us) {
            Some(EndReason::GrantEnded)
        } else if !self.queue.has_started()
            && now_us.saturating_sub(self.joined_us.max(since_us)) >= media_wait_us
        {
            Some(EndReason::NoMedia)
        } else if self.is_blocked() && now_us.saturating_sub(self.progress_us) >= STUCK_US {
            Some(EndReason::TooSlow)
        } else {
            None
        }
    }

    /// Say goodbye if the framing allows it, close, and tell what came of it.
    pub fn end(self, reason: EndReason, stream_id: &str) -> Event {
        let last_words = match reason {
            reason if !reason.leaves_a_listener() => Vec::new(),
            EndReason::ViewerClosed if !self.queue.protocol().is_websocket() => Vec::new(),
            EndReason::ViewerClosed => websocket::close_frame(1000),
            EndReason::Violation(violation) => websocket::close_frame(violation.status()),
            reason => farewell(
                self.queue.protocol(),
                reason.word(),
                self.queue.bytes_sent() > 0,
            ),
        };
        let said = self.queue.is_empty()
            && self.wire.try_write(&last_words).is_ok()
            && self.wire.finish().is_ok();
        if !said {
            // Pictures wait in the kernel as well. A reset takes them back: a viewer whose right has ended must
            // not go on watching what was sent ahead of it.
            self.wire.reset_on_close();
            self.link.is_aborted.set(true);
        }
        self.link.has_ended.set(true);
        self.link.wake.notify_one();
        self.left_event(reason, stream_id)
    }

    /// The event of its coming.
    pub fn joined_event(&self, stream_id: &str) -> Event {
        let fields = vec![
            ("stream_id", text(stream_id)),
            ("access_id", text(&*self.ticket.access_id)),
            ("grant_id", text(&*self.ticket.grant_id)),
            ("protocol", text(self.queue.protocol().word())),
            ("peer", text(self.peer.to_string())),
        ];
        Event::lifecycle("ViewerJoined", fields)
    }

    fn left_event(&self, reason: EndReason, stream_id: &str) -> Event {
        let fields = vec![
            ("stream_id", text(stream_id)),
            ("access_id", text(&*self.ticket.access_id)),
            ("grant_id", text(&*self.ticket.grant_id)),
            ("reason", text(reason.word())),
            ("bytes_sent", Value::Number(self.queue.bytes_sent())),
            ("fragments", Value::Number(self.queue.pictures())),
            ("drops", Value::Number(self.queue.drops())),
        ];
        Event::lifecycle("ViewerLeft", fields)
    }

    fn block(&self, is_blocked: bool) {
        if self.link.is_blocked.replace(is_blocked) != is_blocked {
            self.link.wake.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::Slots;
    use crate::viewer::QueueLimits;

    fn viewer() -> ViewerConnection {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        socket.set_nonblocking(true).unwrap();
        let peer = socket.peer_addr().unwrap();
        let ticket = Ticket {
            stream_id: "s1".into(),
            access_id: "a1".into(),
            grant_id: "g1".into(),
            protocol: Protocol::WebSocket,
            start_by_ms: 0,
            end_by_ms: 0,
            nonce: [0; 16],
            peers: None,
        };
        let limits = QueueLimits {
            bytes: 1 << 20,
            age_us: 1_000_000,
        };
        let queue = ViewerQueue::new(ticket.protocol, limits);
        let socket = tokio::net::TcpStream::from_std(socket).unwrap();
        let slot = Slots::default().take(1).unwrap();
        let wires = (Rc::new(Wire::plain(socket)), Rc::default(), peer);
        ViewerConnection::new(queue, ticket, wires, (0, u64::MAX), slot)
    }

    #[test]
    fn a_flood_of_pings_is_answered_within_bounds() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .unwrap();
        let _inside = runtime.enter();
        let mut viewer = viewer();
        // Final, ping, masked with zeros: no payload, and the longest one.
        let empty = [0x89, 0x80, 0, 0, 0, 0];
        let long = [&[0x89, 0x80 | 125, 0, 0, 0, 0][..], &[b'x'; 125]].concat();
        let question = [&[0x81, 0x80 | 6, 0, 0, 0, 0][..], b"age 77"].concat();
        for ping in [&empty[..], &long, &question] {
            viewer.receive(&ping.repeat(100_000), 0).unwrap();
        }
        assert_eq!(viewer.queue.waiting(), PONG_CHUNKS_MAX);
        assert!(viewer.queue.bytes() < PONG_QUEUE_MAX);
    }
}
