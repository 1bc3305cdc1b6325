//! A client's frames: they do not depend on how the bytes came, and stay within their bounds.
#![no_main]

use commonview_media::websocket::{CONTROL_MAX, DATA_MAX, Decoder, Frame, Opcode, Violation};
use libfuzzer_sys::fuzz_target;

/// Decode `data` as a connection does that gets `step` bytes at a time.
fn frames(data: &[u8], step: usize) -> (Vec<Frame>, Option<Violation>) {
    let mut decoder = Decoder::default();
    let (mut input, mut frames) = (Vec::new(), Vec::new());
    for piece in data.chunks(step) {
        input.extend_from_slice(piece);
        loop {
            match decoder.decode(&input) {
                Ok(Some((frame, len))) => {
                    input.drain(..len);
                    frames.push(frame);
                }
                Ok(None) => break,
                Err(violation) => return (frames, Some(violation)),
            }
        }
        assert!(
            input.len() <= DATA_MAX + 14,
            "a frame is refused at its head"
        );
    }
    (frames, None)
}

fuzz_target!(|data: &[u8]| {
    let Some((&step, data)) = data.split_first() else {
        return;
    };
    let whole = frames(data, data.len().clamp(1, DATA_MAX));
    for frame in &whole.0 {
        let is_control = matches!(frame.opcode, Opcode::Close | Opcode::Ping | Opcode::Pong);
        assert!(frame.payload.len() <= if is_control { CONTROL_MAX } else { DATA_MAX });
    }
    assert_eq!(frames(data, usize::from(step) + 1), whole);
});
