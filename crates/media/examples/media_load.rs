//! Load for the media benchmarks: cameras, viewers, and the floors they are compared with.
//!
//! ```text
//! media_load cameras CLIP tcp|tcp-whole|udp SECONDS PORT...   send the clip to each port, paced at 25 pictures a second;
//!                                                      tcp-whole hands each picture to the kernel in one write
//! media_load discard tcp|udp SECONDS COUNT             floor: receive on COUNT ports, throw away
//! media_load viewers ws|http SECONDS HOST:PORT PATH... watch each path, throw away
//! media_load fan-out CLIP SECONDS COUNT                floor: write the clip's pictures to COUNT connections
//! media_load first ws|http HOST:PORT PATH...           one after another: microseconds from connect to first key frame
//! ```
//!
//! CLIP is a file of pictures: each a big-endian u32 length and that many bytes of program stream. Lines on standard
//! output are JSON. Commands that listen print their ports first and begin when a line comes on standard input.

use std::error::Error;
use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

type Outcome = Result<(), Box<dyn Error>>;

const PICTURES_PER_SECOND: u32 = 25;
const PAYLOAD: usize = 1400;
const LOOPBACK: [u8; 4] = [127, 0, 0, 1];

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["cameras", clip, transport, seconds, ref ports @ ..] => {
            cameras(&read_clip(clip)?, transport, seconds.parse()?, ports)
        }
        ["discard", transport, seconds, count] => {
            discard(transport == "tcp", seconds.parse()?, count.parse()?)
        }
        ["viewers", protocol, seconds, host, ref paths @ ..] => {
            viewers(protocol == "ws", seconds.parse()?, host.parse()?, paths)
        }
        ["fan-out", clip, seconds, count] => {
            fan_out(&read_clip(clip)?, seconds.parse()?, count.parse()?)
        }
        ["first", protocol, host, ref paths @ ..] => first(protocol == "ws", host.parse()?, paths),
        _ => Err("see the head of media_load.rs for the commands".into()),
    }
}

fn read_clip(path: &str) -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let bytes = std::fs::read(path)?;
    let mut rest = &bytes[..];
    let mut pictures = Vec::new();
    while let Some((len, tail)) = rest.split_first_chunk::<4>() {
        let len = usize::try_from(u32::from_be_bytes(*len))?;
        pictures.push(tail.get(..len).ok_or("the clip is cut short")?.to_vec());
        rest = &tail[len..];
    }
    Ok(pictures)
}

/// One camera's socket and what it has to say next.
struct Camera {
    wire: Wire,
    ssrc: u32,
    sequence: u16,
    picture: usize,
    clock: u32,
}

enum Wire {
    Tcp(TcpStream),
    Udp(UdpSocket),
}

impl Camera {
    fn connect(is_tcp: bool, port: u16, number: u32, pictures: usize) -> io::Result<Camera> {
        let target = SocketAddr::from((LOOPBACK, port));
        let wire = if is_tcp {
            let stream = TcpStream::connect(target)?;
            stream.set_nodelay(true)?;
            Wire::Tcp(stream)
        } else {
            let socket = UdpSocket::bind(SocketAddr::from((LOOPBACK, 0)))?;
            socket.connect(target)?;
            Wire::Udp(socket)
        };
        // Cameras are not in step: each begins elsewhere in the clip.
        let picture = number as usize * 7 % pictures;
        Ok(Camera {
            wire,
            ssrc: number + 1,
            sequence: 0,
            picture,
            clock: 0,
        })
    }

    fn send_next(
        &mut self,
        clip: &[Vec<u8>],
        whole: bool,
        batch: &mut Vec<u8>,
    ) -> io::Result<usize> {
        let data = &clip[self.picture];
        self.picture = (self.picture + 1) % clip.len();
        self.clock = self.clock.wrapping_add(90_000 / PICTURES_PER_SECOND);
        let last = data.len().div_ceil(PAYLOAD) - 1;
        batch.clear();
        for (index, part) in data.chunks(PAYLOAD).enumerate() {
            let begin = batch.len();
            batch.extend_from_slice(&u16::try_from(part.len() + 12).unwrap_or(0).to_be_bytes());
            batch.extend_from_slice(&[0x80, if index == last { 0x80 | 96 } else { 96 }]);
            batch.extend_from_slice(&self.sequence.to_be_bytes());
            batch.extend_from_slice(&self.clock.to_be_bytes());
            batch.extend_from_slice(&self.ssrc.to_be_bytes());
            batch.extend_from_slice(part);
            self.sequence = self.sequence.wrapping_add(1);
            // Packet by packet, as most cameras do; one write a picture wakes the receiver less.
            match &mut self.wire {
                Wire::Tcp(_) if whole => {}
                Wire::Tcp(stream) => stream.write_all(&batch[begin..])?,
                Wire::Udp(socket) => {
                    socket.send(&batch[begin + 2..])?;
                }
            }
        }
        if let Wire::Tcp(stream) = &mut self.wire
            && whole
        {
            stream.write_all(batch)?;
        }
        Ok(data.len())
    }
}

