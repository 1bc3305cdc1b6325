//! What a player reports of its reception (RFC 3550 6.4): packets it never got, jitter, and the time of the way there and back.

use std::collections::VecDeque;

use crate::rtsp::message::FRAME_HEADER;

/// Sender reports whose echo is understood. One leaves every five seconds, and a player echoes the last it got.
const ECHOES_MAX: usize = 8;
/// Packets of one compound packet that are read; players send two.
const PACKETS_MAX: usize = 16;
/// What every packet begins with, and the SSRC of who sends it (RFC 3550 6.4).
const HEAD: usize = FRAME_HEADER + 4;
/// What a sender report says of the sender itself.
const SENDER_INFORMATION: usize = 20;
const BLOCK: usize = 24;
const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
/// Jitter beyond this is no jitter.
const JITTER_MAX_MS: f64 = 10_000.0;

/// How a track arrives, as its player tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reception {
    /// Packets it never got since it came; what was sent twice counts against them (RFC 3550 6.4.1).
    pub lost: u32,
    /// The share of packets lost since its report before, 0 to 1.
    pub loss: f64,
    /// How unevenly packets arrive, milliseconds.
    pub jitter_ms: f64,
    /// From our report to it and back, milliseconds; with what waits on both ends, but not the player's own delay.
    pub round_trip_ms: Option<f64>,
}

/// The reports on one track, in both directions.
#[derive(Debug, Default)]
pub struct Reports {
    /// The middle of the NTP time of what we sent, and when that was.
    echoes: VecDeque<(u32, u64)>,
    latest: Option<Reception>,
}

impl Reports {
    /// Our sender report goes out.
    pub fn sent(&mut self, report: &[u8], now_us: u64) {
        let Some(middle) = word(report, 10) else {
            return;
        };
        if self.echoes.len() == ECHOES_MAX {
            self.echoes.pop_front();
        }
        self.echoes.push_back((middle, now_us));
    }

    /// A compound packet came that tells how `ssrc`, of this clock rate, arrives. False when it is none.
    pub fn heard(&mut self, packet: &[u8], (ssrc, clock_rate): (u32, u32), now_us: u64) -> bool {
        let Some(blocks) = blocks(packet) else {
            return false;
        };
        for block in blocks.filter(|block| word(block, 0) == Some(ssrc)) {
            self.latest = self.read(block, clock_rate, now_us);
        }
        true
    }

    /// What the player told last.
    pub fn latest(&self) -> Option<Reception> {
        self.latest
    }

    /// Fraction and number of packets lost, highest sequence number, jitter, last sender report, delay since then.
    fn read(&self, block: &[u8], clock_rate: u32, now_us: u64) -> Option<Reception> {
        let lost = word(block, 4)?;
        // The number is 24 bits long and may be negative; the fraction stands before it.
        let number = (lost << 8) as i32 >> 8;
        let jitter_ms = f64::from(word(block, 12)?) * 1000.0 / f64::from(clock_rate.max(1));
        let (echo, delay) = (word(block, 16)?, word(block, 20)?);
        let delay_us = u64::from(delay) * 1_000_000 / 65_536;
        let sent = self.echoes.iter().rev().find(|(middle, _)| *middle == echo);
        let round_trip_us = sent.and_then(|(_, at_us)| {
            // Longer ago than it left: no clock runs like that.
            now_us.saturating_sub(*at_us).checked_sub(delay_us)
        });
        Some(Reception {
            lost: number.max(0).unsigned_abs(),
            loss: f64::from(lost >> 24) / 256.0,
            jitter_ms: jitter_ms.min(JITTER_MAX_MS),
            round_trip_ms: round_trip_us.map(|us| us as f64 / 1000.0),
        })
    }
}

/// Whether this is whole RTCP.
pub fn is_whole(compound: &[u8]) -> bool {
    blocks(compound).is_some()
}

