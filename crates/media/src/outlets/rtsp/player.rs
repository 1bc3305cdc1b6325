//! One player: its session, its queue, its sockets, and what is reported of it.

mod reporting;

pub use reporting::{Clocks, TrackClock};

use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use socket2::SockRef;

use super::packets::{AudioFormat, Unit};
use super::queue::Queue;
use super::reports::Reports;
use super::request::{Delivery, TRACKS_MAX};
use super::session::{Session, TIMEOUT_S, usual_channels};
use crate::connection::{EndReason, Link};
use crate::events::{Event, Value, text};
use crate::parameters::VideoCodec;
use crate::rtsp::udp::UdpPair;
use crate::shared::{Shared, Slot};
use crate::ticket::Ticket;
use crate::viewer::QueueLimits;
use crate::wire::Wire;

/// A player that takes nothing for this long is gone.
const STUCK_US: u64 = 10_000_000;
/// From the description to PLAY.
const SETTLE_US: u64 = 30_000_000;
/// A player of datagrams may be silent for the session's time-out and a quarter of it.
const SILENT_US: u64 = TIMEOUT_S * 1_250_000;
/// Datagrams of one turn: a cached group must not leave as one burst that the network drops.
const DATAGRAMS_PER_TURN: usize = 96;

/// What a player was told is in the stream.
#[derive(Clone, Copy, Debug)]
pub struct Described {
    /// The coding of the pictures.
    pub codec: VideoCodec,
    /// The sound.
    pub audio: Option<AudioFormat>,
}

/// One player of a stream.
pub struct Player {
    /// What it presented.
    pub ticket: Ticket,
    /// Its session.
    pub session: Session,
    /// What it was told, once it was.
    pub described: Option<Described>,
    /// Its DESCRIBE waits for the stream.
    pub awaits_description: bool,
    wire: Rc<Wire>,
    link: Rc<Link>,
    peer: SocketAddr,
    connection: Queue,
    datagrams: Queue,
    pairs: [Option<UdpPair>; TRACKS_MAX],
    joined_us: u64,
    end_us: u64,
    progress_us: u64,
    heard_us: u64,
    described_us: Option<u64>,
    report_us: u64,
    is_first_reported: bool,
    send_errors: u64,
    reports: [Reports; TRACKS_MAX],
    heard_reports: u64,
    malformed_reports: u64,
    _slot: Slot,
}

impl Player {
    /// A player that joins now and must be gone at `end_us`.
    pub fn new(
        ticket: Ticket,
        session: Session,
        (wire, link, peer): (Rc<Wire>, Rc<Link>, SocketAddr),
        (now_us, end_us): (u64, u64),
        limits: QueueLimits,
        slot: Slot,
    ) -> Player {
        Player {
            ticket,
            session,
            described: None,
            awaits_description: true,
            wire,
            link,
            peer,
            connection: Queue::new(limits),
            datagrams: Queue::new(limits),
            pairs: [None, None],
            joined_us: now_us,
            end_us,
            progress_us: now_us,
            heard_us: now_us,
            described_us: None,
            report_us: 0,
            is_first_reported: false,
            send_errors: 0,
            reports: Default::default(),
            heard_reports: 0,
            malformed_reports: 0,
            _slot: slot,
        }
    }

    /// Open ports for a track; those of datagrams come from where the player found us. The first of them, 0 inside the connection.
    pub fn open_ports(
        &mut self,
        shared: &Arc<Shared>,
        track: usize,
        delivery: Delivery,
    ) -> Option<u16> {
        let Delivery::Datagrams { rtp, rtcp } = delivery else {
            return Some(0);
        };
        let host = self.wire.local_addr().ok()?.ip();
        let pair = UdpPair::open(shared, host)?;
        let towards = |port| SocketAddr::new(self.peer.ip(), port);
        // Connected, so that what strangers send there never comes in.
        SockRef::from(&*pair.rtp)
            .connect(&towards(rtp).into())
            .ok()?;
        SockRef::from(&*pair.rtcp)
            .connect(&towards(rtcp).into())
            .ok()?;
        let port = pair.port;
        self.pairs[track] = Some(pair);
        Some(port)
    }

    /// It said something.
    pub fn heard(&mut self, now_us: u64) {
        self.heard_us = now_us;
    }

    /// It is told what is in the stream.
    pub fn tell(&mut self, described: Described, description: &str, tracks: usize, now_us: u64) {
        self.awaits_description = false;
        self.described = Some(described);
        self.described_us.get_or_insert(now_us);
        self.session.describe(description, tracks);
    }

    /// Hand what the session has to say to the connection.
    pub fn speak(&mut self, now_us: u64) -> Result<(), EndReason> {
        let words = self.session.to_send();
        if words.is_empty() || self.connection.say(words, now_us) {
            return Ok(());
        }
        Err(EndReason::TooSlow)
    }

    /// Offer a picture or a piece of sound of a track it has set up.
    pub fn offer(&mut self, unit: &Unit, now_us: u64) {
        let deliveries = self.session.deliveries();
        let has_pictures = deliveries[0].is_some();
        let unit = match deliveries[unit.track] {
            None => return,
            Some(Delivery::Interleaved(Some((channel, _))))
                if channel != usual_channels(unit.track).0 =>
            {
                &unit.on_channel(channel)
            }
            Some(_) => unit,
        };
        let queue = match self.sends_datagrams() {
            true => &mut self.datagrams,
            false => &mut self.connection,
        };
        match unit.track {
            0 => queue.picture(unit, now_us),
            _ => queue.sound(unit, has_pictures, now_us),
        }
    }

    /// Whether its connection is full.
    pub fn is_blocked(&self) -> bool {
        self.link.is_blocked.get()
    }

