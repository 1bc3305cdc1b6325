//! An RTSP session on real sockets: one task a stream, inside the stream's reactor.

use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::ingest::SourceId;
use crate::reactor::{Reactor, StreamCell};
use crate::receiver::{TCP_SOURCES, take_datagrams};
use crate::rtsp::RtspFailure;
use crate::rtsp::client::{Client, ClientConfig, ClientEvent, Delivery};
use crate::rtsp::connection::Connection;
use crate::rtsp::target::RtspTarget;
use crate::rtsp::udp::UdpPair;
use crate::rtsp::url::RtspUrl;

const TICK: Duration = Duration::from_millis(200);
/// Most servers one session is sent on to.
const MAX_REDIRECTS: usize = 3;
/// Most bytes that wait for a server that does not read.
const MAX_UNSENT: usize = 256 << 10;

/// How a session ended.
type Ending = (RtspFailure, Option<u16>);

/// Run one session from connecting to its end, and report that end. Aborting it ends the session with a TEARDOWN.
pub async fn run(reactor: Rc<Reactor>, cell: Rc<StreamCell>, target: Rc<RtspTarget>) {
    let (mut url, mut address) = (target.url.clone(), target.address);
    let mut ending = (RtspFailure::Redirect, None);
    for _ in 0..=MAX_REDIRECTS {
        match attempt(&reactor, &cell, &target, &url, address).await {
            Outcome::Ended(end) => {
                ending = end;
                break;
            }
            Outcome::Redirected(next) => match target.resolve(&next) {
                Some(allowed) => (url, address) = (next, allowed),
                None => break,
            },
        }
    }
    reactor.guarded(&cell, |stream| {
        stream.rtsp_failed(ending.0.word(), ending.1.unwrap_or(0))
    });
}

enum Outcome {
    Ended(Ending),
    Redirected(RtspUrl),
}

async fn attempt(
    reactor: &Rc<Reactor>,
    cell: &Rc<StreamCell>,
    target: &RtspTarget,
    url: &RtspUrl,
    address: SocketAddr,
) -> Outcome {
    let tls = match (url.is_tls, &target.trust) {
        (false, _) => None,
        (true, Some(trust)) => Some((trust, url.host.as_str())),
        (true, None) => return Outcome::Ended((RtspFailure::Certificate, None)),
    };
    let connection = match Connection::open(address, tls).await {
        Ok(connection) => connection,
        Err(failure) => return Outcome::Ended((failure, None)),
    };
    // Media beside a TLS connection would be open to everybody.
    let delivery = if url.is_tls {
        Delivery::Tcp
    } else {
        target.delivery
    };
    let udp = match (delivery, address) {
        (Delivery::Tcp, _) => Vec::new(),
        (Delivery::Udp, server) => match UdpPair::open_all(reactor, server.ip()) {
            Ok(pairs) => pairs,
            Err(failure) => return Outcome::Ended((failure, None)),
        },
    };
    let config = ClientConfig {
        url: url.clone(),
        credentials: target.credentials.clone(),
        delivery,
        ports: udp.iter().map(|pair| pair.port).collect(),
        ssrc: RandomState::new().build_hasher().finish() as u32,
    };
    let session = Rc::new(Session {
        reactor: Rc::clone(reactor),
        cell: Rc::clone(cell),
        source: SourceId(TCP_SOURCES | reactor.next_number()),
        address,
        connection,
        client: RefCell::new(Client::new(config)),
        outcome: RefCell::new(None),
        is_playing: Cell::new(false),
    });
    let _listeners: Vec<Listener> = udp
        .iter()
        .enumerate()
        .flat_map(|(track, pair)| session.listen(track, pair))
        .collect();
    session.client.borrow_mut().start(reactor.now_us());
    session.run(&udp).await
}

struct Session {
    reactor: Rc<Reactor>,
    cell: Rc<StreamCell>,
    source: SourceId,
    address: SocketAddr,
    connection: Connection,
    client: RefCell<Client>,
    outcome: RefCell<Option<Outcome>>,
    is_playing: Cell<bool>,
}

