//! What each viewer of a stream gets, whatever the outlet.

use super::Stream;
use crate::outlets::rtsp::reports::Reception;

/// Counters of one viewer since it came.
#[derive(Clone, Debug, PartialEq)]
pub struct ViewerStats {
    /// What it watches.
    pub stream_id: String,
    /// Its access record.
    pub access_id: String,
    /// The word of its protocol.
    pub protocol: &'static str,
    /// Bytes with its connection.
    pub bytes_sent: u64,
    /// Pictures not sent because it was too slow.
    pub drops: u64,
    /// How often it was moved to the next key frame.
    pub falls: u64,
    /// Bytes that wait for it here.
    pub waiting_bytes: u64,
    /// How long the oldest of them waits already, milliseconds.
    pub waiting_ms: u64,
    /// How packets arrive there; only players by RTSP tell.
    pub reception: Option<Reception>,
}

impl Stream {
    /// Everybody who watches now. Viewers by HLS fetch what they want: nothing waits for them, and nothing is dropped.
    pub fn viewer_stats(&self, now_us: u64) -> Vec<ViewerStats> {
        let stats = |access_id: &str, protocol, bytes_sent| ViewerStats {
            stream_id: self.id.clone(),
            access_id: access_id.to_owned(),
            protocol,
            bytes_sent,
            drops: 0,
            falls: 0,
            waiting_bytes: 0,
            waiting_ms: 0,
            reception: None,
        };
        let age_ms = |since: Option<u64>| since.map_or(0, |at| now_us.saturating_sub(at) / 1000);
        let viewers = self.viewers.iter().map(|(_, viewer)| {
            let queue = &viewer.queue;
            ViewerStats {
                drops: queue.drops(),
                falls: queue.falls(),
                waiting_bytes: queue.bytes() as u64,
                waiting_ms: age_ms(queue.waits_since()),
                ..stats(
                    &viewer.ticket.access_id,
                    queue.protocol().word(),
                    queue.bytes_sent(),
                )
            }
        });
        let players = self.players.players().map(|(_, player)| {
            let queue = player.media();
            ViewerStats {
                drops: queue.drops,
                falls: queue.falls,
                waiting_bytes: queue.bytes() as u64,
                waiting_ms: age_ms(queue.waits_since()),
                reception: player.reception(),
                ..stats(
                    &player.ticket.access_id,
                    player.ticket.protocol.word(),
                    player.bytes_sent(),
                )
            }
        });
        let readers = self
            .hls
            .iter()
            .flat_map(|feed| feed.viewings())
            .map(|session| {
                let ticket = &session.ticket;
                stats(
                    &ticket.access_id,
                    ticket.protocol.word(),
                    session.bytes_sent(),
                )
            });
        viewers.chain(players).chain(readers).collect()
    }
}
