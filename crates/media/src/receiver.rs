//! A stream's receiving sockets: RTP over UDP, RTCP beside it, RTP over TCP both ways (RFC 4571).

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, ready};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use tokio::time::{sleep, timeout};

use crate::ingest::SourceId;
use crate::reactor::{Reactor, StreamCell};
use crate::stream::Transport;

/// Bursts of a 4K key frame fit; the kernel may allow less (`net.core.rmem_max`).
const UDP_BUFFER: usize = 4 << 20;
/// Datagrams taken before other streams of the reactor get their turn.
const DATAGRAMS_PER_TURN: usize = 64;
const DIAL_TRIES: usize = 3;
const DIAL_PAUSE: Duration = Duration::from_secs(1);
const DIAL_TIMEOUT: Duration = Duration::from_secs(3);
/// How often a source that is held back looks whether the disk has caught up.
const DISK_PAUSE: Duration = Duration::from_millis(10);
/// Sources of TCP connections are numbered above every UDP peer.
pub(crate) const TCP_SOURCES: u64 = 1 << 63;

/// The sockets of one receiver, bound by the control thread and then moved into the reactor.
pub struct ReceiverSockets {
    rtp: std::net::UdpSocket,
    rtcp: std::net::UdpSocket,
    tcp: TcpEnd,
}

enum TcpEnd {
    /// Cameras dial it.
    Listener(std::net::TcpListener),
    /// Bound and not listening: it keeps the number ours until we dial from it.
    Reserved { _socket: Socket },
}

impl ReceiverSockets {
    /// Bind RTP on `port`, RTCP on the next one, and TCP on `port`.
    pub fn bind(host: IpAddr, port: u16, transport: Transport) -> io::Result<ReceiverSockets> {
        let rtcp_port = port.checked_add(1).ok_or(ErrorKind::InvalidInput)?;
        let rtp = bind_udp(SocketAddr::new(host, port))?;
        let rtcp = bind_udp(SocketAddr::new(host, rtcp_port))?;
        let tcp = bind_tcp(SocketAddr::new(host, port))?;
        let tcp = if transport == Transport::TcpActive {
            TcpEnd::Reserved { _socket: tcp }
        } else {
            // One camera dials; a few more places let a reconnecting one in while its old connection lingers.
            tcp.listen(8)?;
            TcpEnd::Listener(tcp.into())
        };
        Ok(ReceiverSockets { rtp, rtcp, tcp })
    }
}

pub(crate) fn bind_udp(address: SocketAddr) -> io::Result<std::net::UdpSocket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    // Best effort: a smaller buffer is not a reason to refuse the stream.
    let _limited_by_the_kernel = socket.set_recv_buffer_size(UDP_BUFFER);
    Ok(socket.into())
}

fn bind_tcp(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_nonblocking(true)?;
    // Connections of a former stream may still linger on the number; two listeners still exclude each other.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Start receiving. Must be called inside the reactor's runtime.
pub fn start(
    reactor: &Rc<Reactor>,
    cell: &Rc<StreamCell>,
    sockets: ReceiverSockets,
) -> io::Result<()> {
    let rtp = UdpSocket::from_std(sockets.rtp)?;
    let rtcp = UdpSocket::from_std(sockets.rtcp)?;
    cell.spawn(receive_rtp(Rc::clone(reactor), Rc::clone(cell), rtp));
    cell.spawn(drain_rtcp(Rc::clone(reactor), Rc::clone(cell), rtcp));
    match sockets.tcp {
        TcpEnd::Listener(listener) => {
            let listener = TcpListener::from_std(listener)?;
            cell.spawn(accept(Rc::clone(reactor), Rc::clone(cell), listener));
        }
        reserved @ TcpEnd::Reserved { .. } => cell.spawn(hold(reserved)),
    }
    Ok(())
}

/// Keep a reservation until the stream's tasks are ended.
async fn hold(_reserved: TcpEnd) {
    std::future::pending::<()>().await;
}

async fn receive_rtp(reactor: Rc<Reactor>, cell: Rc<StreamCell>, socket: UdpSocket) {
    take_datagrams(&reactor, &socket, |datagram, peer| {
        let (now_us, source) = (reactor.now_us(), udp_source(peer));
        reactor.guarded(&cell, |stream| {
            stream.push_datagram(now_us, datagram, peer, source)
        });
    })
    .await;
}

/// RTCP is not evaluated; it is drained so that the peer sees an open port, and counted.
async fn drain_rtcp(reactor: Rc<Reactor>, cell: Rc<StreamCell>, socket: UdpSocket) {
    take_datagrams(&reactor, &socket, |_, _| {
        cell.stream.borrow_mut().sockets.rtcp_packets += 1
    })
    .await;
}

/// Give every datagram to `each`, a turn's worth at a time, for as long as the runtime lives.
pub(crate) async fn take_datagrams(
    reactor: &Reactor,
    socket: &UdpSocket,
    mut each: impl FnMut(&[u8], SocketAddr),
) {
    while socket.readable().await.is_ok() {
        let mut is_drained = false;
        for _ in 0..DATAGRAMS_PER_TURN {
            let mut buffer = reactor.buffer();
            match socket.try_recv_from(&mut buffer) {
                Ok((len, peer)) => each(&buffer[..len], peer),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    is_drained = true;
                    break;
                }
                // An ICMP answer to nothing we sent; the next datagram is what counts.
                Err(_) => {}
            }
        }
        if !is_drained {
            tokio::task::yield_now().await;
        }
    }
}

