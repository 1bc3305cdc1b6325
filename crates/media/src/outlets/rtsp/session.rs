//! The server's side of one session, without I/O (RFC 2326 10, A.2): octets of the player go in, what it asks comes out, answers are
//! written for it.
//!
//! A session is its connection. What it cannot answer by itself it asks its owner ([`Ask`]), one thing at a time; until the owner
//! has answered, further requests wait unread.
//!
//! ```text
//! state     DESCRIBE     SETUP        PLAY         TEARDOWN
//! Outside   -> Admitted  455          455          455
//! Admitted  answered     -> Ready     455          -> Over
//! Ready     answered     another one  -> Playing   -> Over
//! Playing   answered     455          answered     -> Over
//! ```

mod answers;

use super::digest::{self, Answer};
use super::request::{Delivery, Place, TRACKS_MAX, deliveries, is_repeatable};
use crate::rtsp::message::{self, Item, Message, ReadError, Reader, StartLine};

/// What a player may do; a live picture is neither paused nor recorded.
const METHODS: &str = "OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, SET_PARAMETER, TEARDOWN";
/// Seconds within which a player that gets datagrams shows that it is there (RFC 2326 12.37).
pub const TIMEOUT_S: u64 = 60;
/// Wrong answers to a challenge, or wrong tickets, before the connection is closed.
const TRIES_MAX: u32 = 3;
/// Longest request; the bodies of those we know are empty or a line.
const WAITING_MAX: usize = message::MAX_HEAD + 4096;

/// What a player proves its right with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// Nothing yet.
    None,
    /// The ticket in its URL.
    Ticket(String),
    /// A digest by the name of a deposited ticket.
    Digest(Answer),
}

/// What the owner must answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// May it see this stream? [`Session::admit`], [`Session::challenge`] or [`Session::refuse`].
    Admit {
        /// The stream.
        stream_id: String,
        /// Its proof.
        credential: Credential,
    },
    /// What is in the stream? [`Session::describe`] or [`Session::refuse`].
    Describe,
    /// Where does the track come from? [`Session::set_up`] or [`Session::refuse`].
    SetUp {
        /// The track.
        track: usize,
        /// How it wants it.
        delivery: Delivery,
    },
    /// It is ready for pictures: [`Session::play`].
    Play,
    /// It goes; its answer is written.
    TearDown,
    /// RTCP inside the connection; nothing to answer.
    Report {
        /// The track.
        track: usize,
        /// The packet.
        packet: Vec<u8>,
    },
}

/// Why a connection cannot go on; the last answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// No RTSP, or too much of it.
    Malformed,
    /// Too many wrong proofs.
    Unproven,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Outside,
    Admitted,
    Ready,
    Playing,
    Over,
}

#[derive(Clone, Debug)]
enum Pending {
    Admit(Place),
    Describe,
    SetUp(usize, Delivery),
    Play,
}

/// One player's session.
#[derive(Debug)]
pub struct Session {
    reader: Reader,
    output: Vec<u8>,
    state: State,
    id: String,
    nonce: String,
    tries: u32,
    place: Option<Place>,
    described: usize,
    deliveries: [Option<Delivery>; TRACKS_MAX],
    pending: Option<(u32, Pending)>,
    is_inside_only: bool,
}

impl Session {
    /// A session with an id and a nonce nobody can guess; none when the system gives no randomness.
    pub fn fresh() -> Option<Session> {
        Some(Session::new(digest::fresh_nonce()?, digest::fresh_nonce()?))
    }

    /// A session that has heard nothing. Its id and nonce should be random.
    pub fn new(id: String, nonce: String) -> Session {
        Session {
            reader: Reader::default(),
            output: Vec::new(),
            state: State::Outside,
            id,
            nonce,
            tries: 0,
            place: None,
            described: 0,
            deliveries: [None; TRACKS_MAX],
            pending: None,
            is_inside_only: false,
        }
    }

    /// Media comes inside the connection only: beside one that is TLS it would be open to everybody.
    pub fn keep_inside(&mut self) {
        self.is_inside_only = true;
    }

