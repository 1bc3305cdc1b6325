/** The segment that is being written, followed while playback is near its end: its index is asked again and again. */
import type { Head, Library } from './library'
import { segmentAt, type Segment } from './line'

/** What is written becomes durable once a second, and is told then. */
const everyMs = 800
/** So near its end it is followed, ms of recording. */
const nearMs = 20_000
/** Playback that came to the newest picture runs on when so much is there, ms. */
export const reserveMs = 2000
/** With less than this it waits: its pictures would run dry in the middle of one. */
const dryMs = 150

interface Listener {
  onGrown: (segment: Segment, head: Head) => void
  onTrouble: (problem: unknown, stop: AbortController) => void
}

export class Growth {
  /** The segment that was followed has come to its end, or is another one now: what is recorded is to be listed anew. */
  isStale = false
  private asking: AbortController | null = null
  private askedAt = Number.NEGATIVE_INFINITY

  constructor(private readonly library: Library, private readonly listener: Listener) {}

  /** Called at every tick. `known` says whether the index of the segment was read already. */
  follow(line: readonly Segment[], position: number, known: (segment: Segment) => boolean, now: number): void {
    const last = line.at(-1)
    if (last?.open !== true || position < last.end - nearMs || !known(last)) return
    if (this.asking !== null || now - this.askedAt < everyMs) return
    this.askedAt = now
    const stop = new AbortController()
    this.asking = stop
    this.library
      .head(last, stop.signal)
      .then((head) => {
        if (stop.signal.aborted) return
        const isSame = head.begin === last.begin
        if (isSame) this.listener.onGrown(last, head)
        this.isStale ||= !head.open || !isSame
      })
      .catch((problem: unknown) => this.listener.onTrouble(problem, stop))
      .finally(() => (this.asking = null))
  }

  close(): void {
    this.asking?.abort()
  }
}

/** Whether playback stands at the newest picture, waiting for enough to run on. */
export class Edge {
  stands = false

  /** `isThere`: whether the picture of the place is in the buffer. */
  look(line: readonly Segment[], position: number, isThere: boolean): void {
    const last = line.at(-1)
    if (last?.open !== true || segmentAt(line, position) !== last) this.stands = false
    else {
      const left = last.end - position
      if (left < dryMs || (!isThere && left < reserveMs)) this.stands = true
      else if (left >= reserveMs) this.stands = false
    }
  }
}
