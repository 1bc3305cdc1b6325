//! MPEG-2 transport stream (ISO/IEC 13818-1 2.4) in RTP (RFC 2250), read tolerantly: the first program's video and sound.
//!
//! Devices that promise a program stream and send this are played all the same. Nothing is believed for longer than its own packet:
//! tables are taken whole and with a right checksum, a packet that is missing damages the one picture it was of.

use crate::ps::{Header, Parsed, Pes, PsSink, parse};
use crate::ps_mux::crc32;

/// Octets of a packet.
pub const PACKET: usize = 188;
const SYNC: u8 = 0x47;
/// The longest section of a program table (2.4.4.9).
const SECTION_MAX: usize = 1024;
/// Places of the tracks' unfinished headers.
const VIDEO: usize = 0;
const SOUND: usize = 1;
/// The longest PES header, nine bytes and 255 more, and what is looked at behind it.
const PES_HEADER_MAX: usize = 267;

/// Receives what a transport stream carries.
pub trait TsSink: PsSink {
    /// Something is missing here.
    fn damaged(&mut self);
}

/// Counters of a demultiplexer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TsStats {
    /// Packets read.
    pub packets: u64,
    /// Packets marked as broken by their sender, scrambled, or whose fields contradict each other.
    pub unusable: u64,
    /// Packets of the program's streams that are missing, by their counters.
    pub gaps: u64,
    /// Program tables read.
    pub tables: u64,
    /// Tables with a wrong checksum or without sense.
    pub bad_tables: u64,
    /// Bytes passed over while looking for a packet.
    pub skipped_bytes: u64,
}

/// One elementary stream of the program.
#[derive(Clone, Copy, Debug)]
struct Track {
    pid: u16,
    stream_type: u8,
    counter: Option<u8>,
}

/// A table in the making.
#[derive(Debug, Default)]
struct Section(Vec<u8>);

/// The demultiplexer of one transport stream.
#[derive(Debug, Default)]
pub struct TsDemux {
    /// Beginning of a packet that lies across payloads.
    pending: Vec<u8>,
    map_pid: Option<u16>,
    programs: Section,
    map: Section,
    video: Option<Track>,
    audio: Option<Track>,
    /// The header of a PES packet as far as it has come, of video and sound.
    heads: [Vec<u8>; 2],
    /// What of the sound's packet is still to come, when its length was declared.
    sound_left: Option<usize>,
    is_sound_open: bool,
    stats: TsStats,
}

impl TsDemux {
    /// A demultiplexer that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The counters.
    pub fn stats(&self) -> TsStats {
        self.stats
    }

    /// Whether the program has video of a coding that is known.
    pub fn has_video(&self) -> bool {
        self.video.is_some()
    }

    /// Takes the next payload, any split.
    pub fn push(&mut self, mut bytes: &[u8], sink: &mut impl TsSink) {
        if !self.pending.is_empty() {
            let missing = (PACKET - self.pending.len()).min(bytes.len());
            let (now, later) = bytes.split_at(missing);
            self.pending.extend_from_slice(now);
            bytes = later;
            if self.pending.len() < PACKET {
                return;
            }
            let packet = std::mem::take(&mut self.pending);
            self.packet(&packet, sink);
        }
        while let Some(at) = memchr::memchr(SYNC, bytes) {
            self.stats.skipped_bytes += at as u64;
            bytes = &bytes[at..];
            // A packet is believed when the next one begins behind it, or nothing more is here.
            if bytes.get(PACKET).is_some_and(|&next| next != SYNC) {
                self.stats.skipped_bytes += 1;
                bytes = &bytes[1..];
                continue;
            }
            let Some((packet, rest)) = bytes.split_at_checked(PACKET) else {
                self.pending.extend_from_slice(bytes);
                return;
            };
            self.packet(packet, sink);
            bytes = rest;
        }
        self.stats.skipped_bytes += bytes.len() as u64;
    }

    /// Packets of the network are missing: what is in the making is not whole.
    pub fn gap(&mut self, sink: &mut impl TsSink) {
        self.pending.clear();
        self.programs.0.clear();
        self.map.0.clear();
        self.heads.iter_mut().for_each(Vec::clear);
        self.end_sound(sink);
        for track in [&mut self.video, &mut self.audio].into_iter().flatten() {
            track.counter = None;
        }
    }

