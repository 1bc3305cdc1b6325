//! MPEG-2 program stream (ISO/IEC 13818-1 2.5; GB/T 28181-2022 Annex C), read tolerantly from packet payloads in place.
//!
//! Devices leave out the map, lie about lengths and put private streams in between. Lengths are therefore hints: a video stream also ends where a
//! system start code appears in it, and goes on where none appears after its declared end. After loss the next pack header is looked for.

mod header;
mod stream_map;

pub use header::{Header, Parsed, Pes, parse};
pub use stream_map::{StreamMap, StreamType};

use memchr::memmem;

use crate::timeline::DeviceTime;

/// Receives what a program stream carries.
pub trait PsSink {
    /// A video packet begins, with its time stamp if it has one.
    fn video_start(&mut self, time: Option<DeviceTime>);
    /// Video bytes, any split. Returns the place of the fourth byte of a system start code in `bytes`, if one lies there.
    fn video(&mut self, bytes: &[u8]) -> Option<usize>;
    /// A packet of an audio stream begins. `stream_type` is what the map says, if it says anything.
    fn audio_start(&mut self, stream_type: Option<u8>, pts: Option<u64>);
    /// Audio bytes, any split.
    fn audio(&mut self, bytes: &[u8]);
    /// The audio packet is complete.
    fn audio_end(&mut self);
}

/// Counters of a demultiplexer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PsStats {
    /// Pack headers.
    pub packs: u64,
    /// Program stream maps read.
    pub maps: u64,
    /// Program stream maps in which nothing could be read.
    pub bad_maps: u64,
    /// Video packets.
    pub video_packets: u64,
    /// Audio packets.
    pub audio_packets: u64,
    /// Packets of private streams (BD, BF), skipped.
    pub private_packets: u64,
    /// Packets of further video streams and of stream ids without use here, skipped.
    pub other_packets: u64,
    /// Packets whose declared length did not fit what follows.
    pub length_errors: u64,
    /// Packet headers that contradict themselves; their payload is taken from its first start code on, where one is near.
    pub header_errors: u64,
    /// Times a pack header had to be looked for.
    pub resyncs: u64,
    /// Bytes passed over while looking for one.
    pub skipped_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Looking for a pack header.
    Search,
    /// At a start code.
    Header,
    /// Inside a packet; `None` when its end is not declared.
    Video(Option<usize>),
    Audio(usize),
    Skip(usize),
}

/// The demultiplexer of one program stream.
#[derive(Debug)]
pub struct PsDemux {
    state: State,
    /// Beginning of a header that lies across packets.
    pending: Vec<u8>,
    map: StreamMap,
    video_id: Option<u8>,
    was_video: bool,
    stats: PsStats,
}

impl Default for PsDemux {
    fn default() -> Self {
        Self {
            state: State::Search,
            pending: Vec::new(),
            map: StreamMap::default(),
            video_id: None,
            was_video: false,
            stats: PsStats::default(),
        }
    }
}

impl PsDemux {
    /// A demultiplexer that looks for its first pack header.
    pub fn new() -> Self {
        Self::default()
    }

    /// The last map read.
    pub fn map(&self) -> &StreamMap {
        &self.map
    }

    /// The counters.
    pub fn stats(&self) -> PsStats {
        self.stats
    }

    /// Whether the stream may end here: after a packet, or in one whose end is not declared or not to be believed.
    pub fn is_between_packets(&self) -> bool {
        let is_between = match self.state {
            State::Header | State::Video(None) => true,
            State::Video(Some(_)) => self.stats.length_errors > 0,
            State::Search | State::Audio(_) | State::Skip(_) => false,
        };
        is_between && self.pending.is_empty()
    }

    /// Bytes are missing here: look for the next pack header. The map is kept.
    pub fn gap(&mut self, sink: &mut impl PsSink) {
        if matches!(self.state, State::Audio(_)) {
            sink.audio_end();
        }
        self.state = State::Search;
        self.pending.clear();
        self.was_video = false;
    }