fn cameras(clip: &[Vec<u8>], transport: &str, seconds: f64, ports: &[&str]) -> Outcome {
    let (is_tcp, whole) = (transport != "udp", transport == "tcp-whole");
    let mut cameras = Vec::new();
    for (number, port) in ports.iter().enumerate() {
        cameras.push(Camera::connect(
            is_tcp,
            port.parse()?,
            u32::try_from(number)?,
            clip.len(),
        )?);
    }
    let step = Duration::from_secs(1) / (PICTURES_PER_SECOND * u32::try_from(cameras.len())?);
    let began = Instant::now();
    let (mut bytes, mut pictures, mut worst) = (0, 0, Duration::ZERO);
    let mut batch = Vec::new();
    'sending: loop {
        for camera in &mut cameras {
            let due = began + step * pictures;
            if due.duration_since(began).as_secs_f64() >= seconds {
                break 'sending;
            }
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            worst = worst.max(Instant::now().saturating_duration_since(due));
            bytes += camera.send_next(clip, whole, &mut batch)?;
            pictures += 1;
        }
    }
    let elapsed = began.elapsed().as_secs_f64();
    println!(
        "{{\"bytes\":{bytes},\"pictures\":{pictures},\"seconds\":{elapsed:.3},\"worst_delay_ms\":{:.1}}}",
        worst.as_secs_f64() * 1000.0
    );
    Ok(())
}

fn say(line: &str) -> Outcome {
    println!("{line}");
    io::stdout().flush()?;
    Ok(())
}

fn await_line() -> Outcome {
    io::stdin().lock().read_line(&mut String::new())?;
    Ok(())
}

/// Anything that is read with a plain call.
enum Source {
    Tcp(TcpStream),
    Udp(UdpSocket),
}

impl Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Source::Tcp(stream) => stream.read(buffer),
            Source::Udp(socket) => socket.recv(buffer),
        }
    }
}

/// Read whatever comes on any of `sources` until the time is up; returns the bytes.
fn drain(sources: &mut [Source], seconds: f64) -> Result<u64, Box<dyn Error>> {
    let epoll = Epoll::new(EpollCreateFlags::empty())?;
    for (index, source) in sources.iter().enumerate() {
        let event = EpollEvent::new(EpollFlags::EPOLLIN, index as u64);
        match source {
            Source::Tcp(stream) => {
                stream.set_nonblocking(true)?;
                epoll.add(stream, event)?;
            }
            Source::Udp(socket) => {
                socket.set_nonblocking(true)?;
                epoll.add(socket, event)?;
            }
        }
    }
    let mut buffer = vec![0; 256 * 1024];
    let mut events = vec![EpollEvent::empty(); 256];
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    let mut bytes = 0;
    while Instant::now() < until {
        let ready = epoll.wait(&mut events, EpollTimeout::from(100u8))?;
        for event in &events[..ready] {
            // One read a wake-up: the cheapest thing that keeps up, because epoll wakes again while data waits.
            match sources[usize::try_from(event.data())?].read(&mut buffer) {
                Ok(len) => bytes += len as u64,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => {}
            }
        }
    }
    Ok(bytes)
}

fn discard(is_tcp: bool, seconds: f64, count: usize) -> Outcome {
    let mut ports = Vec::new();
    let mut listeners = Vec::new();
    let mut sources = Vec::new();
    for _ in 0..count {
        if is_tcp {
            let listener = TcpListener::bind(SocketAddr::from((LOOPBACK, 0)))?;
            ports.push(listener.local_addr()?.port());
            listeners.push(listener);
        } else {
            let socket = UdpSocket::bind(SocketAddr::from((LOOPBACK, 0)))?;
            ports.push(socket.local_addr()?.port());
            sources.push(Source::Udp(socket));
        }
    }
    say(&format!("{ports:?}"))?;
    for listener in &listeners {
        sources.push(Source::Tcp(listener.accept()?.0));
    }
    let bytes = drain(&mut sources, seconds)?;
    say(&format!("{{\"bytes\":{bytes}}}"))
}

fn request(is_websocket: bool, path: &str) -> String {
    let upgrade = if is_websocket {
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    } else {
        ""
    };
    format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{upgrade}\r\n")
}

fn viewers(is_websocket: bool, seconds: f64, host: SocketAddr, paths: &[&str]) -> Outcome {
    let mut sources = Vec::new();
    for path in paths {
        let mut stream = TcpStream::connect(host)?;
        stream.write_all(request(is_websocket, path).as_bytes())?;
        sources.push(Source::Tcp(stream));
    }
    let bytes = drain(&mut sources, seconds)?;
    say(&format!("{{\"bytes\":{bytes}}}"))
}

fn fan_out(clip: &[Vec<u8>], seconds: f64, count: usize) -> Outcome {
    let listener = TcpListener::bind(SocketAddr::from((LOOPBACK, 0)))?;
    say(&format!("[{}]", listener.local_addr()?.port()))?;
    let mut streams = Vec::new();
    for _ in 0..count {
        let (mut stream, _) = listener.accept()?;
        // The viewers' request.
        let _request = stream.read(&mut [0; 4096])?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        streams.push(stream);
    }
    await_line()?;
    let began = Instant::now();
    let step = Duration::from_secs(1) / PICTURES_PER_SECOND;
    let (mut bytes, mut short) = (0u64, 0u64);
    for number in 0.. {
        let due = began + step * number;
        if due.duration_since(began).as_secs_f64() >= seconds {
            break;
        }
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let picture = &clip[number as usize % clip.len()];
        for stream in &mut streams {
            match stream.write(picture) {
                Ok(len) => {
                    bytes += len as u64;
                    short += u64::from(len < picture.len());
                }
                Err(_) => short += 1,
            }
        }
    }
    say(&format!("{{\"bytes\":{bytes},\"short_writes\":{short}}}"))
}

fn first(is_websocket: bool, host: SocketAddr, paths: &[&str]) -> Outcome {
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
