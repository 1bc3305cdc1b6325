//! Cameras that send a clip, each beginning elsewhere in it.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use crate::{LOOPBACK, Outcome, PAYLOAD, PICTURES_PER_SECOND};

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

/// Send until the time is up, and say how it went.
pub fn cameras(clip: &[Vec<u8>], transport: &str, seconds: f64, ports: &[&str]) -> Outcome {
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
