/** Groups of pictures of one camera: which are wanted next, which may go. Times: ms since 1970. */
import type { Segment } from './line'

export interface Group {
  /** Of the segment and its place in it. */
  id: string
  segment: Segment
  begin: number
  /** Where the next one begins, or the segment ends. */
  end: number
  offset: number
  bytes: number
}

/** What of a group is in the buffer; one that is being written grows, and then only its beginning is there. */
export type Held = 'key' | 'part' | 'whole'

export interface Aim {
  at: number
  direction: 1 | -1
  keysOnly: boolean
  aheadMs: number
}

/** Most bytes of one request, so that what is nearest is there first. */
export const batchBytes = 2 * 1024 * 1024

/** The groups of a segment from what the server tells of it: (begins, microseconds; offset; bytes). */
export function groupsOf(segment: Segment, told: readonly (readonly [number, number, number])[]): Group[] {
  return told.map(([beginUs, offset, bytes], index) => {
    const next = told[index + 1]
    return {
      id: `${segment.stream}/${segment.begin}/${index}`,
      segment,
      begin: segment.begin + beginUs / 1000,
      end: next === undefined ? Math.max(segment.end, segment.begin + beginUs / 1000 + 1) : segment.begin + next[0] / 1000,
      offset,
      bytes,
    }
  })
}

/** The group that a moment is in; the last one before it when it is in none. Groups are in order. */
export function groupAt(groups: readonly Group[], at: number): Group | null {
  let low = 0
  let high = groups.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((groups[middle]?.begin ?? 0) <= at) low = middle + 1
    else high = middle
  }
  return groups[low - 1] ?? groups[0] ?? null
}

function missing(held: ReadonlyMap<string, Held>, group: Group, keysOnly: boolean): boolean {
  const now = held.get(group.id)
  return keysOnly ? now === undefined : now !== 'whole'
}

/**
 * What to fetch next: the group where playback stands comes first and alone, then those ahead, as many side by side as one
 * request may bring. Empty when everything wanted is there.
 */
export function wanted(groups: readonly Group[], held: ReadonlyMap<string, Held>, aim: Aim): Group[] {
  const here = groupAt(groups, aim.at)
  if (here === null) return []
  if (missing(held, here, aim.keysOnly)) return [here]
  const from = groups.indexOf(here)
  const inReach = (group: Group) => (aim.direction === 1 ? group.begin < aim.at + aim.aheadMs : group.end > aim.at - aim.aheadMs)
  const batch: Group[] = []
  let bytes = 0
  for (let index = from + aim.direction; ; index += aim.direction) {
    const group = groups[index]
    if (group === undefined || !inReach(group)) break
    if (!missing(held, group, aim.keysOnly)) {
      if (batch.length > 0) break
      continue
    }
    const last = batch.at(-1)
    if (last !== undefined && (aim.keysOnly || last.segment !== group.segment || bytes + group.bytes > batchBytes)) break
    batch.push(group)
    bytes += group.bytes
  }
  return aim.direction === 1 ? batch : batch.reverse()
}

/** How much is kept around the place where playback stands, ms. */
export const keptBehindMs = 15_000
export const keptAheadMs = 60_000

/** Groups in the buffer that are too far away to be of use. */
export function discardable(held: Iterable<Group>, aim: Aim, factor = 1): Group[] {
  const behind = keptBehindMs * factor
  const ahead = Math.max(keptAheadMs * factor, aim.aheadMs * 1.5)
  const [before, after] = aim.direction === 1 ? [behind, ahead] : [ahead, behind]
  return [...held].filter((one) => one.end < aim.at - before || one.begin > aim.at + after)
}