    fn packet(&mut self, packet: &[u8], sink: &mut impl TsSink) {
        self.stats.packets += 1;
        let pid = u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
        let starts = packet[1] & 0x40 != 0;
        let Some(payload) = payload_of(packet) else {
            self.stats.unusable += u64::from(pid != 0x1fff);
            return;
        };
        if pid == 0 {
            if let Some(table) = self.programs.take(payload, starts, 0) {
                self.read_programs(&table);
            }
        } else if self.map_pid == Some(pid) {
            if let Some(table) = self.map.take(payload, starts, 2) {
                self.read_map(&table);
            }
        } else if let Some(track) = self.video.as_mut().filter(|track| track.pid == pid) {
            match step(track, packet[3], &mut self.stats) {
                Step::Next => {}
                Step::Again => return,
                Step::Missing => sink.damaged(),
            }
            self.video(payload, starts, sink);
        } else if let Some(track) = self.audio.as_mut().filter(|track| track.pid == pid) {
            let stream_type = track.stream_type;
            match step(track, packet[3], &mut self.stats) {
                Step::Next => {}
                Step::Again => return,
                Step::Missing => self.end_sound(sink),
            }
            self.sound(payload, starts, stream_type, sink);
        }
    }

    /// Program association (2.4.4.3): where the map of the first program is.
    fn read_programs(&mut self, table: &Table) {
        let Some(body) = table.body() else {
            self.stats.bad_tables += 1;
            return;
        };
        self.stats.tables += 1;
        let mut programs = body.chunks_exact(4).map(|entry| {
            let number = u16::from_be_bytes([entry[0], entry[1]]);
            (number, u16::from_be_bytes([entry[2] & 0x1f, entry[3]]))
        });
        // Program 0 is the network's.
        let first = programs.find(|&(number, pid)| number != 0 && pid != 0);
        if let Some((_, pid)) = first
            && self.map_pid != Some(pid)
        {
            self.map_pid = Some(pid);
            self.map.0.clear();
        }
    }

    /// Program map (2.4.4.8): the first video and the first sound of codings that are known.
    fn read_map(&mut self, table: &Table) {
        let streams = table.body().and_then(streams_of);
        let Some(streams) = streams else {
            self.stats.bad_tables += 1;
            return;
        };
        self.stats.tables += 1;
        let find = |is_meant: fn(u8) -> bool| streams.iter().find(|(kind, _)| is_meant(*kind));
        let chosen = |known: Option<Track>, found: Option<&(u8, u16)>| {
            let &(stream_type, pid) = found?;
            let same = known.filter(|one| one.pid == pid && one.stream_type == stream_type);
            Some(same.unwrap_or(Track {
                pid,
                stream_type,
                counter: None,
            }))
        };
        self.video = chosen(self.video, find(|kind| matches!(kind, 0x1b | 0x24)));
        self.audio = chosen(self.audio, find(|kind| matches!(kind, 0x0f | 0x90 | 0x91)));
    }

    fn video(&mut self, payload: &[u8], starts: bool, sink: &mut impl TsSink) {
        // Where a system start code would lie is of no interest: here a packet ends where the next one begins.
        if self.is_inside(VIDEO, starts) {
            let _system_code = sink.video(payload);
        } else if let Some((pes, rest)) = self.header(VIDEO, payload) {
            sink.video_start(pes.time);
            let _system_code = sink.video(&rest);
        }
    }

    fn sound(&mut self, payload: &[u8], starts: bool, stream_type: u8, sink: &mut impl TsSink) {
        if starts {
            self.end_sound(sink);
        }
        if self.is_inside(SOUND, starts) {
            self.more_sound(payload, sink);
        } else if let Some((pes, rest)) = self.header(SOUND, payload) {
            sink.audio_start(Some(stream_type), pes.time.map(|time| time.pts));
            (self.is_sound_open, self.sound_left) = (true, pes.payload);
            self.more_sound(&rest, sink);
        }
    }

    fn more_sound(&mut self, bytes: &[u8], sink: &mut impl TsSink) {
        if !self.is_sound_open {
            return;
        }
        let length = self.sound_left.unwrap_or(usize::MAX).min(bytes.len());
        sink.audio(&bytes[..length]);
        if let Some(left) = &mut self.sound_left {
            *left -= length;
            if *left == 0 {
                self.end_sound(sink);
            }
        }
    }

