//! Where a media node listens and how much it may hold.

use std::net::IpAddr;
use std::time::Duration;

use crate::wire::Identity;

/// Settings of a node; `commonview.media.MediaNodeSettings` describes each.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Address the viewers' outlet binds.
    pub viewer_host: IpAddr,
    /// Its port, 0 for any.
    pub viewer_port: u16,
    /// Port of the players' outlet (RTSP) on the same address, 0 for any.
    pub rtsp_port: u16,
    /// Address the receivers bind.
    pub rtp_host: IpAddr,
    /// First port receivers may use.
    pub rtp_port_min: u16,
    /// Last port receivers may use.
    pub rtp_port_max: u16,
    /// How long a released port rests.
    pub port_quarantine: Duration,
    /// Reactor threads, 0 for one per core up to [`REACTORS_AUTO_MAX`].
    pub reactors: usize,
    /// Bytes of one stream's key-frame cache.
    pub gop_max_bytes: usize,
    /// Bytes that may wait for one viewer.
    pub viewer_queue_bytes: usize,
    /// Age of what may wait for one viewer.
    pub viewer_queue_age: Duration,
    /// Without usable media for this long a stream is stalled.
    pub media_timeout: Duration,
    /// Viewers at once.
    pub max_connections: usize,
    /// How long a request head may take.
    pub request_head_timeout: Duration,
    /// Connections that have not presented a ticket yet, at once: they cost a stranger nothing, so they get their own bound.
    pub max_unverified: usize,
    /// What viewers are shown inside TLS; none for an outlet without TLS.
    pub tls: Option<Identity>,
}

/// Threads taken when the number is left open.
pub const REACTORS_AUTO_MAX: usize = 4;
/// Threads at most.
pub const REACTORS_MAX: usize = 64;
/// What [`Settings::max_unverified`] is outside of tests.
pub const UNVERIFIED_MAX: usize = 512;
/// Used tickets remembered a minute.
pub const TICKETS_PER_MINUTE_MAX: usize = 65_536;
/// Events of a class that wait for the control plane.
pub const EVENTS_MAX: usize = 16_384;

impl Settings {
    /// Reactor threads to start.
    pub fn reactor_count(&self) -> usize {
        let cores = || {
            std::thread::available_parallelism()
                .map_or(1, usize::from)
                .min(REACTORS_AUTO_MAX)
        };
        if self.reactors == 0 {
            cores()
        } else {
            self.reactors.min(REACTORS_MAX)
        }
    }
}