async fn accept(reactor: Rc<Reactor>, cell: Rc<StreamCell>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => {
                let is_taken = cell
                    .stream
                    .borrow()
                    .takes_media_from(peer.ip(), reactor.now_us());
                if is_taken {
                    start_connection(&reactor, &cell, socket, peer);
                } else {
                    // Pictures come from another peer: a stranger must not push it out.
                    cell.stream.borrow_mut().sockets.foreign_sources += 1;
                }
            }
            Err(_) => {
                reactor.shared.counters.count("accept_failures");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Dial the camera from the reserved port.
pub async fn dial(
    reactor: Rc<Reactor>,
    cell: Rc<StreamCell>,
    local: SocketAddr,
    camera: SocketAddr,
) {
    let mut failure = "connect_failed";
    for attempt in 0..DIAL_TRIES {
        if attempt > 0 {
            sleep(DIAL_PAUSE).await;
        }
        match timeout(DIAL_TIMEOUT, connect(local, camera)).await {
            Ok(Ok(socket)) => return start_connection(&reactor, &cell, socket, camera),
            Ok(Err(error)) => failure = connect_failure(&error),
            Err(_) => failure = "connect_timeout",
        }
    }
    cell.stream
        .borrow()
        .report_word("TcpFailed", "reason", failure);
}

async fn connect(local: SocketAddr, camera: SocketAddr) -> io::Result<TcpStream> {
    let socket = if local.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    socket.bind(local)?;
    socket.connect(camera).await
}

fn connect_failure(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::ConnectionRefused => "connect_refused",
        ErrorKind::TimedOut => "connect_timeout",
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => "connect_unreachable",
        _ => "connect_failed",
    }
}

/// A media connection stands; it replaces the peer's former one.
fn start_connection(
    reactor: &Rc<Reactor>,
    cell: &Rc<StreamCell>,
    socket: TcpStream,
    peer: SocketAddr,
) {
    let source = SourceId(TCP_SOURCES | reactor.next_number());
    let replaced = cell.replaced_media(peer.ip());
    replaced.iter().for_each(|former| former.task.abort());
    let now_us = reactor.now_us();
    let is_alive = reactor.guarded(cell, |stream| {
        for former in &replaced {
            stream.close_connection(now_us, former.source);
        }
        stream.connected(peer);
    });
    if is_alive.is_some() {
        let task = receive_connection(Rc::clone(reactor), Rc::clone(cell), socket, peer, source);
        let task = tokio::task::spawn_local(task).abort_handle();
        cell.add_media(peer.ip(), source, task);
    }
}

async fn receive_connection(
    reactor: Rc<Reactor>,
    cell: Rc<StreamCell>,
    mut socket: TcpStream,
    peer: SocketAddr,
    source: SourceId,
) {
    let reason = loop {
        while cell.stream.borrow().is_disk_behind() {
            // A file cannot keep up: let the sender wait for the disk (TCP does it), nothing is lost.
            reactor.shared.counters.count("sink_back_pressure");
            sleep(DISK_PAUSE).await;
        }
        // Through poll_read rather than try_read: it knows that a short read means an empty socket and saves the
        // call that would only say so.
        let read = poll_fn(|context| {
            let mut buffer = reactor.buffer();
            let mut read = ReadBuf::new(&mut buffer);
            ready!(Pin::new(&mut socket).poll_read(context, &mut read))?;
            let (now_us, bytes) = (reactor.now_us(), read.filled());
            if !bytes.is_empty() {
                reactor.guarded(&cell, |stream| {
                    stream.push_connection(now_us, bytes, peer, source)
                });
            }
            Poll::Ready(io::Result::Ok(bytes.len()))
        });
        match read.await {
            Ok(0) => break "closed",
            Ok(_) => {}
            Err(_) => break "reset",
        }
    };
    cell.forget_media(source);
    let now_us = reactor.now_us();
    reactor.guarded(&cell, |stream| {
        stream.connection_lost(now_us, source, reason)
    });
}

/// Names a UDP peer. Distinct for IPv4; for IPv6 a hash, which is enough to tell a camera from a stranger.
fn udp_source(peer: SocketAddr) -> SourceId {
    let port = u64::from(peer.port());
    match peer.ip() {
        IpAddr::V4(ip) => SourceId(u64::from(ip.to_bits()) << 16 | port),
        IpAddr::V6(ip) => {
            let folded = (ip.to_bits() >> 64) as u64 ^ (ip.to_bits() as u64).rotate_left(31);
            SourceId((folded.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ port) & !TCP_SOURCES)
        }
    }
}
