//! The UDP sockets of an RTSP session, whichever side asked for it.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use tokio::net::UdpSocket;

use crate::reactor::Reactor;
use crate::receiver::bind_udp;
use crate::rtsp::RtspFailure;
use crate::shared::Shared;

/// Video and audio.
const MAX_TRACKS: usize = 2;

/// RTP and RTCP sockets of one track; the ports rest after use like those of every receiver.
pub struct UdpPair {
    /// The even port.
    pub port: u16,
    /// Where media comes.
    pub rtp: Rc<UdpSocket>,
    /// Where reports come and go.
    pub rtcp: Rc<UdpSocket>,
    shared: Arc<Shared>,
}

impl UdpPair {
    /// A pair for each track that may come.
    pub fn open_all(reactor: &Reactor, server: IpAddr) -> Result<Vec<UdpPair>, RtspFailure> {
        (0..MAX_TRACKS)
            .map(|_| {
                let host = reactor.shared.settings.rtp_host;
                if host.is_ipv4() != server.is_ipv4() {
                    return Err(RtspFailure::Unreachable);
                }
                Self::open(&reactor.shared, host).ok_or(RtspFailure::Ports)
            })
            .collect()
    }

    /// A pair on an address of ours; `None` when there is none left.
    pub fn open(shared: &Arc<Shared>, host: IpAddr) -> Option<UdpPair> {
        let bind = |port: u16| {
            let rtp = bind_udp(SocketAddr::new(host, port))?;
            let rtcp = bind_udp(SocketAddr::new(host, port + 1))?;
            Ok((UdpSocket::from_std(rtp)?, UdpSocket::from_std(rtcp)?))
        };
        let (port, (rtp, rtcp)) = shared.ports().allocate(Instant::now(), bind).ok()?;
        Some(UdpPair {
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
