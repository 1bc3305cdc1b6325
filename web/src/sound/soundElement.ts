/** An audio element fed through Media Source Extensions, kept in step with a picture. */
import { AppendQueue } from '@/player/appendQueue'
import type { Range } from '@/player/liveEdge'

import { inStep } from './step'

const maxBytes = 2 * 1024 * 1024

export interface SoundListener {
  /** What was waited for can be heard, or can no longer. */
  onHeard: (heard: boolean) => void
  onBroken: () => void
  /** The browser wants a gesture before it lets a page be heard. */
  onBlocked: () => void
}

export class SoundElement {
  readonly audio: HTMLAudioElement
  readonly mime: string
  private readonly source = new MediaSource()
  private readonly address: string
  private readonly queue = new AppendQueue(maxBytes)
  private readonly listener: SoundListener
  private buffer: SourceBuffer | null = null
  private heard = false
  private starting = false
  private closed = false

  constructor(mime: string, volume: number, listener: SoundListener) {
    this.mime = mime
    this.listener = listener
    this.audio = document.createElement('audio')
    this.audio.volume = volume
    this.address = URL.createObjectURL(this.source)
    this.source.addEventListener('sourceopen', () => this.opened(), { once: true })
    this.audio.addEventListener('error', () => this.broken())
    this.audio.src = this.address
  }

  append(segment: ArrayBuffer): void {
    if (this.closed) return
    // Sound that does not fit leaves a hole; nothing depends on it.
    this.queue.push(segment)
    this.pump()
  }

  /** Called a few times a second: in step with what `picture` shows. */
  keepUp(picture: HTMLVideoElement): void {
    const buffer = this.buffer
    if (this.closed || buffer === null) return
    const pace = inStep(this.ranges(), this.audio.currentTime, this.audio.playbackRate, picture.currentTime, picture.playbackRate)
    if (pace.removeBefore !== null && !buffer.updating) buffer.remove(0, Math.max(0.001, pace.removeBefore))
    if (pace.silent || picture.paused) {
      this.audio.pause()
    } else {
      if (pace.seekTo !== null) this.audio.currentTime = pace.seekTo
      if (this.audio.playbackRate !== pace.rate) this.audio.playbackRate = pace.rate
      if (this.audio.paused && !this.starting) this.play()
    }
    const heard = !this.audio.paused && this.audio.readyState >= HTMLMediaElement.HAVE_FUTURE_DATA
    if (heard !== this.heard) {
      this.heard = heard
      this.listener.onHeard(heard)
    }
  }

  close(): void {
    if (this.closed) return
    this.closed = true
    this.queue.clear()
    this.audio.pause()
    this.audio.removeAttribute('src')
    this.audio.load()
    URL.revokeObjectURL(this.address)
    this.buffer = null
  }

  private play(): void {
    this.starting = true
    this.audio.play().then(
      () => (this.starting = false),
      (problem: unknown) => {
        this.starting = false
        if (!this.closed && problem instanceof DOMException && problem.name === 'NotAllowedError') this.listener.onBlocked()
      },
    )
  }

  private ranges(): Range[] {
    const { buffered } = this.audio
    return Array.from({ length: buffered.length }, (_, index) => ({ start: buffered.start(index), end: buffered.end(index) }))
  }

  private opened(): void {
    if (this.closed) return
    try {
      this.buffer = this.source.addSourceBuffer(this.mime)
    } catch {
      this.broken()
      return
    }
    this.buffer.mode = 'segments'
    this.buffer.addEventListener('updateend', () => this.pump())
    this.buffer.addEventListener('error', () => this.broken())
    this.pump()
  }

  private pump(): void {
    const buffer = this.buffer
    if (this.closed || buffer === null || buffer.updating || this.source.readyState !== 'open') return
    const segment = this.queue.shift()
    if (segment === undefined) return
    try {
      buffer.appendBuffer(segment)
    } catch {
      this.broken()
    }
  }

  private broken(): void {
    if (!this.closed) this.listener.onBroken()
  }
}
