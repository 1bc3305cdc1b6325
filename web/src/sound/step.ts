/** Keeping sound in step with its picture: arithmetic only. All times in seconds on the stream's clock. */
import type { Range } from '@/player/liveEdge'

export interface Pace {
  seekTo: number | null
  rate: number
  /** Nothing to be heard at the picture's moment: not yet, or not any more. */
  silent: boolean
  removeBefore: number | null
}

/** Further off than this is put right by a jump; less by playing a little faster or slower. */
export const jump = 0.25
/** So far off nobody notices. */
const unnoticed = 0.04
const calm = 0.015
const correction = 0.06
/** What sounds next must be there: a device whose sound comes later than its picture is heard that much later. */
const margin = 0.1
/** Sound so much older than the picture is no sound of it. */
const stale = 2
const pruneBehind = 12
const keepBehind = 4

/**
 * What the sound should do now. `picture` is the moment shown and `pictureRate` its speed; `rate` is that of the sound,
 * which tells a correction that goes on from one that begins.
 */
export function inStep(ranges: readonly Range[], sound: number, rate: number, picture: number, pictureRate: number): Pace {
  const newest = ranges.at(-1)
  const oldest = ranges[0]
  const none: Pace = { seekTo: null, rate: pictureRate, silent: true, removeBefore: null }
  if (newest === undefined || oldest === undefined) return none
  const removeBefore = picture - oldest.start > pruneBehind ? picture - keepBehind : null
  if (picture - newest.end > stale || newest.end - newest.start < margin) return { ...none, removeBefore }
  const target = Math.min(picture, newest.end - margin)
  const here = ranges.find((range) => target >= range.start - calm && target <= range.end)
  if (here === undefined) return { ...none, removeBefore }
  const off = sound - target
  if (Math.abs(off) > jump || sound < here.start - calm || sound > here.end) {
    return { seekTo: Math.max(target, here.start), rate: pictureRate, silent: false, removeBefore }
  }
  const correcting = rate !== pictureRate
  const quiet = Math.abs(off) < (correcting ? calm : unnoticed)
  const step = quiet ? 0 : off > 0 ? -correction : correction
  return { seekTo: null, rate: pictureRate * (1 + step), silent: false, removeBefore }
}
