//! RTP framed on a byte stream (RFC 4571), parsed in place, with recovery when the sender loses count.
//!
//! Two dialects are met on the same ports: the two-octet length of RFC 4571 and the four-octet interleaved header
//! of RTSP (`$`, channel, length; RFC 2326 10.12). Vendor headers before the first frame are skipped.

use memchr::memmem;

use crate::rtp;

/// Shortest frame that can be RTP or RTCP.
const MIN_FRAME: usize = 8;

/// How frames are marked off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Two octets of length.
    Rfc4571,
    /// `$`, channel, two octets of length.
    Interleaved,
}

impl Framing {
    fn header(self) -> usize {
        match self {
            Self::Rfc4571 => 2,
            Self::Interleaved => 4,
        }
    }

    /// The frame length at the beginning of `data`, if this is a header of this kind.
    fn length(self, data: &[u8]) -> Option<usize> {
        let octets = match self {
            Self::Rfc4571 => data.first_chunk::<2>()?,
            Self::Interleaved if *data.first()? == b'$' => data.get(2..)?.first_chunk::<2>()?,
            Self::Interleaved => return None,
        };
        Some(usize::from(u16::from_be_bytes(*octets)))
    }
}

/// Counters of one connection. Bytes received are `framed_bytes + skipped_bytes +` what [`Framer::carried`] holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FramerStats {
    /// Frames handed on.
    pub frames: u64,
    /// Bytes of frames and their headers.
    pub framed_bytes: u64,
    /// Frames of length zero, which carry nothing.
    pub empty_frames: u64,
    /// Bytes thrown away while looking for a frame.
    pub skipped_bytes: u64,
    /// Times the framing was lost.
    pub resyncs: u64,
}

impl FramerStats {
    /// Adds the counters of another connection.
    pub fn add(&mut self, other: &Self) {
        self.frames += other.frames;
        self.framed_bytes += other.framed_bytes;
        self.empty_frames += other.empty_frames;
        self.skipped_bytes += other.skipped_bytes;
        self.resyncs += other.resyncs;
    }
}

/// What makes a frame recognisable as one of ours.
#[derive(Clone, Copy, Debug)]
struct Known {
    ssrc: u32,
    payload_type: u8,
    /// Frames in a row that agreed.
    seen: u32,
}

enum Step {
    /// A frame lies at this place.
    Frame { start: usize, end: usize },
    /// These bytes are no frame.
    Skip(usize),
    /// Nothing can be said before this many bytes are there.
    Need(usize),
}

/// Splits the bytes of one connection into frames; holds back at most one frame and its successor's header.
#[derive(Debug, Default)]
pub struct Framer {
    carry: Vec<u8>,
    framing: Option<Framing>,
    known: Option<Known>,
    stats: FramerStats,
    has_begun: bool,
}

impl Framer {
    /// A framer at the beginning of a connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes in any split; hands each whole frame to `sink`, without copying those that lie whole in `bytes`.
    pub fn push(&mut self, bytes: &[u8], sink: &mut impl FnMut(&[u8])) {
        let mut rest = bytes;
        if !self.carry.is_empty() {
            let mut carry = std::mem::take(&mut self.carry);
            rest = self.push_behind(&mut carry, rest, sink);
            self.carry = carry;
        }
        while !rest.is_empty() {
            match self.step(rest) {
                Step::Frame { start, end } => {
                    self.stats.frames += 1;
                    self.stats.framed_bytes += end as u64;
                    sink(&rest[start..end]);
                    rest = &rest[end..];
                }
                Step::Skip(count) => rest = &rest[count..],
                Step::Need(_) => {
                    self.carry.extend_from_slice(rest);
                    return;
                }
            }
        }
    }

