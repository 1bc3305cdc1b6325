//! What goes out to one receiver: RTP packets with our own SSRC and numbering, in a queue bounded in bytes and age.
//!
//! Sequence numbers run on over what the source lost and over what was dropped here, so that a receiver sees every hole. Time stamps
//! are the source's plus an offset that changes only when the source jumps.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;

use crate::relay::RelayPacket;
use crate::viewer::QueueLimits;

/// RFC 4571 length and RTP header.
const HEAD: usize = 2 + 12;
/// Packets of one gathered write.
pub const PACKETS_PER_WRITE: usize = 24;
/// A larger step of the source's time stamps is a jump: 10 s.
const JUMP: i32 = 10 * 90_000;
/// Holes are signalled up to this length; a receiver takes more for a restart (RFC 3550 A.1).
const HOLE_MAX: u64 = 1000;

/// How packets are marked off on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// One datagram a packet.
    Datagrams,
    /// RFC 4571.
    Stream,
}

#[derive(Debug)]
struct Queued {
    head: [u8; HEAD],
    payload: Bytes,
    queued_us: u64,
}

impl Queued {
    fn head(&self, wire: Wire) -> &[u8] {
        match wire {
            Wire::Datagrams => &self.head[2..],
            Wire::Stream => &self.head,
        }
    }
}

/// Counters of one queue. Packets offered since the first one queued are `sent + drops + waiting`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueStats {
    /// Packets with the socket.
    pub packets_sent: u64,
    /// Their bytes, framing left out.
    pub bytes_sent: u64,
    /// Their payload bytes (RFC 3550 6.4.1, sender's octet count).
    pub payload_sent: u64,
    /// Packets dropped because the receiver was too slow.
    pub drops: u64,
    /// How often the queue fell to the next key frame.
    pub falls: u64,
    /// Packets missing from the source.
    pub lost_upstream: u64,
}

/// The queue of one receiver.
#[derive(Debug)]
pub struct SenderQueue {
    wire: Wire,
    ssrc: u32,
    payload_type: u8,
    limits: QueueLimits,
    /// Ticks of the RTP clock a millisecond.
    clock_khz: u32,
    queue: VecDeque<Queued>,
    sent_of_first: usize,
    bytes: usize,
    sequence: u16,
    /// Source's time stamp, ours, and when.
    last_time: Option<(u32, u32, u64)>,
    awaits_group: bool,
    has_started: bool,
    hole: u64,
    stats: QueueStats,
}

impl SenderQueue {
    /// An empty queue that awaits the beginning of a group; `first_sequence` should be random (RFC 3550 5.1).
    pub fn new(
        wire: Wire,
        ssrc: u32,
        payload_type: u8,
        first_sequence: u16,
        limits: QueueLimits,
    ) -> Self {
        Self {
            wire,
            ssrc,
            payload_type,
            limits,
            clock_khz: 90,
            queue: VecDeque::new(),
            sent_of_first: 0,
            bytes: 0,
            sequence: first_sequence,
            last_time: None,
            awaits_group: true,
            has_started: false,
            hole: 0,
            stats: QueueStats::default(),
        }
    }

    /// The RTP clock is another one than 90 kHz.
    pub fn set_clock(&mut self, khz: u32) {
        self.clock_khz = khz;
    }

    fn ticks(&self, elapsed_us: u64) -> u32 {
        (elapsed_us.min(1 << 50) * u64::from(self.clock_khz) / 1000) as u32
    }

    /// Whether a packet was ever queued.
    pub fn has_started(&self) -> bool {
        self.has_started
    }

    /// The source jumps to another place: wait for the beginning of its next group.
    pub fn await_group(&mut self) {
        self.awaits_group = true;
    }

    /// Offer the source's next packet.
    pub fn offer(&mut self, packet: &RelayPacket, now_us: u64) {
        self.fall_if_slow(packet.payload.len() + HEAD, now_us);
        if self.has_started {
            self.stats.lost_upstream += u64::from(packet.lost_before);
            self.hole += u64::from(packet.lost_before);
        }
        if self.awaits_group && !packet.starts_group {
            if self.has_started {
                self.stats.drops += 1;
                self.hole += 1;
            }
            return;
        }
        self.awaits_group = false;
        self.has_started = true;
        self.sequence = self
            .sequence
            .wrapping_add(std::mem::take(&mut self.hole).min(HOLE_MAX) as u16);
        let head = self.head(packet, now_us);
        self.sequence = self.sequence.wrapping_add(1);
        self.bytes += HEAD + packet.payload.len();
        self.queue.push_back(Queued {
            head,
            payload: packet.payload.clone(),
            queued_us: now_us,
        });
    }

    fn head(&mut self, packet: &RelayPacket, now_us: u64) -> [u8; HEAD] {
        let mut head = [0; HEAD];
        let length = (HEAD - 2 + packet.payload.len()) as u16;
        head[..2].copy_from_slice(&length.to_be_bytes());
        head[2] = 0x80;
        head[3] = u8::from(packet.marker) << 7 | self.payload_type & 0x7f;
        head[4..6].copy_from_slice(&self.sequence.to_be_bytes());
        head[6..10].copy_from_slice(&self.time(packet.timestamp, now_us).to_be_bytes());
        head[10..].copy_from_slice(&self.ssrc.to_be_bytes());
        head
    }

