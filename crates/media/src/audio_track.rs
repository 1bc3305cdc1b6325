//! Audio tracks in MP4 (ISO/IEC 14496-12): the track of a movie, and fragments of it.

use crate::audio::{AacConfig, AudioCodec, AudioFrame};
use crate::fmp4::{MATRIX, put_box, put_full_box, put_full_header, put_header, put_u32, put_words};
use crate::sound::{flac, g711};

/// The number of the audio track, beside the video's 1.
pub const AUDIO_TRACK: u32 = 2;
/// Samples of an AAC frame.
pub const AAC_SAMPLES: u32 = 1024;

/// The audio track of a file or of what viewers get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AudioTrack {
    /// AAC.
    Aac(AacConfig),
    /// G.711 A-law, sample entry `alaw` of the QuickTime file format.
    Alaw,
    /// G.711 mu-law, sample entry `ulaw`.
    Ulaw,
    /// What was G.711, as FLAC: browsers play this one.
    Flac,
}

impl AudioTrack {
    /// The short lower-case name, as [`AudioCodec::name`].
    pub fn name(self) -> &'static str {
        match self {
            AudioTrack::Aac(_) => "aac",
            AudioTrack::Alaw => "g711a",
            AudioTrack::Ulaw => "g711u",
            AudioTrack::Flac => "flac",
        }
    }

    /// The name in a MIME type (RFC 6381), as browsers know it.
    pub fn codecs(self) -> String {
        match self {
            AudioTrack::Aac(config) => format!("mp4a.40.{}", config.object_type),
            AudioTrack::Alaw => "alaw".to_owned(),
            AudioTrack::Ulaw => "ulaw".to_owned(),
            AudioTrack::Flac => "flac".to_owned(),
        }
    }

    /// The track that could hold this frame as it is.
    pub fn of(frame: &AudioFrame) -> Option<AudioTrack> {
        match frame.codec {
            AudioCodec::Aac => frame.aac.map(AudioTrack::Aac),
            AudioCodec::G711A => Some(AudioTrack::Alaw),
            AudioCodec::G711U => Some(AudioTrack::Ulaw),
            AudioCodec::Other(_) => None,
        }
    }

    /// Samples per second, and ticks of the track.
    pub fn rate(self) -> u32 {
        match self {
            AudioTrack::Aac(config) => config.sample_rate(),
            AudioTrack::Alaw | AudioTrack::Ulaw | AudioTrack::Flac => g711::RATE,
        }
    }

    /// Samples in a frame of a track that holds frames as they came.
    pub fn samples(self, data: &[u8]) -> u32 {
        match self {
            AudioTrack::Aac(_) => AAC_SAMPLES,
            AudioTrack::Alaw | AudioTrack::Ulaw | AudioTrack::Flac => data.len() as u32,
        }
    }
}

/// The `trak` content of the audio.
pub fn put(out: &mut Vec<u8>, track: AudioTrack) {
    put_full_box(out, b"tkhd", 0, 3, |out| {
        // alternate_group 0, volume 1.0 (8.3.2).
        put_words(out, &[0, 0, AUDIO_TRACK, 0, 0, 0, 0, 0, 0x0100_0000]);
        put_words(out, &MATRIX);
        put_words(out, &[0, 0]);
    });
    put_box(out, b"mdia", |out| {
        put_full_box(out, b"mdhd", 0, 0, |out| {
            put_words(out, &[0, 0, track.rate(), 0, 0x55c4_0000]);
        });
        put_full_box(out, b"hdlr", 0, 0, |out| {
            put_u32(out, 0);
            out.extend_from_slice(b"soun");
            put_words(out, &[0, 0, 0]);
            out.extend_from_slice(b"audio\0");
        });
        put_box(out, b"minf", |out| {
            put_full_box(out, b"smhd", 0, 0, |out| put_u32(out, 0));
            put_box(out, b"dinf", |out| {
                put_full_box(out, b"dref", 0, 0, |out| {
                    put_u32(out, 1);
                    put_full_box(out, b"url ", 0, 1, |_| {});
                });
            });
            put_box(out, b"stbl", |out| {
                put_full_box(out, b"stsd", 0, 0, |out| {
                    put_u32(out, 1);
                    put_entry(out, track);
                });
                for kind in [b"stts", b"stsc", b"stco"] {
                    put_full_box(out, kind, 0, 0, |out| put_u32(out, 0));
                }
                put_full_box(out, b"stsz", 0, 0, |out| put_words(out, &[0, 0]));
            });
        });
    });
}

