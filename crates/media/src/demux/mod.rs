//! From RTP payloads in order to outputs: finds the format, takes the container apart, feeds the tracks.

mod tracks;

use bytes::Bytes;

use crate::assembler::{Assembler, AssemblerStats};
use crate::audio::{AudioCodec, AudioCollector, AudioFrame, AudioStats, Collected};
use crate::ingest::{AfterLoss, IngestOutput, NoVideoReason};
use crate::nal_payload::{NalDepacketizer, NalFormat};
use crate::parameters::VideoCodec;
use crate::payload_format::PayloadFormat;
use crate::ps::{PsDemux, PsSink, PsStats};
use crate::relaying::RawPayload;
use crate::rtp::RtpPacket;
use crate::timeline::{DeviceTime, Timeline};
use crate::ts::{TsDemux, TsStats};
use crate::video_track::VideoTrack;
use tracks::{RtpClock, Tracks};

/// A picture without a successor is let out after this pause, when its packet is complete.
const IDLE_FLUSH_US: u64 = 250_000;
/// G.711 A-law by RFC 3551.
const PCMA_TYPE: u8 = 8;
const PACK_START: [u8; 4] = [0, 0, 1, 0xba];

/// The demultiplexer of one stream, whatever the payload format.
#[derive(Debug)]
pub struct Demux {
    format: Option<PayloadFormat>,
    announced: Option<VideoCodec>,
    ps: PsDemux,
    /// For a stream that turned out to be one.
    ts: Option<Box<TsDemux>>,
    nal: Option<NalDepacketizer>,
    tracks: Tracks,
    clock: RtpClock,
    last_us: u64,
    unknown_payloads: u64,
    is_tapped: bool,
    is_voice: bool,
}

impl Demux {
    /// A demultiplexer that has seen nothing.
    pub fn new(after_loss: AfterLoss, max_access_unit_bytes: usize) -> Self {
        Self {
            format: None,
            announced: None,
            ps: PsDemux::new(),
            ts: None,
            nal: None,
            tracks: Tracks {
                assembler: Assembler::new(max_access_unit_bytes),
                video: VideoTrack::new(after_loss),
                audio: AudioCollector::default(),
                has_time_stamps: false,
            },
            clock: RtpClock::default(),
            last_us: 0,
            unknown_payloads: 0,
            is_tapped: false,
            is_voice: false,
        }
    }

    /// Takes the next packet; `lost_before` of its predecessors are missing.
    #[inline]
    pub fn packet(
        &mut self,
        now_us: u64,
        lost_before: u64,
        packet: &RtpPacket<'_>,
        out: &mut Vec<IngestOutput>,
    ) {
        if lost_before > 0 {
            self.gap(now_us, out);
        }
        self.last_us = now_us;
        let payload = packet.payload();
        if self.is_voice && packet.payload_type() == PCMA_TYPE && self.format.is_none() {
            let pts = self.clock.observe(packet.timestamp()) as i64;
            let (codec, data) = (AudioCodec::G711A, Bytes::copy_from_slice(payload));
            out.push(IngestOutput::AudioFrame(AudioFrame {
                codec,
                pts,
                received_us: now_us,
                data,
                aac: None,
            }));
            return;
        }
        if self.format != Some(PayloadFormat::ProgramStream) && !self.find_format(payload, out) {
            self.unknown_payloads += 1;
            return;
        }
        let time = self.clock.observe(packet.timestamp());
        match self.format {
            Some(PayloadFormat::ProgramStream) => {
                if self.is_tapped {
                    out.push(IngestOutput::Payload(RawPayload {
                        payload: Bytes::copy_from_slice(payload),
                        timestamp: packet.timestamp(),
                        marker: packet.marker(),
                        lost_before,
                    }));
                }
                let mut sink = self.tracks.sink(now_us, time, out);
                self.ps.push(payload, &mut sink);
            }
            Some(PayloadFormat::ByteStream) => {
                self.stamp(time);
                self.tracks.sink(now_us, time, out).video(payload);
            }
            Some(PayloadFormat::RtpH264 | PayloadFormat::RtpH265) => {
                self.stamp(time);
                let mut sink = self.tracks.sink(now_us, time, out);
                if let Some(nal) = &mut self.nal {
                    nal.push(payload, &mut |bytes| {
                        sink.video(bytes);
                    });
                }
            }
            Some(PayloadFormat::TransportStream) => {
                let ts = self.ts.get_or_insert_default();
                ts.push(payload, &mut self.tracks.sink(now_us, time, out));
                // Its marker says that the clock jumped, not that a picture is whole (RFC 2250 2).
                return;
            }
            None => {}
        }
        if packet.marker() {
            self.tracks.sink(now_us, time, out).marker();
        }
    }

