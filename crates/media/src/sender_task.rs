//! The task beside each sender: it makes the connection, waits for room, and speaks RTCP.
//!
//! Packets are not sent here: the stream sends them straight into every socket that has room.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use tokio::time::{sleep, timeout};

use crate::connection::Link;
use crate::events::{Event, Value, text, unix_us};
use crate::reactor::{Reactor, StreamCell};
use crate::sender::{PortLease, Sender, SenderRequest, SenderSocket, Tasks, connect_failure};
use crate::stream::{Stream, Transport};
use crate::talk_room::TalkRoom;
use crate::viewer::QueueLimits;

/// GB/T 28181-2022 Annex D: the dialling side tries three times, a second apart.
const DIAL_TRIES: usize = 3;
const DIAL_PAUSE: Duration = Duration::from_secs(1);
const DIAL_TIMEOUT: Duration = Duration::from_secs(3);
/// RFC 3550 6.2: a report every five seconds.
const REPORT_EVERY: Duration = Duration::from_secs(5);
/// What the kernel may hold for one receiver.
const SEND_BUFFER: usize = 512 * 1024;

/// The sockets of a sender, bound by the control thread and then moved into the reactor.
pub struct SenderSockets {
    local: SocketAddr,
    rtp: std::net::UdpSocket,
    rtcp: std::net::UdpSocket,
    tcp: Socket,
}

impl SenderSockets {
    /// Bind RTP on `port`, RTCP on the next one, and TCP on `port`; with TCP passive it listens.
    pub fn bind(host: IpAddr, port: u16, transport: Transport) -> io::Result<SenderSockets> {
        let local = SocketAddr::new(host, port);
        let rtcp = SocketAddr::new(
            host,
            port.checked_add(1).ok_or(io::ErrorKind::InvalidInput)?,
        );
        let rtp = std::net::UdpSocket::bind(local)?;
        let rtcp = std::net::UdpSocket::bind(rtcp)?;
        rtp.set_nonblocking(true)?;
        rtcp.set_nonblocking(true)?;
        let tcp = Socket::new(
            Domain::for_address(local),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        tcp.set_nonblocking(true)?;
        tcp.set_reuse_address(true)?;
        tcp.bind(&local.into())?;
        if transport == Transport::TcpPassive {
            tcp.listen(4)?;
        }
        Ok(SenderSockets {
            local,
            rtp,
            rtcp,
            tcp,
        })
    }
}

/// A sender on its way to the reactor that owns its stream.
pub struct NewSender {
    /// What was asked for.
    pub request: SenderRequest,
    /// Its sockets.
    pub sockets: SenderSockets,
    /// Its ports.
    pub lease: PortLease,
    /// The first sequence number.
    pub first_sequence: u16,
}

impl NewSender {
    /// Its end, when its stream is gone before it came.
    pub fn stillborn(&self) -> Event {
        let SenderRequest {
            sender_id,
            stream_id,
            access_id,
            grant_id,
            ..
        } = &self.request;
        let fields = vec![
            ("sender_id", text(sender_id)),
            ("stream_id", text(stream_id)),
            ("access_id", text(access_id)),
            ("grant_id", text(grant_id)),
            ("reason", text("stream_ended")),
            ("bytes_sent", Value::Number(0)),
            ("packets_sent", Value::Number(0)),
            ("drops", Value::Number(0)),
        ];
        Event::lifecycle("SenderEnded", fields)
    }
}

/// Where a sender lives; it is asked for by its task.
#[derive(Clone)]
pub enum Home {
    /// In a stream that is forwarded.
    Stream(Rc<StreamCell>),
    /// In a talk.
    Talk(Rc<RefCell<TalkRoom>>),
}

/// Take a sender into a stream of this reactor.
pub fn start(reactor: &Rc<Reactor>, cell: &Rc<StreamCell>, new: NewSender) {
    let settings = &reactor.shared.settings;
    let limits = QueueLimits {
        bytes: settings.viewer_queue_bytes,
        age_us: settings.viewer_queue_age.as_micros() as u64,
    };
    let (sender, work) = prepare(reactor, new, limits);
    if let Some(key) = reactor.guarded(cell, |stream| stream.attach_sender(sender)) {
        work(Home::Stream(Rc::clone(cell)), key);
    }
}

/// A sender, and what starts its tasks once it has its place.
pub fn prepare(
    reactor: &Rc<Reactor>,
    new: NewSender,
    limits: QueueLimits,
) -> (Sender, impl FnOnce(Home, usize) + use<>) {
    let NewSender {
        request,
        sockets,
        lease,
        first_sequence,
    } = new;
    let now_us = reactor.now_us();
    let left_us = (request.end_by_ms.saturating_mul(1000)).saturating_sub(unix_us());
    let link = Rc::new(Link::default());
    let tasks = Tasks::default();
    let (transport, target) = (request.transport, request.target);
    let ends_us = now_us.saturating_add(left_us);
    let ties = (lease, Rc::clone(&link), tasks.clone());
    let sender = Sender::new(request, ties, first_sequence, ends_us, limits);
    let reactor = Rc::clone(reactor);
    let work = move |home, key| {
        let task = Task {
            reactor,
            home,
            link,
            tasks: tasks.clone(),
            key,
        };
        tasks.spawn(async move {
            let end = match transport {
                Transport::Udp => task.send_udp(sockets, target),
                Transport::TcpPassive => task.accept(sockets, target.ip()).await,
                Transport::TcpActive => task.dial(sockets, target).await,
            };
            if let Err(reason) = end {
                task.end(reason);
            }
        });
    };
    (sender, work)
}

#[derive(Clone)]
struct Task {
    reactor: Rc<Reactor>,
    home: Home,
    link: Rc<Link>,
    tasks: Tasks,
    key: usize,
}

impl Task {
    fn end(&self, reason: &'static str) {
        match &self.home {
            Home::Stream(cell) => {
                self.reactor
                    .guarded(cell, |stream| stream.end_sender(self.key, reason));
            }
            Home::Talk(room) => room.borrow_mut().end(reason),
        }
    }

