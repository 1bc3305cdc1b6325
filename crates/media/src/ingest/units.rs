//! Access units that come whole: without packets, from a program beside the server.

use super::{Ingest, IngestOutput};
use crate::timeline::DeviceTime;

impl Ingest {
    /// Takes a whole access unit in Annex B form.
    pub fn push_unit(
        &mut self,
        now_us: u64,
        time: DeviceTime,
        unit: &[u8],
        out: &mut Vec<IngestOutput>,
    ) {
        let packets = &mut self.core.packets;
        packets.packets += 1;
        packets.used += 1;
        packets.bytes += unit.len() as u64;
        self.core.demux.unit(now_us, time, unit, out);
    }

    /// Where a time stamp of the clock of [`Ingest::push_unit`] lies; none before there is a picture.
    pub fn placed(&self, now_us: u64, pts: u64) -> Option<i64> {
        let video = self.core.demux.video();
        video.parameters()?;
        Some(video.timeline().place_audio(Some(pts), now_us))
    }
}
