//! Floors: the least that a program can do with the same bytes.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use crate::sources::{Source, drain, each_read};
use crate::{LOOPBACK, Outcome, PAYLOAD, PICTURES_PER_SECOND, await_line, say};

/// Octets of an RTP header without extras.
const RTP_HEADER: usize = 12;

/// Places where cameras are awaited: those of TCP once they have come.
struct Places {
    ports: Vec<u16>,
    listeners: Vec<TcpListener>,
    sources: Vec<Source>,
}

impl Places {
    fn open(is_tcp: bool, count: usize) -> io::Result<Places> {
        let mut places = Places {
            ports: Vec::new(),
            listeners: Vec::new(),
            sources: Vec::new(),
        };
        for _ in 0..count {
            if is_tcp {
                let listener = TcpListener::bind(SocketAddr::from((LOOPBACK, 0)))?;
                places.ports.push(listener.local_addr()?.port());
                places.listeners.push(listener);
            } else {
                let socket = UdpSocket::bind(SocketAddr::from((LOOPBACK, 0)))?;
                places.ports.push(socket.local_addr()?.port());
                places.sources.push(Source::Udp(socket));
            }
        }
        Ok(places)
    }

    fn taken(mut self) -> io::Result<Vec<Source>> {
        for listener in &self.listeners {
            self.sources.push(Source::Tcp(listener.accept()?.0));
        }
        Ok(self.sources)
    }
}

/// Receive on `count` ports and throw away.
pub fn discard(is_tcp: bool, seconds: f64, count: usize) -> Outcome {
    let places = Places::open(is_tcp, count)?;
    say(&format!("{:?}", places.ports))?;
    let bytes = drain(&mut places.taken()?, seconds)?;
    say(&format!("{{\"bytes\":{bytes}}}"))
}

/// Viewers of a floor: each says something first, and is written to without waiting.
fn accept_viewers(listener: &TcpListener, count: usize) -> io::Result<Vec<TcpStream>> {
    let mut streams = Vec::new();
    for _ in 0..count {
        let (mut stream, _) = listener.accept()?;
        let _request = stream.read(&mut [0; 4096])?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        streams.push(stream);
    }
    Ok(streams)
}

/// What was written, and how often not all of it.
#[derive(Default)]
struct Written {
    bytes: u64,
    short: u64,
}

impl Written {
    fn count(&mut self, outcome: io::Result<usize>, wanted: usize) {
        let length = outcome.unwrap_or(0);
        self.bytes += length as u64;
        self.short += u64::from(length < wanted);
    }

    fn say(&self) -> Outcome {
        let Written { bytes, short } = self;
        say(&format!("{{\"bytes\":{bytes},\"short_writes\":{short}}}"))
    }
}

/// Call `show` with one picture of the clip after the other, each at its time.
fn paced(clip: &[Vec<u8>], seconds: f64, mut show: impl FnMut(&[u8])) {
    let began = Instant::now();
    let step = Duration::from_secs(1) / PICTURES_PER_SECOND;
    for number in 0.. {
        let due = began + step * number;
        if due.duration_since(began).as_secs_f64() >= seconds {
            break;
        }
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        show(&clip[number as usize % clip.len()]);
    }
}

/// Write the clip's pictures to `count` connections.
pub fn fan_out(clip: &[Vec<u8>], seconds: f64, count: usize) -> Outcome {
    let listener = TcpListener::bind(SocketAddr::from((LOOPBACK, 0)))?;
    say(&format!("[{}]", listener.local_addr()?.port()))?;
    let mut streams = accept_viewers(&listener, count)?;
    await_line()?;
    let mut written = Written::default();
    paced(clip, seconds, |picture| {
        for stream in &mut streams {
            written.count(stream.write(picture), picture.len());
        }
    });
    written.say()
}

/// Send the clip's pictures to each port, in datagrams as RTP would be.
pub fn scatter(clip: &[Vec<u8>], seconds: f64, ports: &[&str]) -> Outcome {
    let mut sockets = Vec::new();
    for port in ports {
        let socket = UdpSocket::bind(SocketAddr::from((LOOPBACK, 0)))?;
        socket.connect(SocketAddr::from((LOOPBACK, port.parse()?)))?;
        sockets.push(socket);
    }
    let mut written = Written::default();
    paced(clip, seconds, |picture| {
        for socket in &sockets {
            for piece in picture.chunks(PAYLOAD) {
                written.count(socket.send(piece), piece.len());
            }
        }
    });
    written.say()
}

/// A camera whose packets are read, up to whole pictures.
#[derive(Default)]
struct Reading {
    /// Of a connection: what is not yet a whole frame of RFC 4571.
    rest: Vec<u8>,
    picture: Vec<u8>,
}

impl Reading {
    fn bytes(&mut self, bytes: &[u8], show: &mut impl FnMut(&[u8])) {
        let mut rest = std::mem::take(&mut self.rest);
        rest.extend_from_slice(bytes);
        let mut at = 0;
        while let Some(length) = rest[at..].first_chunk::<2>()
            && let Some(packet) = rest[at + 2..].get(..usize::from(u16::from_be_bytes(*length)))
        {
            self.packet(packet, show);
            at += 2 + packet.len();
        }
        rest.drain(..at);
        self.rest = rest;
    }

    fn packet(&mut self, packet: &[u8], show: &mut impl FnMut(&[u8])) {
        let Some((header, payload)) = packet.split_at_checked(RTP_HEADER) else {
            return;
        };
        self.picture.extend_from_slice(payload);
        // The marker stands on the last packet of a picture.
        if header[1] & 0x80 != 0 {
            show(&self.picture);
            self.picture.clear();
        }
    }
}

/// Read `count` cameras, and write the pictures of each to a viewer of its own.
pub fn through(is_tcp: bool, seconds: f64, count: usize) -> Outcome {
    let places = Places::open(is_tcp, count)?;
    let listener = TcpListener::bind(SocketAddr::from((LOOPBACK, 0)))?;
    let ports = &places.ports;
    let viewers = listener.local_addr()?.port();
    say(&format!("{{\"cameras\":{ports:?},\"viewers\":{viewers}}}"))?;
    let mut viewers = accept_viewers(&listener, count)?;
    let mut readings: Vec<Reading> = (0..count).map(|_| Reading::default()).collect();
    let mut written = Written::default();
    each_read(&mut places.taken()?, seconds, |number, read| {
        let mut show = |picture: &[u8]| {
            written.count(viewers[number].write(picture), picture.len());
        };
        match is_tcp {
            true => readings[number].bytes(read, &mut show),
            false => readings[number].packet(read, &mut show),
        }
    })?;
    written.say()
}
