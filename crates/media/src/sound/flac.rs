//! A small exact FLAC encoder (RFC 9639): mono, 16 bits, constant, verbatim and fixed-predictor subframes.
//!
//! It is there because browsers decode FLAC from MP4 and not G.711. Nothing is lost: the decoder gives back each
//! sample. Blocks differ in length, so each frame names its first sample.

use super::bit_writer::BitWriter;

/// Fewest samples of a block that is not the last (RFC 9639 8.2).
pub const BLOCK_MIN: usize = 16;
/// Most samples of a block here; what the stream information promises.
pub const BLOCK_MAX: usize = 4096;
const BITS: u32 = 16;
/// Orders of the fixed predictors (RFC 9639 9.2.5).
const ORDER_MAX: usize = 4;
/// Largest Rice parameter of the short coding; 15 escapes (RFC 9639 9.2.7).
const RICE_MAX: u32 = 14;
/// Parts of a block that each have a Rice parameter: up to 2 to the power of this.
const PARTITIONS_MAX: u32 = 3;

/// The STREAMINFO block (RFC 9639 8.2): block and frame lengths, rate, one channel of 16 bits; length and digest unknown.
pub fn stream_info(rate: u32) -> [u8; 34] {
    let mut info = [0; 34];
    info[0..2].copy_from_slice(&(BLOCK_MIN as u16).to_be_bytes());
    info[2..4].copy_from_slice(&(BLOCK_MAX as u16).to_be_bytes());
    // 20 bits of rate, 3 of channels minus one, 5 of bits minus one, 36 of length.
    let packed = u64::from(rate) << 44 | u64::from(BITS - 1) << 36;
    info[10..18].copy_from_slice(&packed.to_be_bytes());
    info
}

/// One frame of at most [`BLOCK_MAX`] samples, the first of which is number `first`. `rate` is that of the stream.
pub fn frame(samples: &[i16], first: u64) -> Vec<u8> {
    debug_assert!((1..=BLOCK_MAX).contains(&samples.len()));
    let mut out = BitWriter::default();
    // Sync code, variable block size (9.1); block size minus one follows in 16 bits, rate and depth as in STREAMINFO.
    out.put(0xfff9, 16);
    out.put(0x70, 8);
    out.put(0x00, 8);
    put_number(&mut out, first & 0xf_ffff_ffff);
    out.put(samples.len() as u32 - 1, 16);
    let check = crc8(out.octets());
    out.put(u32::from(check), 8);
    put_subframe(&mut out, samples);
    out.align();
    let check = crc16(out.octets());
    out.put(u32::from(check), 16);
    out.finish()
}

/// A number of at most 36 bits, coded as UTF-8 codes characters, only longer (9.1.5).
fn put_number(out: &mut BitWriter, number: u64) {
    if number < 0x80 {
        return out.put(number as u32, 8);
    }
    // Each further octet carries six bits; the first what room its length leaves.
    let mut further = 1;
    while number >> (6 * further) >= 1 << (6 - further) {
        further += 1;
    }
    let lead = 0xff80u32 >> further & 0xff;
    out.put(lead | (number >> (6 * further)) as u32, 8);
    for left in (0..further).rev() {
        out.put(0x80 | (number >> (6 * left)) as u32 & 0x3f, 8);
    }
}

fn put_subframe(out: &mut BitWriter, samples: &[i16]) {
    if samples.iter().all(|&sample| sample == samples[0]) {
        out.put(0, 8);
        return out.put(samples[0] as u32, BITS);
    }
    let wasted = samples
        .iter()
        .fold(0, |bits, &sample| bits | sample)
        .trailing_zeros();
    let values: Vec<i32> = samples
        .iter()
        .map(|&sample| i32::from(sample >> wasted))
        .collect();
    let bits = BITS - wasted;
    let plan = Plan::best(&values, bits);
    let verbatim = values.len() as u64 * u64::from(bits);
    let kind = match &plan {
        Some(plan) if plan.cost < verbatim => 8 + plan.order as u32,
        _ => 1,
    };
    out.put(kind << 1 | u32::from(wasted > 0), 8);
    if wasted > 0 {
        out.unary(wasted - 1);
    }
    match plan {
        Some(plan) if plan.cost < verbatim => plan.put(out, &values, bits),
        _ => values.iter().for_each(|&value| out.put(value as u32, bits)),
    }
}

