//! Transport stream demultiplexing: no sound outside a packet of it, nothing made up, whatever the split.
#![no_main]

use commonview_media::ps::PsSink;
use commonview_media::timeline::DeviceTime;
use commonview_media::ts::{TsDemux, TsSink};
use libfuzzer_sys::fuzz_target;

#[derive(Default)]
struct Recorder {
    bytes: usize,
    is_in_sound: bool,
}

impl PsSink for Recorder {
    fn video_start(&mut self, _: Option<DeviceTime>) {}

    fn video(&mut self, bytes: &[u8]) -> Option<usize> {
        self.bytes += bytes.len();
        None
    }

    fn audio_start(&mut self, stream_type: Option<u8>, _: Option<u64>) {
        assert!(!self.is_in_sound && stream_type.is_some());
        self.is_in_sound = true;
    }

    fn audio(&mut self, bytes: &[u8]) {
        assert!(self.is_in_sound);
        self.bytes += bytes.len();
    }

    fn audio_end(&mut self) {
        assert!(std::mem::take(&mut self.is_in_sound));
    }
}

impl TsSink for Recorder {
    fn damaged(&mut self) {}
}

fuzz_target!(|data: &[u8]| {
    let Some((&size, stream)) = data.split_first() else {
        return;
    };
    let mut demux = TsDemux::new();
    let mut recorder = Recorder::default();
    for (n, part) in stream.chunks(usize::from(size) * 4 + 1).enumerate() {
        if n % 64 == 63 {
            demux.gap(&mut recorder);
        }
        demux.push(part, &mut recorder);
        assert!(recorder.bytes <= stream.len());
    }
});
