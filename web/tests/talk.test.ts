import { describe, expect, test } from 'vitest'

import { aLaw, frameBytes, Framer, loudness } from '@/talk/alaw'

/** G.711 backwards: A-law to a linear sample of -1 to 1. */
function linear(code: number): number {
  const bits = code ^ 0x55
  const exponent = (bits >> 4) & 7
  const mantissa = bits & 0x0f
  const magnitude = exponent === 0 ? (mantissa << 1) + 1 : ((mantissa << 1) + 33) << (exponent - 1)
  return ((bits & 0x80) !== 0 ? 1 : -1) * (magnitude / 0x1000)
}

describe('speech as telephones speak it', () => {
  test('silence and the loudest samples have the codes of G.711', () => {
    expect(aLaw(0)).toBe(0xd5)
    expect(aLaw(1)).toBe(0xaa)
    expect(aLaw(-1)).toBe(0x2a)
    expect(aLaw(7)).toBe(0xaa)
  })

  test('every sample comes back as near as A-law can say it', () => {
    for (let sample = -1; sample <= 1; sample += 0.001) {
      const back = linear(aLaw(sample))
      expect(Math.abs(back - sample)).toBeLessThanOrEqual(Math.max(Math.abs(sample) / 32, 1 / 2048) + 1e-9)
    }
  })

  test.each([8000, 16_000, 44_100, 48_000])('a second at %i Hz is fifty messages of 20 ms', (rate) => {
    const framer = new Framer(rate)
    const frames = []
    for (let at = 0; at < rate; at += 128) frames.push(...framer.push(new Float32Array(Math.min(128, rate - at)).fill(0.25)))
    expect(frames).toHaveLength(50)
    expect(frames.every((frame) => frame.length === frameBytes)).toBe(true)
    expect(linear(frames[7]?.[80] ?? 0)).toBeCloseTo(0.25, 1)
  })

  test('the meter stands at nothing in silence and near full at full voice', () => {
    expect(loudness(new Float32Array(128))).toBe(0)
    expect(loudness(new Float32Array(128).fill(0.9))).toBeGreaterThan(0.95)
  })
})
