/** Gaps summed up by their reason. Pure. */
import type { Gap, GapReason } from './types'

export interface ReasonSum {
  reason: GapReason
  count: number
  seconds: number
}

/** The reason that cost most first; a gap that lasts ends now. */
export function reasonsOf(gaps: readonly Gap[], nowMs: number): ReasonSum[] {
  const sums = new Map<GapReason, ReasonSum>()
  for (const gap of gaps) {
    const sum = sums.get(gap.reason) ?? { reason: gap.reason, count: 0, seconds: 0 }
    sum.count += 1
    sum.seconds += Math.max(0, ((gap.end === null ? nowMs : Date.parse(gap.end)) - Date.parse(gap.begin)) / 1000)
    sums.set(gap.reason, sum)
  }
  return [...sums.values()].sort((a, b) => b.seconds - a.seconds)
}
