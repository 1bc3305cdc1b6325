//! An RTSP session on real sockets: one task a stream, inside the stream's reactor.

use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpStream, UdpSocket};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::ingest::SourceId;
use crate::ports::AllocationError;
use crate::reactor::{Reactor, StreamCell};
use crate::receiver::{TCP_SOURCES, bind_udp, take_datagrams};
use crate::rtsp::RtspFailure;
use crate::rtsp::auth::Credentials;
use crate::rtsp::client::{Client, ClientConfig, ClientEvent, Delivery};
use crate::rtsp::url::RtspUrl;
use crate::shared::Shared;

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
const TICK: Duration = Duration::from_millis(200);
/// Most servers one session is sent on to.
const MAX_REDIRECTS: usize = 3;
/// Most bytes that wait for a server that does not read.
const MAX_UNSENT: usize = 256 << 10;
/// Video and audio.
const MAX_TRACKS: usize = 2;

/// An address range that may be dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// `address/prefix`, or an address alone.
    pub fn parse(text: &str) -> Option<Network> {
        let (address, prefix) = text.split_once('/').unwrap_or((text, ""));
        let address: IpAddr = address.parse().ok()?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = if prefix.is_empty() {
            longest
        } else {
            prefix.parse().ok()?
        };
        (prefix <= longest).then_some(Network { address, prefix })
    }

    /// Whether `ip` lies in it.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let prefix = u32::from(self.prefix);
        match (self.address, ip) {
            (IpAddr::V4(own), IpAddr::V4(ip)) => {
                (own.to_bits() ^ ip.to_bits())
                    .checked_shr(32 - prefix)
                    .unwrap_or(0)
                    == 0
            }
            (IpAddr::V6(own), IpAddr::V6(ip)) => {
                (own.to_bits() ^ ip.to_bits())
                    .checked_shr(128 - prefix)
                    .unwrap_or(0)
                    == 0
            }
            _ => false,
        }
    }
}

/// Whom to ask for a stream, and how.
pub struct RtspTarget {
    /// The stream.
    pub url: RtspUrl,
    /// The server: what the host of the URL means.
    pub address: SocketAddr,
    /// Who we are.
    pub credentials: Credentials,
    /// How the media is to come.
    pub delivery: Delivery,
    /// Where redirects may lead.
    pub networks: Vec<Network>,
}

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

