/** The scale of the common timeline: from a month down to seconds. Pure; times are ms since 1970. */
import type { View } from '@/recordings/timeline'

const second = 1000
const minute = 60 * second
const hour = 60 * minute
export const day = 24 * hour
export const shortest = 10 * second
export const longest = 31 * day

export function shareOf(at: number, view: View): number {
  return (at - view.from) / (view.to - view.from)
}

/** `factor` times as long, around a moment that keeps its place; never further than a little into the future. */
export function zoomed(view: View, factor: number, around: number, now: number): View {
  const length = Math.min(Math.max((view.to - view.from) * factor, shortest), longest)
  return clamped({ from: around - shareOf(around, view) * length, to: around + (1 - shareOf(around, view)) * length }, now)
}

export function panned(view: View, byMs: number, now: number): View {
  return clamped({ from: view.from + byMs, to: view.to + byMs }, now)
}

function clamped(view: View, now: number): View {
  const length = view.to - view.from
  const to = Math.min(view.to, now + length * 0.1)
  return { from: to - length, to }
}

/** The view moved so that a moment is well inside it; the same one when it is already. */
export function following(view: View, at: number, now: number): View {
  const share = shareOf(at, view)
  if (share >= 0.01 && share <= 0.99) return view
  const length = view.to - view.from
  // Run out at one side, it comes in at the other; anything further is put into the middle.
  const from = share > 0.99 && share < 1.2 ? at - length * 0.1 : share < 0.01 && share > -0.2 ? at - length * 0.9 : at - length / 2
  return clamped({ from, to: from + length }, now)
}

const steps = [second, 2 * second, 5 * second, 10 * second, 15 * second, 30 * second, minute, 2 * minute, 5 * minute, 10 * minute, 15 * minute, 30 * minute, hour, 2 * hour, 3 * hour, 6 * hour, 12 * hour, day, 2 * day, 7 * day]

export type MarkKind = 'day' | 'minute' | 'second'

export interface Mark {
  at: number
  kind: MarkKind
}

/** Round local times to write on the axis, at most about `most` of them. */
export function marks(view: View, most: number, offsetMs: number): Mark[] {
  const step = steps.find((one) => (view.to - view.from) / one <= most) ?? 7 * day
  const first = Math.ceil((view.from + offsetMs) / step) * step - offsetMs
  const found: Mark[] = []
  for (let at = first; at <= view.to; at += step) {
    const kind: MarkKind = (at + offsetMs) % day === 0 ? 'day' : step < minute ? 'second' : 'minute'
    found.push({ at, kind })
  }
  return found
}

/** Date and time of the place, as a field for them takes it. */
export function localText(at: number): string {
  return new Date(at - new Date(at).getTimezoneOffset() * 60_000).toISOString().slice(0, 19)
}