    /// Takes the next bytes of the stream, any split.
    #[inline]
    pub fn push(&mut self, data: &[u8], sink: &mut impl PsSink) {
        let mut rest = data;
        while !rest.is_empty() {
            rest = match self.state {
                State::Video(remaining) => self.video(remaining, rest, sink),
                State::Header => self.header(rest, sink),
                State::Audio(remaining) => self.audio(remaining, rest, sink),
                State::Skip(remaining) => self.skip(remaining, rest),
                State::Search => self.search(rest),
            };
        }
    }

    #[inline]
    fn video<'a>(
        &mut self,
        remaining: Option<usize>,
        data: &'a [u8],
        sink: &mut impl PsSink,
    ) -> &'a [u8] {
        let (bytes, rest) = data.split_at(remaining.unwrap_or(usize::MAX).min(data.len()));
        if let Some(at) = sink.video(bytes) {
            // The packet ended before its declared end, or had none.
            self.stats.length_errors += u64::from(remaining.is_some());
            self.pending.extend_from_slice(&[0, 0, 1]);
            self.state = State::Header;
            return data.get(at..).unwrap_or(&[]);
        }
        self.state = match remaining.map(|remaining| remaining - bytes.len()) {
            Some(0) => State::Header,
            remaining => State::Video(remaining),
        };
        rest
    }

    fn audio<'a>(&mut self, remaining: usize, data: &'a [u8], sink: &mut impl PsSink) -> &'a [u8] {
        let (bytes, rest) = data.split_at(remaining.min(data.len()));
        sink.audio(bytes);
        self.state = match remaining - bytes.len() {
            0 => {
                sink.audio_end();
                State::Header
            }
            remaining => State::Audio(remaining),
        };
        rest
    }

    fn skip<'a>(&mut self, remaining: usize, data: &'a [u8]) -> &'a [u8] {
        let count = remaining.min(data.len());
        self.state = match remaining - count {
            0 => State::Header,
            remaining => State::Skip(remaining),
        };
        &data[count..]
    }

    fn search<'a>(&mut self, data: &'a [u8]) -> &'a [u8] {
        const PACK: [u8; 4] = [0, 0, 1, 0xba];
        // A start code that lies across the pieces.
        for begun in (1..=self.pending.len().min(3)).rev() {
            let wanted = &PACK[begun..];
            let seen = wanted.len().min(data.len());
            if self.pending.ends_with(&PACK[..begun]) && data[..seen] == wanted[..seen] {
                let stale = self.pending.len() - begun;
                self.stats.skipped_bytes += stale as u64;
                self.pending.drain(..stale);
                if seen < wanted.len() {
                    self.pending.extend_from_slice(data);
                    return &[];
                }
                self.state = State::Header;
                return data;
            }
        }
        self.stats.skipped_bytes += self.pending.len() as u64;
        self.pending.clear();
        if let Some(at) = memmem::find(data, &PACK) {
            self.stats.skipped_bytes += at as u64;
            self.state = State::Header;
            return &data[at..];
        }
        let keep = (1..=3)
            .rev()
            .find(|&keep| data.ends_with(&PACK[..keep]))
            .unwrap_or(0);
        self.stats.skipped_bytes += (data.len() - keep) as u64;
        self.pending.extend_from_slice(&data[data.len() - keep..]);
        &[]
    }

    #[inline]
    fn header<'a>(&mut self, data: &'a [u8], sink: &mut impl PsSink) -> &'a [u8] {
        if self.pending.is_empty() {
            return match parse(data) {
                Parsed::Header { header, length } => {
                    self.begin(&header, sink);
                    &data[length..]
                }
                Parsed::Need(_) => {
                    self.pending.extend_from_slice(data);
                    &[]
                }
                Parsed::Invalid => self.not_a_header(&[], data, sink),
            };
        }
        let mut pending = std::mem::take(&mut self.pending);
        let rest = self.header_across(&mut pending, data, sink);
        if self.pending.is_empty() {
            pending.clear();
            self.pending = pending;
        }
        rest
    }

    /// A header of which `pending` is the beginning.
    fn header_across<'a>(
        &mut self,
        pending: &mut Vec<u8>,
        data: &'a [u8],
        sink: &mut impl PsSink,
    ) -> &'a [u8] {
        let mut rest = data;
        loop {
            match parse(pending) {
                Parsed::Header { header, length } => {
                    self.begin(&header, sink);
                    // Only a repaired packet header is shorter than what was asked for: a few bytes of payload are left.
                    self.push(&pending[length..], sink);
                    return rest;
                }
                Parsed::Need(total) => {
                    if rest.is_empty() {
                        self.pending = std::mem::take(pending);
                        return rest;
                    }
                    let (head, tail) = rest.split_at((total - pending.len()).min(rest.len()));
                    pending.extend_from_slice(head);
                    rest = tail;
                }
                Parsed::Invalid => return self.not_a_header(pending, rest, sink),
            }
        }
    }

    /// No start code where one should be. After video its declared length was too short; else the place in the stream is lost.
    fn not_a_header<'a>(
        &mut self,
        pending: &[u8],
        data: &'a [u8],
        sink: &mut impl PsSink,
    ) -> &'a [u8] {
        if self.was_video {
            self.stats.length_errors += 1;
            self.state = State::Video(None);
            // With zeros before it, `pending` may complete a start code after all.
            if let Some(at) = sink.video(pending) {
                self.state = State::Header;
                self.pending.extend_from_slice(&[0, 0, 1]);
                self.pending
                    .extend_from_slice(pending.get(at..).unwrap_or(&[]));
            }
            return data;
        }
        self.stats.resyncs += 1;
        self.state = State::Search;
        self.pending.clear();
        // At most four bytes, no pack header: keeps what may be the beginning of one.
        self.search(pending);
        data
    }

    fn begin(&mut self, header: &Header<'_>, sink: &mut impl PsSink) {
        self.was_video = false;
        self.state = State::Header;
        match *header {
            Header::Pack => self.stats.packs += 1,
            Header::End => {}
            Header::Map(content) => match self.map.read(content) {
                true => self.stats.maps += 1,
                false => self.stats.bad_maps += 1,
            },
            Header::Skip { id, length } => {
                self.count_skipped(id);
                self.skip_next(length);
            }
            Header::Pes(ref pes) => self.begin_pes(pes, sink),
        }
    }

    fn begin_pes(&mut self, pes: &Pes, sink: &mut impl PsSink) {
        self.stats.header_errors += u64::from(pes.is_damaged);
        let is_video =
            matches!(pes.id, 0xe0..=0xef) && *self.video_id.get_or_insert(pes.id) == pes.id;
        if is_video {
            self.stats.video_packets += 1;
            self.was_video = true;
            sink.video_start(pes.time);
            if pes.payload != Some(0) {
                self.state = State::Video(pes.payload);
            }
            return;
        }
        let is_audio = matches!(pes.id, 0xc0..=0xdf);
        match pes.payload {
            Some(length) if is_audio => {
                self.stats.audio_packets += 1;
                sink.audio_start(self.map.stream_type(pes.id), pes.time.map(|time| time.pts));
                match length {
                    0 => sink.audio_end(),
                    length => self.state = State::Audio(length),
                }
            }
            Some(length) => {
                self.count_skipped(pes.id);
                self.skip_next(length);
            }
            // Only video may leave its length open (2.4.3.7): where this packet ends cannot be known.
            None => {
                self.stats.length_errors += 1;
                self.state = State::Search;
            }
        }
    }

    fn skip_next(&mut self, length: usize) {
        if length > 0 {
            self.state = State::Skip(length);
        }
    }

    fn count_skipped(&mut self, id: u8) {
        match id {
            0xbd | 0xbf => self.stats.private_packets += 1,
            // System header and padding are part of the container.
            0xbb | 0xbe => {}
            _ => self.stats.other_packets += 1,
        }
    }
}

#[cfg(test)]
mod tests;