    /// Takes a whole access unit that came without packets.
    pub fn unit(
        &mut self,
        now_us: u64,
        time: DeviceTime,
        unit: &[u8],
        out: &mut Vec<IngestOutput>,
    ) {
        self.last_us = now_us;
        self.format.get_or_insert(PayloadFormat::ByteStream);
        self.tracks.assembler.stamp(time);
        let mut sink = self.tracks.sink(now_us, time.pts, out);
        sink.video(unit);
        sink.flush();
    }

    /// Packets are missing here.
    pub fn gap(&mut self, now_us: u64, out: &mut Vec<IngestOutput>) {
        let mut sink = self.tracks.sink(now_us, self.clock.current(), out);
        sink.damage();
        self.ps.gap(&mut sink);
        if let Some(ts) = &mut self.ts {
            ts.gap(&mut sink);
        }
        if let Some(nal) = &mut self.nal {
            nal.gap();
        }
    }

    /// Another source takes over: its numbering, clock and format are its own.
    pub fn change_source(&mut self, now_us: u64, out: &mut Vec<IngestOutput>) {
        if self.format.is_some() {
            self.gap(now_us, out);
        }
        self.format = None;
        self.ts = None;
        self.clock = RtpClock::default();
        if let Some(codec) = self.announced {
            let (format, nal) = match codec {
                VideoCodec::H264 => (PayloadFormat::RtpH264, NalFormat::H264),
                VideoCodec::H265 => (PayloadFormat::RtpH265, NalFormat::H265),
            };
            self.format = Some(format);
            self.nal = Some(NalDepacketizer::new(nal));
            out.push(IngestOutput::FormatDetected(format));
        }
    }

    /// A description (SDP of RTSP) says what the sources to come send; `None`: what shows by itself.
    pub fn announce(&mut self, video: Option<(VideoCodec, &[Vec<u8>])>) {
        self.announced = video.map(|(codec, _)| codec);
        if let Some((codec, sets)) = video {
            self.tracks.assembler.announce(codec);
            self.tracks.video.announce(codec, sets);
        }
    }

    /// Audio of a track with packets of its own, placed already.
    pub fn audio(
        &mut self,
        now_us: u64,
        stream_type: u8,
        pts: i64,
        data: &[u8],
        out: &mut Vec<IngestOutput>,
    ) {
        let audio = &mut self.tracks.audio;
        audio.start(Some(stream_type), None);
        audio.push(data);
        audio.end(&mut |item| match item {
            Collected::Detected(codec) => out.push(IngestOutput::AudioDetected(codec)),
            Collected::Frame(codec, _, data, aac) => {
                out.push(IngestOutput::AudioFrame(AudioFrame {
                    codec,
                    pts,
                    received_us: now_us,
                    data,
                    aac,
                }))
            }
        });
    }

    /// A voice comes here: its A-law may lie in the packets without any container.
    pub fn expect_voice(&mut self) {
        self.is_voice = true;
    }

    /// Whether payloads of a program stream are handed out.
    pub fn tap(&mut self, is_tapped: bool) {
        self.is_tapped = is_tapped;
    }

    /// The source jumps to another place (seek): what is in the making is dropped, the next key frame is awaited.
    pub fn discontinue(&mut self, now_us: u64, out: &mut Vec<IngestOutput>) {
        self.tracks.video.discontinue();
        self.gap(now_us, out);
        self.clock = RtpClock::default();
    }