    fn time(&mut self, source: u32, now_us: u64) -> u32 {
        let ours = match self.last_time {
            None => source,
            Some((last, ours, at_us)) => {
                let step = source.wrapping_sub(last) as i32;
                if step.unsigned_abs() <= JUMP as u32 {
                    ours.wrapping_add_signed(step)
                } else {
                    ours.wrapping_add(self.ticks(now_us.saturating_sub(at_us)))
                }
            }
        };
        self.last_time = Some((source, ours, now_us));
        ours
    }

    /// Our time stamp of this moment, for sender reports.
    pub fn time_now(&self, now_us: u64) -> u32 {
        self.last_time.map_or(0, |(_, ours, at_us)| {
            ours.wrapping_add(self.ticks(now_us.saturating_sub(at_us)))
        })
    }

    /// The next datagram, head and payload.
    pub fn datagram(&self) -> Option<[IoSlice<'_>; 2]> {
        let first = self.queue.front()?;
        Some([
            IoSlice::new(first.head(self.wire)),
            IoSlice::new(&first.payload),
        ])
    }

    /// The datagram is with the socket, or was refused and is given up.
    pub fn datagram_done(&mut self, was_sent: bool) {
        let Some(first) = self.queue.pop_front() else {
            return;
        };
        self.bytes -= HEAD + first.payload.len();
        if was_sent {
            self.note_sent(&first);
        } else {
            self.stats.drops += 1;
        }
    }

    /// The pieces of the next gathered write on a byte stream.
    pub fn slices<'a>(&'a self, slices: &mut Vec<IoSlice<'a>>) {
        let mut skip = self.sent_of_first;
        for packet in self.queue.iter().take(PACKETS_PER_WRITE) {
            for part in [packet.head(self.wire), &packet.payload[..]] {
                let skipped = skip.min(part.len());
                skip -= skipped;
                if skipped < part.len() {
                    slices.push(IoSlice::new(&part[skipped..]));
                }
            }
        }
    }

    /// The socket took so many bytes.
    pub fn advance(&mut self, written: usize) {
        let mut sent = self.sent_of_first + written;
        while let Some(first) = self.queue.front()
            && sent >= first.head(self.wire).len() + first.payload.len()
        {
            sent -= first.head(self.wire).len() + first.payload.len();
            self.bytes -= HEAD + first.payload.len();
            if let Some(first) = self.queue.pop_front() {
                self.note_sent(&first);
            }
        }
        self.sent_of_first = sent;
    }

    /// Whether everything is with the socket.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Bytes waiting.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The counters.
    pub fn stats(&self) -> QueueStats {
        self.stats
    }

    fn note_sent(&mut self, packet: &Queued) {
        self.stats.packets_sent += 1;
        self.stats.payload_sent += packet.payload.len() as u64;
        self.stats.bytes_sent += (HEAD - 2 + packet.payload.len()) as u64;
    }

    /// Forget what waits when it is too much or too old, and await the beginning of a group.
    fn fall_if_slow(&mut self, next: usize, now_us: u64) {
        let Some(oldest) = self.queue.front() else {
            return;
        };
        let is_old = now_us.saturating_sub(oldest.queued_us) > self.limits.age_us;
        if !is_old && self.bytes + next <= self.limits.bytes {
            return;
        }
        // A packet that the socket has begun must be finished, or the framing is lost.
        let begun = usize::from(self.sent_of_first > 0);
        if self.queue.len() == begun {
            return;
        }
        for dropped in self.queue.drain(begun..) {
            self.bytes -= HEAD + dropped.payload.len();
            self.stats.drops += 1;
            // Their numbers were given out already: the hole is there.
        }
        self.stats.falls += 1;
        self.awaits_group = true;
    }
}

/// An RTCP sender report with a source description (RFC 3550 6.1, 6.4.1, 6.5): a compound packet, as every one must be.
pub fn sender_report(ssrc: u32, unix_us: u64, rtp_time: u32, stats: &QueueStats) -> Vec<u8> {
    const NAME: &[u8] = b"commonview";
    /// Seconds from 1900 to 1970.
    const NTP_EPOCH: u64 = 2_208_988_800;
    let seconds = (unix_us / 1_000_000 + NTP_EPOCH) as u32;
    let fraction = (((unix_us % 1_000_000) << 32) / 1_000_000) as u32;
    let mut out = vec![0x80, 200, 0, 6];
    for word in [
        ssrc,
        seconds,
        fraction,
        rtp_time,
        stats.packets_sent as u32,
        stats.payload_sent as u32,
    ] {
        out.extend(word.to_be_bytes());
    }
    // One chunk: SSRC, CNAME, at least one zero, to a whole word.
    let item = 4 + 2 + NAME.len();
    let padded = (item + 4) / 4 * 4;
    out.extend([0x81, 202, 0, (padded / 4) as u8]);
    out.extend(ssrc.to_be_bytes());
    out.extend([1, NAME.len() as u8]);
    out.extend(NAME);
    out.resize(28 + 4 + padded, 0);
    out
}

#[cfg(test)]
#[path = "sender_queue_tests.rs"]
mod tests;