    fn connected(&self, socket: SenderSocket, peer: SocketAddr) {
        let now_us = self.reactor.now_us();
        match &self.home {
            Home::Stream(cell) => {
                let connect =
                    |stream: &mut Stream| stream.connect_sender(self.key, socket, peer, now_us);
                self.reactor.guarded(cell, connect);
            }
            Home::Talk(room) => room.borrow_mut().connect(socket, peer, now_us),
        }
    }

    fn flush(&self) {
        let now_us = self.reactor.now_us();
        match &self.home {
            Home::Stream(cell) => {
                self.reactor
                    .guarded(cell, |stream| stream.flush_sender(self.key, now_us));
            }
            Home::Talk(room) => room.borrow_mut().flush(now_us),
        }
    }

    fn sender<R>(&self, work: impl FnOnce(&mut Sender) -> R) -> Option<R> {
        match &self.home {
            Home::Stream(cell) => {
                let in_stream = |stream: &mut Stream| stream.sender(self.key).map(work);
                self.reactor.guarded(cell, in_stream).flatten()
            }
            Home::Talk(room) => room.borrow_mut().sender().map(work),
        }
    }

    /// Datagrams need no connection: the tasks beside the sender are started, and it is ready.
    fn send_udp(&self, sockets: SenderSockets, target: SocketAddr) -> Result<(), &'static str> {
        let open = || -> io::Result<(UdpSocket, UdpSocket)> {
            let _best_effort = SockRef::from(&sockets.rtp).set_send_buffer_size(SEND_BUFFER);
            sockets.rtp.connect(target)?;
            // RFC 3550 11: reports go to the next port. The last port has none; it gets no reports.
            if let Some(next) = target.port().checked_add(1) {
                sockets.rtcp.connect(SocketAddr::new(target.ip(), next))?;
            }
            Ok((
                UdpSocket::from_std(sockets.rtp)?,
                UdpSocket::from_std(sockets.rtcp)?,
            ))
        };
        let (rtp, rtcp) = open().map_err(|error| connect_failure(&error))?;
        let (rtp, rtcp) = (Rc::new(rtp), Rc::new(rtcp));
        self.connected(SenderSocket::Udp(Rc::clone(&rtp)), target);
        self.tasks
            .spawn(self.clone().send_reports(Rc::clone(&rtcp), sockets.tcp));
        self.tasks.spawn(self.clone().hear_reports(rtcp));
        let task = self.clone();
        self.tasks.spawn(async move {
            while let Ok(()) = task.room(|| rtp.writable()).await {
                task.flush();
            }
        });
        Ok(())
    }

