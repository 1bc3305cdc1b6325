//! Cuts an H.264/H.265 byte stream (Annex B of either standard) into access units, whatever the packets look like.
//!
//! A picture ends where the next one begins: at a delimiter, a parameter set, SEI, or a slice that starts a new picture. The RTP marker only lets a picture out earlier, and only as long as it has not been caught lying.

use std::collections::VecDeque;

use memchr::memmem::Finder;

use crate::access_unit::NalKind;
use crate::parameters::VideoCodec;
use crate::timeline::DeviceTime;
use crate::{h264, h265};

/// Bytes of a NAL unit needed to tell its role (H.265 header and the first bit of the slice header).
const NAL_HEAD: usize = 3;
/// First start code value of the system layer (ISO/IEC 13818-1 table 2-22); no NAL header looks like this.
const FIRST_SYSTEM_CODE: u8 = 0xb9;
/// Time stamps kept for pictures to come; more in one picture are the same one repeated.
const MAX_STAMPS: usize = 16;
/// Bytes taken at a time. What remains of a piece moves to the front when a picture ends in it; a large datagram full of tiny pictures must not
/// move itself thousands of times.
const PIECE: usize = 2048;
/// NAL units of one picture; more is hostile.
const MAX_NAL_UNITS: usize = 4096;

/// One NAL unit inside [`RawUnit::bytes`], without its start code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NalSpan {
    /// First byte (the NAL header).
    pub start: usize,
    /// One past the last byte, trailing zeros left out.
    pub end: usize,
    /// Its role.
    pub kind: NalKind,
}

/// An access unit as it was cut from the stream, borrowed from the assembler.
#[derive(Clone, Copy, Debug)]
pub struct RawUnit<'a> {
    /// The coding standard.
    pub codec: VideoCodec,
    /// The bytes [`NalSpan`]s refer to.
    pub bytes: &'a [u8],
    /// Its NAL units, in order.
    pub nal_units: &'a [NalSpan],
    /// The device's time stamp, if one belongs to this unit.
    pub time: Option<DeviceTime>,
    /// Whether decoding may start here.
    pub is_key_frame: bool,
    /// Whether parts are missing.
    pub is_damaged: bool,
    /// Whether something between the last unit and this one is missing.
    pub follows_loss: bool,
}

/// Counters of an assembler. Every access unit begun is in `finished` or `oversized`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AssemblerStats {
    /// Access units handed on, damaged ones included.
    pub finished: u64,
    /// Access units that outgrew the limit and were dropped.
    pub oversized: u64,
    /// Access units that a misplaced marker cut in two; the marker is not used any more after the first.
    pub misplaced_markers: u64,
    /// Bytes before the first parameter set, or between pictures, that belong to none.
    pub stray_bytes: u64,
}

/// The assembler of one video track.
#[derive(Debug)]
pub struct Assembler {
    finder: Finder<'static>,
    codec: Option<VideoCodec>,
    max_bytes: usize,
    /// The unit in the making, from its first NAL unit's start code on; or a few bytes that may begin one.
    bytes: Vec<u8>,
    /// Nothing before this place needs looking at again.
    scanned: usize,
    nal_units: Vec<NalSpan>,
    /// Where the NAL unit in the making begins, and its role.
    open: Option<(usize, NalKind)>,
    has_slice: bool,
    is_key_frame: bool,
    is_damaged: bool,
    follows_loss: bool,
    time: Option<DeviceTime>,
    stamps: VecDeque<(usize, DeviceTime)>,
    is_marker_believed: bool,
    after_marker: bool,
    stats: AssemblerStats,
}

impl Assembler {
    /// An assembler that finds out the codec by itself and drops units above `max_bytes`.
    pub fn new(max_bytes: usize) -> Self {
        Self {
            finder: Finder::new(&[0, 0, 1]),
            codec: None,
            max_bytes,
            bytes: Vec::new(),
            scanned: 0,
            nal_units: Vec::new(),
            open: None,
            has_slice: false,
            is_key_frame: false,
            is_damaged: false,
            follows_loss: false,
            time: None,
            stamps: VecDeque::new(),
            is_marker_believed: true,
            after_marker: false,
            stats: AssemblerStats::default(),
        }
    }

    /// The codec found: by the first parameter set, never by what a table announces.
    pub fn codec(&self) -> Option<VideoCodec> {
        self.codec
    }

    /// A description names the codec, whose parameter sets may not come in the stream at all.
    pub fn announce(&mut self, codec: VideoCodec) {
        self.codec.get_or_insert(codec);
    }

    /// The counters.
    pub fn stats(&self) -> AssemblerStats {
        self.stats
    }