    /// Completes what was carried over; returns what is left of `rest` once nothing is carried any more.
    fn push_behind<'a>(
        &mut self,
        carry: &mut Vec<u8>,
        mut rest: &'a [u8],
        sink: &mut impl FnMut(&[u8]),
    ) -> &'a [u8] {
        let mut at = 0;
        while at < carry.len() {
            match self.step(&carry[at..]) {
                Step::Frame { start, end } => {
                    self.stats.frames += 1;
                    self.stats.framed_bytes += end as u64;
                    sink(&carry[at + start..at + end]);
                    at += end;
                }
                Step::Skip(count) => at += count,
                Step::Need(total) => {
                    // Move the remainder only when that is at most half the work: a stream of near misses stays linear.
                    if at > carry.len() / 2 {
                        carry.drain(..at);
                        at = 0;
                    }
                    let missing = (at + total - carry.len()).min(rest.len());
                    carry.extend_from_slice(&rest[..missing]);
                    rest = &rest[missing..];
                    if carry.len() < at + total {
                        carry.drain(..at);
                        return rest;
                    }
                }
            }
        }
        carry.clear();
        rest
    }

    /// The dialect found.
    pub fn framing(&self) -> Option<Framing> {
        self.framing
    }

    /// Bytes held back.
    pub fn carried(&self) -> usize {
        self.carry.len()
    }

    /// The counters.
    pub fn stats(&self) -> FramerStats {
        self.stats
    }

    /// The connection has ended: what is held back is an unfinished frame.
    pub fn close(mut self) -> FramerStats {
        self.stats.skipped_bytes += self.carry.len() as u64;
        self.stats
    }

    #[inline]
    fn step(&mut self, data: &[u8]) -> Step {
        match self.framing {
            Some(framing) => self.step_in_sync(framing, data),
            None => self.step_searching(data),
        }
    }

    #[inline]
    fn step_in_sync(&mut self, framing: Framing, data: &[u8]) -> Step {
        let header = framing.header();
        if data.len() < header {
            return Step::Need(header);
        }
        let Some(length) = framing.length(data) else {
            return self.lose_sync(data);
        };
        if length == 0 {
            self.stats.empty_frames += 1;
            self.stats.framed_bytes += header as u64;
            return Step::Skip(header);
        }
        let end = header + length;
        if length < MIN_FRAME {
            return self.lose_sync(data);
        }
        if data.len() < header + rtp::MIN_HEADER.min(length) {
            return Step::Need(header + rtp::MIN_HEADER.min(length));
        }
        if !self.is_ours(&data[header..end.min(data.len())], length) {
            return self.lose_sync(data);
        }
        if data.len() < end {
            return Step::Need(end);
        }
        self.learn(&data[header..end]);
        Step::Frame { start: header, end }
    }

    /// Judges a frame of `length` bytes by its header.
    fn is_ours(&self, frame: &[u8], length: usize) -> bool {
        if frame[0] >> 6 != 2 {
            return false;
        }
        if is_rtcp_header(frame, length) || frame.len() < rtp::MIN_HEADER {
            return is_rtcp_header(frame, length);
        }
        self.known.is_none_or(|known| {
            known.ssrc == ssrc_of(frame) || known.payload_type == frame[1] & 0x7f
        })
    }

    /// Remembers what a whole frame looks like.
    fn learn(&mut self, frame: &[u8]) {
        if !is_rtcp_header(frame, frame.len()) {
            self.known = Some(Known {
                ssrc: ssrc_of(frame),
                payload_type: frame[1] & 0x7f,
                seen: self.known.map_or(0, |known| known.seen).saturating_add(1),
            });
        }
    }

    fn lose_sync(&mut self, data: &[u8]) -> Step {
        self.stats.resyncs += 1;
        self.framing = None;
        // One frame alone may have been a lucky guess; do not search for its SSRC.
        self.known = self.known.filter(|known| known.seen > 1);
        self.skip(1.min(data.len()))
    }

    fn skip(&mut self, count: usize) -> Step {
        self.stats.skipped_bytes += count as u64;
        self.has_begun = true;
        Step::Skip(count)
    }

    fn step_searching(&mut self, data: &[u8]) -> Step {
        if let Some(known) = self.known {
            return self.step_searching_ssrc(known.ssrc, data);
        }
        // 4 octets of header and the RTP version octet.
        if data.len() < 5 {
            return Step::Need(5);
        }
        let mut at = 0;
        while at + 5 <= data.len() {
            for framing in [Framing::Interleaved, Framing::Rfc4571] {
                match self.candidate(framing, &data[at..]) {
                    Some(true) if at == 0 => {
                        self.framing = Some(framing);
                        self.has_begun = true;
                        return self.step_in_sync(framing, data);
                    }
                    Some(true) => return self.skip(at),
                    None if at == 0 => return Step::Need(data.len() + self.missing(framing, data)),
                    None => return self.skip(at),
                    Some(false) => {}
                }
            }
            at += 1;
        }
        self.skip(at)
    }

    /// Bytes missing to judge a candidate at the beginning of `data`.
    fn missing(&self, framing: Framing, data: &[u8]) -> usize {
        let header = framing.header();
        let mut need = header + rtp::MIN_HEADER;
        if self.has_begun
            && let Some(length) = framing.length(data)
            && data.len() >= need
        {
            need = header + length + header + rtp::MIN_HEADER;
        }
        need.saturating_sub(data.len()).max(1)
    }

    /// Whether a frame begins here: yes, no, or not enough bytes to say.
    ///
    /// The very first bytes of a connection are believed when they look like RTP. Later a candidate must be followed by a second
    /// frame of the same SSRC.
    fn candidate(&self, framing: Framing, data: &[u8]) -> Option<bool> {
        let header = framing.header();
        let Some(length) = framing.length(data) else {
            return Some(false);
        };
        if length < rtp::MIN_HEADER || data.get(header)? >> 6 != 2 {
            return Some(false);
        }
        if !self.has_begun {
            return Some(true);
        }
        let ssrc = ssrc_of(data.get(header..header + rtp::MIN_HEADER)?);
        let next = data
            .get(header + length..)?
            .get(..header + rtp::MIN_HEADER)?;
        Some(
            framing.length(next).is_some()
                && next[header] >> 6 == 2
                && ssrc_of(&next[header..]) == ssrc,
        )
    }

    fn step_searching_ssrc(&mut self, ssrc: u32, data: &[u8]) -> Step {
        // Length (2 or 4 octets), then the SSRC 8 octets into the RTP header.
        const BEFORE: usize = 2 + 8;
        let needle = ssrc.to_be_bytes();
        if data.len() < BEFORE + 4 {
            return Step::Need(BEFORE + 4);
        }
        // Matches may overlap: an SSRC of zeros among zeros.
        let mut from = 0;
        while let Some(next) = memmem::find(&data[BEFORE + from..], &needle) {
            let found = from + next;
            from = found + 1;
            let frame = found + 2;
            if data[frame] >> 6 != 2 {
                continue;
            }
            let interleaved = found
                .checked_sub(2)
                .filter(|&at| Framing::Interleaved.length(&data[at..]).is_some());
            let (framing, at) =
                interleaved.map_or((Framing::Rfc4571, found), |at| (Framing::Interleaved, at));
            if framing
                .length(&data[at..])
                .is_some_and(|length| length >= rtp::MIN_HEADER)
            {
                if at > 0 {
                    return self.skip(at);
                }
                self.framing = Some(framing);
                return self.step_in_sync(framing, data);
            }
        }
        // Keep what may be the beginning of a frame, with room for the longer header.
        let keep = BEFORE + 2 + 4 - 1;
        match data.len().checked_sub(keep) {
            Some(count) if count > 0 => self.skip(count),
            _ => Step::Need(data.len() + 1),
        }
    }
}

/// RTCP packet type and a length that fits (RFC 3550 6.4.1).
fn is_rtcp_header(frame: &[u8], length: usize) -> bool {
    (200..=207).contains(&frame[1])
        && (usize::from(u16::from_be_bytes([frame[2], frame[3]])) + 1) * 4 <= length
}

fn ssrc_of(frame: &[u8]) -> u32 {
    frame
        .get(8..)
        .and_then(|rest| rest.first_chunk::<4>())
        .map_or(0, |octets| u32::from_be_bytes(*octets))
}

#[cfg(test)]
#[path = "rfc4571_tests.rs"]
mod tests;