impl RtspTarget {
    /// The address of a redirect's host: a name is never looked up, so only the one already known and plain addresses do.
    fn resolve(&self, url: &RtspUrl) -> Option<SocketAddr> {
        let ip = if url.host.eq_ignore_ascii_case(&self.url.host) {
            self.address.ip()
        } else {
            url.host.parse().ok()?
        };
        let is_allowed = self.networks.iter().any(|network| network.contains(ip));
        is_allowed.then(|| SocketAddr::new(ip, url.port))
    }
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
    let socket = match timeout(CONNECT_WITHIN, TcpStream::connect(address)).await {
        Ok(Ok(socket)) => socket,
        Ok(Err(error)) => return Outcome::Ended((connect_failure(&error), None)),
        Err(_) => return Outcome::Ended((RtspFailure::Unreachable, None)),
    };
    let _best_effort = socket.set_nodelay(true);
    let udp = match (target.delivery, address) {
        (Delivery::Tcp, _) => Vec::new(),
        (Delivery::Udp, server) => match UdpPair::open_all(reactor, server.ip()) {
            Ok(pairs) => pairs,
            Err(failure) => return Outcome::Ended((failure, None)),
        },
    };
    let config = ClientConfig {
        url: url.clone(),
        credentials: target.credentials.clone(),
        delivery: target.delivery,
        ports: udp.iter().map(|pair| pair.port).collect(),
        ssrc: RandomState::new().build_hasher().finish() as u32,
    };
    let session = Rc::new(Session {
        reactor: Rc::clone(reactor),
        cell: Rc::clone(cell),
        source: SourceId(TCP_SOURCES | reactor.next_number()),
        address,
        socket,
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

fn connect_failure(error: &io::Error) -> RtspFailure {
    match error.kind() {
        ErrorKind::ConnectionRefused => RtspFailure::Refused,
        _ => RtspFailure::Unreachable,
    }
}

struct Session {
    reactor: Rc<Reactor>,
    cell: Rc<StreamCell>,
    source: SourceId,
    address: SocketAddr,
    socket: TcpStream,
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

/// RTP and RTCP sockets of one track; the ports rest after use like those of every receiver.
struct UdpPair {
    port: u16,
    rtp: Rc<UdpSocket>,
    rtcp: Rc<UdpSocket>,
    shared: Arc<Shared>,
}

impl UdpPair {
    fn open_all(reactor: &Reactor, server: IpAddr) -> Result<Vec<UdpPair>, RtspFailure> {
        (0..MAX_TRACKS)
            .map(|_| Self::open(&reactor.shared, server))
            .collect()
    }

    fn open(shared: &Arc<Shared>, server: IpAddr) -> Result<UdpPair, RtspFailure> {
        let host = shared.settings.rtp_host;
        if host.is_ipv4() != server.is_ipv4() {
            return Err(RtspFailure::Unreachable);
        }
        let bind = |port: u16| {
            let rtp = bind_udp(SocketAddr::new(host, port))?;
            let rtcp = bind_udp(SocketAddr::new(host, port + 1))?;
            Ok((UdpSocket::from_std(rtp)?, UdpSocket::from_std(rtcp)?))
        };
        let (port, (rtp, rtcp)) =
            shared
                .ports()
                .allocate(Instant::now(), bind)
                .map_err(|error| match error {
                    AllocationError::Exhausted(_) | AllocationError::System(_) => {
                        RtspFailure::Ports
                    }
                })?;
        Ok(UdpPair {
            port,
            rtp: Rc::new(rtp),
            rtcp: Rc::new(rtcp),
            shared: Arc::clone(shared),
        })
    }
}

impl Drop for UdpPair {
    fn drop(&mut self) {
        self.shared.ports().release(Instant::now(), self.port);
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
            if timeout(TICK, self.socket.readable()).await.is_ok() {
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
        match self.socket.try_read(&mut buffer) {
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
        let mut client = self.client.borrow_mut();
        let waiting = client.to_send();
        while !waiting.is_empty() {
            match self.socket.try_write(waiting) {
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
        if let Some(request) = self.client.borrow_mut().teardown() {
            let _best_effort = self.socket.try_write(&request);
        }
        let (now_us, source) = (self.reactor.now_us(), self.source);
        if let Ok(mut stream) = self.cell.stream.try_borrow_mut() {
            stream.close_connection(now_us, source);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_what_lies_in_them() {
        let holds = |network: &str, ip: &str| {
            Network::parse(network)
                .unwrap()
                .contains(ip.parse().unwrap())
        };
        assert!(holds("10.0.0.0/8", "10.255.1.2") && !holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("0.0.0.0/0", "8.8.8.8") && !holds("0.0.0.0/0", "::1"));
        assert!(holds("192.0.2.7", "192.0.2.7") && !holds("192.0.2.7", "192.0.2.8"));
        assert!(holds("fc00::/7", "fd00::1") && !holds("fc00::/7", "fe80::1"));
        assert_eq!(Network::parse("10.0.0.0/33"), None);
    }

    #[test]
    fn redirects_lead_only_to_allowed_addresses_and_never_to_names() {
        let target = RtspTarget {
            url: RtspUrl::parse("rtsp://camera/1").unwrap(),
            address: "10.0.0.9:554".parse().unwrap(),
            credentials: Credentials::default(),
            delivery: Delivery::Tcp,
            networks: vec![Network::parse("10.0.0.0/8").unwrap()],
        };
        let resolve = |url| target.resolve(&RtspUrl::parse(url).unwrap());
        assert_eq!(
            resolve("rtsp://camera:8554/2"),
            Some("10.0.0.9:8554".parse().unwrap())
        );
        assert_eq!(
            resolve("rtsp://10.1.1.1/2"),
            Some("10.1.1.1:554".parse().unwrap())
        );
        assert_eq!(resolve("rtsp://169.254.169.254/2"), None);
        assert_eq!(resolve("rtsp://elsewhere/2"), None);
    }
}
