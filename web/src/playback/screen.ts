/** One video element fed by Media Source Extensions, a job at a time; knows nothing of recordings, clocks or the server. */
import { sameBytes } from './fragments'

export interface Part {
  mime: string
  init: Uint8Array<ArrayBuffer>
  /** Added to the times in the bytes, seconds. */
  offset: number
  bytes: Uint8Array<ArrayBuffer>
}

export type Trouble = 'full' | 'unsupported' | 'decode_error' | 'closed'

export class ScreenTrouble extends Error {
  constructor(readonly trouble: Trouble) {
    super(trouble)
  }
}

/** Longer than any look: the place to go to need not be buffered yet. Seconds. */
const longest = 400 * 86_400

export class Screen {
  readonly video = document.createElement('video')
  private readonly source = new MediaSource()
  private readonly address = URL.createObjectURL(this.source)
  private readonly open: Promise<void>
  private jobs: Promise<unknown> = Promise.resolve()
  private buffer: SourceBuffer | null = null
  private mime = ''
  private init: Uint8Array<ArrayBuffer> | null = null
  private closed = false

  constructor(onBroken: () => void) {
    const { video } = this
    video.muted = true
    video.playsInline = true
    video.disablePictureInPicture = true
    video.tabIndex = -1
    video.addEventListener('error', () => {
      if (!this.closed) onBroken()
    })
    this.open = new Promise((resolve) => {
      this.source.addEventListener('sourceopen', () => resolve(), { once: true })
    })
    video.src = this.address
  }

  append(part: Part): Promise<void> {
    return this.after(async () => {
      await this.prepare(part.mime)
      const { buffer } = this
      if (buffer === null) return
      if (this.init === null || !sameBytes(this.init, part.init)) {
        await this.change(() => buffer.appendBuffer(part.init))
        this.init = part.init
      }
      if (buffer.timestampOffset !== part.offset) buffer.timestampOffset = part.offset
      await this.change(() => buffer.appendBuffer(part.bytes))
    })
  }

  remove(from: number, to: number): Promise<void> {
    return this.after(async () => {
      const { buffer } = this
      if (buffer !== null && to > from) await this.change(() => buffer.remove(Math.max(0, from), to))
    })
  }

  /** Takes the picture out of page and decoder: nothing of it stays on screen. */
  close(): void {
    if (this.closed) return
    this.closed = true
    this.video.remove()
    this.video.pause()
    this.video.removeAttribute('src')
    this.video.load()
    URL.revokeObjectURL(this.address)
    this.buffer = null
  }

  /** Jobs run one after the other, whatever became of the one before. */
  private after(job: () => Promise<void>): Promise<void> {
    const mine = this.jobs.then(() => this.open).then(() => {
      if (this.closed || this.source.readyState === 'closed') throw new ScreenTrouble('closed')
      return job()
    })
    this.jobs = mine.catch(() => undefined)
    return mine
  }

  private async prepare(mime: string): Promise<void> {
    if (this.mime === mime && this.buffer !== null) return
    if (!MediaSource.isTypeSupported(mime)) throw new ScreenTrouble('unsupported')
    if (this.buffer === null) {
      this.source.duration = longest
      this.buffer = this.source.addSourceBuffer(mime)
      this.buffer.mode = 'segments'
    } else this.buffer.changeType(mime)
    this.mime = mime
    this.init = null
    return Promise.resolve()
  }

  private change(start: () => void): Promise<void> {
    const { buffer } = this
    return new Promise((resolve, reject) => {
      if (buffer === null) {
        reject(new ScreenTrouble('closed'))
        return
      }
      const end = (trouble: Trouble | null) => {
        buffer.removeEventListener('updateend', done)
        buffer.removeEventListener('error', broken)
        if (trouble === null) resolve()
        else reject(new ScreenTrouble(trouble))
      }
      const done = () => end(this.closed ? 'closed' : null)
      const broken = () => end('decode_error')
      buffer.addEventListener('updateend', done)
      buffer.addEventListener('error', broken)
      try {
        start()
      } catch (problem) {
        const full = problem instanceof DOMException && problem.name === 'QuotaExceededError'
        end(this.closed ? 'closed' : full ? 'full' : 'decode_error')
      }
    })
  }
}
