//! RTSP messages and interleaved frames on one connection (RFC 2326 4, 6, 7, 10.12), any split, for both sides.

use std::ops::Range;

/// Longest head of a message: start line and header fields.
pub const MAX_HEAD: usize = 16 << 10;
/// Longest body that is taken; a description is far shorter.
pub const MAX_BODY: usize = 64 << 10;
/// Most header fields.
pub const MAX_HEADERS: usize = 64;
/// Most bytes skipped in a row to find the next frame or message.
pub const MAX_SKIP: usize = 1 << 20;
/// Framing of interleaved data: `$`, channel, length.
pub const FRAME_HEADER: usize = 4;

const MAGIC: u8 = b'$';

/// Start line kinds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartLine {
    /// An answer to one of our requests.
    Status(u16),
    /// Servers ask as well: OPTIONS, ANNOUNCE, REDIRECT, TEARDOWN.
    Request {
        /// What is asked for.
        method: String,
        /// Of what: an absolute URI or `*`.
        uri: String,
        /// Whether it is asked in RTSP 1.x.
        is_version_1: bool,
    },
}

/// One message of the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What it is.
    pub start: StartLine,
    headers: Vec<(String, String)>,
    /// Its body, empty when it has none.
    pub body: Vec<u8>,
}

impl Message {
    /// The first value of a header field, by its name in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.headers.iter();
        let field = fields.find(|(known, _)| known.eq_ignore_ascii_case(name));
        field.map(|(_, value)| value.as_str())
    }

    /// Every value of a header field.
    pub fn headers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The number that ties an answer to its request.
    pub fn cseq(&self) -> Option<u32> {
        self.header("CSeq")?.parse().ok()
    }
}

/// What comes off the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// An interleaved frame; its bytes are [`Reader::frame`] of this range.
    Frame {
        /// Channel number.
        channel: u8,
        /// Where its data lies.
        data: Range<usize>,
    },
    /// A message.
    Message(Message),
}

/// Why the connection cannot be read any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// A head beyond [`MAX_HEAD`] or [`MAX_HEADERS`].
    HeadTooLong,
    /// A body beyond [`MAX_BODY`], or a length that is no number.
    BodyTooLong,
    /// Nothing recognisable for [`MAX_SKIP`] bytes.
    NoFraming,
}

/// Reads what a peer sends. Feed with [`Reader::push`], then take items until there is none.
#[derive(Debug, Default)]
pub struct Reader {
    buffer: Vec<u8>,
    taken: usize,
    skipped_in_row: usize,
    /// Channels that are in use: others are taken for noise while looking for the next frame.
    channels: [u64; 4],
    /// Bytes that belonged to no frame and no message.
    pub skipped_bytes: u64,
    /// Times the framing was lost.
    pub resyncs: u64,
}

impl Reader {
    /// Expect frames on this channel.
    pub fn expect(&mut self, channel: u8) {
        self.channels[usize::from(channel >> 6)] |= 1 << (channel & 63);
    }

    /// Take bytes just read.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.taken > 0 {
            self.buffer.drain(..self.taken);
            self.taken = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Bytes that were pushed and not taken yet.
    pub fn waiting(&self) -> usize {
        self.buffer.len() - self.taken
    }

    /// The bytes of a frame that [`Reader::take`] has just given.
    pub fn frame(&self, data: &Range<usize>) -> &[u8] {
        &self.buffer[data.clone()]
    }

    /// The next complete item, `None` when more bytes are needed.
    pub fn take(&mut self) -> Result<Option<Item>, ReadError> {
        loop {
            let rest = &self.buffer[self.taken..];
            let Some(&first) = rest.first() else {
                return Ok(None);
            };
            if first == MAGIC {
                let Some(head) = rest.first_chunk::<FRAME_HEADER>() else {
                    return Ok(None);
                };
                if !self.is_expected(head[1]) {
                    self.skip(1)?;
                    continue;
                }
                let start = self.taken + FRAME_HEADER;
                let end = start + usize::from(u16::from_be_bytes([head[2], head[3]]));
                if end > self.buffer.len() {
                    return Ok(None);
                }
                let channel = head[1];
                self.taken = end;
                self.skipped_in_row = 0;
                return Ok(Some(Item::Frame {
                    channel,
                    data: start..end,
                }));
            }
            if first.is_ascii_uppercase() {
                match self.message()? {
                    Parsed::Whole(message) => {
                        self.skipped_in_row = 0;
                        return Ok(Some(Item::Message(message)));
                    }
                    Parsed::Partial => return Ok(None),
                    Parsed::Not => self.skip(1)?,
                }
            } else {
                // Blank lines between messages are usual and cost nothing; anything else is a lost frame boundary.
                let is_blank = matches!(first, b'\r' | b'\n');
                if is_blank && self.skipped_in_row == 0 {
                    self.taken += 1;
                } else {
                    self.skip(1)?;
                }
            }
        }
    }

