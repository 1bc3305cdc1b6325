import { afterEach, describe, expect, test, vi } from 'vitest'

import { AacEncoder, Blocks, encodableRates, unitSamples } from '@/talk/aac'
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

describe('speech as AAC, where the browser encodes it', () => {
  afterEach(() => vi.unstubAllGlobals())

  test('a browser without the encoder offers no rate', async () => {
    expect(await encodableRates()).toEqual([])
  })

  test('only rates that the encoder says it supports are offered, and one that throws is none', async () => {
    const isConfigSupported = (config: { sampleRate: number; codec: string }) => {
      if (config.sampleRate === 8000) return Promise.reject(new TypeError('no'))
      return Promise.resolve({ supported: config.codec === 'mp4a.40.2' && config.sampleRate >= 32_000 })
    }
    vi.stubGlobal('AudioEncoder', { isConfigSupported })
    expect(await encodableRates()).toEqual([32_000, 48_000])
  })

  test('samples are cut into blocks of one access unit', () => {
    const blocks = new Blocks()
    const whole = []
    for (let at = 0; at < 3000; at += 128) whole.push(...blocks.push(new Float32Array(128).fill(at)))
    expect(whole).toHaveLength(3)
    expect(whole.map((block) => block.length)).toEqual([unitSamples, unitSamples, unitSamples])
    expect(whole[1]?.[0]).toBe(1024)
  })

  test('what the encoder makes is handed on, and its clock counts samples', () => {
    const timestamps: number[] = []
    const configured: unknown[] = []
    class Encoder {
      state = 'unconfigured'
      private readonly output: (chunk: unknown) => void
      constructor(init: { output: (chunk: unknown) => void }) {
        this.output = init.output
      }
      configure(config: unknown) {
        configured.push(config)
        this.state = 'configured'
      }
      encode(data: { timestamp: number }) {
        timestamps.push(data.timestamp)
        this.output({ byteLength: 2, copyTo: (to: Uint8Array) => to.set([0x21, 7]) })
      }
      close() {
        this.state = 'closed'
      }
    }
    vi.stubGlobal('AudioEncoder', Encoder)
    vi.stubGlobal(
      'AudioData',
      class {
        timestamp: number
        constructor(init: { timestamp: number }) {
          this.timestamp = init.timestamp
        }
        close() {
          this.timestamp = -1
        }
      },
    )
    const units: Uint8Array[] = []
    const encoder = new AacEncoder(16_000, (unit) => units.push(unit), () => undefined)
    encoder.encode(new Float32Array(unitSamples))
    encoder.encode(new Float32Array(unitSamples))
    encoder.close()
    encoder.encode(new Float32Array(unitSamples))
    expect(timestamps).toEqual([0, 64_000])
    expect(units.map((unit) => [...unit])).toEqual([[0x21, 7], [0x21, 7]])
    expect(configured).toEqual([{ codec: 'mp4a.40.2', sampleRate: 16_000, numberOfChannels: 1, bitrate: 32_000, aac: { format: 'aac' } }])
  })
})