/// Ends the task of a socket when the session ends, however that comes about.
struct Listener(AbortHandle);

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Session {
    async fn run(self: &Rc<Self>, udp: &[UdpPair]) -> Outcome {
        loop {
            self.flush();
            if let Some(outcome) = self.outcome.borrow_mut().take() {
                return outcome;
            }
            // Reading stops at least every tick, whether or not the server sends.
            if timeout(TICK, self.connection.readable()).await.is_ok() {
                self.read();
            }
            let now_us = self.reactor.now_us();
            let is_report_due = self.drive(|client, sink| client.tick(now_us, sink));
            if is_report_due {
                self.report(udp);
            }
        }
    }

    fn read(self: &Rc<Self>) {
        let mut buffer = self.reactor.buffer();
        match self.connection.try_read(&mut buffer) {
            Ok(0) => self.end(RtspFailure::Closed, None),
            Ok(len) => {
                let now_us = self.reactor.now_us();
                self.drive(|client, sink| client.receive(now_us, &buffer[..len], sink));
            }
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => self.end(RtspFailure::Closed, None),
        }
    }

    /// Let the client work and carry its events to the stream.
    fn drive<R>(&self, work: impl FnOnce(&mut Client, &mut dyn FnMut(ClientEvent<'_>)) -> R) -> R {
        let now_us = self.reactor.now_us();
        let mut sink = |event: ClientEvent<'_>| match event {
            ClientEvent::Playing(setups) => {
                self.is_playing.set(true);
                let tracks: Vec<_> = setups.iter().map(|setup| setup.track.clone()).collect();
                self.reactor.guarded(&self.cell, |stream| {
                    stream.rtsp_connected(self.address, &tracks)
                });
            }
            ClientEvent::Media { track, packet } => self.deliver(now_us, track, packet, true),
            ClientEvent::Redirect(url) => {
                self.outcome
                    .borrow_mut()
                    .get_or_insert(Outcome::Redirected(url));
            }
            ClientEvent::Failed(failure, status) => self.end(failure, status),
        };
        work(&mut self.client.borrow_mut(), &mut sink)
    }

    fn deliver(&self, now_us: u64, track: usize, packet: &[u8], is_ordered: bool) {
        self.reactor.guarded(&self.cell, |stream| {
            stream.push_rtsp(
                now_us,
                track,
                packet,
                (self.address, self.source),
                is_ordered,
            )
        });
    }

    fn end(&self, failure: RtspFailure, status: Option<u16>) {
        self.outcome
            .borrow_mut()
            .get_or_insert(Outcome::Ended((failure, status)));
    }

    fn flush(&self) {
        if self.connection.flush().is_err() {
            return self.end(RtspFailure::Closed, None);
        }
        let mut client = self.client.borrow_mut();
        let waiting = client.to_send();
        while !waiting.is_empty() {
            match self.connection.try_write(waiting) {
                Ok(written) => drop(waiting.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return self.end(RtspFailure::Closed, None),
            }
        }
        if waiting.len() > MAX_UNSENT {
            self.end(RtspFailure::Protocol, None);
        }
    }

    /// Reports go to the ports the server named; the first ones also open the way back through a firewall.
    fn report(&self, udp: &[UdpPair]) {
        let mut client = self.client.borrow_mut();
        let reports = client.reports(self.reactor.now_us());
        for ((setup, pair), report) in client.setups().iter().zip(udp).zip(&reports) {
            if let Some((_, rtcp)) = setup.server_ports {
                let server = SocketAddr::new(self.address.ip(), rtcp);
                // Lost like any datagram may be: the next report follows.
                let _sent = pair.rtcp.try_send_to(report, server);
            }
        }
    }

    /// Receive on the sockets of a track. Only the server's own address is listened to.
    fn listen(self: &Rc<Self>, track: usize, pair: &UdpPair) -> [Listener; 2] {
        let (rtp, rtcp) = (Rc::clone(&pair.rtp), Rc::clone(&pair.rtcp));
        let (media, control) = (Rc::clone(self), Rc::clone(self));
        let media = tokio::task::spawn_local(async move {
            take_datagrams(&media.reactor, &rtp, |datagram, peer| {
                media.datagram(track, datagram, peer)
            })
            .await;
        });
        let control = tokio::task::spawn_local(async move {
            take_datagrams(&control.reactor, &rtcp, |datagram, peer| {
                control.control(track, datagram, peer)
            })
            .await;
        });
        [
            Listener(media.abort_handle()),
            Listener(control.abort_handle()),
        ]
    }

    fn datagram(&self, track: usize, datagram: &[u8], peer: SocketAddr) {
        if peer.ip() != self.address.ip() || !self.is_playing.get() {
            self.cell.stream.borrow_mut().sockets.foreign_sources += 1;
            return;
        }
        let now_us = self.reactor.now_us();
        self.client
            .borrow_mut()
            .received_rtp(now_us, track, datagram);
        self.deliver(now_us, track, datagram, false);
    }

    fn control(&self, track: usize, datagram: &[u8], peer: SocketAddr) {
        if peer.ip() == self.address.ip() {
            self.cell.stream.borrow_mut().sockets.rtcp_packets += 1;
            let now_us = self.reactor.now_us();
            self.client
                .borrow_mut()
                .received_rtcp(now_us, track, datagram);
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // The last word, as far as the socket takes it: many cameras keep a place busy until the session times out.
        let last = self.client.borrow_mut().teardown();
        self.connection.say_goodbye(last.as_deref());
        let (now_us, source) = (self.reactor.now_us(), self.source);
        if let Ok(mut stream) = self.cell.stream.try_borrow_mut() {
            stream.close_connection(now_us, source);
        }
    }
}