    fn is_expected(&self, channel: u8) -> bool {
        self.channels[usize::from(channel >> 6)] >> (channel & 63) & 1 == 1
    }

    fn skip(&mut self, count: usize) -> Result<(), ReadError> {
        self.resyncs += u64::from(self.skipped_in_row == 0);
        let rest = &self.buffer[self.taken + count..];
        let is_start = |byte: &u8| *byte == MAGIC || byte.is_ascii_uppercase();
        let count = count + rest.iter().position(is_start).unwrap_or(rest.len());
        self.taken += count;
        self.skipped_bytes += count as u64;
        self.skipped_in_row += count;
        if self.skipped_in_row > MAX_SKIP {
            return Err(ReadError::NoFraming);
        }
        Ok(())
    }

    fn message(&mut self) -> Result<Parsed, ReadError> {
        let rest = &self.buffer[self.taken..];
        let within = &rest[..rest.len().min(MAX_HEAD)];
        let Some(line_end) = memchr::memchr(b'\n', within) else {
            return match start_line(within) {
                _ if within.len() == MAX_HEAD => Err(ReadError::HeadTooLong),
                // A word that cannot become a start line is noise, however much of it will come.
                Some(_) | None if looks_like_start(within) => Ok(Parsed::Partial),
                _ => Ok(Parsed::Not),
            };
        };
        let Some(start) = start_line(trim(&within[..line_end])) else {
            return Ok(Parsed::Not);
        };
        let Some(head_end) = end_of_head(within, line_end + 1) else {
            return if within.len() == MAX_HEAD {
                Err(ReadError::HeadTooLong)
            } else {
                Ok(Parsed::Partial)
            };
        };
        let headers = headers(&within[line_end + 1..head_end])?;
        let length = headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("Content-Length"))
            .map_or(Ok(0), |(_, value)| value.parse::<usize>());
        let length = length
            .ok()
            .filter(|&length| length <= MAX_BODY)
            .ok_or(ReadError::BodyTooLong)?;
        let Some(body) = rest.get(head_end..head_end + length) else {
            return Ok(Parsed::Partial);
        };
        let message = Message {
            start,
            headers,
            body: body.to_vec(),
        };
        self.taken += head_end + length;
        Ok(Parsed::Whole(message))
    }
}

enum Parsed {
    Whole(Message),
    Partial,
    Not,
}

/// `RTSP/1.0 200 OK` or `METHOD uri RTSP/1.0`.
fn start_line(line: &[u8]) -> Option<StartLine> {
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split(' ').filter(|word| !word.is_empty());
    let first = words.next()?;
    if first.starts_with("RTSP/1.") {
        let status = words.next()?.parse().ok()?;
        return (100..600)
            .contains(&status)
            .then_some(StartLine::Status(status));
    }
    let is_method = first.len() <= 32
        && first
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    let uri = words.next()?;
    let version = words.next()?;
    (is_method && version.starts_with("RTSP/")).then(|| StartLine::Request {
        method: first.to_owned(),
        uri: uri.to_owned(),
        is_version_1: version.starts_with("RTSP/1."),
    })
}

fn looks_like_start(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .take(512)
        .all(|byte| (b' '..=b'~').contains(byte) || *byte == b'\r')
}

/// The place after the empty line that ends the head.
fn end_of_head(bytes: &[u8], mut from: usize) -> Option<usize> {
    loop {
        let end = from + memchr::memchr(b'\n', &bytes[from..])?;
        if trim(&bytes[from..end]).is_empty() {
            return Some(end + 1);
        }
        from = end + 1;
    }
}

