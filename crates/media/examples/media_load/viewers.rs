//! Viewers of a node that throw away what they get, or wait for their first picture.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::sources::{Source, drain};
use crate::{Outcome, say};

fn request(is_websocket: bool, path: &str) -> String {
    let upgrade = if is_websocket {
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    } else {
        ""
    };
    format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{upgrade}\r\n")
}

/// Watch each path until the time is up.
pub fn viewers(is_websocket: bool, seconds: f64, host: SocketAddr, paths: &[&str]) -> Outcome {
    let mut sources = Vec::new();
    for path in paths {
        let mut stream = TcpStream::connect(host)?;
        stream.write_all(request(is_websocket, path).as_bytes())?;
        sources.push(Source::Tcp(stream));
    }
    let bytes = drain(&mut sources, seconds)?;
    say(&format!("{{\"bytes\":{bytes}}}"))
}

/// Connect one after the other, each until its first picture is whole.
pub fn first(is_websocket: bool, host: SocketAddr, paths: &[&str]) -> Outcome {
    let mut micros = Vec::new();
    for path in paths {
        let began = Instant::now();
        let mut stream = TcpStream::connect(host)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.write_all(request(is_websocket, path).as_bytes())?;
        let mut seen = Vec::new();
        let mut buffer = vec![0; 64 * 1024];
        while !has_first_fragment(&seen) {
            match stream.read(&mut buffer)? {
                0 => return Err(format!("closed after {} bytes", seen.len()).into()),
                len => seen.extend_from_slice(&buffer[..len]),
            }
        }
        micros.push(began.elapsed().as_micros());
        // At another moment of the group of pictures next time.
        std::thread::sleep(Duration::from_millis(137));
    }
    say(&format!("{micros:?}"))
}

/// Whether the first `mdat` is whole: its box and all bytes the box counts are there.
fn has_first_fragment(seen: &[u8]) -> bool {
    let Some(at) = seen.windows(4).position(|window| window == b"mdat") else {
        return false;
    };
    let Some(len) = at
        .checked_sub(4)
        .and_then(|begin| seen[begin..].first_chunk::<4>())
    else {
        return false;
    };
    seen.len() - (at - 4) >= u32::from_be_bytes(*len) as usize
}