    /// Whether its connection is over.
    pub fn link(&self) -> &Rc<Link> {
        &self.link
    }

    /// Send what waits. Returns the milliseconds since it joined when its first picture is out now.
    pub fn flush(&mut self, now_us: u64) -> Result<Option<f64>, EndReason> {
        self.write(now_us)?;
        self.send_datagrams();
        let is_first = !self.is_first_reported && self.media().pictures > 0;
        self.is_first_reported |= is_first;
        Ok(is_first.then(|| now_us.saturating_sub(self.joined_us) as f64 / 1000.0))
    }

    fn write(&mut self, now_us: u64) -> Result<(), EndReason> {
        let outcome = self.write_all();
        if self.wire.has_moved() {
            self.progress_us = now_us;
        }
        match outcome {
            Ok(()) => self.block(false),
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.block(true),
            Err(error) => return Err(EndReason::of(&error)),
        }
        Ok(())
    }

    fn write_all(&mut self) -> io::Result<()> {
        while !self.connection.is_empty() {
            let mut slices: Vec<IoSlice<'_>> = Vec::with_capacity(4);
            self.connection.slices(&mut slices);
            match self.wire.try_write_vectored(&slices) {
                Ok(written) => {
                    drop(slices);
                    self.connection.advance(written);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.wire.flush()
    }

    fn send_datagrams(&mut self) {
        for _ in 0..DATAGRAMS_PER_TURN {
            let Some((track, packet)) = self.datagrams.datagram() else {
                return;
            };
            let Some(pair) = &self.pairs[track] else {
                return;
            };
            match pair.rtp.try_send(packet) {
                Ok(_) => self.datagrams.datagram_done(true),
                // The next turn is a tick away.
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_nobody_listens_or_no_route) => {
                    self.send_errors += 1;
                    self.datagrams.datagram_done(false);
                }
            }
        }
    }

    /// Why the player must leave now, if it must. `since_us`: a pause ended; it waits for media from then on at the earliest.
    pub fn overdue(&self, now_us: u64, since_us: u64, media_wait_us: u64) -> Option<EndReason> {
        let waited_us = now_us.saturating_sub(self.joined_us.max(since_us));
        let is_playing = self.session.is_playing();
        let is_undecided = |at| !is_playing && now_us.saturating_sub(at) >= SETTLE_US;
        if self.has_ended(now_us) {
            Some(EndReason::GrantEnded)
        } else if (self.awaits_description || is_playing && !self.media().has_started())
            && waited_us >= media_wait_us
        {
            Some(EndReason::NoMedia)
        } else if self.is_blocked() && now_us.saturating_sub(self.progress_us) >= STUCK_US {
            Some(EndReason::TooSlow)
        } else if self.described_us.is_some_and(is_undecided)
            || self.sends_datagrams() && now_us.saturating_sub(self.heard_us) >= SILENT_US
        {
            Some(EndReason::Silent)
        } else {
            None
        }
    }

    /// Whether its time is up.
    pub fn has_ended(&self, now_us: u64) -> bool {
        now_us >= self.end_us
    }

    /// Whether datagrams wait.
    pub fn has_datagrams(&self) -> bool {
        !self.datagrams.is_empty()
    }

    /// Close, and tell what came of it.
    pub fn end(mut self, reason: EndReason, stream_id: &str, clocks: Clocks, now_us: u64) -> Event {
        let may_speak = reason.leaves_a_listener() && !self.connection.has_media();
        if may_speak {
            self.say_bye(&clocks, now_us);
        }
        let is_said = may_speak
            && self.speak(now_us).is_ok()
            && self.write_all().is_ok()
            && self.wire.finish().is_ok();
        if !is_said {
            // Pictures wait in the kernel as well. A reset takes them back: a player whose right has ended must
            // not go on watching what was sent ahead of it.
            self.wire.reset_on_close();
            self.link.is_aborted.set(true);
        }
        self.link.has_ended.set(true);
        self.link.wake.notify_one();
        let fields = vec![
            ("stream_id", text(stream_id)),
            ("access_id", text(&*self.ticket.access_id)),
            ("grant_id", text(&*self.ticket.grant_id)),
            ("reason", text(reason.word())),
            ("bytes_sent", Value::Number(self.bytes_sent())),
            ("fragments", Value::Number(self.media().pictures)),
            ("drops", Value::Number(self.media().drops)),
        ];
        Event::lifecycle("ViewerLeft", fields)
    }

    /// The event of its coming.
    pub fn joined_event(&self, stream_id: &str) -> Event {
        let fields = vec![
            ("stream_id", text(stream_id)),
            ("access_id", text(&*self.ticket.access_id)),
            ("grant_id", text(&*self.ticket.grant_id)),
            ("protocol", text(self.ticket.protocol.word())),
            ("peer", text(self.peer.to_string())),
        ];
        Event::lifecycle("ViewerJoined", fields)
    }

    /// The queue its pictures wait in.
    pub fn media(&self) -> &Queue {
        match self.sends_datagrams() {
            true => &self.datagrams,
            false => &self.connection,
        }
    }

    /// Octets with its sockets.
    pub fn bytes_sent(&self) -> u64 {
        self.connection.bytes_sent + self.datagrams.bytes_sent
    }

    /// Datagrams the system refused: nobody listens there, or no route leads there.
    pub fn send_errors(&self) -> u64 {
        self.send_errors
    }

    fn sends_datagrams(&self) -> bool {
        self.pairs.iter().any(Option::is_some)
    }

    fn block(&self, is_blocked: bool) {
        if self.link.is_blocked.replace(is_blocked) != is_blocked {
            self.link.wake.notify_one();
        }
    }
}
