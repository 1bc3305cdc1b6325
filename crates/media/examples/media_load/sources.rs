//! Sockets that are read with plain calls, woken by epoll.

use std::error::Error;
use std::io::{self, Read};
use std::net::{TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

/// Anything that is read with a plain call.
pub enum Source {
    /// A connection.
    Tcp(TcpStream),
    /// A socket of datagrams.
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

/// Read whatever comes on any of `sources` until the time is up, and throw it away; returns the bytes.
pub fn drain(sources: &mut [Source], seconds: f64) -> Result<u64, Box<dyn Error>> {
    let mut bytes = 0;
    each_read(sources, seconds, |_, read| bytes += read.len() as u64)?;
    Ok(bytes)
}

/// Read whatever comes on any of `sources` until the time is up; `take` gets the number of the source and what was read.
pub fn each_read(
    sources: &mut [Source],
    seconds: f64,
    mut take: impl FnMut(usize, &[u8]),
) -> Result<(), Box<dyn Error>> {
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
    while Instant::now() < until {
        let ready = epoll.wait(&mut events, EpollTimeout::from(100u8))?;
        for event in &events[..ready] {
            // One read a wake-up: the cheapest thing that keeps up, because epoll wakes again while data waits.
            let number = usize::try_from(event.data())?;
            // What cannot be read is not counted, and that shows in the sums.
            if let Ok(len) = sources[number].read(&mut buffer) {
                take(number, &buffer[..len]);
            }
        }
    }
    Ok(())
}
