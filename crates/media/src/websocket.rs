//! WebSocket frames (RFC 6455 5.2): reading a client's, heading ours.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-------+-+-------------+-------------------------------+
//! |F|R|R|R| opcode|M| Payload len |    Extended payload length    |
//! |I|S|S|S|  (4)  |A|     (7)     |             (16/64)           |
//! |N|V|V|V|       |S|             |   (if payload len==126/127)   |
//! | |1|2|3|       |K|             |                               |
//! +-+-+-+-+-------+-+-------------+-------------------------------+
//! ```

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

/// The longest data frame a viewer may send; viewers have little to say.
pub const DATA_MAX: usize = 4096;
/// The longest control frame (RFC 6455 5.5).
pub const CONTROL_MAX: usize = 125;

/// Frame types (RFC 6455 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// The rest of a fragmented message.
    Continuation,
    /// UTF-8 text.
    Text,
    /// Bytes.
    Binary,
    /// The end, with an optional status.
    Close,
    /// Answer me.
    Ping,
    /// The answer.
    Pong,
}

impl Opcode {
    fn from_bits(bits: u8) -> Option<Opcode> {
        Some(match bits {
            0x0 => Opcode::Continuation,
            0x1 => Opcode::Text,
            0x2 => Opcode::Binary,
            0x8 => Opcode::Close,
            0x9 => Opcode::Ping,
            0xA => Opcode::Pong,
            _ => return None,
        })
    }

    fn bits(self) -> u8 {
        match self {
            Opcode::Continuation => 0x0,
            Opcode::Text => 0x1,
            Opcode::Binary => 0x2,
            Opcode::Close => 0x8,
            Opcode::Ping => 0x9,
            Opcode::Pong => 0xA,
        }
    }

    fn is_control(self) -> bool {
        self.bits() & 0x8 != 0
    }
}

/// One frame of a client, unmasked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its type.
    pub opcode: Opcode,
    /// Its payload.
    pub payload: Vec<u8>,
}

/// A client that breaks the protocol; the value is the close status to answer (RFC 6455 7.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// 1002: reserved bits, unmasked, unknown type, broken fragmentation.
    Protocol,
    /// 1009: more than we read.
    TooBig,
}

impl Violation {
    /// The close status.
    pub fn status(self) -> u16 {
        match self {
            Violation::Protocol => 1002,
            Violation::TooBig => 1009,
        }
    }
}

/// Reads a client's frames; remembers only whether a fragmented message is open.
#[derive(Debug, Default)]
pub struct Decoder {
    in_message: bool,
}

impl Decoder {
    /// Whether the latest data frame left its message open.
    pub fn is_in_message(&self) -> bool {
        self.in_message
    }

    /// Read one frame from the front of `bytes`: the frame and its length there, or `None` while more is needed.
    pub fn decode(&mut self, bytes: &[u8]) -> Result<Option<(Frame, usize)>, Violation> {
        let [first, second, ..] = *bytes else {
            return Ok(None);
        };
        let opcode = Opcode::from_bits(first & 0x0F).ok_or(Violation::Protocol)?;
        let fin = first & 0x80 != 0;
        // RFC 6455 5.1 and 5.2: no extension was negotiated, and a client masks.
        if first & 0x70 != 0 || second & 0x80 == 0 {
            return Err(Violation::Protocol);
        }
        let Some((len, head_len)) = payload_len(bytes, second & 0x7F)? else {
            return Ok(None);
        };
        if opcode.is_control() && (len > CONTROL_MAX || !fin) {
            return Err(Violation::Protocol);
        }
        if len > DATA_MAX {
            return Err(Violation::TooBig);
        }
        let in_message = match opcode {
            Opcode::Text | Opcode::Binary if self.in_message => return Err(Violation::Protocol),
            Opcode::Continuation if !self.in_message => return Err(Violation::Protocol),
            Opcode::Text | Opcode::Binary | Opcode::Continuation => !fin,
            Opcode::Close | Opcode::Ping | Opcode::Pong => self.in_message,
        };
        let Some(masked) = bytes.get(head_len..head_len + 4 + len) else {
            return Ok(None);
        };
        let (mask, masked) = masked.split_at(4);
        let payload = masked
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, key)| byte ^ key)
            .collect();
        self.in_message = in_message;
        Ok(Some((Frame { opcode, payload }, head_len + 4 + len)))
    }
}

/// The payload's length and the bytes before the mask, or `None` while more is needed.
fn payload_len(bytes: &[u8], short: u8) -> Result<Option<(usize, usize)>, Violation> {
    let (len, head_len, least) = match (short, bytes) {
        (126, [_, _, a, b, ..]) => (u64::from(u16::from_be_bytes([*a, *b])), 4, 126),
        (127, [_, _, long @ ..]) => match long.first_chunk::<8>() {
            Some(long) => (u64::from_be_bytes(*long), 10, 0x1_0000),
            None => return Ok(None),
        },
        (126, _) => return Ok(None),
        (short, _) => (u64::from(short), 2, 0),
    };
    // RFC 6455 5.2: the shortest form must be used.
    if len < least {
        return Err(Violation::Protocol);
    }
    match usize::try_from(len) {
        Ok(len) if len <= DATA_MAX => Ok(Some((len, head_len))),
        _ => Err(Violation::TooBig),
    }
}

