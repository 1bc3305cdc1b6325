//! The stream's side of a file.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{FileSink, Message, QUEUE_MAX};
use crate::access_unit::AccessUnit;
use crate::audio::AudioFrame;
use crate::parameters::VideoParameters;

/// The stream's side of a file: what it drops when the disk is too slow.
#[derive(Debug)]
pub struct SinkFeed {
    sink: Arc<FileSink>,
    awaits_key_frame: bool,
}

impl SinkFeed {
    /// A feed that begins with the next key frame.
    pub fn new(sink: Arc<FileSink>) -> SinkFeed {
        SinkFeed {
            sink,
            awaits_key_frame: true,
        }
    }

    /// The file.
    pub fn sink(&self) -> &FileSink {
        &self.sink
    }

    /// Hand over a picture.
    pub fn picture(&mut self, unit: &AccessUnit, parameters: &Arc<VideoParameters>) {
        let has_room = self.sink.waiting.load(Ordering::Relaxed) + unit.size() <= QUEUE_MAX;
        let has_begun = self.sink.pictures.load(Ordering::Relaxed) > 0;
        if !has_room || self.awaits_key_frame && !unit.is_key_frame {
            self.awaits_key_frame = true;
            self.sink
                .drops
                .fetch_add(u64::from(has_begun || !has_room), Ordering::Relaxed);
            return;
        }
        self.awaits_key_frame = false;
        self.sink.pictures.fetch_add(1, Ordering::Relaxed);
        self.sink
            .send(Message::Picture(unit.clone(), Arc::clone(parameters)));
    }

    /// Hand over audio.
    pub fn audio(&self, frame: &AudioFrame) {
        if self.sink.waiting.load(Ordering::Relaxed) <= QUEUE_MAX {
            self.sink.send(Message::Audio(frame.clone()));
        } else {
            self.sink.audio_skipped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fmp4::Fragment;
    use crate::parameters::VideoCodec;
    use bytes::Bytes;

    fn picture(is_key_frame: bool) -> AccessUnit {
        let buffer = Bytes::from(vec![0; 1 << 20]);
        AccessUnit {
            generation: 1,
            codec: VideoCodec::H264,
            is_key_frame,
            is_damaged: false,
            pts: 0,
            dts: 0,
            duration: 3600,
            received_us: 0,
            device_pts: None,
            fragment: Fragment {
                buffer,
                ws_offset: 0,
                payload_offset: 0,
            },
            payload_at: 0,
        }
    }

    fn parameters() -> Arc<VideoParameters> {
        Arc::new(VideoParameters {
            generation: 1,
            codec: VideoCodec::H264,
            width: 16,
            height: 16,
            codec_string: String::new(),
            parameter_sets: Vec::new(),
            record: Bytes::new(),
            init: picture(true).fragment,
        })
    }

    #[test]
    fn what_outgrows_the_memory_is_dropped_up_to_a_key_frame_and_counted() {
        let (sink, disk) = FileSink::on_a_stuck_disk("s1");
        let mut feed = SinkFeed::new(Arc::clone(&sink));
        let parameters = parameters();
        feed.picture(&picture(true), &parameters);
        (0..40).for_each(|_| feed.picture(&picture(false), &parameters));
        let kept = QUEUE_MAX >> 20;
        assert!(sink.is_behind() && sink.stats().waiting_bytes <= QUEUE_MAX);
        assert_eq!(
            (sink.stats().pictures, sink.stats().drops),
            (kept as u64, 41 - kept as u64)
        );
        assert_eq!(disk.take(), kept);
        feed.picture(&picture(false), &parameters);
        assert_eq!(disk.take(), 0, "it depends on what was dropped");
        feed.picture(&picture(true), &parameters);
        assert_eq!((disk.take(), sink.stats().drops), (1, 42 - kept as u64));
    }
}