    /// Take octets of the player. Fails when it sends on and on while it waits for an answer.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Violation> {
        if self.reader.waiting() + bytes.len() > WAITING_MAX {
            return Err(self.malformed(413, "Request Entity Too Large"));
        }
        self.reader.push(bytes);
        Ok(())
    }

    /// What the player asks next; `None` until it says more or the owner has answered.
    pub fn next_ask(&mut self) -> Result<Option<Ask>, Violation> {
        while self.pending.is_none() && self.state != State::Over {
            let item = match self.reader.take() {
                Ok(Some(item)) => item,
                Ok(None) if self.reader.skipped_bytes == 0 => return Ok(None),
                Ok(None) => return Err(self.malformed(400, "Bad Request")),
                Err(ReadError::BodyTooLong) => {
                    return Err(self.malformed(413, "Request Entity Too Large"));
                }
                Err(ReadError::HeadTooLong | ReadError::NoFraming) => {
                    return Err(self.malformed(400, "Bad Request"));
                }
            };
            // A client has no frame boundary to lose: what is neither request nor frame is not RTSP.
            if self.reader.skipped_bytes > 0 {
                return Err(self.malformed(400, "Bad Request"));
            }
            let ask = match item {
                Item::Frame { channel, data } => self.report(channel, &data),
                Item::Message(message) => self.message(&message)?,
            };
            if ask.is_some() {
                return Ok(ask);
            }
        }
        Ok(None)
    }

    /// Take what is to be sent to the player.
    pub fn to_send(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// Whether it gets pictures.
    pub fn is_playing(&self) -> bool {
        self.state == State::Playing
    }

    /// Whether an answer of the owner is awaited.
    pub fn is_waiting(&self) -> bool {
        self.pending.is_some()
    }

    /// How each track goes to the player, for those it has set up.
    pub fn deliveries(&self) -> &[Option<Delivery>; TRACKS_MAX] {
        &self.deliveries
    }

    /// The nonce its digests must be made with.
    pub fn nonce(&self) -> &str {
        &self.nonce
    }

    /// It is let in; its DESCRIBE is asked for next.
    pub fn admit(&mut self) -> Option<Ask> {
        let Some((cseq, Pending::Admit(place))) = self.pending.take() else {
            return None;
        };
        self.state = State::Admitted;
        self.place = Some(place);
        self.pending = Some((cseq, Pending::Describe));
        Some(Ask::Describe)
    }

    fn message(&mut self, message: &Message) -> Result<Option<Ask>, Violation> {
        let StartLine::Request {
            method,
            uri,
            is_version_1,
        } = &message.start
        else {
            // Nothing was asked, so there is nothing to answer to.
            return Err(self.malformed(400, "Bad Request"));
        };
        let Some(cseq) = message.cseq() else {
            return Err(self.malformed(400, "Bad Request"));
        };
        if !is_version_1 {
            return Ok(self.turn_down(505, cseq));
        }
        if let Some(option) = message.header("Require") {
            // RFC 2326 12.32: nothing optional is supported.
            let named = if is_repeatable(option) { option } else { "" };
            self.answer(551, cseq, &[("Unsupported", named)]);
            return Ok(None);
        }
        let names_other = |named: &str| named.split(';').next() != Some(self.id.as_str());
        if message.header("Session").is_some_and(names_other) {
            return Ok(self.turn_down(454, cseq));
        }
        match method.as_str() {
            "OPTIONS" => {
                self.answer(200, cseq, &[("Public", METHODS)]);
                Ok(None)
            }
            // How players show that they are there (RFC 2326 10.8); there are no parameters.
            "GET_PARAMETER" | "SET_PARAMETER" if self.state != State::Outside => {
                let id = self.id.clone();
                self.answer(200, cseq, &[("Session", &id)]);
                Ok(None)
            }
            "DESCRIBE" => Ok(self.asked_to_describe(uri, cseq, message)),
            "SETUP" => Ok(self.asked_to_set_up(uri, cseq, message)),
            "PLAY" => Ok(self.asked_to_play(uri, cseq)),
            "TEARDOWN" if self.state != State::Outside => {
                self.answer(200, cseq, &[]);
                self.state = State::Over;
                Ok(Some(Ask::TearDown))
            }
            "GET_PARAMETER" | "SET_PARAMETER" | "TEARDOWN" => Ok(self.turn_down(455, cseq)),
            "PAUSE" | "RECORD" | "ANNOUNCE" | "REDIRECT" => {
                self.answer(405, cseq, &[("Allow", METHODS)]);
                Ok(None)
            }
            _ => Ok(self.turn_down(501, cseq)),
        }
    }

    fn asked_to_describe(&mut self, uri: &str, cseq: u32, message: &Message) -> Option<Ask> {
        let Some(place) = Place::parse(uri).filter(|place| is_repeatable(&place.base)) else {
            return self.turn_down(404, cseq);
        };
        if self.state != State::Outside {
            if !self.is_of(&place) {
                return self.turn_down(404, cseq);
            }
            self.pending = Some((cseq, Pending::Describe));
            return Some(Ask::Describe);
        }
        let answer = message.header("Authorization").and_then(Answer::parse);
        let credential = match (answer, &place.ticket) {
            (Some(answer), _) => Credential::Digest(answer),
            (None, Some(ticket)) => Credential::Ticket(ticket.clone()),
            (None, None) => Credential::None,
        };
        let stream_id = place.stream_id.clone();
        self.pending = Some((cseq, Pending::Admit(place)));
        Some(Ask::Admit {
            stream_id,
            credential,
        })
    }

    fn asked_to_set_up(&mut self, uri: &str, cseq: u32, message: &Message) -> Option<Ask> {
        let is_in_time = matches!(self.state, State::Admitted | State::Ready);
        if !is_in_time || self.described == 0 {
            return self.turn_down(455, cseq);
        }
        let place = Place::parse(uri).filter(|place| self.is_of(place));
        // A player that sets the whole stream up gets its only track (RFC 2326 C.1.1).
        let only = (self.described == 1).then_some(0);
        let track = place.and_then(|place| place.track.or(only));
        let Some(track) = track.filter(|track| *track < self.described) else {
            return self.turn_down(404, cseq);
        };
        if self.deliveries[track].is_some() {
            return self.turn_down(455, cseq);
        }
        let mut wanted = deliveries(message.header("Transport").unwrap_or_default());
        match wanted.find(|wanted| self.goes_with_the_others(wanted)) {
            Some(wanted) => {
                self.pending = Some((cseq, Pending::SetUp(track, wanted)));
                Some(Ask::SetUp {
                    track,
                    delivery: wanted,
                })
            }
            None => self.turn_down(461, cseq),
        }
    }

    fn asked_to_play(&mut self, uri: &str, cseq: u32) -> Option<Ask> {
        if !matches!(self.state, State::Ready | State::Playing) {
            return self.turn_down(455, cseq);
        }
        if !Place::parse(uri).is_some_and(|place| self.is_of(&place)) {
            return self.turn_down(404, cseq);
        }
        self.pending = Some((cseq, Pending::Play));
        if self.state == State::Playing {
            // Some players say it once a track.
            self.play(&[]);
            return None;
        }
        Some(Ask::Play)
    }

    /// All tracks of a session go the same way, and no two share a channel.
    fn goes_with_the_others(&self, wanted: &Delivery) -> bool {
        let channels = |delivery: &Delivery, track| match delivery {
            Delivery::Interleaved(pair) => Some(pair.unwrap_or_else(|| usual_channels(track))),
            Delivery::Datagrams { .. } => None,
        };
        if self.is_inside_only && matches!(wanted, Delivery::Datagrams { .. }) {
            return false;
        }
        let mut others = self.deliveries.iter().enumerate();
        others.all(|(track, other)| match other {
            None => true,
            Some(other) => match (channels(other, track), channels(wanted, 1 - track)) {
                (None, None) => true,
                (Some((a, b)), Some((c, d))) => a != c && a != d && b != c && b != d,
                _ => false,
            },
        })
    }

    fn is_of(&self, place: &Place) -> bool {
        let ours = self.place.as_ref();
        ours.is_some_and(|ours| ours.stream_id == place.stream_id)
    }

    fn report(&mut self, channel: u8, data: &std::ops::Range<usize>) -> Option<Ask> {
        let track = self
            .deliveries
            .iter()
            .enumerate()
            .position(|(track, delivery)| {
                matches!(delivery, Some(Delivery::Interleaved(pair))
                if pair.unwrap_or_else(|| usual_channels(track)).1 == channel)
            })?;
        let packet = self.reader.frame(data).to_vec();
        Some(Ask::Report { track, packet })
    }

    fn base(&self) -> &str {
        self.place.as_ref().map_or("", |place| &place.base)
    }
}

/// The channels of a track whose player leaves them to us.
pub fn usual_channels(track: usize) -> (u8, u8) {
    (2 * track as u8, 2 * track as u8 + 1)
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
