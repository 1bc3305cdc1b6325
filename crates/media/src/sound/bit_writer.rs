//! Bits from the most significant down, as FLAC wants them.

/// Collects bits.
#[derive(Debug, Default)]
pub struct BitWriter {
    out: Vec<u8>,
    pending: u64,
    count: u32,
}

impl BitWriter {
    /// The low `count` bits of `value`, at most 32.
    pub fn put(&mut self, value: u32, count: u32) {
        let mask = (1u64 << count) - 1;
        self.pending = self.pending << count | (u64::from(value) & mask);
        self.count += count;
        while self.count >= 8 {
            self.count -= 8;
            self.out.push((self.pending >> self.count) as u8);
        }
    }

    /// `zeros` zero bits and a one.
    pub fn unary(&mut self, mut zeros: u32) {
        while zeros >= 32 {
            self.put(0, 32);
            zeros -= 32;
        }
        self.put(1, zeros + 1);
    }

    /// Zero bits up to the next octet.
    pub fn align(&mut self) {
        if self.count > 0 {
            self.put(0, 8 - self.count);
        }
    }

    /// What is written, as far as it fills octets.
    pub fn octets(&self) -> &[u8] {
        &self.out
    }

    /// The octets; to be called when aligned.
    pub fn finish(self) -> Vec<u8> {
        debug_assert_eq!(self.count, 0);
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_fill_octets_from_the_top() {
        let mut writer = BitWriter::default();
        writer.put(0b101, 3);
        writer.unary(2);
        writer.put(u32::MAX, 1);
        writer.align();
        writer.unary(40);
        writer.align();
        assert_eq!(writer.finish(), [0b1010_0110, 0, 0, 0, 0, 0, 0x80]);
    }
}
