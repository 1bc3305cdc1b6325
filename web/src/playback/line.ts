/** What is recorded of one camera, in order: segments, the holes between them, and where to go on from a hole. Times: ms since 1970. */

export interface Segment {
  stream: number
  sequence: number
  begin: number
  end: number
  url: string
  /** Why something is missing in front of it; empty when it follows. */
  gapReason: string
  /** Whether it is being written, or was just now: more comes behind its end. */
  open: boolean
}

/** Less than this between two segments is no hole that anybody would see. */
export const followsMs = 1000

/** The stream that covers the most of the span; the main stream when there is nothing to choose. */
export function usualStream(segments: readonly Segment[]): number {
  const covered = new Map<number, number>()
  for (const one of segments) covered.set(one.stream, (covered.get(one.stream) ?? 0) + one.end - one.begin)
  let best = 0
  for (const [stream, length] of covered) {
    const most = covered.get(best) ?? 0
    // A second more is an accident of when recording began, not a reason to show the smaller picture.
    if (length > most + 10_000 || (!covered.has(best) && length > 0)) best = stream
  }
  return best
}

export function lineOf(segments: readonly Segment[], stream: number): Segment[] {
  return segments.filter((one) => one.stream === stream && one.end > one.begin).sort((first, second) => first.begin - second.begin)
}

/** The index of the last segment that begins at or before a moment; -1 for none. */
export function before(line: readonly Segment[], at: number): number {
  let low = 0
  let high = line.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((line[middle]?.begin ?? 0) <= at) low = middle + 1
    else high = middle
  }
  return low - 1
}

/** The segment that holds a moment, or holds on just before a hole that nobody would see, or will hold it. */
export function segmentAt(line: readonly Segment[], at: number): Segment | null {
  const index = before(line, at)
  const one = line[index]
  if (one === undefined) return null
  if (at < one.end) return one
  const next = line[index + 1]
  if (next === undefined) return one.open ? one : null
  return next.begin - one.end < followsMs ? one : null
}

/** The moment itself where something is recorded; in a hole that nobody sees, where it goes on. */
export function landing(line: readonly Segment[], at: number): number {
  const index = before(line, at)
  const one = line[index]
  const next = line[index + 1]
  return one !== undefined && at >= one.end && next !== undefined && next.begin - one.end < followsMs ? next.begin : at
}

/** Where recording goes on from a hole in this direction; null when it does not. */
export function goesOn(line: readonly Segment[], at: number, direction: 1 | -1): number | null {
  const index = before(line, at)
  if (direction === 1) return line[index + 1]?.begin ?? null
  const one = line[index]
  return one === undefined ? null : Math.min(at, one.end - 1)
}

export interface Hole {
  begin: number
  end: number
  reason: string
}

export function holes(line: readonly Segment[]): Hole[] {
  const found: Hole[] = []
  line.forEach((one, index) => {
    const last = line[index - 1]
    if (last !== undefined && one.begin - last.end >= followsMs) found.push({ begin: last.end, end: one.begin, reason: one.gapReason })
  })
  return found
}
