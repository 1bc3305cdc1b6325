//! Silence in the coding of a track, for those who must not have a hole.

use super::bit_writer::BitWriter;
use super::flac;
use crate::audio_track::{AAC_SAMPLES, AudioTrack};

/// The kinds of elements of an AAC frame (ISO/IEC 14496-3 table 4.85), and the word that ends it.
const SINGLE: u32 = 0;
const PAIR: u32 = 1;
const LOW_FREQUENCY: u32 = 3;
const END: u32 = 7;

/// Frames of nothing, each with its length in samples: as many whole ones as fit into `samples`. Number `first` is that of
/// the first sample. FLAC fills to the sample, AAC by frames. None for codings that are not played.
pub fn frames(track: AudioTrack, first: u64, samples: u64) -> Vec<(u32, Vec<u8>)> {
    match track {
        AudioTrack::Flac => {
            let block = flac::BLOCK_MAX as u64;
            let begins = (0..samples).step_by(flac::BLOCK_MAX);
            let frame = |begin: u64| {
                let length = block.min(samples - begin) as usize;
                (length as u32, flac::frame(&vec![0; length], first + begin))
            };
            begins.map(frame).collect()
        }
        AudioTrack::Aac(config) => {
            let count = samples / u64::from(AAC_SAMPLES);
            let frame = aac(config.channels);
            (0..count).map(|_| (AAC_SAMPLES, frame.clone())).collect()
        }
        AudioTrack::Alaw | AudioTrack::Ulaw => Vec::new(),
    }
}

/// An AAC frame in which no band of any channel has a coefficient (`raw_data_block`, ISO/IEC 14496-3 4.4.2.1).
fn aac(channels: u8) -> Vec<u8> {
    let elements: &[u32] = match channels {
        1 => &[SINGLE],
        2 => &[PAIR],
        3 => &[SINGLE, PAIR],
        4 => &[SINGLE, PAIR, SINGLE],
        5 => &[SINGLE, PAIR, PAIR],
        6 => &[SINGLE, PAIR, PAIR, LOW_FREQUENCY],
        _ => &[SINGLE, PAIR, PAIR, PAIR, LOW_FREQUENCY],
    };
    let mut out = BitWriter::default();
    for (at, &kind) in elements.iter().enumerate() {
        let before = elements[..at].iter().filter(|&&other| other == kind);
        out.put(kind, 3);
        out.put(before.count() as u32, 4);
        if kind == PAIR {
            // Both channels have one window, and nothing is coded as middle and side.
            out.put(1, 1);
            put_window(&mut out);
            out.put(0, 2);
        }
        for _ in 0..=u32::from(kind == PAIR) {
            // global_gain stands before the window where each channel has its own.
            out.put(0, 8);
            if kind != PAIR {
                put_window(&mut out);
            }
            // No pulses, no temporal noise shaping, no gain control.
            out.put(0, 3);
        }
    }
    out.put(END, 3);
    out.align();
    out.finish()
}

/// `ics_info`: one long window, no band, no prediction.
fn put_window(out: &mut BitWriter) {
    out.put(0, 1 + 2 + 1 + 6 + 1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::AacConfig;

    #[test]
    fn flac_is_silent_to_the_sample() {
        let found = frames(AudioTrack::Flac, 7, 9000);
        let lengths: Vec<_> = found.iter().map(|frame| frame.0).collect();
        assert_eq!(lengths, [4096, 4096, 808]);
        assert_eq!(found[2].1, flac::frame(&[0; 808], 7 + 8192));
        assert!(found.iter().all(|frame| frame.1.len() < 20));
    }

    #[test]
    fn aac_is_silent_by_whole_frames() {
        let track = |channels| {
            AudioTrack::Aac(AacConfig {
                object_type: 2,
                frequency_index: 8,
                channels,
            })
        };
        assert_eq!(
            frames(track(1), 0, 3000),
            vec![(1024, vec![0, 0, 0, 0x07]); 2]
        );
        assert_eq!(
            frames(track(2), 0, 1024),
            [(1024, vec![0x21, 0, 0, 0, 0, 0x1c])]
        );
        assert_eq!(frames(track(6), 0, 1023), []);
        assert!(!aac(6).is_empty());
    }
}