/// AudioSampleEntry (12.2.3).
fn put_entry(out: &mut Vec<u8>, track: AudioTrack) {
    let (kind, channels) = match track {
        AudioTrack::Aac(config) => (b"mp4a", u16::from(config.channels)),
        AudioTrack::Alaw => (b"alaw", 1),
        AudioTrack::Ulaw => (b"ulaw", 1),
        AudioTrack::Flac => (b"fLaC", 1),
    };
    put_box(out, kind, |out| {
        out.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 1]);
        put_words(out, &[0, 0]);
        out.extend_from_slice(&channels.to_be_bytes());
        out.extend_from_slice(&[0, 16, 0, 0, 0, 0]);
        // 16.16 fixed point; rates above 65535 Hz do not fit and stand in the configuration.
        put_u32(out, track.rate().min(0xffff) << 16);
        match track {
            AudioTrack::Aac(config) => put_full_box(out, b"esds", 0, 0, |out| {
                put_descriptors(out, &config.specific_config())
            }),
            // The FLAC metadata blocks ("Encapsulation of FLAC in ISO base media"): the last one is STREAMINFO.
            AudioTrack::Flac => put_full_box(out, b"dfLa", 0, 0, |out| {
                let info = flac::stream_info(track.rate());
                put_u32(out, 0x8000_0000 | info.len() as u32);
                out.extend_from_slice(&info);
            }),
            AudioTrack::Alaw | AudioTrack::Ulaw => {}
        }
    });
}

/// ES_Descriptor with DecoderConfigDescriptor and SLConfigDescriptor (ISO/IEC 14496-1 7.2.6.5).
fn put_descriptors(out: &mut Vec<u8>, specific: &[u8; 2]) {
    let [first, second] = *specific;
    // Object type 0x40 is AAC, stream type 5 audio; rates and sizes are left open.
    let decoder = [
        0x04, 17, 0x40, 0x15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x05, 2, first, second,
    ];
    out.extend_from_slice(&[0x03, 3 + decoder.len() as u8 + 3, 0, AUDIO_TRACK as u8, 0]);
    out.extend_from_slice(&decoder);
    out.extend_from_slice(&[0x06, 1, 0x02]);
}

/// `moof` and `mdat` of a run of audio: the length in samples and the bytes of each.
pub fn put_fragment<'a>(
    out: &mut Vec<u8>,
    sequence: u32,
    decode_time: u64,
    run: impl ExactSizeIterator<Item = (u32, &'a [u8])> + Clone,
) {
    let begin = out.len();
    let payload: usize = run.clone().map(|(_, data)| data.len()).sum();
    out.reserve(120 + run.len() * 8 + payload);
    let mut offset_at = 0;
    put_box(out, b"moof", |out| {
        put_full_header(out, 16, b"mfhd", 0, 0);
        put_u32(out, sequence);
        put_box(out, b"traf", |out| {
            // default-base-is-moof; samples are independent (default_sample_flags).
            put_full_header(out, 20, b"tfhd", 0, 0x02_0020);
            put_words(out, &[AUDIO_TRACK, 0x0200_0000]);
            put_full_header(out, 20, b"tfdt", 1, 0);
            out.extend_from_slice(&decode_time.to_be_bytes());
            put_full_box(out, b"trun", 0, 0x00_0301, |out| {
                put_u32(out, run.len() as u32);
                offset_at = out.len();
                put_u32(out, 0);
                for (samples, data) in run.clone() {
                    put_words(out, &[samples, data.len() as u32]);
                }
            });
        });
    });
    let offset = (out.len() - begin + 8) as u32;
    out[offset_at..offset_at + 4].copy_from_slice(&offset.to_be_bytes());
    put_header(out, 8 + payload, b"mdat");
    run.for_each(|(_, data)| out.extend_from_slice(data));
}