    /// Also holds the TCP side of our port, so that the number stays ours.
    async fn send_reports(self, rtcp: Rc<UdpSocket>, _reserved: Socket) {
        loop {
            sleep(REPORT_EVERY).await;
            let now_us = self.reactor.now_us();
            if let Some(report) = self
                .sender(|sender| sender.report(now_us, unix_us()))
                .flatten()
            {
                let _nobody_may_listen = rtcp.try_send(&report);
            }
        }
    }

    async fn hear_reports(self, rtcp: Rc<UdpSocket>) {
        let mut report = [0; 2048];
        loop {
            match rtcp.recv(&mut report).await {
                Ok(_) => {
                    self.sender(|sender| sender.rtcp_packets += 1);
                }
                // The news that nobody listens there; it comes once a report.
                Err(_) => sleep(REPORT_EVERY).await,
            }
        }
    }

    async fn accept(&self, sockets: SenderSockets, from: IpAddr) -> Result<(), &'static str> {
        let listener = TcpListener::from_std(sockets.tcp.into()).map_err(|_| "connect_failed")?;
        let wait = self.reactor.shared.settings.media_timeout;
        let accepted = timeout(wait, async {
            loop {
                match listener.accept().await {
                    // Who merely finds the port must not get the pictures.
                    Ok((socket, peer)) if peer.ip() == from => return (socket, peer),
                    Ok(_) => {
                        self.sender(|sender| sender.foreign_sources += 1);
                    }
                    Err(_) => sleep(Duration::from_millis(100)).await,
                }
            }
        });
        let (socket, peer) = accepted.await.map_err(|_| "connect_timeout")?;
        drop(listener);
        self.send_tcp(socket, peer).await
    }

    async fn dial(&self, sockets: SenderSockets, target: SocketAddr) -> Result<(), &'static str> {
        let local = sockets.local;
        let _reserved = sockets.tcp;
        let mut failure = "connect_failed";
        for attempt in 0..DIAL_TRIES {
            if attempt > 0 {
                sleep(DIAL_PAUSE).await;
            }
            match timeout(DIAL_TIMEOUT, connect(local, target)).await {
                Ok(Ok(socket)) => return self.send_tcp(socket, target).await,
                Ok(Err(error)) => failure = connect_failure(&error),
                Err(_) => failure = "connect_timeout",
            }
        }
        Err(failure)
    }

    /// Listens until the receiver closes; writing is the stream's part, and waiting for room that of a task beside.
    async fn send_tcp(&self, socket: TcpStream, peer: SocketAddr) -> Result<(), &'static str> {
        let wire = SockRef::from(&socket);
        let _best_effort = (
            wire.set_tcp_nodelay(true),
            wire.set_send_buffer_size(SEND_BUFFER),
        );
        let socket = Rc::new(socket);
        self.connected(SenderSocket::Tcp(Rc::clone(&socket)), peer);
        let (task, wire) = (self.clone(), Rc::clone(&socket));
        self.tasks.spawn(async move {
            while let Ok(()) = task.room(|| wire.writable()).await {
                task.flush();
            }
        });
        let mut heard = [0; 2048];
        while socket.readable().await.is_ok() {
            match socket.try_read(&mut heard) {
                // RTCP of the receiver (RFC 4571 lets it share the connection), or anything else: of no use.
                Ok(length) if length > 0 => {
                    self.sender(|sender| sender.rtcp_packets += 1);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                _ => break,
            }
        }
        Err("connection_lost")
    }

    /// Ready when the socket was full and has room again.
    async fn room<W: Future<Output = io::Result<()>>>(
        &self,
        writable: impl Fn() -> W,
    ) -> io::Result<()> {
        while !self.link.is_blocked.get() {
            self.link.wake.notified().await;
        }
        writable().await
    }
}

async fn connect(local: SocketAddr, target: SocketAddr) -> io::Result<TcpStream> {
    let socket = if local.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    socket.bind(local)?;
    socket.connect(target).await
}
