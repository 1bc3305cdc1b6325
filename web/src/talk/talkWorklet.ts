/** Runs beside the page on the audio thread: microphone in, A-law messages and loudness out. */
import { Framer, loudness } from './alaw'

declare const sampleRate: number
declare function registerProcessor(name: string, processor: unknown): void
declare class AudioWorkletProcessor {
  readonly port: MessagePort
}

class TalkProcessor extends AudioWorkletProcessor {
  private readonly framer = new Framer(sampleRate)

  process(inputs: Float32Array[][]): boolean {
    const samples = inputs[0]?.[0]
    if (samples === undefined) return true
    for (const frame of this.framer.push(samples)) this.port.postMessage({ frame, level: loudness(samples) }, [frame.buffer as ArrayBuffer])
    return true
  }
}

registerProcessor('talk', TalkProcessor)
