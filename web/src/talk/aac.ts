/** AAC by the browser's own encoder (WebCodecs), for devices that take it; docs/talk.md tells which browsers have one. */

const codec = 'mp4a.40.2'
/** What the server can send on, Hz; what devices take most often first. */
const ratesHz = [16_000, 8000, 32_000, 48_000, 24_000]
/** Samples of an access unit. */
export const unitSamples = 1024

function configOf(rateHz: number): AudioEncoderConfig {
  // At 48 kHz the encoder of Windows knows no lower rate.
  const bitrate = rateHz === 48_000 ? 96_000 : rateHz * 2
  // Raw access units: the server packs them as the device wants.
  return { codec, sampleRate: rateHz, numberOfChannels: 1, bitrate, aac: { format: 'aac' } } as AudioEncoderConfig
}

/** The sampling rates at which this browser says that it encodes AAC; none where it has no such encoder. */
export async function encodableRates(): Promise<number[]> {
  if (!('AudioEncoder' in globalThis)) return []
  const known = await Promise.all(
    ratesHz.map((rate) =>
      AudioEncoder.isConfigSupported(configOf(rate)).then(
        (said) => said.supported === true,
        () => false,
      ),
    ),
  )
  return ratesHz.filter((_rate, index) => known[index])
}

/** Samples of any number into blocks of one access unit. Pure. */
export class Blocks {
  private block = new Float32Array(unitSamples)
  private filled = 0

  push(samples: Float32Array): Float32Array[] {
    const whole: Float32Array[] = []
    for (const sample of samples) {
      this.block[this.filled] = sample
      this.filled += 1
      if (this.filled === unitSamples) {
        whole.push(this.block)
        this.block = new Float32Array(unitSamples)
        this.filled = 0
      }
    }
    return whole
  }
}

/** Blocks of samples in, access units out. */
export class AacEncoder {
  private readonly encoder: AudioEncoder
  private readonly rateHz: number
  private samples = 0

  constructor(rateHz: number, onUnit: (unit: Uint8Array<ArrayBuffer>) => void, onError: (error: unknown) => void) {
    this.rateHz = rateHz
    this.encoder = new AudioEncoder({
      output: (chunk) => {
        const unit = new Uint8Array(chunk.byteLength)
        chunk.copyTo(unit)
        onUnit(unit)
      },
      error: onError,
    })
    this.encoder.configure(configOf(rateHz))
  }

  encode(block: Float32Array<ArrayBuffer>): void {
    if (this.encoder.state !== 'configured') return
    const timestamp = Math.round((this.samples * 1_000_000) / this.rateHz)
    this.samples += block.length
    const data = new AudioData({ format: 'f32', sampleRate: this.rateHz, numberOfFrames: block.length, numberOfChannels: 1, timestamp, data: block })
    this.encoder.encode(data)
    data.close()
  }

  close(): void {
    if (this.encoder.state !== 'closed') this.encoder.close()
  }
}