    fn end_sound(&mut self, sink: &mut impl TsSink) {
        if std::mem::take(&mut self.is_sound_open) {
            sink.audio_end();
        }
        self.sound_left = None;
    }

    /// Whether a payload goes on with a packet whose header is behind us.
    fn is_inside(&mut self, track: usize, starts: bool) -> bool {
        if starts {
            self.heads[track].clear();
        }
        !starts && self.heads[track].is_empty()
    }

    /// The header of a PES packet and what is behind it, once it is whole.
    fn header(&mut self, track: usize, payload: &[u8]) -> Option<(Pes, Vec<u8>)> {
        let head = &mut self.heads[track];
        head.extend_from_slice(payload);
        match parse(head) {
            Parsed::Header {
                header: Header::Pes(pes),
                length,
            } => {
                let rest = head.split_off(length);
                head.clear();
                return Some((pes, rest));
            }
            Parsed::Need(_) if head.len() < PES_HEADER_MAX => return None,
            _ => {}
        }
        self.stats.unusable += 1;
        head.clear();
        None
    }
}

/// What a packet carries; `None` for what is broken, scrambled or carries nothing.
fn payload_of(packet: &[u8]) -> Option<&[u8]> {
    let (is_broken, is_scrambled) = (packet[1] & 0x80 != 0, packet[3] & 0xc0 != 0);
    if is_broken || is_scrambled || packet[3] & 0x10 == 0 {
        return None;
    }
    let begin = match packet[3] & 0x20 {
        0 => 4,
        _ => 5 + usize::from(packet[4]),
    };
    packet.get(begin..).filter(|payload| !payload.is_empty())
}

/// How a packet follows the last one of its track.
enum Step {
    Next,
    /// It is the last one once more, as is allowed.
    Again,
    /// Others are missing between.
    Missing,
}

/// Follow a track's continuity counter (2.4.3.3).
fn step(track: &mut Track, flags: u8, stats: &mut TsStats) -> Step {
    let counter = flags & 0x0f;
    match track.counter.replace(counter) {
        Some(last) if last == counter => Step::Again,
        Some(last) if (last + 1) & 0x0f != counter => {
            stats.gaps += 1;
            Step::Missing
        }
        _ => Step::Next,
    }
}

/// A table that has come whole.
struct Table {
    bytes: Vec<u8>,
    is_right: bool,
}

impl Table {
    /// Behind the long header (2.4.4.11) and before the checksum; `None` when the checksum is wrong.
    fn body(&self) -> Option<&[u8]> {
        let end = self.bytes.len().checked_sub(4)?;
        self.bytes.get(8..end).filter(|_| self.is_right)
    }
}

impl Section {
    /// Takes the payload of a packet; gives the table once it is whole. One section a table is what a single program needs.
    fn take(&mut self, payload: &[u8], starts: bool, table_id: u8) -> Option<Table> {
        let section = &mut self.0;
        if starts {
            section.clear();
            let pointer = usize::from(*payload.first()?);
            section.extend_from_slice(payload.get(1 + pointer..)?);
        } else if !section.is_empty() {
            section.extend_from_slice(payload);
        }
        let head = section.first_chunk::<3>()?;
        let length = 3 + usize::from(u16::from_be_bytes([head[1] & 0x0f, head[2]]));
        if head[0] != table_id || length > SECTION_MAX {
            section.clear();
            return None;
        }
        if section.len() < length {
            return None;
        }
        section.truncate(length);
        let bytes = std::mem::take(section);
        // The checksum over a section with its checksum is nothing (2.4.4.1 and Annex A).
        let is_right = crc32(&bytes) == 0;
        Some(Table { bytes, is_right })
    }
}

/// `stream_type` and PID of each stream of a program map.
fn streams_of(body: &[u8]) -> Option<Vec<(u8, u16)>> {
    let length = |octets: &[u8]| usize::from(u16::from_be_bytes([octets[0] & 0x0f, octets[1]]));
    let (head, rest) = body.split_at_checked(4)?;
    let mut rest = rest.get(length(&head[2..])..)?;
    let mut streams = Vec::new();
    while let Some((entry, more)) = rest.split_first_chunk::<5>() {
        streams.push((entry[0], u16::from_be_bytes([entry[1] & 0x1f, entry[2]])));
        rest = more.get(length(&entry[3..])..)?;
    }
    Some(streams)
}
