//! A peer's connection to the outlet, plain or inside TLS; whoever uses it does not see the difference.
//!
//! It never waits when it reads or writes. Inside TLS it hands out every octet that was decrypted before it asks the
//! socket again, so a socket that was read dry holds nothing back here: who waits for [`Wire::readable`] misses nothing.
//! What TLS has taken but the socket has not is bounded by [`HELD_MAX`], and nothing more is taken until it is out.

mod identity;

pub use identity::{Identity, IdentityError};

use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream as StdStream};
use std::time::Duration;

use rustls::ServerConnection;
use socket2::SockRef;
use tokio::io::{Interest, Ready};
use tokio::net::TcpStream;

/// What TLS takes of a peer's pictures at once.
const HELD_MAX: usize = 128 * 1024;
/// Reads of the socket for one read of the wire: a flood of records without content ends its turn, not the reactor's.
const READS_MAX: usize = 8;
/// Octets that a peer does not acknowledge for so long mean that it is gone without a word (RFC 5482).
const VANISHED_AFTER: Duration = Duration::from_secs(20);
/// The first octet of a TLS connection: a handshake record (RFC 8446 5.1).
const HANDSHAKE_RECORD: u8 = 22;

/// A connection that stands.
pub struct Wire {
    socket: Socket,
    tls: Option<RefCell<Box<ServerConnection>>>,
}

/// A connection between two reactors, which no runtime knows of. Everything decrypted was read before.
pub struct LooseWire {
    socket: StdStream,
    tls: Option<Box<ServerConnection>>,
}

/// Why a connection did not become one inside TLS.
pub enum Unshaken {
    /// It does not speak TLS; here it is, to be told so.
    Plain(TcpStream),
    /// It broke the protocol, or has no version or cipher in common with us.
    Failed,
    /// It closed before it said anything.
    Gone,
}

impl Wire {
    /// A connection without TLS.
    pub fn plain(socket: TcpStream) -> Wire {
        Wire {
            socket: Socket::new(socket),
            tls: None,
        }
    }

    /// Shake hands with a peer. It may take for ever: whoever waits brings a deadline.
    pub async fn accept(socket: TcpStream, identity: &Identity) -> Result<Wire, Unshaken> {
        let mut first = [0];
        match socket.peek(&mut first).await {
            Ok(1) if first[0] == HANDSHAKE_RECORD => {}
            Ok(1) => return Err(Unshaken::Plain(socket)),
            _ => return Err(Unshaken::Gone),
        }
        let tls = ServerConnection::new(identity.config()).map_err(|_| Unshaken::Failed)?;
        let mut tls = Box::new(tls);
        tls.set_buffer_limit(Some(HELD_MAX));
        let socket = Socket::new(socket);
        // To the last octet of ours: the peer may say nothing before it has our Finished (RFC 5246 7.3).
        while tls.is_handshaking() || tls.wants_write() {
            let step = if tls.wants_write() {
                let _tried_below = socket.stream.writable().await;
                tls.write_tls(&mut &socket)
            } else {
                let _tried_below = socket.stream.readable().await;
                tls.read_tls(&mut &socket)
            };
            match step {
                Ok(0) => return Err(Unshaken::Failed),
                Err(error) if error.kind() != ErrorKind::WouldBlock => {
                    return Err(Unshaken::Failed);
                }
                _ => {}
            }
            if tls.process_new_packets().is_err() {
                let _alert = tls.write_tls(&mut &socket);
                return Err(Unshaken::Failed);
            }
        }
        Ok(Wire {
            socket,
            tls: Some(RefCell::new(tls)),
        })
    }