fn headers(head: &[u8]) -> Result<Vec<(String, String)>, ReadError> {
    let mut found: Vec<(String, String)> = Vec::new();
    for line in head.split(|&byte| byte == b'\n').map(trim) {
        let text = String::from_utf8_lossy(line);
        if line.is_empty() {
            continue;
        }
        if found.len() == MAX_HEADERS {
            return Err(ReadError::HeadTooLong);
        }
        if let Some((name, value)) = text.split_once(':') {
            found.push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }
    Ok(found)
}

fn trim(line: &[u8]) -> &[u8] {
    line.trim_ascii_end()
}

/// Write a request. The caller has made sure that `uri` and every value hold no line breaks.
pub fn request(method: &str, uri: &str, cseq: u32, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut text = format!("{method} {uri} RTSP/1.0\r\nCSeq: {cseq}\r\nUser-Agent: Commonview\r\n");
    for (name, value) in headers {
        text.push_str(name);
        text.push_str(": ");
        text.push_str(value);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    text.into_bytes()
}

/// Write an answer. The caller has made sure that no value holds line breaks.
pub fn response(
    status: u16,
    phrase: &str,
    cseq: u32,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Vec<u8> {
    let mut text = format!("RTSP/1.0 {status} {phrase}\r\nCSeq: {cseq}\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() {
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    text.push_str("\r\n");
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] =
        b"RTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-length: 4\r\nWWW-Authenticate: Basic x\r\nwww-authenticate: Digest y\r\n\r\nv=0\n";

    fn all(reader: &mut Reader) -> Vec<Item> {
        let mut items = Vec::new();
        while let Some(item) = reader.take().unwrap() {
            items.push(item);
        }
        items
    }

    #[test]
    fn messages_are_read_whatever_the_split() {
        for step in 1..ANSWER.len() {
            let mut reader = Reader::default();
            let mut items = Vec::new();
            for piece in ANSWER.chunks(step) {
                reader.push(piece);
                items.extend(all(&mut reader));
            }
            let [Item::Message(message)] = &items[..] else {
                panic!("{items:?}");
            };
            assert_eq!(message.start, StartLine::Status(200));
            assert_eq!(
                (message.cseq(), &message.body[..]),
                (Some(2), &b"v=0\n"[..])
            );
            assert_eq!(message.headers("WWW-Authenticate").count(), 2);
            assert_eq!(reader.skipped_bytes, 0);
        }
    }

    #[test]
    fn frames_and_messages_may_alternate() {
        let mut reader = Reader::default();
        reader.expect(0);
        reader.push(b"$\0\0\x02ab\r\nRTSP/1.0 200 OK\r\n\r\n$\0\0\x01cOPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n");
        let items = all(&mut reader);
        assert_eq!(items.len(), 4);
        assert!(
            matches!(&items[3], Item::Message(Message { start: StartLine::Request { method, uri, .. }, .. })
                if method == "OPTIONS" && uri == "*")
        );
        assert_eq!(reader.skipped_bytes, 0);
    }

    #[test]
    fn a_lost_frame_boundary_is_found_again_and_counted() {
        let mut reader = Reader::default();
        reader.expect(0);
        reader.push(b"\x01\x02$\x09\xff\xff Q$\0\0\x01x");
        let items = all(&mut reader);
        assert_eq!(items.len(), 1);
        assert_eq!((reader.skipped_bytes, reader.resyncs), (8, 1));
    }

    #[test]
    fn heads_bodies_and_noise_are_bounded() {
        let mut reader = Reader::default();
        reader.push(b"RTSP/1.0 200 OK\r\nX: ");
        reader.push(&vec![b'a'; MAX_HEAD]);
        assert_eq!(reader.take(), Err(ReadError::HeadTooLong));
        let mut reader = Reader::default();
        reader.push(
            format!(
                "RTSP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n",
                MAX_BODY + 1
            )
            .as_bytes(),
        );
        assert_eq!(reader.take(), Err(ReadError::BodyTooLong));
        let mut reader = Reader::default();
        reader.push(b"RTSP/1.0 200 OK\r\nContent-Length: -1\r\n\r\n");
        assert_eq!(reader.take(), Err(ReadError::BodyTooLong));
        let mut reader = Reader::default();
        reader.push(&vec![0; MAX_SKIP + 1]);
        assert_eq!(reader.take(), Err(ReadError::NoFraming));
        let mut reader = Reader::default();
        reader.push(
            &[
                b"RTSP/1.0 200 OK\r\n".to_vec(),
                b"A: b\r\n".repeat(MAX_HEADERS + 1),
                b"\r\n".to_vec(),
            ]
            .concat(),
        );
        assert_eq!(reader.take(), Err(ReadError::HeadTooLong));
    }
}
