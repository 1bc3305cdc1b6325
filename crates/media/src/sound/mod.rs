//! What viewers hear: the audio of a stream, made once for all who listen, on the timeline of the pictures.
//!
//! ```text
//! AudioFrame -> Sound -> Made (moof + mdat of track 2), behind a SoundTrack (its init segment)
//! ```
//!
//! AAC passes as it came. G.711, which browsers do not play, becomes FLAC: the same samples, exactly. Nothing is made
//! while nobody listens. Sound follows its own samples, so that it has no seams, and is placed anew when that has
//! carried it too far from its time stamps.

mod bit_writer;
pub mod flac;
pub mod g711;
pub mod silence;

use std::sync::Arc;

use crate::audio::{AudioCodec, AudioFrame};
use crate::audio_track::{self, AAC_SAMPLES, AUDIO_TRACK, AudioTrack};
use crate::fmp4::{self, Fragment, TIMESCALE};
use crate::parameters::VideoParameters;
use g711::Law;

/// A hole of this length is kept as a hole; a shorter one is a clock that differs. 90 kHz: 0.1 s.
const HOLE: i64 = 9000;
/// Sound that has come to lie so far behind its time stamps leaves frames out until it fits again. 90 kHz: 0.2 s.
const LATE: i64 = 18_000;
/// Where leaving out stops. 90 kHz: 20 ms.
const FITS: i64 = 1800;
/// Samples of G.711 that go into one fragment: 40 ms.
const BLOCK: usize = 320;

/// A track viewers can be given, until the source's audio changes.
#[derive(Clone, Debug)]
pub struct SoundTrack {
    /// Counts the tracks of a stream, from 1.
    pub generation: u32,
    /// How it is coded.
    pub track: AudioTrack,
    /// What the camera sends.
    pub source: AudioCodec,
    /// `ftyp` and `moov` of this track alone.
    pub init: Fragment,
}

impl SoundTrack {
    fn new(generation: u32, track: AudioTrack, source: AudioCodec) -> SoundTrack {
        let init = fmp4::sealed(1024, |out| {
            fmp4::put_movie(out, &[AUDIO_TRACK], |out| {
                fmp4::put_box(out, b"trak", |out| audio_track::put(out, track));
            });
        });
        SoundTrack {
            generation,
            track,
            source,
            init,
        }
    }

    /// `ftyp` and `moov` of the pictures and this track.
    pub fn beside(&self, video: &VideoParameters) -> Fragment {
        fmp4::sealed(2048, |out| {
            fmp4::put_movie(out, &[fmp4::TRACK_ID, AUDIO_TRACK], |out| {
                fmp4::put_box(out, b"trak", |out| {
                    fmp4::put_track(out, video.codec, video.width, video.height, &video.record);
                });
                fmp4::put_box(out, b"trak", |out| audio_track::put(out, self.track));
            });
        })
    }

    /// The text message before the init segment.
    pub fn message(&self) -> String {
        let codecs = self.track.codecs();
        let (codec, rate) = (self.source.name(), self.track.rate());
        format!(
            "{{\"type\":\"audio\",\"mime\":\"audio/mp4; codecs=\\\"{codecs}\\\"\",\"codec\":\"{codec}\",\"rate\":{rate},\
             \"generation\":{}}}",
            self.generation
        )
    }
}

/// The text message that says what a stream's audio is, to everybody who watches it.
pub fn announcement(codec: AudioCodec) -> String {
    format!("{{\"type\":\"sound\",\"codec\":\"{}\"}}", codec.name())
}

/// A fragment of sound.
#[derive(Clone, Debug)]
pub struct Made {
    /// `moof` and `mdat`.
    pub fragment: Fragment,
    /// Where it begins, in samples.
    pub at: u64,
    /// How long it is.
    pub samples: u32,
}

/// Counters of a stream's sound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SoundStats {
    /// Fragments made.
    pub fragments: u64,
    /// Frames that could not be played, or were left out to stay with the pictures.
    pub skipped: u64,
    /// Times sound was placed anew behind a hole.
    pub holes: u64,
}

/// The sound of one stream.
#[derive(Debug, Default)]
pub struct Sound {
    heard: Option<AudioCodec>,
    current: Option<Arc<SoundTrack>>,
    generations: u32,
    sequence: u32,
    /// The place of the next sample; none while nobody listens.
    next: Option<u64>,
    is_late: bool,
    /// Samples that do not fill a fragment yet; they end at `next`.
    pending: Vec<i16>,
    is_at_other_speed: bool,
    stats: SoundStats,
}

impl Sound {
    /// What the source's audio is, if any came.
    pub fn heard(&self) -> Option<AudioCodec> {
        self.heard
    }

    /// The track listeners get, if the audio can be played.
    pub fn track(&self) -> Option<&Arc<SoundTrack>> {
        self.current.as_ref()
    }

