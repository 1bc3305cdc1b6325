//! G.711 octets as 16-bit samples (ITU-T G.711 tables 1a to 2b).

/// Samples per second.
pub const RATE: u32 = 8000;

/// Which of the two laws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// A-law: 13 significant bits.
    A,
    /// Mu-law: 14 significant bits.
    Mu,
}

const A_LAW: [i16; 256] = table(Law::A);
const MU_LAW: [i16; 256] = table(Law::Mu);

impl Law {
    /// The sample an octet stands for.
    pub fn sample(self, octet: u8) -> i16 {
        match self {
            Law::A => A_LAW[octet as usize],
            Law::Mu => MU_LAW[octet as usize],
        }
    }
}

const fn table(law: Law) -> [i16; 256] {
    let mut values = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        values[octet] = match law {
            Law::A => a_law(octet as u8),
            Law::Mu => mu_law(octet as u8),
        };
        octet += 1;
    }
    values
}

/// Even bits come inverted; sign, three bits of segment, four bits within it.
const fn a_law(octet: u8) -> i16 {
    let code = octet ^ 0x55;
    let segment = (code >> 4) & 7;
    let within = ((code & 15) as i16) << 4;
    let level = match segment {
        0 => within + 8,
        segment => (within + 0x108) << (segment - 1),
    };
    if code & 0x80 == 0 { -level } else { level }
}

/// All bits come inverted.
const fn mu_law(octet: u8) -> i16 {
    const BIAS: i16 = 0x84;
    let code = !octet;
    let within = ((code & 15) as i16) << 3;
    let level = ((within + BIAS) << ((code >> 4) & 7)) - BIAS;
    if code & 0x80 == 0 { level } else { -level }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_values_are_those_of_the_recommendation() {
        // The smallest, a middle and the largest of each law, with both signs.
        for (octet, sample) in [
            (0xd5, 8),
            (0x55, -8),
            (0xaa, 32_256),
            (0x2a, -32_256),
            (0x85, 4224),
        ] {
            assert_eq!(Law::A.sample(octet), sample, "{octet:#x}");
        }
        for (octet, sample) in [
            (0xff, 0),
            (0x7f, 0),
            (0x80, 32_124),
            (0x00, -32_124),
            (0xdf, 396),
        ] {
            assert_eq!(Law::Mu.sample(octet), sample, "{octet:#x}");
        }
    }

    #[test]
    fn low_bits_that_a_law_never_uses_are_zero() {
        for octet in 0..=255 {
            assert_eq!(Law::A.sample(octet) % 8, 0);
            assert_eq!(Law::Mu.sample(octet) % 4, 0);
        }
    }
}
