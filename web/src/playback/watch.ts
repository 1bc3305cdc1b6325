/** Pictures may run on a little before the first of them is told. */
const lateMs = 1500

/** What a video element really shows, and how far that is from the clock: measured frame by frame. */
export class Watch {
  /** The picture on screen, ms since 1970; null before the first. */
  shownAt: number | null = null
  /** How far the last picture was from the clock when it came on screen, ms; null while pictures do not run. */
  offBy: number | null = null
  /** From asking for a place to its picture, ms. */
  seekMs: number | null = null
  frames = 0
  private sought: { to: number; within: number; at: number } | null = null
  private closed = false

  constructor(private readonly video: HTMLVideoElement, private readonly origin: number, private readonly clockAt: (now: number) => number | null) {
    this.next()
  }

  /** Playback was sent to a place; the picture that comes may begin so much before it. */
  seek(to: number, within: number, now: number): void {
    this.sought = { to, within, at: now }
  }

  close(): void {
    this.closed = true
  }

  private next(): void {
    this.video.requestVideoFrameCallback((now, frame) => {
      if (this.closed) return
      const shown = this.origin + frame.mediaTime * 1000
      this.shownAt = shown
      this.frames += 1
      const clock = this.video.paused ? null : this.clockAt(frame.expectedDisplayTime)
      this.offBy = clock === null ? null : clock - shown
      const { sought } = this
      if (sought !== null && shown <= sought.to + lateMs && shown >= sought.to - sought.within) {
        this.seekMs = now - sought.at
        this.sought = null
      }
      this.next()
    })
  }
}
