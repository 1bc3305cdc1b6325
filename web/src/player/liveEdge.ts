/** Staying near the newest data: arithmetic on the buffered range of a video element. All values in seconds. */

export interface Range {
  start: number
  end: number
}

export interface Step {
  seekTo: number | null
  rate: number
  /** Everything before this moment may be thrown away. */
  removeBefore: number | null
}

/** More than this behind: jump. */
export const jumpBehind = 2
/** Where a jump lands, and where a fresh picture starts, behind the newest data. */
export const landBehind = 0.3
const hurryBehind = 0.9
const calmBehind = 0.5
const hurryRate = 1.1
const keepBehind = 4
const pruneBehind = 12

/**
 * What to do now. `ranges` are the buffered ranges, oldest first; only the newest counts, since a gap before it
 * is data that was dropped and will not come again.
 */
export function follow(ranges: readonly Range[], current: number, rate: number): Step {
  const newest = ranges.at(-1)
  const oldest = ranges[0]
  if (newest === undefined || oldest === undefined) return { seekTo: null, rate: 1, removeBefore: null }
  const lag = newest.end - current
  const outside = current < newest.start - 0.05 || current > newest.end + 0.5
  const seekTo = outside || lag > jumpBehind ? Math.max(newest.start, newest.end - landBehind) : null
  const position = seekTo ?? current
  let next = rate
  if (seekTo !== null || lag < calmBehind) next = 1
  else if (lag > hurryBehind) next = hurryRate
  const removeBefore = position - oldest.start > pruneBehind ? position - keepBehind : null
  return { seekTo, rate: next, removeBefore }
}