    /// The timeline, to be paused or paced.
    pub fn timeline_mut(&mut self) -> &mut Timeline {
        self.tracks.video.timeline_mut()
    }

    /// Lets out the last picture when the stream ends.
    pub fn flush(&mut self, now_us: u64, out: &mut Vec<IngestOutput>) {
        self.tracks.sink(now_us, self.clock.current(), out).flush();
    }

    /// Lets out the last picture when the stream pauses.
    pub fn tick(&mut self, now_us: u64, out: &mut Vec<IngestOutput>) {
        if self.wake_at().is_some_and(|at| at <= now_us) {
            self.flush(now_us, out);
        }
    }

    /// When [`Demux::tick`] has something to do.
    pub fn wake_at(&self) -> Option<u64> {
        let is_whole =
            self.format != Some(PayloadFormat::ProgramStream) || self.ps.is_between_packets();
        (self.tracks.assembler.has_slice() && is_whole)
            .then(|| self.last_us.saturating_add(IDLE_FLUSH_US))
    }

    /// Why there is no picture although packets are used.
    pub fn no_video_reason(&self) -> Option<NoVideoReason> {
        if self.tracks.video.stats().delivered > 0 {
            return None;
        }
        Some(match self.format {
            None => NoVideoReason::UnknownPayload,
            Some(PayloadFormat::ProgramStream) if !self.has_known_video() => {
                NoVideoReason::UnknownCodec
            }
            Some(PayloadFormat::TransportStream)
                if self.ts.as_ref().is_none_or(|ts| !ts.has_video()) =>
            {
                NoVideoReason::UnknownCodec
            }
            Some(_) => NoVideoReason::NoKeyFrame,
        })
    }

    fn has_known_video(&self) -> bool {
        self.tracks.assembler.codec().is_some()
            || (self.ps.stats().video_packets > 0 && !self.ps.map().has_only_unknown_video())
    }

    /// The format found.
    pub fn format(&self) -> Option<PayloadFormat> {
        self.format
    }

    /// The video track.
    pub fn video(&self) -> &VideoTrack {
        &self.tracks.video
    }

    /// The audio codecs seen.
    pub fn audio_codecs(&self) -> &[AudioCodec] {
        self.tracks.audio.codecs()
    }

    /// The counters of the parts.
    pub fn stats(&self) -> (PsStats, AssemblerStats, AudioStats) {
        (
            self.ps.stats(),
            self.tracks.assembler.stats(),
            self.tracks.audio.stats(),
        )
    }

    /// The counters of a transport stream, where it is one.
    pub fn ts_stats(&self) -> TsStats {
        self.ts.as_ref().map(|ts| ts.stats()).unwrap_or_default()
    }

    /// Packets that came before the format was known, and unreadable RFC 6184/7798 packets.
    pub fn unknown_payloads(&self) -> u64 {
        self.unknown_payloads + self.nal.as_ref().map_or(0, |nal| nal.malformed)
    }

    /// True when the format is known.
    fn find_format(&mut self, payload: &[u8], out: &mut Vec<IngestOutput>) -> bool {
        // A guess on one packet may have been wrong; a pack header at the beginning of a payload is certain.
        if self.format.is_none() || payload.starts_with(&PACK_START) {
            let Some(format) = PayloadFormat::detect(payload) else {
                return false;
            };
            self.nal = match format {
                PayloadFormat::RtpH264 => Some(NalDepacketizer::new(NalFormat::H264)),
                PayloadFormat::RtpH265 => Some(NalDepacketizer::new(NalFormat::H265)),
                _ => None,
            };
            self.format = Some(format);
            out.push(IngestOutput::FormatDetected(format));
        }
        true
    }

    /// Formats without time stamps of their own use the RTP timestamp, which changes with each picture.
    fn stamp(&mut self, time: u64) {
        if self.clock.has_changed {
            self.tracks.assembler.stamp(DeviceTime {
                pts: time,
                dts: None,
            });
        }
    }
}
