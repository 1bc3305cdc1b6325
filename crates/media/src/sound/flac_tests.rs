use super::*;
use crate::bits::BitReader;
use crate::sound::g711::Law;
use proptest::prelude::*;

fn signed(reader: &mut BitReader<'_>, bits: u32) -> i32 {
    let value = reader.bits(bits).unwrap();
    (value << (32 - bits)) as i32 >> (32 - bits)
}

fn unary(reader: &mut BitReader<'_>) -> u32 {
    let mut zeros = 0;
    while !reader.flag().unwrap() {
        zeros += 1;
    }
    zeros
}

fn number(reader: &mut BitReader<'_>) -> u64 {
    let lead = reader.bits(8).unwrap();
    let ones = (lead as u8).leading_ones();
    if ones == 0 {
        return u64::from(lead);
    }
    let mut value = u64::from(lead & (0x7f >> ones));
    for _ in 1..ones {
        let octet = reader.bits(8).unwrap();
        assert_eq!(octet >> 6, 0b10);
        value = value << 6 | u64::from(octet & 0x3f);
    }
    value
}

/// What a decoder makes of a frame: the number of its first sample, and the samples (RFC 9639 9).
fn decoded(frame: &[u8]) -> (u64, Vec<i16>) {
    let (body, check) = frame.split_at(frame.len() - 2);
    assert_eq!(crc16(body).to_be_bytes(), check);
    let mut reader = BitReader::new(frame);
    assert_eq!(reader.bits(32), Some(0xfff9_7000));
    let first = number(&mut reader);
    let count = reader.bits(16).unwrap() as usize + 1;
    reader.bits(8).unwrap();
    assert_eq!(reader.bits(1), Some(0));
    let kind = reader.bits(6).unwrap();
    let wasted = if reader.flag().unwrap() {
        unary(&mut reader) + 1
    } else {
        0
    };
    let bits = 16 - wasted;
    let mut values: Vec<i64> = match kind {
        0 => vec![i64::from(signed(&mut reader, bits)); count],
        1 => (0..count)
            .map(|_| i64::from(signed(&mut reader, bits)))
            .collect(),
        8..=12 => (8..kind)
            .map(|_| i64::from(signed(&mut reader, bits)))
            .collect(),
        kind => panic!("subframe {kind}"),
    };
    if kind >= 8 {
        let order = values.len();
        assert_eq!(reader.bits(2), Some(0));
        let partitions = 1usize << reader.bits(4).unwrap();
        for _ in 0..partitions {
            let parameter = reader.bits(4).unwrap();
            let end = values.len() - values.len() % (count / partitions) + count / partitions;
            while values.len() < end {
                let folded = unary(&mut reader) << parameter | reader.bits(parameter).unwrap();
                let residual = i64::from((folded >> 1) as i32 ^ -((folded & 1) as i32));
                let at = |back: usize| values[values.len() - back];
                let predicted = match order {
                    0 => 0,
                    1 => at(1),
                    2 => 2 * at(1) - at(2),
                    3 => 3 * at(1) - 3 * at(2) + at(3),
                    _ => 4 * at(1) - 6 * at(2) + 4 * at(3) - at(4),
                };
                values.push(predicted + residual);
            }
        }
    }
    (
        first,
        values
            .iter()
            .map(|value| (value << wasted) as i16)
            .collect(),
    )
}

fn tone(count: usize) -> Vec<i16> {
    (0..count)
        .map(|n| ((n as f64 * 0.4).sin() * 9000.0) as i16)
        .collect()
}

#[test]
fn check_sums_are_those_everybody_computes() {
    assert_eq!(crc8(b"123456789"), 0xf4);
    assert_eq!(crc16(b"123456789"), 0xfee8);
}

#[test]
fn silence_takes_a_handful_of_octets() {
    let silence = frame(&[8; 320], 0);
    assert_eq!(decoded(&silence), (0, vec![8; 320]));
    assert!(silence.len() < 16);
}

#[test]
fn a_tone_of_g711_takes_less_than_its_samples_and_comes_back_whole() {
    let law = |sample: i16| Law::A.sample((sample >> 7) as u8);
    let samples: Vec<i16> = tone(320).into_iter().map(law).collect();
    let coded = frame(&samples, 320);
    assert_eq!(decoded(&coded), (320, samples));
    assert!(coded.len() < 640);
}

#[test]
fn noise_that_cannot_be_predicted_is_kept_as_it_is() {
    let mut state = 1u32;
    let noise: Vec<i16> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as i16
    })
    .take(999)
    .collect();
    let coded = frame(&noise, 1);
    assert_eq!(decoded(&coded), (1, noise));
    assert!(coded.len() < 999 * 2 + 20);
}

#[test]
fn sample_numbers_of_every_length_are_read_back() {
    for bits in 0..36 {
        for first in [1u64 << bits, (1u64 << bits) - 1, (1u64 << bits) + 1] {
            assert_eq!(decoded(&frame(&[1, 2, 3], first)).0, first);
        }
    }
}

proptest! {
    #[test]
    fn whatever_goes_in_comes_out(
        samples in proptest::collection::vec(any::<i16>(), 1..700),
        shift in 0u32..15,
        first in 0u64..1 << 36,
    ) {
        let samples: Vec<i16> = samples.into_iter().map(|sample| sample >> shift).collect();
        prop_assert_eq!(decoded(&frame(&samples, first)), (first, samples));
    }

    #[test]
    fn whatever_octets_of_g711_come_they_survive(octets in proptest::collection::vec(any::<u8>(), 1..BLOCK_MAX), is_a in any::<bool>()) {
        let law = if is_a { Law::A } else { Law::Mu };
        let samples: Vec<i16> = octets.into_iter().map(|octet| law.sample(octet)).collect();
        prop_assert_eq!(decoded(&frame(&samples, 0)), (0, samples));
    }
}