/// The head of an unmasked whole message of `len` bytes.
pub fn frame_head(opcode: Opcode, len: usize) -> Vec<u8> {
    let mut head = Vec::with_capacity(10);
    head.push(0x80 | opcode.bits());
    match (u8::try_from(len), u16::try_from(len)) {
        (Ok(short), _) if short < 126 => head.push(short),
        (_, Ok(medium)) => {
            head.push(126);
            head.extend_from_slice(&medium.to_be_bytes());
        }
        _ => {
            head.push(127);
            head.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    head
}

/// A whole unmasked frame.
pub fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut bytes = frame_head(opcode, payload.len());
    bytes.extend_from_slice(payload);
    bytes
}

/// A close frame with `status`.
pub fn close_frame(status: u16) -> Vec<u8> {
    frame(Opcode::Close, &status.to_be_bytes())
}

/// `Sec-WebSocket-Accept` for a client's key (RFC 6455 4.2.2).
pub fn accept_value(key: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(key.as_bytes());
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A client's frame, masked.
    fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = frame_head(Opcode::Binary, payload.len());
        bytes[0] = first;
        bytes[1] |= 0x80;
        let mask = [0x37, 0xFA, 0x21, 0x3D];
        bytes.extend_from_slice(&mask);
        bytes.extend(
            payload
                .iter()
                .zip(mask.iter().cycle())
                .map(|(byte, key)| byte ^ key),
        );
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Option<(Frame, usize)>, Violation> {
        Decoder::default().decode(bytes)
    }

    #[test]
    fn the_example_of_rfc_6455_is_read() {
        let bytes = [
            0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
        ];
        let hello = Frame {
            opcode: Opcode::Text,
            payload: b"Hello".to_vec(),
        };
        assert_eq!(decode(&bytes), Ok(Some((hello, 11))));
    }

    #[test]
    fn the_accept_value_of_rfc_6455_is_computed() {
        assert_eq!(
            accept_value("dGhlIHNhbXBsZSBub25jZQ=="),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }

    #[test]
    fn heads_use_the_shortest_length() {
        assert_eq!(frame_head(Opcode::Binary, 125), [0x82, 125]);
        assert_eq!(frame_head(Opcode::Binary, 126), [0x82, 126, 0, 126]);
        assert_eq!(frame_head(Opcode::Text, 65535), [0x81, 126, 0xFF, 0xFF]);
        assert_eq!(
            frame_head(Opcode::Binary, 65536),
            [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]
        );
        assert_eq!(close_frame(1000), [0x88, 2, 0x03, 0xE8]);
    }

    #[test]
    fn a_frame_is_awaited_byte_by_byte() {
        let bytes = masked(0x82, &[5; 300]);
        for len in 0..bytes.len() {
            assert_eq!(decode(&bytes[..len]), Ok(None), "{len}");
        }
        assert_eq!(decode(&bytes).unwrap().unwrap().1, bytes.len());
    }

    #[test]
    fn a_client_that_breaks_the_rules_is_told_so() {
        let unmasked = frame(Opcode::Text, b"x");
        let not_shortest = [0x82, 0xFE, 0, 5, 0, 0, 0, 0, 1, 2, 3, 4, 5];
        for bytes in [
            &unmasked[..],
            &masked(0xC1, b"x"),
            &masked(0x83, b"x"),
            &masked(0x09, b""),
            &masked(0x88, &[0; 126]),
            &masked(0x80, b"x"),
            &not_shortest,
        ] {
            assert_eq!(decode(bytes), Err(Violation::Protocol), "{bytes:?}");
        }
    }

    #[test]
    fn a_huge_frame_is_refused_at_its_head() {
        let endless = [0x82, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF];
        assert_eq!(decode(&endless), Err(Violation::TooBig));
        assert_eq!(
            decode(&masked(0x82, &[0; DATA_MAX + 1])),
            Err(Violation::TooBig)
        );
    }

    #[test]
    fn control_frames_may_come_between_fragments_and_data_frames_may_not() {
        let mut decoder = Decoder::default();
        assert!(decoder.decode(&masked(0x01, b"a")).is_ok());
        assert!(decoder.decode(&masked(0x89, b"ping")).is_ok());
        assert_eq!(
            decoder.decode(&masked(0x81, b"b")),
            Err(Violation::Protocol)
        );
        assert!(decoder.decode(&masked(0x80, b"b")).is_ok());
        assert_eq!(
            decoder.decode(&masked(0x80, b"c")),
            Err(Violation::Protocol)
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_frames_a_violation_or_a_beginning(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let mut decoder = Decoder::default();
            let mut rest = &bytes[..];
            while let Ok(Some((frame, len))) = decoder.decode(rest) {
                prop_assert!(len >= 6 && frame.payload.len() <= DATA_MAX);
                rest = &rest[len..];
            }
        }

        #[test]
        fn what_a_client_sends_is_read_back(payload in proptest::collection::vec(any::<u8>(), 0..=DATA_MAX)) {
            let bytes = masked(0x82, &payload);
            let len = bytes.len();
            prop_assert_eq!(decode(&bytes), Ok(Some((Frame { opcode: Opcode::Binary, payload }, len))));
        }
    }
}
