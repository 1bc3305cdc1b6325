//! Bit reading for parameter sets (H.264 7.2, H.265 7.2): emulation prevention removed, Exp-Golomb codes.

use std::borrow::Cow;

/// The RBSP of a NAL unit: `00 00 03` becomes `00 00` (H.264 7.4.1).
pub fn rbsp(nal: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memmem::find(nal, &[0, 0, 3]).is_none() {
        return Cow::Borrowed(nal);
    }
    let mut out = Vec::with_capacity(nal.len());
    let mut zeros = 0;
    for &byte in nal {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
    Cow::Owned(out)
}

/// Reads bits from the most significant down. Every read past the end is `None`.
#[derive(Clone, Debug)]
pub struct BitReader<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> BitReader<'a> {
    /// A reader at the first bit.
    pub fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0 }
    }

    /// `u(1)`.
    pub fn flag(&mut self) -> Option<bool> {
        let byte = self.data.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit == 1)
    }

    /// `u(n)`, n at most 32.
    pub fn bits(&mut self, count: u32) -> Option<u32> {
        let mut value = 0u64;
        for _ in 0..count.min(32) {
            value = value << 1 | u64::from(self.flag()?);
        }
        Some(value as u32)
    }

    /// Leaves out bits that do not matter here.
    pub fn skip(&mut self, count: usize) -> Option<()> {
        let at = self.at.checked_add(count)?;
        (at <= self.data.len() * 8).then(|| self.at = at)
    }

    /// `ue(v)`: unsigned Exp-Golomb (H.264 9.1).
    pub fn ue(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some((1u32 << zeros) - 1 + self.bits(zeros)?)
    }

    /// `se(v)`: signed Exp-Golomb (H.264 9.1.1).
    pub fn se(&mut self) -> Option<i32> {
        let code = i64::from(self.ue()?);
        let magnitude = (code + 1) / 2;
        i32::try_from(if code % 2 == 1 { magnitude } else { -magnitude }).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emulation_prevention_is_removed_once_per_pair_of_zeros() {
        assert_eq!(
            rbsp(&[1, 0, 0, 3, 1, 0, 0, 3, 0, 0, 3, 2]).as_ref(),
            [1, 0, 0, 1, 0, 0, 0, 0, 2]
        );
        assert!(matches!(rbsp(&[1, 0, 3, 0]), Cow::Borrowed(_)));
    }

    #[test]
    fn exp_golomb_codes_of_the_standard_table() {
        // 1 010 011 00100 00101: 0 1 2 3 4
        let mut reader = BitReader::new(&[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        assert_eq!([0; 5].map(|_: u32| reader.ue().unwrap()), [0, 1, 2, 3, 4]);
        let mut reader = BitReader::new(&[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        assert_eq!([0; 5].map(|_: i32| reader.se().unwrap()), [0, 1, -1, 2, -2]);
    }

    #[test]
    fn reading_past_the_end_says_so() {
        let mut reader = BitReader::new(&[0]);
        assert_eq!(reader.ue(), None);
        assert_eq!(BitReader::new(&[1]).skip(9), None);
        assert_eq!(BitReader::new(&[1]).bits(9), None);
    }
}