/// The report blocks of a compound packet (RFC 3550 6.1); none when it is not whole.
fn blocks(compound: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    let mut rest = compound;
    let mut found: Vec<&[u8]> = Vec::new();
    for number in 0.. {
        if rest.is_empty() && number > 0 {
            break;
        }
        let &[flags, kind, high, low] = rest.first_chunk::<FRAME_HEADER>()?;
        let length = 4 * (usize::from(u16::from_be_bytes([high, low])) + 1);
        // Version 2, and a type that is none of RTP's (RFC 5761 4).
        if flags >> 6 != 2 || !(192..=223).contains(&kind) || number == PACKETS_MAX {
            return None;
        }
        let packet = rest.get(..length)?;
        rest = &rest[length..];
        let begin = match kind {
            SENDER_REPORT => HEAD + SENDER_INFORMATION,
            RECEIVER_REPORT => HEAD,
            _ => continue,
        };
        let end = begin + BLOCK * usize::from(flags & 0x1f);
        found.extend(packet.get(begin..end)?.chunks_exact(BLOCK));
    }
    Some(found.into_iter())
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let found = bytes.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_be_bytes(*found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtsp::rtcp::Reception as Receiver;
    use crate::sender_queue::{QueueStats, sender_report};
    use proptest::prelude::*;

    const OURS: (u32, u32) = (9, 90_000);
    /// A moment of the clock whose middle is no round number.
    const UNIX_US: u64 = 1_700_000_123_456_789;

    fn report_of(lost: u32, jitter: u32, echo: u32, delay: u32) -> Vec<u8> {
        let mut packet = vec![0x81, RECEIVER_REPORT, 0, 7, 0, 0, 0, 1];
        for word in [OURS.0, lost, 0, jitter, echo, delay] {
            packet.extend(word.to_be_bytes());
        }
        packet
    }

    #[test]
    fn our_own_client_is_understood() {
        let mut receiver = Receiver::new(OURS.1);
        let mut reports = Reports::default();
        let ours = sender_report(OURS.0, UNIX_US, 0, &QueueStats::default());
        reports.sent(&ours, 1_000_000);
        receiver.packet(0, OURS.0, 1, 0);
        receiver.packet(0, OURS.0, 4, 0);
        receiver.sender_report(0, &ours);
        // The player's clock has nothing to do with ours: it waited for half a second.
        let theirs = receiver.report(500_000, 77);
        assert!(reports.heard(&theirs, OURS, 1_620_000));
        let heard = reports.latest().unwrap();
        assert_eq!((heard.lost, heard.loss, heard.jitter_ms), (2, 0.5, 0.0));
        assert_eq!(heard.round_trip_ms, Some(120.0));
    }

    #[test]
    fn what_is_said_of_others_is_passed_over() {
        let mut reports = Reports::default();
        assert!(reports.heard(&report_of(1, 0, 0, 0), (8, 90_000), 0));
        assert_eq!(reports.latest(), None);
        let mut of_both = report_of(0x4000_0003, 450, 0, 0);
        of_both.extend([0x81, 202, 0, 1, 0, 0, 0, 1]);
        assert!(reports.heard(&of_both, OURS, 0));
        let heard = reports.latest().unwrap();
        assert_eq!((heard.lost, heard.loss, heard.jitter_ms), (3, 0.25, 5.0));
        assert_eq!(heard.round_trip_ms, None);
    }

    #[test]
    fn a_player_that_gets_some_twice_has_lost_none() {
        let mut reports = Reports::default();
        assert!(reports.heard(&report_of(0x00ff_fffe, 0, 0, 0), OURS, 0));
        assert_eq!(reports.latest().unwrap().lost, 0);
    }

    #[test]
    fn an_echo_of_what_was_never_sent_or_not_yet_tells_no_time() {
        let mut reports = Reports::default();
        for number in 0..20 {
            let at_us = number * 5_000_000;
            let ours = sender_report(OURS.0, UNIX_US + at_us, 0, &QueueStats::default());
            reports.sent(&ours, at_us);
        }
        assert_eq!(reports.echoes.len(), ECHOES_MAX);
        let first = sender_report(OURS.0, UNIX_US, 0, &QueueStats::default());
        let (newest, now_us) = (reports.echoes[ECHOES_MAX - 1].0, 19 * 5_000_000 + 1000);
        for (echo, delay, expected) in [
            (newest, 0, Some(1.0)),
            (newest, 65_536, None),
            (newest, u32::MAX, None),
            (word(&first, 10).unwrap(), 0, None),
            (newest ^ 1, 0, None),
            (0, 0, None),
        ] {
            assert!(reports.heard(&report_of(0, u32::MAX, echo, delay), OURS, now_us));
            let heard = reports.latest().unwrap();
            assert_eq!(heard.round_trip_ms, expected, "{echo:x} {delay}");
            assert_eq!(heard.jitter_ms, JITTER_MAX_MS);
        }
    }

    #[test]
    fn what_is_not_whole_says_nothing() {
        let good = report_of(1, 0, 0, 0);
        let mut reports = Reports::default();
        for cut in 0..good.len() {
            assert!(!reports.heard(&good[..cut], OURS, 0), "{cut} octets");
        }
        let mut more_blocks = good.clone();
        more_blocks[0] = 0x82;
        let with_rtp = [&good[..], &[0x80, 96, 0, 0]].concat();
        let too_many = good.repeat(PACKETS_MAX + 1);
        for wrong in [&more_blocks[..], &with_rtp, &too_many, b"\xce\xfa\xed\xfe"] {
            assert!(!reports.heard(wrong, OURS, 0) && !is_whole(wrong));
        }
        assert_eq!(reports.latest(), None);
        assert!(is_whole(&good.repeat(PACKETS_MAX)));
    }

    proptest! {
        #[test]
        fn no_octets_are_too_much(packet in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut reports = Reports::default();
            reports.heard(&packet, OURS, 0);
            prop_assert!(reports.latest().is_none_or(|heard| heard.jitter_ms <= JITTER_MAX_MS));
        }
    }
}
