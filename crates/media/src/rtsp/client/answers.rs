//! What the server says, and where it leads.

use super::{Client, ClientEvent, Delivery, Setup, Stage};
use crate::rtsp::RtspFailure;
use crate::rtsp::message::{self, Message, StartLine};
use crate::rtsp::rtcp::Reception;
use crate::rtsp::sdp::Description;
use crate::rtsp::url::{RtspUrl, is_sendable, without_user};

/// Longest session id.
const MAX_SESSION_ID: usize = 256;

impl Client {
    pub(super) fn message(
        &mut self,
        now_us: u64,
        message: &Message,
        sink: &mut dyn FnMut(ClientEvent<'_>),
    ) {
        match &message.start {
            StartLine::Request { method, .. } => self.asked(method, message, sink),
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
        self.output
            .extend(message::response(status, phrase, cseq, &[], &[]));
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
        if let Some(base) = named.filter(|base| RtspUrl::parse(base).is_some()) {
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

    pub(super) fn fail(
        &mut self,
        failure: RtspFailure,
        status: Option<u16>,
        sink: &mut dyn FnMut(ClientEvent<'_>),
    ) {
        self.stage = Stage::Ended;
        sink(ClientEvent::Failed(failure, status));
    }
}

fn pair<T: std::str::FromStr>(text: &str) -> Option<(T, T)> {
    let (first, second) = text.split_once('-')?;
    Some((first.trim().parse().ok()?, second.trim().parse().ok()?))
}
