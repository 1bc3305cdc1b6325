//! Session descriptions of RTSP servers (RFC 4566 and the payload formats' own parameters), read tolerantly.

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};

use crate::parameters::VideoCodec;

/// Most media sections looked at.
pub const MAX_MEDIA: usize = 16;
/// Longest line; longer ones are passed over.
const MAX_LINE: usize = 8192;
/// Most parameter sets of one track.
const MAX_SETS: usize = 16;
/// Longest parameter set.
const MAX_SET: usize = 4096;

/// A track the core can take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    /// Its payload type.
    pub payload_type: u8,
    /// `a=control` of the section, as it stands there; empty when there is none.
    pub control: String,
    /// Ticks of its RTP clock in a second.
    pub clock_rate: u32,
    /// What it carries.
    pub format: TrackFormat,
}

/// What a track carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrackFormat {
    /// H.264 (RFC 6184) or H.265 (RFC 7798), with the parameter sets of the description, without start codes.
    Video {
        /// Coding.
        codec: VideoCodec,
        /// VPS, SPS and PPS in this order.
        sets: Vec<Vec<u8>>,
    },
    /// MPEG-2 program stream, as some recorders send.
    ProgramStream,
    /// G.711 A-law.
    Pcma,
    /// G.711 mu-law.
    Pcmu,
    /// AAC by RFC 3640.
    Aac(AacFormat),
}

impl TrackFormat {
    /// Whether it carries video.
    pub fn is_video(&self) -> bool {
        matches!(self, Self::Video { .. } | Self::ProgramStream)
    }
}

/// Parameters of `mpeg4-generic` (RFC 3640 4.1) and of the AAC in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AacFormat {
    /// Bits of an access unit's size.
    pub size_bits: u32,
    /// Bits of the first index.
    pub index_bits: u32,
    /// Bits of the further indices.
    pub index_delta_bits: u32,
    /// MPEG-4 audio object type, 1 to 4.
    pub object_type: u8,
    /// Index of the sampling frequency (ISO/IEC 14496-3 table 1.18).
    pub frequency_index: u8,
    /// Channel configuration.
    pub channels: u8,
}

/// What a server offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// `a=control` of the session.
    pub control: Option<String>,
    /// The tracks that can be taken, in order; at most one video and one audio track.
    pub tracks: Vec<Track>,
    /// Media sections that cannot be taken.
    pub unused: usize,
}

#[derive(Debug, Default)]
struct Section {
    is_video: bool,
    payload_type: u8,
    control: String,
    encoding: Option<(String, u32)>,
    parameters: String,
    parameters_exact: bool,
}

impl Description {
    /// Read a description. Nothing in it can fail; what cannot be used is left out.
    pub fn parse(body: &[u8]) -> Description {
        let text = String::from_utf8_lossy(body);
        let mut description = Description::default();
        let mut sections: Vec<Section> = Vec::new();
        let mut in_media = false;
        for line in text.lines().map(str::trim) {
            if line.len() > MAX_LINE {
                continue;
            }
            if let Some(media) = line.strip_prefix("m=") {
                in_media = true;
                if sections.len() == MAX_MEDIA {
                    break;
                }
                // Attributes that follow belong to this section even when it cannot be used.
                sections.push(section(media).unwrap_or_default());
            } else if let Some(attribute) = line.strip_prefix("a=") {
                match sections.last_mut() {
                    Some(section) if in_media => section.attribute(attribute),
                    _ => {
                        if let Some(control) = attribute.strip_prefix("control:") {
                            description.control = Some(control.trim().to_owned());
                        }
                    }
                }
            }
        }
        for section in sections {
            let track = section.track();
            let is_new = |track: &Track| {
                let is_video = track.format.is_video();
                let taken = &description.tracks;
                !taken
                    .iter()
                    .any(|known| known.format.is_video() == is_video)
            };
            match track.filter(is_new) {
                Some(track) => description.tracks.push(track),
                None => description.unused += 1,
            }
        }
        description
    }

    /// Whether there is video to show.
    pub fn has_video(&self) -> bool {
        self.tracks.iter().any(|track| track.format.is_video())
    }
}

