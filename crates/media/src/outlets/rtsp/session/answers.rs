//! What a session answers: what its owner has found out, and what it can tell by itself.

use super::{Ask, Pending, Session, State, TIMEOUT_S, TRIES_MAX, Violation, usual_channels};
use crate::outlets::rtsp::digest;
use crate::outlets::rtsp::request::{Delivery, control};
use crate::rtsp::message;

impl Session {
    /// It must prove its right, or prove it better.
    pub fn challenge(&mut self) -> Result<(), Violation> {
        let Some((cseq, _)) = self.pending.take() else {
            return Ok(());
        };
        let challenge = digest::challenge(&self.nonce);
        self.answer(401, cseq, &[("WWW-Authenticate", &challenge)]);
        self.failed_proof()
    }

    /// It does not get what it asked for. A refusal at the door counts as a wrong proof.
    pub fn refuse(&mut self, status: u16) -> Result<(), Violation> {
        let Some((cseq, _)) = self.pending.take() else {
            return Ok(());
        };
        self.answer(status, cseq, &[]);
        match self.state {
            State::Outside => self.failed_proof(),
            _ => Ok(()),
        }
    }

    /// What is in the stream: a description (RFC 4566) of so many tracks.
    pub fn describe(&mut self, description: &str, tracks: usize) {
        let Some((cseq, Pending::Describe)) = self.pending.take() else {
            return;
        };
        self.described = tracks;
        let base = self.base().to_owned();
        let headers = [
            ("Content-Base", base.as_str()),
            ("Content-Type", "application/sdp"),
            ("Cache-Control", "no-cache"),
        ];
        self.respond(200, cseq, &headers, description.as_bytes());
    }

    /// The track is set up: its SSRC, for datagrams our ports, for frames the channels it gets.
    pub fn set_up(&mut self, ssrc: u32, server_port: u16) {
        let Some((cseq, Pending::SetUp(track, wanted))) = self.pending.take() else {
            return;
        };
        let transport = match wanted {
            Delivery::Datagrams { rtp, rtcp } => format!(
                "RTP/AVP;unicast;client_port={rtp}-{rtcp};server_port={server_port}-{};\
                 ssrc={ssrc:08X};mode=\"PLAY\"",
                server_port.saturating_add(1)
            ),
            Delivery::Interleaved(channels) => {
                let (rtp, rtcp) = channels.unwrap_or_else(|| usual_channels(track));
                self.reader.expect(rtp);
                self.reader.expect(rtcp);
                format!(
                    "RTP/AVP/TCP;unicast;interleaved={rtp}-{rtcp};ssrc={ssrc:08X};mode=\"PLAY\""
                )
            }
        };
        self.deliveries[track] = Some(wanted);
        self.state = State::Ready;
        let session = format!("{};timeout={TIMEOUT_S}", self.id);
        self.answer(
            200,
            cseq,
            &[("Transport", &transport), ("Session", &session)],
        );
    }

    /// Pictures follow. For each track that is known to begin: its first sequence number and time stamp (RFC 2326 12.33).
    pub fn play(&mut self, starts: &[(usize, u16, u32)]) {
        let Some((cseq, Pending::Play)) = self.pending.take() else {
            return;
        };
        self.state = State::Playing;
        let id = self.id.clone();
        let base = self.base();
        let starts: Vec<String> = starts
            .iter()
            .map(|(track, sequence, timestamp)| {
                let control = control(*track);
                format!("url={base}{control};seq={sequence};rtptime={timestamp}")
            })
            .collect();
        let info = starts.join(",");
        let mut headers = vec![("Session", id.as_str()), ("Range", "npt=now-")];
        if !info.is_empty() {
            headers.push(("RTP-Info", &info));
        }
        self.answer(200, cseq, &headers);
    }

    fn failed_proof(&mut self) -> Result<(), Violation> {
        self.tries += 1;
        if self.tries > TRIES_MAX {
            self.state = State::Over;
            return Err(Violation::Unproven);
        }
        Ok(())
    }

    pub(super) fn malformed(&mut self, status: u16, phrase: &str) -> Violation {
        self.state = State::Over;
        self.output
            .extend(message::response(status, phrase, 0, &[], &[]));
        Violation::Malformed
    }

    pub(super) fn turn_down(&mut self, status: u16, cseq: u32) -> Option<Ask> {
        self.answer(status, cseq, &[]);
        None
    }

    pub(super) fn answer(&mut self, status: u16, cseq: u32, headers: &[(&str, &str)]) {
        self.respond(status, cseq, headers, &[]);
    }

    fn respond(&mut self, status: u16, cseq: u32, headers: &[(&str, &str)], body: &[u8]) {
        let mut all = vec![("Server", "Commonview")];
        all.extend_from_slice(headers);
        let answer = message::response(status, phrase(status), cseq, &all, body);
        self.output.extend(answer);
    }
}

/// RFC 2326 7.1.1.
fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        453 => "Not Enough Bandwidth",
        454 => "Session Not Found",
        455 => "Method Not Valid in This State",
        461 => "Unsupported Transport",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        504 => "Gateway Time-out",
        505 => "RTSP Version Not Supported",
        551 => "Option Not Supported",
        _ => "Error",
    }
}
