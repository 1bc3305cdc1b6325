/** Segments waiting for the source buffer, bounded in bytes and number. */

export const maxBytes = 16 * 1024 * 1024
export const maxSegments = 600

export class AppendQueue {
  private waiting: ArrayBuffer[] = []
  private held = 0
  private readonly byteLimit: number
  private readonly segmentLimit: number

  constructor(byteLimit = maxBytes, segmentLimit = maxSegments) {
    this.byteLimit = byteLimit
    this.segmentLimit = segmentLimit
  }

  get bytes(): number {
    return this.held
  }

  get length(): number {
    return this.waiting.length
  }

  /** False when it would not fit: a hole would follow, so the caller must start over from a key frame. */
  push(segment: ArrayBuffer): boolean {
    if (this.waiting.length >= this.segmentLimit || this.held + segment.byteLength > this.byteLimit) return false
    this.waiting.push(segment)
    this.held += segment.byteLength
    return true
  }

  shift(): ArrayBuffer | undefined {
    const segment = this.waiting.shift()
    if (segment !== undefined) this.held -= segment.byteLength
    return segment
  }

  /** Puts back a segment that the buffer could not take yet. */
  unshift(segment: ArrayBuffer): void {
    this.waiting.unshift(segment)
    this.held += segment.byteLength
  }

  clear(): void {
    this.waiting = []
    this.held = 0
  }
}
