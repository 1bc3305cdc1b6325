//! The tracks of an RTSP session on their way into the pipeline of a stream.

use crate::ingest::{Ingest, IngestOutput, SourceId};
use crate::rtp::RtpPacket;
use crate::rtsp::audio::AudioTrack;
use crate::rtsp::sdp::{Track, TrackFormat};

/// What a server plays, by track number.
#[derive(Debug, Default)]
pub struct RtspTracks {
    video: Option<usize>,
    audio: Option<(usize, AudioTrack)>,
}

impl RtspTracks {
    /// The tracks of a session that begins; tells the pipeline what the description says.
    pub fn begin(tracks: &[Track], ingest: &mut Ingest) -> Self {
        let mut begun = Self::default();
        for (index, track) in tracks.iter().enumerate() {
            match &track.format {
                TrackFormat::Video { codec, sets } => {
                    ingest.announce(Some((*codec, sets)));
                    begun.video = Some(index);
                }
                TrackFormat::ProgramStream => {
                    ingest.announce(None);
                    begun.video = Some(index);
                }
                audio => {
                    let audio = AudioTrack::new(audio.clone(), track.clock_rate);
                    begun.audio = audio.map(|audio| (index, audio));
                }
            }
        }
        begun
    }

    /// A packet of a track; `is_ordered` when it came over a connection.
    pub fn push(
        &mut self,
        ingest: &mut Ingest,
        now_us: u64,
        (track, packet): (usize, &[u8]),
        (source, is_ordered): (SourceId, bool),
        out: &mut Vec<IngestOutput>,
    ) {
        if self.video == Some(track) {
            if is_ordered {
                ingest.push_frame(now_us, packet, source, out);
            } else {
                ingest.push_rtp(now_us, packet, source, out);
            }
        } else if let Some((_, audio)) = self.audio.as_mut().filter(|(index, _)| *index == track) {
            let Ok(packet) = RtpPacket::parse(packet) else {
                audio.malformed += 1;
                return;
            };
            for part in audio.packet(&packet, ingest.present(now_us)) {
                ingest.push_audio(now_us, part.stream_type, part.pts, &part.data, out);
            }
        }
    }
}
