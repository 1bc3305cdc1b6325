//! What is told about a stream: a session description (RFC 4566) with the parameters of its payload formats.

use std::fmt::Write;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;

use super::packets::{AudioFormat, VIDEO_PAYLOAD_TYPE};
use super::request::control;
use crate::parameters::{VideoCodec, VideoParameters};
use crate::rtsp::auth::hex;

/// The description, and how many tracks it has: video, then audio if there is any.
pub fn describe(video: &VideoParameters, audio: Option<AudioFormat>) -> (String, usize) {
    let mut text = String::from(
        "v=0\r\no=- 0 1 IN IP4 0.0.0.0\r\ns=Commonview\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n\
         a=control:*\r\na=range:npt=now-\r\n",
    );
    let name = match video.codec {
        VideoCodec::H264 => "H264",
        VideoCodec::H265 => "H265",
    };
    let format = video_format(video);
    let pt = VIDEO_PAYLOAD_TYPE;
    let first = control(0);
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "m=video 0 RTP/AVP {pt}\r\na=rtpmap:{pt} {name}/90000\r\na=fmtp:{pt} {format}\r\na=control:{first}\r\n"
    );
    let Some(audio) = audio else {
        return (text, 1);
    };
    let pt = audio.payload_type();
    let _ = write!(text, "m=audio 0 RTP/AVP {pt}\r\n");
    let _ = match audio {
        AudioFormat::Pcma => write!(text, "a=rtpmap:{pt} PCMA/8000\r\n"),
        AudioFormat::Pcmu => write!(text, "a=rtpmap:{pt} PCMU/8000\r\n"),
        // RFC 3640 3.3.6: AAC-hbr.
        AudioFormat::Aac(aac) => write!(
            text,
            "a=rtpmap:{pt} mpeg4-generic/{}/{}\r\na=fmtp:{pt} streamtype=5;profile-level-id=1;mode=AAC-hbr;\
             sizelength=13;indexlength=3;indexdeltalength=3;config={}\r\n",
            audio.clock_rate(),
            if aac.channels == 7 {
                8
            } else {
                aac.channels.max(1)
            },
            hex(&aac.specific_config()),
        ),
    };
    let _ = write!(text, "a=control:{}\r\n", control(1));
    (text, 2)
}

/// RFC 6184 8.1, RFC 7798 7.1.
fn video_format(video: &VideoParameters) -> String {
    let of_kind = |wanted: u8| -> Vec<&Bytes> {
        let sets = video.parameter_sets.iter();
        sets.filter(|set| kind(video.codec, set) == Some(wanted))
            .collect()
    };
    let encoded = |sets: Vec<&Bytes>| -> String {
        let texts: Vec<String> = sets
            .into_iter()
            .map(|set| BASE64_STANDARD.encode(set))
            .collect();
        texts.join(",")
    };
    match video.codec {
        VideoCodec::H264 => {
            let sps = of_kind(7);
            let profile = sps.first().and_then(|sps| sps.get(1..4)).map(hex);
            let profile = profile.map_or_else(String::new, |profile| {
                format!(";profile-level-id={}", profile.to_ascii_uppercase())
            });
            let sets = encoded(sps.into_iter().chain(of_kind(8)).collect());
            format!("packetization-mode=1{profile};sprop-parameter-sets={sets}")
        }
        VideoCodec::H265 => format!(
            "sprop-vps={};sprop-sps={};sprop-pps={}",
            encoded(of_kind(32)),
            encoded(of_kind(33)),
            encoded(of_kind(34))
        ),
    }
}

fn kind(codec: VideoCodec, nal: &[u8]) -> Option<u8> {
    let header = nal.first()?;
    Some(match codec {
        VideoCodec::H264 => header & 0x1f,
        VideoCodec::H265 => header >> 1 & 0x3f,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::AacConfig;
    use crate::fmp4::Fragment;
    use crate::rtsp::sdp::{Description, TrackFormat};

    fn parameters(codec: VideoCodec, sets: &[&[u8]]) -> VideoParameters {
        VideoParameters {
            generation: 1,
            codec,
            width: 16,
            height: 16,
            codec_string: String::new(),
            parameter_sets: sets.iter().map(|set| Bytes::copy_from_slice(set)).collect(),
            record: Bytes::new(),
            init: Fragment {
                buffer: Bytes::new(),
                ws_offset: 0,
                payload_offset: 0,
            },
        }
    }

    const H264: &[&[u8]] = &[&[0x67, 0x64, 0, 0x1f, 1], &[0x68, 2, 1]];
    const H265: &[&[u8]] = &[&[0x40, 1, 1], &[0x42, 1, 2], &[0x44, 1, 3]];

    #[test]
    fn our_own_client_reads_what_is_described() {
        let aac = AacConfig {
            object_type: 2,
            frequency_index: 8,
            channels: 1,
        };
        for (codec, sets) in [(VideoCodec::H264, H264), (VideoCodec::H265, H265)] {
            for (audio, format) in [
                (AudioFormat::Pcma, TrackFormat::Pcma),
                (AudioFormat::Pcmu, TrackFormat::Pcmu),
            ] {
                let (text, tracks) = describe(&parameters(codec, sets), Some(audio));
                let read = Description::parse(text.as_bytes());
                assert_eq!((read.tracks.len(), tracks, read.unused), (2, 2, 0));
                let sets = sets.iter().map(|set| set.to_vec()).collect();
                assert_eq!(read.tracks[0].format, TrackFormat::Video { codec, sets });
                assert_eq!(
                    (read.tracks[0].clock_rate, read.tracks[0].payload_type),
                    (90_000, 96)
                );
                assert_eq!(
                    (&read.tracks[1].format, read.tracks[1].clock_rate),
                    (&format, 8000)
                );
                assert_eq!(read.tracks[1].control, "trackID=1");
            }
            let (text, _) = describe(&parameters(codec, sets), Some(AudioFormat::Aac(aac)));
            let read = Description::parse(text.as_bytes());
            let TrackFormat::Aac(format) = &read.tracks[1].format else {
                panic!("{text}");
            };
            assert_eq!(
                (format.object_type, format.frequency_index, format.channels),
                (2, 8, 1)
            );
            assert_eq!(read.tracks[1].clock_rate, 16_000);
        }
    }

    #[test]
    fn a_silent_stream_has_one_track_and_names_its_profile() {
        let (text, tracks) = describe(&parameters(VideoCodec::H264, H264), None);
        assert_eq!(tracks, 1);
        assert!(text.contains("profile-level-id=64001F;sprop-parameter-sets=Z2QAHwE=,aAIB\r\n"));
    }
}
