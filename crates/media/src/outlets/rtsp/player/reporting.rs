//! What a player and the outlet report to each other (RFC 3550 6.4).

use std::rc::Rc;

use tokio::net::UdpSocket;

use super::{Player, TRACKS_MAX};
use crate::outlets::rtsp::reports::{Reception, is_whole};
use crate::outlets::rtsp::request::Delivery;
use crate::outlets::rtsp::session::usual_channels;
use crate::rtsp::message::FRAME_HEADER;
use crate::sender_queue::{QueueStats, sender_report};

/// RFC 3550 6.2.
const REPORT_EVERY_US: u64 = 5_000_000;

/// What reports say of the time.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    /// Now, microseconds UTC.
    pub unix_us: u64,
    /// Of each track that goes out.
    pub tracks: [Option<TrackClock>; TRACKS_MAX],
}

/// What reports say of a track.
#[derive(Clone, Copy, Debug)]
pub struct TrackClock {
    /// Its SSRC.
    pub ssrc: u32,
    /// Its time stamp now (RFC 3550 6.4.1).
    pub timestamp: u32,
    /// Ticks of its time stamps a second.
    pub clock_rate: u32,
}

impl Player {
    /// It sent RTCP about a track. What is none is no sign of life either.
    pub fn reported(&mut self, track: usize, packet: &[u8], clocks: &Clocks, now_us: u64) {
        let is_report = match clocks.tracks[track] {
            None => is_whole(packet),
            Some(clock) => {
                let ours = (clock.ssrc, clock.clock_rate);
                self.reports[track].heard(packet, ours, now_us)
            }
        };
        if is_report {
            self.heard_reports += 1;
            self.heard_us = now_us;
        } else {
            self.malformed_reports += 1;
        }
    }

    /// Where its reports on a track come as datagrams, once it is set up so.
    pub fn report_socket(&self, track: usize) -> Option<Rc<UdpSocket>> {
        self.pairs[track].as_ref().map(|pair| Rc::clone(&pair.rtcp))
    }

    /// How its pictures arrive, or else its sound, as it told last.
    pub fn reception(&self) -> Option<Reception> {
        self.reports.iter().find_map(|reports| reports.latest())
    }

    /// RTCP packets it sent.
    pub fn heard_reports(&self) -> u64 {
        self.heard_reports
    }

    /// What it sent as RTCP and was none.
    pub fn malformed_reports(&self) -> u64 {
        self.malformed_reports
    }

    /// Send our reports when they are due.
    pub fn report(&mut self, clocks: &Clocks, now_us: u64) {
        if now_us < self.report_us || !self.session.is_playing() {
            return;
        }
        for track in 0..TRACKS_MAX {
            if let Some((report, _)) = self.sender_report(track, clocks) {
                self.reports[track].sent(&report, now_us);
                self.send_report(track, &report, now_us);
                self.report_us = now_us + REPORT_EVERY_US;
            }
        }
    }

    /// The stream leaves (RFC 3550 6.6): players show that, where a broken connection would look like a fault.
    pub(super) fn say_bye(&mut self, clocks: &Clocks, now_us: u64) {
        for track in 0..TRACKS_MAX {
            if let Some((mut report, ssrc)) = self.sender_report(track, clocks) {
                report.extend([0x81, 203, 0, 1]);
                report.extend(ssrc.to_be_bytes());
                self.send_report(track, &report, now_us);
            }
        }
    }

    fn sender_report(&self, track: usize, clocks: &Clocks) -> Option<(Vec<u8>, u32)> {
        let TrackClock {
            ssrc, timestamp, ..
        } = clocks.tracks[track]?;
        let sent = self.media().sent(track);
        let stats = QueueStats {
            packets_sent: sent.packets,
            payload_sent: sent.octets,
            ..QueueStats::default()
        };
        let report = || sender_report(ssrc, clocks.unix_us, timestamp, &stats);
        (sent.packets > 0).then(|| (report(), ssrc))
    }

    fn send_report(&mut self, track: usize, report: &[u8], now_us: u64) {
        let Some(delivery) = self.session.deliveries()[track] else {
            return;
        };
        match delivery {
            Delivery::Datagrams { .. } => {
                if let Some(pair) = &self.pairs[track] {
                    let _nobody_may_listen = pair.rtcp.try_send(report);
                }
            }
            Delivery::Interleaved(channels) => {
                let (_, channel) = channels.unwrap_or_else(|| usual_channels(track));
                let mut framed = Vec::with_capacity(FRAME_HEADER + report.len());
                framed.extend([b'$', channel]);
                framed.extend((report.len() as u16).to_be_bytes());
                framed.extend(report);
                // One report less harms nobody.
                let _has_room = self.connection.say(framed, now_us);
            }
        }
    }
}