    /// Whether picture data is in the making.
    pub fn has_slice(&self) -> bool {
        self.has_slice
    }

    /// The next bytes belong to a new packet of the transport (PES) with this time stamp.
    pub fn stamp(&mut self, time: DeviceTime) {
        if self.stamps.len() == MAX_STAMPS {
            self.stamps.pop_front();
        }
        self.stamps.push_back((self.bytes.len(), time));
    }

    /// Takes bytes of the track, any split. Returns the place in `slice` of a system start code's fourth byte, if one lies in it: the
    /// track ends there and the container goes on.
    #[inline]
    pub fn push(&mut self, slice: &[u8], sink: &mut dyn FnMut(RawUnit<'_>)) -> Option<usize> {
        for (n, piece) in slice.chunks(PIECE).enumerate() {
            if let Some(at) = self.push_piece(piece, sink) {
                return Some(n * PIECE + at);
            }
        }
        None
    }

    #[inline]
    fn push_piece(&mut self, slice: &[u8], sink: &mut dyn FnMut(RawUnit<'_>)) -> Option<usize> {
        let before = self.bytes.len();
        self.bytes.extend_from_slice(slice);
        let mut dropped = 0;
        let mut foreign = None;
        loop {
            let Some(found) = self.finder.find(&self.bytes[self.scanned..]) else {
                // A start code may lie across the end.
                self.scanned = self.scanned.max(self.bytes.len().saturating_sub(2));
                break;
            };
            let code = self.scanned + found;
            self.scanned = code;
            let Some(&header) = self.bytes.get(code + 3) else {
                break;
            };
            if header >= FIRST_SYSTEM_CODE {
                foreign = Some((code + 3 + dropped).saturating_sub(before));
                self.bytes.truncate(code);
                break;
            }
            if self.bytes.len() < code + 3 + NAL_HEAD {
                break;
            }
            dropped += self.begin_nal(code, sink);
        }
        self.hold_limits();
        foreign
    }

    /// The transport says that a picture ends here (RTP marker). Believed until it is caught.
    pub fn marker(&mut self, sink: &mut dyn FnMut(RawUnit<'_>)) {
        if self.is_marker_believed && self.has_slice {
            self.flush(sink);
            self.after_marker = true;
        }
    }

    /// Bytes are missing here: what is in the making is damaged, what follows begins anew.
    pub fn gap(&mut self, sink: &mut dyn FnMut(RawUnit<'_>)) {
        self.is_damaged = true;
        self.flush(sink);
        self.reset();
    }

    /// Hands on the picture in the making as it is (the stream pauses or ends).
    pub fn flush(&mut self, sink: &mut dyn FnMut(RawUnit<'_>)) {
        if !self.has_slice {
            return;
        }
        // A start code whose NAL unit has not arrived does not belong to the last one.
        let end = self
            .finder
            .find(&self.bytes[self.scanned..])
            .map_or(self.bytes.len(), |found| self.scanned + found);
        self.close_nal(end);
        self.finish(self.bytes.len(), sink);
        self.stamps.clear();
    }

    fn reset(&mut self) {
        self.bytes.clear();
        self.scanned = 0;
        self.nal_units.clear();
        self.open = None;
        self.has_slice = false;
        self.is_key_frame = false;
        self.is_damaged = false;
        self.time = None;
        self.follows_loss = true;
        self.after_marker = false;
        self.stamps.clear();
    }

    /// A start code lies at `code`. Returns how many bytes went from the front of the buffer.
    fn begin_nal(&mut self, code: usize, sink: &mut dyn FnMut(RawUnit<'_>)) -> usize {
        let head = &self.bytes[code + 3..code + 3 + NAL_HEAD];
        let kind = match self.codec {
            Some(VideoCodec::H264) => h264::kind(head),
            Some(VideoCodec::H265) => h265::kind(head),
            None => NalKind::Discardable,
        };
        if kind == NalKind::Discardable
            && let Some(codec) = sniff(head).filter(|&codec| self.codec != Some(codec))
        {
            return self.change_codec(codec, code, sink);
        }
        if self.codec.is_none() {
            self.scanned = code + 3;
            return 0;
        }
        let mut code = code;
        let mut dropped = 0;
        if self.open.is_none() {
            dropped = self.begin_unit(code, kind);
            code -= dropped;
        } else {
            self.close_nal(code);
            if self.has_slice && kind.begins_access_unit() {
                dropped = self.finish(code, sink);
                code -= dropped;
                self.take_time(code);
            }
        }
        if let NalKind::Slice { is_first, is_key } = kind {
            self.is_damaged |= !self.has_slice && !is_first;
            self.has_slice = true;
            self.is_key_frame |= is_key;
        }
        self.open = Some((code + 3, kind));
        self.scanned = code + 3;
        dropped
    }

    /// A parameter set of another codec: what came before is complete. The NAL unit at `code` is looked at again. Returns how many bytes
    /// went from the front of the buffer.
    fn change_codec(
        &mut self,
        codec: VideoCodec,
        code: usize,
        sink: &mut dyn FnMut(RawUnit<'_>),
    ) -> usize {
        let mut dropped = 0;
        if self.has_slice {
            dropped = self.finish(code, sink);
        }
        self.open = None;
        self.nal_units.clear();
        self.codec = Some(codec);
        self.scanned = code - dropped;
        dropped
    }

    /// The first NAL unit after nothing: leaves out what lies before it.
    fn begin_unit(&mut self, code: usize, kind: NalKind) -> usize {
        let stray = self.bytes[..code].iter().filter(|&&byte| byte != 0).count();
        self.stats.stray_bytes += stray as u64;
        let continues = matches!(
            kind,
            NalKind::Slice {
                is_first: false,
                ..
            }
        );
        self.judge_marker(stray > 0 || continues);
        self.take_time(code);
        self.drop_front(code);
        code
    }

    fn take_time(&mut self, code: usize) {
        self.time = None;
        while let Some(&(at, time)) = self.stamps.front() {
            if at > code {
                break;
            }
            self.time = Some(time);
            self.stamps.pop_front();
        }
    }

    fn close_nal(&mut self, end: usize) {
        let Some((start, kind)) = self.open.take() else {
            return;
        };
        // trailing_zero_8bits and the zero_byte of the next start code (Annex B.1) are not part of the NAL unit.
        let nal = self.bytes.get(start..end).unwrap_or(&[]);
        let length = nal
            .iter()
            .rposition(|&byte| byte != 0)
            .map_or(0, |last| last + 1);
        if length > 0 && self.nal_units.len() == MAX_NAL_UNITS {
            self.is_damaged = true;
        } else if length > 0 {
            self.nal_units.push(NalSpan {
                start,
                end: start + length,
                kind,
            });
        }
    }

    /// Hands on the unit that ends at `end` and drops its bytes; returns how many went.
    fn finish(&mut self, end: usize, sink: &mut dyn FnMut(RawUnit<'_>)) -> usize {
        self.close_nal(end);
        if let Some(codec) = self.codec {
            self.stats.finished += 1;
            sink(RawUnit {
                codec,
                bytes: &self.bytes,
                nal_units: &self.nal_units,
                time: self.time,
                is_key_frame: self.is_key_frame,
                is_damaged: self.is_damaged,
                follows_loss: std::mem::take(&mut self.follows_loss),
            });
        }
        self.nal_units.clear();
        self.has_slice = false;
        self.is_key_frame = false;
        self.is_damaged = false;
        self.time = None;
        self.drop_front(end);
        end
    }

    fn drop_front(&mut self, count: usize) {
        let kept = self.bytes.len() - count;
        self.bytes.copy_within(count.., 0);
        self.bytes.truncate(kept);
        self.scanned = self.scanned.saturating_sub(count);
        for (at, _) in &mut self.stamps {
            *at = at.saturating_sub(count);
        }
    }

    fn hold_limits(&mut self) {
        if self.open.is_none() {
            let keep_from = self.scanned;
            self.note_stray(keep_from);
            self.drop_front(keep_from);
        } else if self.bytes.len() > self.max_bytes {
            self.stats.oversized += 1;
            self.reset();
            self.bytes.shrink_to(self.max_bytes / 4);
        }
    }

    fn note_stray(&mut self, count: usize) {
        let stray = self.bytes[..count]
            .iter()
            .filter(|&&byte| byte != 0)
            .count();
        self.stats.stray_bytes += stray as u64;
        if stray > 0 {
            self.judge_marker(true);
        }
    }

    /// The picture went on after a marker: it was cut in two, and the marker is not used any more.
    fn judge_marker(&mut self, was_misplaced: bool) {
        if std::mem::take(&mut self.after_marker) && was_misplaced {
            self.is_marker_believed = false;
            self.follows_loss = true;
            self.stats.misplaced_markers += 1;
        }
    }
}

/// The codec whose parameter set begins here. An H.264 SPS read as H.265 has a layer id, and an H.265 VPS or SPS read as H.264
/// is of an unspecified type or a data partition: the two do not overlap.
fn sniff(head: &[u8]) -> Option<VideoCodec> {
    match (head[0], head[1]) {
        (0x27 | 0x47 | 0x67, _) => Some(VideoCodec::H264),
        (0x40 | 0x42, 0x01) => Some(VideoCodec::H265),
        _ => None,
    }
}