    /// The counters.
    pub fn stats(&self) -> SoundStats {
        self.stats
    }

    /// A playback at another speed than the recorded one has no sound.
    pub fn set_scale(&mut self, scale: f64) {
        self.is_at_other_speed = scale != 1.0;
        self.rest();
    }

    /// Takes notice of audio, whether anybody listens or not. Returns its coding when that is news.
    pub fn notice(&mut self, frame: &AudioFrame) -> Option<AudioCodec> {
        let track = match frame.codec {
            AudioCodec::G711A | AudioCodec::G711U => Some(AudioTrack::Flac),
            // Without a channel configuration the channels stand in the payload, where no browser looks.
            AudioCodec::Aac => frame
                .aac
                .filter(|config| config.channels > 0)
                .map(AudioTrack::Aac),
            AudioCodec::Other(_) => None,
        };
        let is_same = |current: &Arc<SoundTrack>| {
            Some(current.track) == track && current.source == frame.codec
        };
        if !self.current.as_ref().is_some_and(is_same) {
            self.rest();
            self.generations += u32::from(track.is_some());
            let generation = self.generations;
            self.current =
                track.map(|track| Arc::new(SoundTrack::new(generation, track, frame.codec)));
        }
        (self.heard.replace(frame.codec) != Some(frame.codec)).then_some(frame.codec)
    }

    /// Nobody listens.
    pub fn rest(&mut self) {
        self.next = None;
        self.is_late = false;
        self.pending.clear();
    }

    /// Makes what listeners get of a frame that was noticed before; `sink` takes the fragments.
    pub fn take(&mut self, frame: &AudioFrame, sink: &mut impl FnMut(&Arc<SoundTrack>, Made)) {
        let Some(current) = self.current.clone().filter(|_| !self.is_at_other_speed) else {
            self.stats.skipped += 1;
            return;
        };
        let rate = u64::from(current.track.rate());
        if !self.place(frame.pts, rate, &current, sink) {
            self.stats.skipped += 1;
            return;
        }
        let law = match frame.codec {
            AudioCodec::G711A => Law::A,
            AudioCodec::G711U => Law::Mu,
            _ => {
                let at = self.next.unwrap_or(0);
                self.next = Some(at + u64::from(AAC_SAMPLES));
                return self.give(&current, at, AAC_SAMPLES, &frame.data, sink);
            }
        };
        self.next = self.next.map(|next| next + frame.data.len() as u64);
        self.pending
            .extend(frame.data.iter().map(|&octet| law.sample(octet)));
        if self.pending.len() >= BLOCK {
            self.write_pending(&current, sink);
        }
    }

    /// Settles where a frame lies; false when it is to be left out.
    fn place(
        &mut self,
        pts: i64,
        rate: u64,
        current: &Arc<SoundTrack>,
        sink: &mut impl FnMut(&Arc<SoundTrack>, Made),
    ) -> bool {
        let wanted = pts.max(0) as u64 * rate / u64::from(TIMESCALE);
        let samples = |ticks: i64| ticks * rate as i64 / i64::from(TIMESCALE);
        let Some(next) = self.next else {
            self.next = Some(wanted);
            return true;
        };
        let ahead = wanted as i64 - next as i64;
        if ahead > samples(HOLE) {
            self.write_pending(current, sink);
            self.next = Some(wanted);
            self.stats.holes += 1;
        }
        self.is_late = -ahead > samples(if self.is_late { FITS } else { LATE });
        !self.is_late
    }

    fn write_pending(
        &mut self,
        current: &Arc<SoundTrack>,
        sink: &mut impl FnMut(&Arc<SoundTrack>, Made),
    ) {
        let pending = std::mem::take(&mut self.pending);
        let mut at = self.next.unwrap_or(0) - pending.len() as u64;
        for block in pending.chunks(flac::BLOCK_MAX) {
            let frame = flac::frame(block, at);
            self.give(current, at, block.len() as u32, &frame, sink);
            at += block.len() as u64;
        }
        self.pending = pending;
        self.pending.clear();
    }

    fn give(
        &mut self,
        current: &Arc<SoundTrack>,
        at: u64,
        samples: u32,
        data: &[u8],
        sink: &mut impl FnMut(&Arc<SoundTrack>, Made),
    ) {
        self.sequence = self.sequence.wrapping_add(1);
        self.stats.fragments += 1;
        let fragment = fmp4::sealed(fmp4::WEBSOCKET_ROOM + 128 + data.len(), |out| {
            let run = std::iter::once((samples, data));
            audio_track::put_fragment(out, self.sequence, at, run);
        });
        sink(
            current,
            Made {
                fragment,
                at,
                samples,
            },
        );
    }
}

#[cfg(test)]
mod tests;