/// How a block is coded by prediction.
struct Plan {
    order: usize,
    residual: Vec<u32>,
    /// The Rice parameter of each partition.
    parameters: Vec<u32>,
    /// Bits it takes.
    cost: u64,
}

impl Plan {
    /// The order that leaves the least, with the partitioning that codes it shortest; `None` when a block is too short.
    fn best(values: &[i32], bits: u32) -> Option<Plan> {
        let (order, residual) = least_residual(values)?;
        let head = order as u64 * u64::from(bits) + 6;
        (0..=PARTITIONS_MAX)
            .filter_map(|depth| partitioned(&residual, values.len(), order, depth))
            .min_by_key(|(_, cost)| *cost)
            .map(|(parameters, cost)| Plan {
                order,
                residual,
                parameters,
                cost: cost + head,
            })
    }

    fn put(&self, out: &mut BitWriter, values: &[i32], bits: u32) {
        for &value in &values[..self.order] {
            out.put(value as u32, bits);
        }
        // Rice coding with four-bit parameters, and the number of partitions (9.2.7).
        out.put(0, 2);
        out.put(self.parameters.len().trailing_zeros(), 4);
        let each = values.len() / self.parameters.len();
        let mut rest = &self.residual[..];
        for (number, &parameter) in self.parameters.iter().enumerate() {
            let taken = if number == 0 { each - self.order } else { each };
            out.put(parameter, 4);
            for &folded in &rest[..taken] {
                out.unary(folded >> parameter);
                out.put(folded, parameter);
            }
            rest = &rest[taken..];
        }
    }
}

/// The residual of the best fixed predictor, folded to unsigned (9.2.5, 9.2.7.1).
fn least_residual(values: &[i32]) -> Option<(usize, Vec<u32>)> {
    let mut difference = values.to_vec();
    let mut best: Option<(u64, usize, Vec<i32>)> = None;
    for order in 0..=ORDER_MAX.min(values.len().saturating_sub(1)) {
        let size = difference
            .iter()
            .map(|value| u64::from(value.unsigned_abs()))
            .sum();
        if best.as_ref().is_none_or(|(least, ..)| size < *least) {
            best = Some((size, order, difference.clone()));
        }
        difference = difference
            .windows(2)
            .map(|pair| pair[1] - pair[0])
            .collect();
    }
    let (_, order, residual) = best?;
    let folded = residual
        .iter()
        .map(|&value| (value << 1 ^ value >> 31) as u32);
    Some((order, folded.collect()))
}

/// Rice parameters of 2^depth partitions and the bits they take; `None` when the block cannot be divided so.
fn partitioned(
    residual: &[u32],
    block: usize,
    order: usize,
    depth: u32,
) -> Option<(Vec<u32>, u64)> {
    let count = 1usize << depth;
    let each = block / count;
    if !block.is_multiple_of(count) || each <= order {
        return None;
    }
    let mut rest = residual;
    let mut total = 0;
    let mut parameters = Vec::with_capacity(count);
    for number in 0..count {
        let (part, after) = rest.split_at(if number == 0 { each - order } else { each });
        let cost = |parameter: u32| {
            let tails: u64 = part
                .iter()
                .map(|&folded| u64::from(folded >> parameter))
                .sum();
            tails + part.len() as u64 * u64::from(parameter + 1)
        };
        let (least, parameter) = (0..=RICE_MAX)
            .map(|parameter| (cost(parameter), parameter))
            .min()?;
        parameters.push(parameter);
        total += least + 4;
        rest = after;
    }
    Some((parameters, total))
}

/// CRC-8 of a frame's head: x^8 + x^2 + x + 1 (9.1.8).
fn crc8(data: &[u8]) -> u8 {
    data.iter().fold(0, |crc, &octet| {
        (0..8).fold(crc ^ octet, |crc, _| (crc << 1) ^ ((crc >> 7) * 0x07))
    })
}

/// CRC-16 of a frame: x^16 + x^15 + x^2 + 1 (9.3).
fn crc16(data: &[u8]) -> u16 {
    data.iter().fold(0, |crc, &octet| {
        (0..8).fold(crc ^ u16::from(octet) << 8, |crc, _| {
            (crc << 1) ^ ((crc >> 15) * 0x8005)
        })
    })
}

#[cfg(test)]
#[path = "flac_tests.rs"]
mod tests;
