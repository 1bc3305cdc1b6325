/** One video element fed through Media Source Extensions; knows nothing of grants, sockets or the server. */
import { AppendQueue } from './appendQueue'
import { follow, type Range } from './liveEdge'

export interface PictureListener {
  onPicture: () => void
  onBroken: (reason: 'overrun' | 'decode_error') => void
}

export interface PictureStats {
  fps: number
  lagS: number
  droppedFrames: number
  width: number
  height: number
}

export class Picture {
  readonly video: HTMLVideoElement
  private readonly source = new MediaSource()
  private readonly address: string
  private readonly queue = new AppendQueue()
  private readonly listener: PictureListener
  private buffer: SourceBuffer | null = null
  private mime: string
  private nextMime: string | null = null
  private frames = 0
  private framesAt = 0
  private fps = 0
  private closed = false

  constructor(mime: string, listener: PictureListener) {
    this.mime = mime
    this.listener = listener
    this.video = document.createElement('video')
    this.video.muted = true
    this.video.autoplay = true
    this.video.playsInline = true
    this.video.disablePictureInPicture = true
    this.video.tabIndex = -1
    this.address = URL.createObjectURL(this.source)
    this.source.addEventListener('sourceopen', () => this.opened(), { once: true })
    this.video.addEventListener('error', () => this.broken('decode_error'))
    this.video.src = this.address
    this.watchFrames()
  }

  /** Codec or picture size changed: what follows starts with a new initialisation segment. */
  change(mime: string): void {
    this.nextMime = mime
    this.queue.clear()
    this.pump()
  }

  append(segment: ArrayBuffer): void {
    if (this.closed) return
    if (!this.queue.push(segment)) {
      this.broken('overrun')
      return
    }
    this.pump()
  }

  /** Called a few times a second: stays near the newest data and keeps the buffer small. */
  keepUp(): void {
    if (this.closed || this.buffer === null) return
    const step = follow(this.ranges(), this.video.currentTime, this.video.playbackRate)
    if (step.seekTo !== null) this.video.currentTime = step.seekTo
    if (this.video.playbackRate !== step.rate) this.video.playbackRate = step.rate
    if (step.removeBefore !== null && !this.buffer.updating && this.queue.length === 0) this.buffer.remove(0, step.removeBefore)
    if (this.video.paused) this.play()
  }

  /** Playing on after the element was moved in the page. */
  play(): void {
    this.video.play().catch(() => undefined) // refused while there is no data yet; keepUp asks again
  }

  stats(): PictureStats {
    const end = this.ranges().at(-1)?.end ?? this.video.currentTime
    const quality = this.video.getVideoPlaybackQuality()
    return {
      fps: this.fps,
      lagS: Math.max(0, end - this.video.currentTime),
      droppedFrames: quality.droppedVideoFrames,
      width: this.video.videoWidth,
      height: this.video.videoHeight,
    }
  }

  /** Takes the picture out of page and decoder: nothing of it stays on screen. */
  close(): void {
    if (this.closed) return
    this.closed = true
    this.queue.clear()
    this.video.remove()
    this.video.pause()
    this.video.removeAttribute('src')
    this.video.load()
    URL.revokeObjectURL(this.address)
    this.buffer = null
  }

  private ranges(): Range[] {
    const { buffered } = this.video
    return Array.from({ length: buffered.length }, (_, index) => ({ start: buffered.start(index), end: buffered.end(index) }))
  }

  private opened(): void {
    if (this.closed) return
    try {
      this.buffer = this.source.addSourceBuffer(this.mime)
    } catch {
      this.broken('decode_error')
      return
    }
    this.buffer.mode = 'segments'
    this.buffer.addEventListener('updateend', () => {
      this.startAtEdge()
      this.pump()
    })
    this.buffer.addEventListener('error', () => this.broken('decode_error'))
    this.pump()
  }

  /** The stream's clock started long before us: the first data says where now is. */
  private startAtEdge(): void {
    const newest = this.ranges().at(-1)
    if (newest !== undefined && (this.video.currentTime < newest.start || this.video.paused)) this.keepUp()
  }

  private pump(): void {
    const buffer = this.buffer
    if (this.closed || buffer === null || buffer.updating || this.source.readyState !== 'open') return
    if (this.nextMime !== null) {
      try {
        if (this.nextMime !== this.mime) buffer.changeType(this.nextMime)
      } catch {
        this.broken('decode_error')
        return
      }
      this.mime = this.nextMime
      this.nextMime = null
    }
    const segment = this.queue.shift()
    if (segment === undefined) return
    try {
      buffer.appendBuffer(segment)
    } catch (problem) {
      if (problem instanceof DOMException && problem.name === 'QuotaExceededError') this.makeRoom(buffer, segment)
      else this.broken('decode_error')
    }
  }

  private makeRoom(buffer: SourceBuffer, segment: ArrayBuffer): void {
    const oldest = this.ranges()[0]
    const before = this.video.currentTime - 1
    if (oldest === undefined || before <= oldest.start) {
      this.broken('overrun')
      return
    }
    this.queue.unshift(segment)
    buffer.remove(0, before)
  }

  private watchFrames(): void {
    this.video.requestVideoFrameCallback((now, frame) => {
      if (this.closed) return
      if (this.framesAt === 0) {
        this.listener.onPicture()
        this.framesAt = now
        this.frames = frame.presentedFrames
      } else if (now - this.framesAt >= 1000) {
        this.fps = ((frame.presentedFrames - this.frames) * 1000) / (now - this.framesAt)
        this.framesAt = now
        this.frames = frame.presentedFrames
      }
      this.watchFrames()
    })
  }

  private broken(reason: 'overrun' | 'decode_error'): void {
    if (!this.closed) this.listener.onBroken(reason)
  }
}
