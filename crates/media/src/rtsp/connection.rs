//! The connection to an RTSP server, plain or inside TLS; whoever uses it does not see the difference.

use std::cell::{RefCell, RefMut};
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, Error};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::rtsp::RtspFailure;
use crate::rtsp::trust::Trust;

const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// A connection that stands. Like the socket below it never waits when it reads or writes.
pub struct Connection {
    socket: TcpStream,
    tls: Option<RefCell<Box<ClientConnection>>>,
}

impl Connection {
    /// Connect, and for TLS have the server prove that it is `host` as `trust` demands.
    pub async fn open(
        address: SocketAddr,
        tls: Option<(&Trust, &str)>,
    ) -> Result<Connection, RtspFailure> {
        let socket = match timeout(CONNECT_WITHIN, TcpStream::connect(address)).await {
            Ok(Ok(socket)) => socket,
            Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => {
                return Err(RtspFailure::Refused);
            }
            Ok(Err(_)) | Err(_) => return Err(RtspFailure::Unreachable),
        };
        let _best_effort = socket.set_nodelay(true);
        let Some((trust, host)) = tls else {
            return Ok(Connection { socket, tls: None });
        };
        let shaken = timeout(CONNECT_WITHIN, shake_hands(&socket, trust, host)).await;
        let tls = shaken.unwrap_or(Err(RtspFailure::Tls))?;
        Ok(Connection {
            socket,
            tls: Some(RefCell::new(tls)),
        })
    }

    /// Until there is something to read.
    pub async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// Read what is there; 0 when the server has closed.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &self.tls else {
            return self.socket.try_read(buffer);
        };
        let mut tls = tls.borrow_mut();
        let mut filled = 0;
        while filled < buffer.len() {
            match tls.reader().read(&mut buffer[filled..]) {
                Ok(length) if length > 0 => filled += length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    match self.receive(&mut tls) {
                        Ok(()) => {}
                        // What came before is worth something; the end shows again.
                        Err(_) if filled > 0 => break,
                        Err(error) => return Err(error),
                    }
                }
                // Closed, in order or not: RTSP says by itself what is whole.
                _ => break,
            }
        }
        Ok(filled)
    }

    fn receive(&self, tls: &mut ClientConnection) -> io::Result<()> {
        tls.read_tls(&mut Wire(&self.socket))?;
        if let Err(error) = tls.process_new_packets() {
            let _alert = tls.write_tls(&mut Wire(&self.socket));
            return Err(io::Error::new(ErrorKind::InvalidData, error));
        }
        Ok(())
    }

    /// Write as much as goes.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let Some(tls) = &self.tls else {
            return self.socket.try_write(bytes);
        };
        let mut tls = self.push(tls.borrow_mut())?;
        if tls.wants_write() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let taken = tls.writer().write(bytes)?;
        self.push(tls)?;
        Ok(taken)
    }

    /// Send what TLS still holds.
    pub fn flush(&self) -> io::Result<()> {
        match &self.tls {
            Some(tls) => self.push(tls.borrow_mut()).map(drop),
            None => Ok(()),
        }
    }

    /// The last words, as far as the socket takes them.
    pub fn say_goodbye(&self, last: Option<&[u8]>) {
        if let Some(words) = last {
            let _best_effort = self.try_write(words);
        }
        if let Some(tls) = &self.tls {
            tls.borrow_mut().send_close_notify();
            let _best_effort = self.flush();
        }
    }

    fn push<'a>(
        &self,
        mut tls: RefMut<'a, Box<ClientConnection>>,
    ) -> io::Result<RefMut<'a, Box<ClientConnection>>> {
        while tls.wants_write() {
            match tls.write_tls(&mut Wire(&self.socket)) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(tls)
    }
}

async fn shake_hands(
    socket: &TcpStream,
    trust: &Trust,
    host: &str,
) -> Result<Box<ClientConnection>, RtspFailure> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| RtspFailure::Certificate)?;
    let tls = ClientConnection::new(trust.config(), name).map_err(|_| RtspFailure::Tls)?;
    let mut tls = Box::new(tls);
    while tls.is_handshaking() {
        let step = if tls.wants_write() {
            let _tried_below = socket.writable().await;
            tls.write_tls(&mut Wire(socket))
        } else {
            let _tried_below = socket.readable().await;
            tls.read_tls(&mut Wire(socket))
        };
        match step {
            Ok(0) => return Err(RtspFailure::Tls),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return Err(RtspFailure::Tls),
        }
        if let Err(error) = tls.process_new_packets() {
            let _alert = tls.write_tls(&mut Wire(socket));
            return Err(failure(&error));
        }
    }
    Ok(tls)
}

fn failure(error: &Error) -> RtspFailure {
    match error {
        Error::InvalidCertificate(_) | Error::NoCertificatesPresented => RtspFailure::Certificate,
        _ => RtspFailure::Tls,
    }
}

/// The socket as TLS wants it.
struct Wire<'a>(&'a TcpStream);

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
