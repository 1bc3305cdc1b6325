/** Microphone samples into what telephones speak: 8 kHz, G.711 A-law, 20 ms a message. Pure. */

export const rateHz = 8000
/** 20 ms of A-law. */
export const frameBytes = 160

/** One sample, -1 to 1, as A-law (ITU-T G.711: 13-bit magnitude, even bits inverted). */
export function aLaw(sample: number): number {
  const bounded = Math.max(-1, Math.min(1, sample))
  const negative = bounded < 0
  let magnitude = Math.min(0xfff, Math.floor(Math.abs(bounded) * 0x1000))
  if (negative && magnitude > 0 && Math.abs(bounded) * 0x1000 === magnitude) magnitude -= 1
  let exponent = 7
  for (let mask = 0x800; exponent > 0 && (magnitude & mask) === 0; mask >>= 1) exponent -= 1
  const mantissa = exponent === 0 ? magnitude >> 1 : magnitude >> exponent
  const code = (exponent << 4) | (mantissa & 0x0f)
  return (code | (negative ? 0 : 0x80)) ^ 0x55
}

/** Samples of any rate from 8 kHz up, averaged down and cut into messages of 20 ms. */
export class Framer {
  private readonly step: number
  private frame = new Uint8Array(frameBytes)
  private filled = 0
  private sum = 0
  private count = 0
  private phase = 0

  constructor(fromHz: number) {
    this.step = rateHz / fromHz
  }

  push(samples: Float32Array): Uint8Array[] {
    const whole: Uint8Array[] = []
    for (const sample of samples) {
      this.sum += sample
      this.count += 1
      this.phase += this.step
      if (this.phase < 1 - 1e-9) continue
      this.phase -= 1
      this.frame[this.filled] = aLaw(this.sum / this.count)
      this.filled += 1
      this.sum = 0
      this.count = 0
      if (this.filled === frameBytes) {
        whole.push(this.frame)
        this.frame = new Uint8Array(frameBytes)
        this.filled = 0
      }
    }
    return whole
  }
}

/** How loud, 0 to 1: the root of the mean square, on a scale that a meter shows well. */
export function loudness(samples: Float32Array): number {
  if (samples.length === 0) return 0
  let sum = 0
  for (const sample of samples) sum += sample * sample
  const decibels = 20 * Math.log10(Math.sqrt(sum / samples.length) + 1e-6)
  return Math.max(0, Math.min(1, (decibels + 60) / 60))
}
