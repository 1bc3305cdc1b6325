//! One RTSP session as a machine: bytes and time in, bytes to send and media packets out.
//!
//! ```text
//! OPTIONS -> DESCRIBE -> SETUP (each track) -> PLAY -> playing: keep-alive, reports -> TEARDOWN
//!    |           |           |                  |
//!    401: once more with an answer   3xx: another server   461: over TCP instead of UDP
//! ```
//!
//! Contract: after every [`Client::start`], [`Client::receive`] and [`Client::tick`] the caller sends what
//! [`Client::to_send`] gives. Time is an argument; nothing here reads a clock or blocks.
//!
//! `requests` holds what is sent, `answers` what the server says.

mod answers;
mod requests;

use crate::rtsp::RtspFailure;
use crate::rtsp::auth::{Authenticator, Credentials};
use crate::rtsp::message::{Item, Reader};
use crate::rtsp::rtcp::Reception;
use crate::rtsp::sdp::Track;
use crate::rtsp::url::RtspUrl;

/// Session time-out when the server names none (RFC 2326 12.37).
const SESSION_TIMEOUT_S: u64 = 60;
/// Time between reports of reception.
const REPORT_EVERY_US: u64 = 5_000_000;

/// How the media comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Interleaved in the RTSP connection.
    Tcp,
    /// To UDP ports of ours.
    Udp,
}

/// What the client is to do.
#[derive(Clone)]
pub struct ClientConfig {
    /// The stream.
    pub url: RtspUrl,
    /// Who we are.
    pub credentials: Credentials,
    /// How the media is to come.
    pub delivery: Delivery,
    /// Even RTP ports of ours, one a track, for [`Delivery::Udp`]; RTCP is the next one.
    pub ports: Vec<u16>,
    /// SSRC of our reports.
    pub ssrc: u32,
}

/// A track that was set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// What it carries.
    pub track: Track,
    /// The server's RTP and RTCP ports, when it named them (UDP).
    pub server_ports: Option<(u16, u16)>,
    channels: (u8, u8),
}

