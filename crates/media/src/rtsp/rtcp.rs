//! Receiver reports (RFC 3550 6.4.2, A.3, A.8): RTSP servers stop sending over UDP to a client that never reports.

/// What a track's reception looks like.
#[derive(Clone, Debug)]
pub struct Reception {
    clock_rate: u32,
    source: Option<u32>,
    first: u32,
    highest: u32,
    received: u32,
    expected_before: u32,
    received_before: u32,
    transit: Option<i64>,
    jitter: f64,
    /// Middle 32 bits of the last sender report's NTP time, and when it came.
    sender_report: Option<(u32, u64)>,
}

impl Reception {
    /// A track that has brought nothing.
    pub fn new(clock_rate: u32) -> Self {
        Self {
            clock_rate,
            source: None,
            first: 0,
            highest: 0,
            received: 0,
            expected_before: 0,
            received_before: 0,
            transit: None,
            jitter: 0.0,
            sender_report: None,
        }
    }

    /// An RTP packet came.
    pub fn packet(&mut self, now_us: u64, ssrc: u32, sequence: u16, timestamp: u32) {
        if self.source != Some(ssrc) {
            *self = Self::new(self.clock_rate);
            self.source = Some(ssrc);
            self.first = u32::from(sequence);
            self.highest = self.first;
        }
        let ahead = sequence.wrapping_sub(self.highest as u16) as i16;
        if ahead > 0 {
            self.highest = self.highest.wrapping_add(ahead as u32);
        }
        self.received = self.received.wrapping_add(1);
        let arrival = (u128::from(now_us) * u128::from(self.clock_rate) / 1_000_000) as u32;
        let transit = i64::from(arrival.wrapping_sub(timestamp) as i32);
        if let Some(former) = self.transit.replace(transit) {
            let change = (transit - former).unsigned_abs().min(1 << 31) as f64;
            self.jitter += (change - self.jitter) / 16.0;
        }
    }

    /// An RTCP packet of the server came; only sender reports say something.
    pub fn sender_report(&mut self, now_us: u64, packet: &[u8]) {
        if let Some([0x80..=0x9f, 200, ..]) = packet.get(..2)
            && let Some(middle) = packet.get(10..14)
        {
            let middle = u32::from_be_bytes([middle[0], middle[1], middle[2], middle[3]]);
            self.sender_report = Some((middle, now_us));
        }
    }

    /// A receiver report with a CNAME, as one compound packet.
    pub fn report(&mut self, now_us: u64, own_ssrc: u32) -> Vec<u8> {
        let mut packet = Vec::with_capacity(48);
        let block = self.source.map(|source| self.block(now_us, source));
        let count = u8::from(block.is_some());
        packet.extend([0x80 | count, 201, 0, 1 + 6 * count]);
        packet.extend(own_ssrc.to_be_bytes());
        packet.extend(block.into_iter().flatten());
        // SDES with a CNAME (6.5.1) is required in every compound packet; ours names nobody.
        packet.extend([0x81, 202, 0, 4]);
        packet.extend(own_ssrc.to_be_bytes());
        packet.extend([1, 8]);
        packet.extend(*b"receiver");
        packet.extend([0, 0]);
        packet
    }

    fn block(&mut self, now_us: u64, source: u32) -> [u8; 24] {
        let expected = self.highest.wrapping_sub(self.first).wrapping_add(1);
        let lost = i64::from(expected) - i64::from(self.received);
        let expected_interval = expected.wrapping_sub(self.expected_before);
        let received_interval = self.received.wrapping_sub(self.received_before);
        (self.expected_before, self.received_before) = (expected, self.received);
        let lost_interval = i64::from(expected_interval) - i64::from(received_interval);
        let fraction = if expected_interval == 0 || lost_interval <= 0 {
            0
        } else {
            ((lost_interval << 8) / i64::from(expected_interval)).min(255) as u8
        };
        let lost = lost.clamp(-0x80_0000, 0x7f_ffff) as i32;
        let (last, delay) = self.sender_report.map_or((0, 0), |(middle, at_us)| {
            let delay = u128::from(now_us.saturating_sub(at_us)) * 65_536 / 1_000_000;
            (middle, delay.min(u128::from(u32::MAX)) as u32)
        });
        let mut block = [0; 24];
        block[..4].copy_from_slice(&source.to_be_bytes());
        block[4..8].copy_from_slice(&lost.to_be_bytes());
        block[4] = fraction;
        block[8..12].copy_from_slice(&self.highest.to_be_bytes());
        block[12..16].copy_from_slice(&(self.jitter as u32).to_be_bytes());
        block[16..20].copy_from_slice(&last.to_be_bytes());
        block[20..].copy_from_slice(&delay.to_be_bytes());
        block
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(bytes: &[u8]) -> u32 {
        u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
    }

    #[test]
    fn before_any_packet_the_report_is_empty_and_well_formed() {
        let report = Reception::new(90_000).report(0, 7);
        assert_eq!(report[..8], [0x80, 201, 0, 1, 0, 0, 0, 7]);
        assert_eq!(report[8..12], [0x81, 202, 0, 4]);
        assert_eq!(report.len(), 8 + 20);
    }

    #[test]
    fn loss_is_a_fraction_since_the_last_report_and_a_total() {
        let mut reception = Reception::new(90_000);
        for sequence in [65_534u16, 65_535, 0, 2] {
            reception.packet(0, 9, sequence, 0);
        }
        let report = reception.report(0, 7);
        assert_eq!(report[..4], [0x81, 201, 0, 7]);
        let block = &report[8..32];
        assert_eq!(number(block), 9);
        assert_eq!((block[4], number(&block[4..]) & 0xff_ffff), (51, 1));
        assert_eq!(number(&block[8..]), 0x1_0002);
        assert_eq!(reception.report(0, 7)[12], 0);
    }

    #[test]
    fn the_last_sender_report_comes_back_with_its_delay() {
        let mut reception = Reception::new(90_000);
        reception.packet(0, 9, 1, 0);
        let mut report = vec![0x80, 200, 0, 6, 0, 0, 0, 9];
        report.extend([0, 0, 0xaa, 0xbb, 0xcc, 0xdd, 0, 0]);
        reception.sender_report(1_000_000, &report);
        let block = &reception.report(1_500_000, 7)[8..32].to_vec();
        assert_eq!(number(&block[16..]), 0xaabb_ccdd);
        assert_eq!(number(&block[20..]), 32_768);
        reception.sender_report(0, &[0x80, 200]);
    }
}
