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

use crate::rtsp::RtspFailure;
use crate::rtsp::auth::{Authenticator, Credentials};
use crate::rtsp::message::{self, Item, Message, Reader, StartLine};
use crate::rtsp::rtcp::Reception;
use crate::rtsp::sdp::{Description, Track};
use crate::rtsp::url::{RtspUrl, is_sendable, without_user};

/// A request is answered within this.
const ANSWER_WITHIN_US: u64 = 8_000_000;
/// Session time-out when the server names none (RFC 2326 12.37).
const SESSION_TIMEOUT_S: u64 = 60;
/// Time between reports of reception.
const REPORT_EVERY_US: u64 = 5_000_000;
/// Longest session id.
const MAX_SESSION_ID: usize = 256;

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

    fn message(&mut self, now_us: u64, message: &Message, sink: &mut dyn FnMut(ClientEvent<'_>)) {
        match &message.start {
            StartLine::Request(method) => self.asked(method, message, sink),
            StartLine::Status(100..=199) => {}
            StartLine::Status(status) => {
                // Some servers leave the number out or count by themselves; requests are never pipelined, so an answer
                // that comes while one is awaited is its answer unless it names an earlier one.
                let Some((awaited, _)) = self.awaits else {
                    return;
                };
                if message.cseq().is_some_and(|cseq| cseq < awaited) {
                    return;
                }
                self.awaits = None;
                self.answered(now_us, *status, message, sink);
            }
        }
    }

    fn asked(&mut self, method: &str, message: &Message, sink: &mut dyn FnMut(ClientEvent<'_>)) {
        let cseq = message.cseq().unwrap_or(0);
        let (status, phrase) = match method {
            "OPTIONS" | "GET_PARAMETER" | "SET_PARAMETER" | "ANNOUNCE" | "TEARDOWN"
            | "REDIRECT" => (200, "OK"),
            _ => (501, "Not Implemented"),
        };
        self.output.extend(message::response(status, phrase, cseq));
        match method {
            "TEARDOWN" => self.fail(RtspFailure::Closed, None, sink),
            "REDIRECT" => self.redirect(message, sink),
            _ => {}
        }
    }

    fn answered(
        &mut self,
        now_us: u64,
        status: u16,
        message: &Message,
        sink: &mut dyn FnMut(ClientEvent<'_>),
    ) {
        match (status, self.stage) {
            (401, _) => {
                if self.auth.challenged(message.headers("WWW-Authenticate")) {
                    self.ask(now_us);
                } else {
                    self.fail(RtspFailure::Unauthorised, Some(401), sink);
                }
            }
            (300..=399, stage) if stage != Stage::Playing => self.redirect(message, sink),
            (200..=299, _) => self.succeeded(now_us, message, sink),
            // A server that does not know OPTIONS may still know the rest.
            (_, Stage::Options) if !matches!(status, 403 | 404 | 454) => {
                self.stage = Stage::Describe;
                self.ask(now_us);
            }
            (461, Stage::SetUp(0)) if self.delivery == Delivery::Udp => {
                self.delivery = Delivery::Tcp;
                self.ask(now_us);
            }
            (461, Stage::SetUp(0)) => self.fail(RtspFailure::Transport, Some(status), sink),
            // A second track is welcome, not needed.
            (_, Stage::SetUp(track)) if track > 0 && track < self.described.len() => {
                self.described.remove(track);
                self.next_setup(now_us);
            }
            // Devices refuse GET_PARAMETER and go on; the session shows by its media.
            (405 | 451 | 501, Stage::Playing) => self.has_get_parameter = false,
            (403, _) => self.fail(RtspFailure::Unauthorised, Some(status), sink),
            (404 | 454, _) => self.fail(RtspFailure::NotFound, Some(status), sink),
            _ => self.fail(RtspFailure::Status, Some(status), sink),
        }
    }

    fn succeeded(&mut self, now_us: u64, message: &Message, sink: &mut dyn FnMut(ClientEvent<'_>)) {
        match self.stage {
            Stage::Options => {
                let public = message.headers("Public").flat_map(|value| value.split(','));
                let mut methods = public.map(str::trim);
                self.has_get_parameter =
                    methods.any(|word| word.eq_ignore_ascii_case("GET_PARAMETER"));
                self.stage = Stage::Describe;
                self.ask(now_us);
            }
            Stage::Describe => self.read_description(now_us, message, sink),
            Stage::SetUp(track) => match self.read_setup(track, message) {
                Ok(()) => self.next_setup(now_us),
                Err(failure) => self.fail(failure, None, sink),
            },
            Stage::Play => {
                self.stage = Stage::Playing;
                self.keep_alive_at = now_us + self.keep_alive_us;
                self.report_at = now_us;
                sink(ClientEvent::Playing(&self.setups));
            }
            Stage::Playing | Stage::Ended => {}
        }
    }

    fn read_description(
        &mut self,
        now_us: u64,
        message: &Message,
        sink: &mut dyn FnMut(ClientEvent<'_>),
    ) {
        let description = Description::parse(&message.body);
        if !description.has_video() {
            self.fail(RtspFailure::NoMedia, None, sink);
            return;
        }
        // RFC 2326 C.1.1: Content-Base, else Content-Location, else the request's own URL.
        let named = message
            .header("Content-Base")
            .or(message.header("Content-Location"));
        if let Some(base) =
            named.filter(|base| is_sendable(base) && base.len() <= super::url::MAX_URL)
            && base.len() >= 7
            && base.is_char_boundary(7)
            && base[..7].eq_ignore_ascii_case("rtsp://")
        {
            self.base = without_user(base);
        }
        self.described = description.tracks;
        // Video first: where a server gives only one track it shall be that one.
        self.described.sort_by_key(|track| !track.format.is_video());
        let session_url =
            RtspUrl::control(&self.base, description.control.as_deref().unwrap_or("*"));
        let controls = self
            .described
            .iter()
            .map(|track| RtspUrl::control(&self.base, &track.control));
        if session_url.is_none() || controls.into_iter().any(|url| url.is_none()) {
            self.fail(RtspFailure::Protocol, None, sink);
            return;
        }
        for track in &mut self.described {
            track.control = RtspUrl::control(&self.base, &track.control).unwrap_or_default();
        }
        self.base = session_url.unwrap_or_default();
        self.stage = Stage::SetUp(0);
        self.ask(now_us);
    }

    fn next_setup(&mut self, now_us: u64) {
        let track = self.setups.len();
        let has_way = self.delivery == Delivery::Tcp || track < self.config.ports.len();
        self.stage = if track < self.described.len() && has_way {
            Stage::SetUp(track)
        } else {
            Stage::Play
        };
        self.ask(now_us);
    }

    fn read_setup(&mut self, track: usize, message: &Message) -> Result<(), RtspFailure> {
        self.read_session(message)?;
        let described = self.described.get(track).ok_or(RtspFailure::Protocol)?;
        let transport = message.header("Transport").unwrap_or_default();
        let parameter = |name: &str| {
            transport.split(';').find_map(|part| {
                let (known, value) = part.split_once('=')?;
                known
                    .trim()
                    .eq_ignore_ascii_case(name)
                    .then(|| value.trim())
            })
        };
        let own = (2 * track as u8, 2 * track as u8 + 1);
        let channels = parameter("interleaved").and_then(pair::<u8>).unwrap_or(own);
        let is_taken = |channel| {
            let known = self.setups.iter().map(|setup| setup.channels);
            known
                .into_iter()
                .any(|(rtp, rtcp)| rtp == channel || rtcp == channel)
        };
        let is_interleaved = self.delivery == Delivery::Tcp;
        if is_interleaved && (is_taken(channels.0) || is_taken(channels.1)) {
            return Err(RtspFailure::Protocol);
        }
        if is_interleaved {
            self.reader.expect(channels.0);
            self.reader.expect(channels.1);
        }
        self.receptions.push(Reception::new(described.clock_rate));
        self.setups.push(Setup {
            track: described.clone(),
            server_ports: parameter("server_port").and_then(pair::<u16>),
            channels,
        });
        Ok(())
    }

    /// `Session: id;timeout=60`.
    fn read_session(&mut self, message: &Message) -> Result<(), RtspFailure> {
        let Some(value) = message.header("Session") else {
            return if self.session.is_some() {
                Ok(())
            } else {
                Err(RtspFailure::Protocol)
            };
        };
        let mut parts = value.split(';');
        let id = parts.next().unwrap_or_default().trim();
        if !is_sendable(id) || id.len() > MAX_SESSION_ID {
            return Err(RtspFailure::Protocol);
        }
        self.session = Some(id.to_owned());
        let mut named = parts.filter_map(|part| {
            part.trim()
                .strip_prefix("timeout=")?
                .trim()
                .parse::<u64>()
                .ok()
        });
        // Later answers may leave the time-out out; the one that was named holds.
        if let Some(timeout_s) = named.next() {
            self.keep_alive_us = timeout_s.clamp(4, 3600) * 500_000;
        }
        Ok(())
    }

    fn redirect(&mut self, message: &Message, sink: &mut dyn FnMut(ClientEvent<'_>)) {
        let target = message.header("Location").and_then(RtspUrl::parse);
        self.stage = Stage::Ended;
        match target {
            Some(url) => sink(ClientEvent::Redirect(url)),
            None => sink(ClientEvent::Failed(RtspFailure::Redirect, None)),
        }
    }

    fn fail(
        &mut self,
        failure: RtspFailure,
        status: Option<u16>,
        sink: &mut dyn FnMut(ClientEvent<'_>),
    ) {
        self.stage = Stage::Ended;
        sink(ClientEvent::Failed(failure, status));
    }

    /// Send the request of the stage.
    fn ask(&mut self, now_us: u64) {
        let url = self.config.url.to_string();
        let base = self.base.clone();
        match self.stage {
            Stage::Options => self.send(now_us, "OPTIONS", &url, &[]),
            Stage::Describe => {
                self.send(now_us, "DESCRIBE", &url, &[("Accept", "application/sdp")])
            }
            Stage::SetUp(track) => {
                let Some(control) = self.described.get(track).map(|track| track.control.clone())
                else {
                    return;
                };
                let transport = self.transport(track);
                self.send(now_us, "SETUP", &control, &[("Transport", &transport)]);
            }
            Stage::Play => self.send(now_us, "PLAY", &base, &[("Range", "npt=0.000-")]),
            // A keep-alive whose nonce had grown old.
            Stage::Playing => self.keep_alive_at = now_us,
            Stage::Ended => {}
        }
    }

    fn transport(&self, track: usize) -> String {
        match (self.delivery, self.config.ports.get(track)) {
            (Delivery::Udp, Some(port)) => {
                format!("RTP/AVP;unicast;client_port={port}-{}", port + 1)
            }
            _ => format!(
                "RTP/AVP/TCP;unicast;interleaved={}-{}",
                2 * track,
                2 * track + 1
            ),
        }
    }

    fn send(&mut self, now_us: u64, method: &str, uri: &str, headers: &[(&str, &str)]) {
        self.cseq += 1;
        self.awaits = Some((self.cseq, now_us + ANSWER_WITHIN_US));
        let authorization = self.auth.authorization(method, uri);
        let mut headers = headers.to_vec();
        if let Some(value) = &authorization {
            headers.push(("Authorization", value));
        }
        let session = self.session.clone();
        if let Some(id) = &session {
            headers.push(("Session", id));
        }
        let request = message::request(method, uri, self.cseq, &headers);
        self.output.extend(request);
    }
}

fn note(reception: &mut Reception, now_us: u64, packet: &[u8]) {
    if let Ok(packet) = crate::rtp::RtpPacket::parse(packet) {
        reception.packet(now_us, packet.ssrc(), packet.sequence(), packet.timestamp());
    }
}

fn pair<T: std::str::FromStr>(text: &str) -> Option<(T, T)> {
    let (first, second) = text.split_once('-')?;
    Some((first.trim().parse().ok()?, second.trim().parse().ok()?))
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