/// What the client has to say.
#[derive(Debug)]
pub enum ClientEvent<'a> {
    /// The server plays these tracks now.
    Playing(&'a [Setup]),
    /// An RTP packet of a track, interleaved: in order by nature.
    Media {
        /// Index into the tracks.
        track: usize,
        /// The packet.
        packet: &'a [u8],
    },
    /// Ask this server instead, on a new connection.
    Redirect(RtspUrl),
    /// The session is over; `status` is the server's, when it is a matter of one.
    Failed(RtspFailure, Option<u16>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Options,
    Describe,
    SetUp(usize),
    Play,
    Playing,
    Ended,
}

/// The machine.
pub struct Client {
    config: ClientConfig,
    auth: Authenticator,
    reader: Reader,
    stage: Stage,
    delivery: Delivery,
    cseq: u32,
    awaits: Option<(u32, u64)>,
    base: String,
    session: Option<String>,
    keep_alive_us: u64,
    keep_alive_at: u64,
    report_at: u64,
    has_get_parameter: bool,
    described: Vec<Track>,
    setups: Vec<Setup>,
    receptions: Vec<Reception>,
    output: Vec<u8>,
}

impl Client {
    /// A client for a fresh connection.
    pub fn new(config: ClientConfig) -> Self {
        let auth = Authenticator::new(config.credentials.clone());
        Self {
            base: config.url.to_string(),
            delivery: config.delivery,
            config,
            auth,
            reader: Reader::default(),
            stage: Stage::Options,
            cseq: 0,
            awaits: None,
            session: None,
            keep_alive_us: SESSION_TIMEOUT_S * 500_000,
            keep_alive_at: 0,
            report_at: 0,
            has_get_parameter: false,
            described: Vec::new(),
            setups: Vec::new(),
            receptions: Vec::new(),
            output: Vec::new(),
        }
    }

    /// The connection stands.
    pub fn start(&mut self, now_us: u64) {
        self.ask(now_us);
    }

    /// What waits to be sent. The caller removes what it has sent.
    pub fn to_send(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// How the media comes, which a server may have changed.
    pub fn delivery(&self) -> Delivery {
        self.delivery
    }

    /// The tracks set up so far.
    pub fn setups(&self) -> &[Setup] {
        &self.setups
    }

    /// Bytes of the connection that were neither frame nor message.
    pub fn skipped_bytes(&self) -> u64 {
        self.reader.skipped_bytes
    }

    /// Bytes came from the server.
    pub fn receive(&mut self, now_us: u64, bytes: &[u8], sink: &mut dyn FnMut(ClientEvent<'_>)) {
        self.reader.push(bytes);
        while self.stage != Stage::Ended {
            match self.reader.take() {
                Ok(None) => return,
                Ok(Some(Item::Frame { channel, data })) => {
                    let packet = self.reader.frame(&data);
                    for (track, setup) in self.setups.iter().enumerate() {
                        if channel == setup.channels.0 {
                            note(&mut self.receptions[track], now_us, packet);
                            sink(ClientEvent::Media { track, packet });
                        } else if channel == setup.channels.1 {
                            self.receptions[track].sender_report(now_us, packet);
                        }
                    }
                }
                Ok(Some(Item::Message(message))) => self.message(now_us, &message, sink),
                Err(_) => self.fail(RtspFailure::Protocol, None, sink),
            }
        }
    }

    /// An RTP packet of a track came by UDP; it is the caller's to deliver.
    pub fn received_rtp(&mut self, now_us: u64, track: usize, packet: &[u8]) {
        if let Some(reception) = self.receptions.get_mut(track) {
            note(reception, now_us, packet);
        }
    }

    /// An RTCP packet of a track came by UDP.
    pub fn received_rtcp(&mut self, now_us: u64, track: usize, packet: &[u8]) {
        if let Some(reception) = self.receptions.get_mut(track) {
            reception.sender_report(now_us, packet);
        }
    }

    /// Let time pass: answers that do not come, keep-alives. Returns whether reports are due (see [`Client::reports`]).
    pub fn tick(&mut self, now_us: u64, sink: &mut dyn FnMut(ClientEvent<'_>)) -> bool {
        if self.stage == Stage::Ended {
            return false;
        }
        if self.awaits.is_some_and(|(_, due)| due <= now_us) {
            self.fail(RtspFailure::Timeout, None, sink);
            return false;
        }
        if self.stage != Stage::Playing {
            return false;
        }
        if self.keep_alive_at <= now_us && self.awaits.is_none() {
            let method = if self.has_get_parameter {
                "GET_PARAMETER"
            } else {
                "OPTIONS"
            };
            self.send(now_us, method, &self.base.clone(), &[]);
            self.keep_alive_at = now_us + self.keep_alive_us;
        }
        let is_due = self.report_at <= now_us;
        if is_due {
            self.report_at = now_us + REPORT_EVERY_US;
        }
        is_due
    }

    /// A report for each track. Interleaved ones are queued here; for UDP the caller sends them to the server's ports.
    pub fn reports(&mut self, now_us: u64) -> Vec<Vec<u8>> {
        let ssrc = self.config.ssrc;
        let receptions = self.receptions.iter_mut();
        let reports: Vec<_> = receptions.map(|one| one.report(now_us, ssrc)).collect();
        if self.delivery == Delivery::Udp {
            return reports;
        }
        for (setup, report) in self.setups.iter().zip(&reports) {
            self.output.extend([b'$', setup.channels.1]);
            self.output.extend((report.len() as u16).to_be_bytes());
            self.output.extend_from_slice(report);
        }
        Vec::new()
    }

    /// The last request, for a caller that is about to close; nothing when there is no session to end.
    pub fn teardown(&mut self) -> Option<Vec<u8>> {
        let has_session = self.session.is_some() && self.stage != Stage::Ended;
        self.stage = Stage::Ended;
        if !has_session {
            return None;
        }
        self.output.clear();
        self.send(0, "TEARDOWN", &self.base.clone(), &[]);
        Some(std::mem::take(&mut self.output))
    }
}

fn note(reception: &mut Reception, now_us: u64, packet: &[u8]) {
    if let Ok(packet) = crate::rtp::RtpPacket::parse(packet) {
        reception.packet(now_us, packet.ssrc(), packet.sequence(), packet.timestamp());
    }
}

#[cfg(test)]
mod tests;
