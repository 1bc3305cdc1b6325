//! A stream read by HLS: the feed of its ring exists while a session does.

use std::sync::Arc;

use super::Stream;
use crate::access_unit::AccessUnit;
use crate::connection::EndReason;
use crate::outlets::hls::feed::HlsFeed;
use crate::outlets::hls::session::HlsSession;
use crate::random;
use crate::shared::Slot;
use crate::ticket::Ticket;

impl Stream {
    /// A viewing by HLS begins; it must be over at `end_us`. None when the system gives no randomness for its key.
    pub fn open_hls(
        &mut self,
        (ticket, peer, place): (Ticket, std::net::SocketAddr, Slot),
        reactor: usize,
        (now_us, end_us): (u64, u64),
    ) -> Option<Arc<HlsSession>> {
        let key = random::octets()?;
        let feed = self.hls.get_or_insert_with(|| {
            let shared = Arc::clone(&self.shared);
            let heard = self.sound.track();
            HlsFeed::new(
                shared,
                &self.cache,
                (self.parameters.as_ref(), heard),
                now_us,
            )
        });
        let output = Arc::clone(feed.output());
        let times = (now_us, end_us);
        let session = HlsSession::new(ticket, (key, reactor), output, peer, times, place);
        let session = feed.join(session);
        self.report(session.joined_event());
        Some(session)
    }

    pub(super) fn feed_hls(&mut self, unit: &AccessUnit, now_us: u64) {
        if let (Some(feed), Some(parameters)) = (&mut self.hls, &self.parameters) {
            feed.picture(unit, parameters, now_us);
        }
    }

    /// End the sessions `why` gives a reason for, and return how many.
    pub(super) fn end_hls(&mut self, why: impl Fn(&HlsSession) -> Option<EndReason>) -> usize {
        let Some(feed) = &mut self.hls else { return 0 };
        let ended = feed.end(why);
        if feed.is_idle() {
            self.hls = None;
        }
        let count = ended.len();
        for (bytes_sent, event) in ended {
            self.viewer_bytes += bytes_sent;
            self.report(event);
        }
        count
    }
}
