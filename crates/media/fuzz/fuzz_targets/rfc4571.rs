//! RFC 4571 framing: every byte counted once, the same frames for every split.
#![no_main]

use commonview_media::rfc4571::{Framer, FramerStats};
use libfuzzer_sys::fuzz_target;

fn run(data: &[u8], size: usize) -> (Vec<Vec<u8>>, FramerStats, usize) {
    let mut framer = Framer::new();
    let mut frames = Vec::new();
    for part in data.chunks(size) {
        framer.push(part, &mut |frame| frames.push(frame.to_vec()));
    }
    (frames, framer.stats(), framer.carried())
}

fuzz_target!(|data: &[u8]| {
    let Some((&size, stream)) = data.split_first() else {
        return;
    };
    let whole = run(stream, usize::MAX);
    assert_eq!(
        stream.len() as u64,
        whole.1.framed_bytes + whole.1.skipped_bytes + whole.2 as u64
    );
    assert_eq!(run(stream, usize::from(size) + 1), whole);
});