fn section(media: &str) -> Option<Section> {
    let mut words = media.split_ascii_whitespace();
    let kind = words.next()?;
    let _port = words.next()?;
    let profile = words.next()?;
    let payload_type = words.next()?.parse().ok().filter(|&number| number < 128)?;
    let is_plain_rtp = profile.eq_ignore_ascii_case("RTP/AVP")
        || profile.eq_ignore_ascii_case("RTP/AVP/TCP")
        || profile.eq_ignore_ascii_case("RTP/AVPF");
    let is_video = kind.eq_ignore_ascii_case("video");
    (is_plain_rtp && (is_video || kind.eq_ignore_ascii_case("audio"))).then(|| Section {
        is_video,
        payload_type,
        encoding: match payload_type {
            0 => Some(("PCMU".into(), 8000)),
            8 => Some(("PCMA".into(), 8000)),
            _ => None,
        },
        ..Section::default()
    })
}

impl Section {
    fn attribute(&mut self, attribute: &str) {
        let Some((name, value)) = attribute.split_once(':') else {
            return;
        };
        let value = value.trim();
        match name {
            "control" => self.control = value.to_owned(),
            "rtpmap" => {
                let Some((number, encoding)) = value.split_once(' ') else {
                    return;
                };
                if number.parse() != Ok(self.payload_type) {
                    return;
                }
                let mut parts = encoding.trim().split('/');
                let name = parts.next().unwrap_or_default().to_ascii_uppercase();
                let rate = parts.next().and_then(|rate| rate.trim().parse().ok());
                self.encoding = Some((name, rate.filter(|&rate| rate > 0).unwrap_or(90_000)));
            }
            "fmtp" => {
                // Some cameras name another payload type here; theirs is taken when there is no better one.
                let (number, parameters) = value.split_once(' ').unwrap_or(("", value));
                let is_exact = number.parse() == Ok(self.payload_type);
                if is_exact || !self.parameters_exact {
                    self.parameters = parameters.to_owned();
                    self.parameters_exact = is_exact;
                }
            }
            _ => {}
        }
    }

    fn track(self) -> Option<Track> {
        let (encoding, clock_rate) = self.encoding.clone()?;
        let format = match (self.is_video, encoding.as_str()) {
            (true, "H264") => self.video(VideoCodec::H264, &["sprop-parameter-sets"]),
            (true, "H265" | "HEVC") => {
                self.video(VideoCodec::H265, &["sprop-vps", "sprop-sps", "sprop-pps"])
            }
            (true, "MP2P" | "PS") => TrackFormat::ProgramStream,
            (false, "PCMA") => TrackFormat::Pcma,
            (false, "PCMU") => TrackFormat::Pcmu,
            (false, "MPEG4-GENERIC") => TrackFormat::Aac(self.aac()?),
            _ => return None,
        };
        Some(Track {
            payload_type: self.payload_type,
            control: self.control,
            clock_rate,
            format,
        })
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.split(';').find_map(|part| {
            let (known, value) = part.split_once('=')?;
            known
                .trim()
                .eq_ignore_ascii_case(name)
                .then(|| value.trim())
        })
    }

    fn video(&self, codec: VideoCodec, names: &[&str]) -> TrackFormat {
        let values = names.iter().filter_map(|name| self.parameter(name));
        let sets = values
            .flat_map(|value| value.split(','))
            .filter_map(decode_base64)
            .filter(|set| set.len() > 2 && set.len() <= MAX_SET)
            .take(MAX_SETS)
            .collect();
        TrackFormat::Video { codec, sets }
    }

    /// RFC 3640 3.3.5 and 3.3.6 name the modes; their sizes stand in the parameters. `None` for what is no AAC.
    fn aac(&self) -> Option<AacFormat> {
        let bits = |name, default| {
            let value = self.parameter(name).map_or(Ok(default), str::parse::<u32>);
            value.ok().filter(|&bits| bits <= 16)
        };
        let config = decode_hex(self.parameter("config")?)?;
        let [first, second, ..] = config[..] else {
            return None;
        };
        let format = AacFormat {
            size_bits: bits("sizelength", 13)?,
            index_bits: bits("indexlength", 3)?,
            index_delta_bits: bits("indexdeltalength", 3)?,
            object_type: first >> 3,
            frequency_index: (first & 7) << 1 | second >> 7,
            channels: second >> 3 & 15,
        };
        // ADTS, in which it is kept, knows the first four object types and the listed frequencies.
        let is_known = (1..=4).contains(&format.object_type) && format.frequency_index < 13;
        (is_known && (1..=7).contains(&format.channels) && format.size_bits > 0).then_some(format)
    }
}

fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim().trim_matches('"');
    if text.len() > 2 * MAX_SET {
        return None;
    }
    let padded = BASE64_STANDARD.decode(text);
    padded.or_else(|_| BASE64_STANDARD_NO_PAD.decode(text)).ok()
}

fn decode_hex(text: &str) -> Option<Vec<u8>> {
    let text = text.trim().trim_matches('"').as_bytes();
    if text.len() > 256 {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    text.chunks_exact(2)
        .map(|pair| Some((digit(pair[0])? << 4 | digit(pair[1])?) as u8))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h264_with_its_parameter_sets_and_aac() {
        let description = Description::parse(
            b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\na=control:*\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n\
              a=fmtp:96 packetization-mode=1; sprop-parameter-sets=Z0LAHtoLE5A=,aO48gA==;profile-level-id=42C01E\r\na=control:trackID=0\r\n\
              m=audio 0 RTP/AVP 97\r\na=rtpmap:97 mpeg4-generic/16000/1\r\n\
              a=fmtp:97 streamtype=5;mode=AAC-hbr;sizeLength=13;indexLength=3;indexDeltaLength=3;config=1408\r\na=control:trackID=1\r\n",
        );
        assert_eq!(description.control.as_deref(), Some("*"));
        let [video, audio] = &description.tracks[..] else {
            panic!("{description:?}");
        };
        assert_eq!(video.control, "trackID=0");
        let TrackFormat::Video { codec, sets } = &video.format else {
            panic!("{video:?}");
        };
        assert_eq!(
            (*codec, sets.len(), sets[0][0]),
            (VideoCodec::H264, 2, 0x67)
        );
        assert_eq!(audio.clock_rate, 16_000);
        let aac = AacFormat {
            size_bits: 13,
            index_bits: 3,
            index_delta_bits: 3,
            object_type: 2,
            frequency_index: 8,
            channels: 1,
        };
        assert_eq!(audio.format, TrackFormat::Aac(aac));
    }

    #[test]
    fn h265_sets_come_in_three_parameters_and_g711_needs_no_map() {
        let description = Description::parse(
            b"m=audio 0 RTP/AVP 8\na=control:a\nm=video 0 RTP/AVP 98\na=rtpmap:98 H265/90000\n\
              a=fmtp:98 sprop-pps=RAHBc9GJ; sprop-vps=QAEMAf//; sprop-sps=QgEBAWAA\na=control:rtsp://h/v\n",
        );
        assert_eq!(description.tracks[0].format, TrackFormat::Pcma);
        let TrackFormat::Video { codec, sets } = &description.tracks[1].format else {
            panic!();
        };
        let kinds: Vec<_> = sets.iter().map(|set| set[0] >> 1).collect();
        assert_eq!((*codec, kinds), (VideoCodec::H265, vec![32, 33, 34]));
    }

    #[test]
    fn one_video_and_one_audio_track_are_taken_and_the_rest_is_counted() {
        let description = Description::parse(
            b"m=video 0 RTP/AVP 26\nm=application 0 RTP/AVP 107\na=rtpmap:107 vnd.onvif.metadata/90000\nm=video 0 RTP/AVP 96\n\
              a=rtpmap:96 H264/90000\nm=video 0 RTP/AVP 97\na=rtpmap:97 H264/90000\nm=audio 0 RTP/SAVP 0\n",
        );
        assert_eq!((description.tracks.len(), description.unused), (1, 4));
        assert!(description.has_video());
    }

    #[test]
    fn nothing_usable_is_no_failure() {
        for body in [
            &b""[..],
            b"\xff\xfe\0",
            b"m=",
            b"a=control:",
            b"m=video 0 RTP/AVP 96\na=rtpmap:96 H264/0\na=fmtp:96",
        ] {
            let description = Description::parse(body);
            assert!(description.tracks.len() <= 1);
        }
        let many = b"m=video 0 RTP/AVP 96\na=rtpmap:96 JPEG/90000\n".repeat(1000);
        assert!(Description::parse(&many).unused <= MAX_MEDIA);
    }
}