    /// Whether it runs inside TLS.
    pub fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    /// The address of ours that the peer found.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.stream.local_addr()
    }

    /// Until there is something to read.
    pub async fn readable(&self) -> io::Result<()> {
        self.socket.stream.readable().await
    }

    /// Until there is room.
    pub async fn writable(&self) -> io::Result<()> {
        self.socket.stream.writable().await
    }

    /// Until one of these holds.
    pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        self.socket.stream.ready(interest).await
    }

    /// Read what is there; 0 when the peer has closed. A peer that breaks TLS is an error of the kind `InvalidData`.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &self.tls else {
            return self.socket.stream.try_read(buffer);
        };
        let mut tls = tls.borrow_mut();
        for _ in 0..READS_MAX {
            match tls.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // Closed without a word: what is spoken inside says by itself what is whole.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                outcome => return outcome,
            }
            tls.read_tls(&mut &self.socket)?;
            if let Err(error) = tls.process_new_packets() {
                let _alert = tls.write_tls(&mut &self.socket);
                return Err(io::Error::new(ErrorKind::InvalidData, error));
            }
            push(&mut tls, &mut &self.socket)?;
        }
        // The socket was not read dry, so it is still known to be readable.
        Err(ErrorKind::WouldBlock.into())
    }

    /// Write as much as goes.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.try_write_vectored(&[IoSlice::new(bytes)])
    }

    /// Write as much as goes of these pieces in their order. What is taken inside TLS may still stand there: see
    /// [`Wire::is_behind`].
    pub fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match &self.tls {
            Some(tls) => write_tls(&mut tls.borrow_mut(), &mut &self.socket, slices),
            None => self.socket.write(slices),
        }
    }

    /// Whether the socket has not taken yet what was written: wait until it is writable, then [`Wire::flush`].
    pub fn is_behind(&self) -> bool {
        let tls = self.tls.as_ref();
        tls.is_some_and(|tls| tls.borrow().wants_write())
    }

    /// Give the socket what TLS holds; `WouldBlock` when some of it must wait.
    pub fn flush(&self) -> io::Result<()> {
        let Some(tls) = &self.tls else { return Ok(()) };
        let mut tls = tls.borrow_mut();
        push(&mut tls, &mut &self.socket)?;
        match tls.wants_write() {
            true => Err(ErrorKind::WouldBlock.into()),
            false => Ok(()),
        }
    }

    /// Whether the socket took anything since this was asked last.
    pub fn has_moved(&self) -> bool {
        self.socket.has_moved.take()
    }

    /// Close our end behind what was written. An error means that not all of it left: the peer cannot be told more.
    pub fn finish(&self) -> io::Result<()> {
        if let Some(tls) = &self.tls {
            tls.borrow_mut().send_close_notify();
        }
        self.flush()?;
        let _peer_may_be_gone = SockRef::from(&self.socket.stream).shutdown(Shutdown::Write);
        Ok(())
    }

    /// Closing takes back what the kernel still holds.
    pub fn reset_on_close(&self) {
        let _peer_may_be_gone = SockRef::from(&self.socket.stream).set_linger(Some(Duration::ZERO));
    }

    /// Send at once, let the kernel hold this much, and notice when the peer has vanished.
    pub fn prepare_to_send(&self, send_buffer: usize) {
        let socket = SockRef::from(&self.socket.stream);
        let _best_effort = (
            socket.set_tcp_nodelay(true),
            socket.set_send_buffer_size(send_buffer),
            socket.set_tcp_user_timeout(Some(VANISHED_AFTER)),
        );
    }

    /// Take it from this runtime, to be given to another. What was decrypted and not read comes with it.
    pub fn loosen(self) -> io::Result<(LooseWire, Vec<u8>)> {
        let mut unread = Vec::new();
        let tls = self.tls.map(RefCell::into_inner).map(|mut tls| {
            // Ends with `WouldBlock`, or with the peer's end, which shows again.
            let _end = tls.reader().read_to_end(&mut unread);
            tls
        });
        let socket = self.socket.stream.into_std()?;
        Ok((LooseWire { socket, tls }, unread))
    }
}

impl LooseWire {
    /// The first words to a socket that has carried little and so has room: all of them, or it has failed.
    pub fn say(&mut self, words: &[u8]) -> bool {
        let written = match &mut self.tls {
            Some(tls) => write_tls(tls, &mut &self.socket, &[IoSlice::new(words)]),
            None => (&self.socket).write(words),
        };
        written.ok() == Some(words.len())
    }

    /// Give it to the runtime of this thread.
    pub fn fasten(self) -> io::Result<Wire> {
        Ok(Wire {
            socket: Socket::new(TcpStream::from_std(self.socket)?),
            tls: self.tls.map(RefCell::new),
        })
    }
}

fn write_tls(
    tls: &mut ServerConnection,
    socket: &mut impl Write,
    slices: &[IoSlice<'_>],
) -> io::Result<usize> {
    push(tls, socket)?;
    if tls.wants_write() {
        return Err(ErrorKind::WouldBlock.into());
    }
    let taken = tls.writer().write_vectored(slices)?;
    push(tls, socket)?;
    Ok(taken)
}

/// Give the socket what TLS holds, as far as there is room.
fn push(tls: &mut ServerConnection, socket: &mut impl Write) -> io::Result<()> {
    while tls.wants_write() {
        match tls.write_tls(socket) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The socket, which TLS reads and writes as well.
struct Socket {
    stream: TcpStream,
    /// The runtime knows that it has room.
    has_written: Cell<bool>,
    /// It took something since somebody asked.
    has_moved: Cell<bool>,
}

impl Socket {
    fn new(stream: TcpStream) -> Socket {
        Socket {
            stream,
            has_written: Cell::new(false),
            has_moved: Cell::new(false),
        }
    }

    fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if !self.has_written.get() {
            // The runtime has not heard from a new socket and would say it is full; the kernel knows better.
            let written = SockRef::from(&self.stream).send_vectored(slices)?;
            self.has_written.set(true);
            self.has_moved.set(true);
            return Ok(written);
        }
        let written = match slices {
            [] => 0,
            // One piece is the usual case, and the plain call is the cheaper one.
            [one] => self.stream.try_write(one)?,
            many => self.stream.try_write_vectored(many)?,
        };
        self.has_moved.set(true);
        Ok(written)
    }
}

impl Read for &Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.try_read(buffer)
    }
}

impl Write for &Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Socket::write(self, &[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Socket::write(self, slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
