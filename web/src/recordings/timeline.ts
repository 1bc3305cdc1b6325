/** Arithmetic of the timeline: moments and pixels, what lies where. Pure; times are milliseconds since 1970. */
import { faster, slower } from '@/playback/clock'

export interface View {
  from: number
  to: number
}

export interface Piece {
  start: number
  end: number
}

const minute = 60_000
export const shortestView = 10 * minute
export const day = 24 * 60 * minute
export const longestView = 7 * day

/** Where a moment stands, 0 to 1 of the view's width; outside it beyond. */
export function shareOf(at: number, view: View): number {
  return (at - view.from) / (view.to - view.from)
}

export function momentAt(share: number, view: View): number {
  return view.from + Math.min(Math.max(share, 0), 1) * (view.to - view.from)
}

/** The view made `factor` times as long around a moment that keeps its place, inside `bounds`. */
export function zoomed(view: View, factor: number, around: number, bounds: View): View {
  const most = Math.min(longestView, bounds.to - bounds.from)
  const length = Math.min(Math.max((view.to - view.from) * factor, Math.min(shortestView, most)), most)
  const from = around - shareOf(around, view) * length
  return inside({ from, to: from + length }, bounds)
}

export function moved(view: View, byMs: number, bounds: View): View {
  return inside({ from: view.from + byMs, to: view.to + byMs }, bounds)
}

function inside(view: View, bounds: View): View {
  const length = Math.min(view.to - view.from, bounds.to - bounds.from)
  const from = Math.min(Math.max(view.from, bounds.from), bounds.to - length)
  return { from, to: from + length }
}

const steps = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440].map((minutes) => minutes * minute)

/** Round local times to write under the timeline, at most about `most` of them. */
export function ticks(view: View, most: number, offsetMs: number): { at: number; midnight: boolean }[] {
  const length = view.to - view.from
  const step = steps.find((one) => length / one <= most) ?? day
  const first = Math.ceil((view.from + offsetMs) / step) * step - offsetMs
  const found = []
  for (let at = first; at <= view.to; at += step) found.push({ at, midnight: (at + offsetMs) % day === 0 })
  return found
}

/** Pixels under this from an edge a label leans inwards. */
export const edgePx = 30
const labelPx = { day: 76, hour: 36 }

/** The marks whose labels are written: none over another; days come before hours, and those at the edges, which lean, last. */
export function labelled(marks: readonly { at: number; midnight: boolean }[], x: (at: number) => number, width: number): { at: number; midnight: boolean }[] {
  const atEdge = (place: number) => place < edgePx || place > width - edgePx
  const rank = (one: { at: number; midnight: boolean }) => (one.midnight ? 0 : 2) + (atEdge(x(one.at)) ? 1 : 0)
  const taken: { at: number; midnight: boolean; from: number; to: number }[] = []
  for (const one of [...marks].sort((first, second) => rank(first) - rank(second) || first.at - second.at)) {
    const wide = one.midnight ? labelPx.day : labelPx.hour
    const from = Math.min(Math.max(x(one.at) - wide / 2, 6), width - 6 - wide)
    if (taken.every((other) => from + wide <= other.from || from >= other.to)) taken.push({ ...one, from, to: from + wide })
  }
  return marks.filter((one) => taken.some((other) => other.at === one.at))
}

/** The piece that holds a moment, else the next one after it, else the last. */
export function pieceAt(pieces: readonly Piece[], at: number): Piece | null {
  return pieces.find((one) => at < one.end) ?? pieces.at(-1) ?? null
}

/** A playback lasts at most so long. */
export const longestPlayback = day

/** What to play from a moment: to the end of what is recorded on without a gap, at most a day; null when nothing is there or follows. */
export function playFrom(pieces: readonly Piece[], at: number): Piece | null {
  const piece = pieces.find((one) => at < one.end - 1000)
  if (piece === undefined) return null
  const start = Math.max(at, piece.start)
  return { start, end: Math.min(piece.end, start + longestPlayback) }
}

/** Where playback stands now: the server's word, moved on by the time since at the speed of then, within the piece. */
export function positionNow(told: { position: number; speed: number; flowing: boolean; at: number }, now: number, piece: Piece): number {
  const moved = told.flowing ? (now - told.at) * told.speed : 0
  return Math.min(Math.max(told.position + moved, piece.start), piece.end)
}

// -- keys (J, K, L as editors have them)

export type PlayCommand = { type: 'toggle' | 'pause' | 'download' } | { type: 'speed'; speed: number } | { type: 'seek'; byS: number }

/** J plays backwards, again faster; L forwards, again faster; K pauses; Space starts and stops; arrows seek. */
export function playCommandOf(key: string, shift: boolean, speed: number, paused: boolean): PlayCommand | null {
  switch (key.length === 1 ? key.toLowerCase() : key) {
    case ' ':
      return { type: 'toggle' }
    case 'k':
      return { type: 'pause' }
    case 'j':
      return { type: 'speed', speed: paused ? -1 : faster(speed, -1) }
    case 'l':
      return { type: 'speed', speed: paused ? 1 : faster(speed, 1) }
    case '+':
    case '=':
      return { type: 'speed', speed: faster(speed, speed < 0 ? -1 : 1) }
    case '-':
      return { type: 'speed', speed: slower(speed) }
    case 'ArrowLeft':
      return { type: 'seek', byS: shift ? -60 : -10 }
    case 'ArrowRight':
      return { type: 'seek', byS: shift ? 60 : 10 }
    default:
      return null
  }
}
