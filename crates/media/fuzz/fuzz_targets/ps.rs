//! Program stream demultiplexing: the same elementary streams for every split.
#![no_main]

use commonview_media::ps::{PsDemux, PsSink, PsStats};
use commonview_media::timeline::DeviceTime;
use libfuzzer_sys::fuzz_target;

#[derive(Default, Debug, PartialEq)]
struct Recorder {
    video: Vec<u8>,
    starts: Vec<(usize, Option<DeviceTime>)>,
    audio: Vec<u8>,
}

impl PsSink for Recorder {
    fn video_start(&mut self, time: Option<DeviceTime>) {
        self.starts.push((self.video.len(), time));
    }

    fn video(&mut self, bytes: &[u8]) -> Option<usize> {
        let before = self.video.len();
        self.video.extend_from_slice(bytes);
        let from = before.saturating_sub(3);
        let at = self.video[from..]
            .windows(4)
            .position(|code| code[..3] == [0, 0, 1] && code[3] >= 0xb9)?
            + from;
        self.video.truncate(at);
        Some((at + 3).saturating_sub(before))
    }

    fn audio_start(&mut self, stream_type: Option<u8>, _: Option<u64>) {
        self.audio.push(stream_type.unwrap_or(0));
    }

    fn audio(&mut self, bytes: &[u8]) {
        self.audio.extend_from_slice(bytes);
    }

    fn audio_end(&mut self) {
        self.audio.push(0);
    }
}

fn run(data: &[u8], size: usize) -> (Recorder, PsStats) {
    let mut demux = PsDemux::new();
    let mut recorder = Recorder::default();
    for part in data.chunks(size) {
        demux.push(part, &mut recorder);
    }
    (recorder, demux.stats())
}

fuzz_target!(|data: &[u8]| {
    if let Some((&size, stream)) = data.split_first() {
        assert_eq!(run(stream, usize::from(size) + 1), run(stream, usize::MAX));
    }
});
