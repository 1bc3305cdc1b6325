/** Runs beside the page on the audio thread: microphone in; A-law messages or blocks of samples, and loudness, out. */
import { Blocks } from './aac'
import { Framer, loudness } from './alaw'

declare const sampleRate: number
declare function registerProcessor(name: string, processor: unknown): void
declare class AudioWorkletProcessor {
  readonly port: MessagePort
}

interface Cutter {
  push: (samples: Float32Array) => (Uint8Array | Float32Array)[]
}

class TalkProcessor extends AudioWorkletProcessor {
  private readonly cutter: Cutter

  constructor(options: { processorOptions: { isAac: boolean } }) {
    super()
    this.cutter = options.processorOptions.isAac ? new Blocks() : new Framer(sampleRate)
  }

  process(inputs: Float32Array[][]): boolean {
    const samples = inputs[0]?.[0]
    if (samples === undefined) return true
    for (const frame of this.cutter.push(samples)) this.port.postMessage({ frame, level: loudness(samples) }, [frame.buffer as ArrayBuffer])
    return true
  }
}

registerProcessor('talk', TalkProcessor)
