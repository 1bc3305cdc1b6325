//! Where a stream comes from: datagrams, media connections, RTSP sessions, and who may replace whom.

use std::net::{IpAddr, SocketAddr};

use super::{Stream, Transport};
use crate::events::{Event, Value, text};
use crate::ingest::SourceId;
use crate::rtsp::sdp::Track;
use crate::rtsp::tracks::RtspTracks;

/// A connection that brings pictures is safe from strangers; after this long without one it may be replaced.
const SHOWING_US: u64 = 3_000_000;

/// Media connections that are reported; more are only counted.
const CONNECTIONS_REPORTED: u64 = 64;

impl Stream {
    /// A UDP datagram arrived.
    pub fn push_datagram(
        &mut self,
        now_us: u64,
        datagram: &[u8],
        peer: SocketAddr,
        source: SourceId,
    ) {
        self.prefer_home(peer, source);
        self.ingest
            .push_rtp(now_us, datagram, source, &mut self.outputs);
        self.arrived(now_us, peer, source);
        self.deliver(now_us);
    }

    /// Bytes of the media connection arrived.
    pub fn push_connection(
        &mut self,
        now_us: u64,
        bytes: &[u8],
        peer: SocketAddr,
        source: SourceId,
    ) {
        self.prefer_home(peer, source);
        self.ingest
            .push_stream(now_us, source, bytes, &mut self.outputs);
        self.arrived(now_us, peer, source);
        self.deliver(now_us);
    }

    /// A stranger that sent first gives way to the camera.
    fn prefer_home(&mut self, peer: SocketAddr, source: SourceId) {
        let is_home = |of: SocketAddr| self.home == Some(of.ip());
        let is_taken_from_a_stranger = self.peer.is_some_and(|taken| !is_home(taken))
            && self.ingest.source().is_some_and(|taken| taken != source);
        if is_home(peer) && is_taken_from_a_stranger {
            self.ingest.release_source();
        }
    }

    /// The server of an RTSP stream plays these tracks now.
    pub fn rtsp_connected(&mut self, peer: SocketAddr, tracks: &[Track]) {
        self.rtsp = RtspTracks::begin(tracks, &mut self.ingest);
        self.peer = Some(peer);
        let fields = vec![
            ("stream_id", text(&*self.id)),
            ("peer", text(peer.to_string())),
            ("tracks", Value::Number(tracks.len() as u64)),
        ];
        self.report(Event::lifecycle("RtspConnected", fields));
    }

    /// The RTSP session is over or did not come about.
    pub fn rtsp_failed(&mut self, reason: &'static str, status: u16) {
        let fields = vec![
            ("stream_id", text(&*self.id)),
            ("reason", text(reason)),
            ("status", Value::Number(status.into())),
        ];
        self.report(Event::lifecycle("RtspFailed", fields));
    }

    /// A packet of a track of the RTSP session; `is_ordered` when it came inside the connection.
    pub fn push_rtsp(
        &mut self,
        now_us: u64,
        track: usize,
        packet: &[u8],
        (peer, source): (SocketAddr, SourceId),
        is_ordered: bool,
    ) {
        self.rtsp.push(
            &mut self.ingest,
            now_us,
            (track, packet),
            (source, is_ordered),
            &mut self.outputs,
        );
        self.arrived(now_us, peer, source);
        self.deliver(now_us);
    }

    /// A media connection stands.
    pub fn connected(&mut self, peer: SocketAddr) {
        self.sockets.tcp_connections += 1;
        if self.sockets.tcp_connections <= CONNECTIONS_REPORTED {
            let fields = vec![
                ("stream_id", text(&*self.id)),
                ("peer", text(peer.to_string())),
            ];
            // A notice: strangers can make any number of connections, and must not push lifecycle events out.
            self.report(Event::notice("TcpConnected", fields));
        }
    }

    /// A media connection ended.
    pub fn close_connection(&mut self, now_us: u64, source: SourceId) {
        self.ingest
            .close_connection(now_us, source, &mut self.outputs);
        self.deliver(now_us);
    }

    /// The peer ended a media connection. The stream has lost something only when it was taken from there, when it
    /// was the camera we dialled, or when it replaced the one the stream was taken from and brought nothing itself;
    /// that a stranger came and went is no news.
    pub fn connection_lost(&mut self, now_us: u64, source: SourceId, reason: &'static str) {
        let is_ours = match self.ingest.source() {
            _ if self.transport == Some(Transport::TcpActive) => true,
            Some(current) => current == source,
            None => self.peer.is_some(),
        };
        self.close_connection(now_us, source);
        if is_ours {
            self.report_word("TcpFailed", "reason", reason);
        }
    }

    /// Where the stream is taken from.
    pub fn source(&self) -> Option<SourceId> {
        self.ingest.source()
    }

    /// Whether a media connection from `ip` may be taken: pictures come from there, or none come at all.
    pub fn takes_media_from(&self, ip: IpAddr, now_us: u64) -> bool {
        let is_showing = self
            .last_picture_us
            .is_some_and(|at| now_us.saturating_sub(at) < SHOWING_US);
        !is_showing || self.peer.is_some_and(|peer| peer.ip() == ip)
    }

    /// What a stranger sends beside the stream's source says nothing about the stream.
    pub(super) fn arrived(&mut self, now_us: u64, peer: SocketAddr, source: SourceId) {
        #[cfg(test)]
        assert_ne!(self.id, super::FAILING_STREAM, "a parser failed");
        let current = self.ingest.source();
        if current.is_none_or(|current| current == source) {
            self.last_packet_us = Some(now_us);
        }
        if current == Some(source) {
            self.peer = Some(peer);
        }
    }
}
