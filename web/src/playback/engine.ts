/**
 * Playback of many cameras on one clock, as a pure state machine: an event and a time in, a new state out.
 *
 *   still <-> moving <-> waiting (a camera's pictures are not there yet: the clock stands, all stand)
 *               |
 *             over (nothing is recorded further in this direction)
 *
 * Whoever feeds it asks it at every tick, and shows each camera the place and speed it says. No clock, no DOM here.
 */
import { moved, positionAt, turned, type Clock } from './clock'
import { goesOn, segmentAt, type Segment } from './line'

export type Phase = 'still' | 'moving' | 'waiting' | 'over'

export interface Engine {
  phase: Phase
  clock: Clock
  /** The speed chosen; the clock has it while it moves. */
  rate: number
  /** When it began to wait. */
  waitsSince: number
  /** Until then those that are there go on without those that are not. */
  withoutUntil: number
  /** The last hole that was jumped over, and when. */
  jumped: { from: number; to: number; at: number } | null
}

/** One camera as it stands at a tick. */
export interface Standing {
  line: readonly Segment[]
  /** Whether the picture of the moment asked for is there to be shown. */
  ready: boolean
  /** Whether it is known what is recorded at this moment; if not, it is being asked. */
  known: boolean
  /** Whether more may be recorded further on than the line tells; it is being asked. */
  more: boolean
}

export type Event =
  | { type: 'play' }
  | { type: 'pause' }
  | { type: 'toggle' }
  | { type: 'seek'; to: number }
  | { type: 'rate'; rate: number }
  /** `pictures` are the times around here of the camera that is looked at, in order. */
  | { type: 'step'; by: 1 | -1; pictures: readonly number[] }
  | { type: 'tick'; cameras: readonly Standing[] }

/** A camera that does not come is left behind after so long. */
export const patienceMs = 5000
/** A step where no picture times are known: 25 pictures a second. */
const usualPictureMs = 40
/** So long those that are there go on, once one was left behind. */
const withoutMs = 10_000
/** Places are set a little into the picture, so that rounding never shows the one before. */
export const intoPictureMs = 1

export function empty(now: number): Engine {
  return { phase: 'still', clock: { position: 0, at: now, rate: 0 }, rate: 1, waitsSince: 0, withoutUntil: 0, jumped: null }
}

export function place(engine: Engine, now: number): number {
  return positionAt(engine.clock, now)
}

function stand(engine: Engine, phase: Phase, now: number): Engine {
  return { ...engine, phase, clock: turned(engine.clock, 0, now) }
}

function move(engine: Engine, now: number): Engine {
  return { ...engine, phase: 'moving', clock: turned(engine.clock, engine.rate, now) }
}

function at(engine: Engine, position: number, now: number): Engine {
  return { ...engine, clock: moved(engine.clock, position, now) }
}

export function advance(engine: Engine, event: Event, now: number): Engine {
  switch (event.type) {
    case 'play':
      return engine.phase === 'still' || engine.phase === 'over' ? move(engine, now) : engine
    case 'pause':
      return engine.phase === 'still' ? engine : stand(engine, 'still', now)
    case 'toggle':
      return engine.phase === 'still' || engine.phase === 'over' ? move(engine, now) : stand(engine, 'still', now)
    case 'seek': {
      const there = at({ ...engine, jumped: null, withoutUntil: 0 }, event.to, now)
      return there.phase === 'over' ? move(there, now) : there
    }
    case 'rate': {
      const chosen = { ...engine, rate: event.rate }
      return chosen.phase === 'moving' || chosen.phase === 'over' ? move(chosen, now) : chosen
    }
    case 'step':
      return at(stand(engine, 'still', now), stepped(positionAt(engine.clock, now), event.by, event.pictures), now)
    case 'tick':
      return tick(engine, event.cameras, now)
  }
}

function stepped(here: number, by: 1 | -1, pictures: readonly number[]): number {
  const after = pictures.findIndex((one) => one > here + intoPictureMs / 2)
  const shown = after === -1 ? pictures.length - 1 : after - 1
  const next = pictures[shown + by]
  const reachable = next !== undefined && Math.abs(next - here) < 10_000
  return reachable ? next + intoPictureMs : here + by * usualPictureMs
}

function tick(engine: Engine, cameras: readonly Standing[], now: number): Engine {
  if (engine.phase === 'still' || engine.phase === 'over' || cameras.length === 0) return engine
  const here = positionAt(engine.clock, now)
  const recorded = cameras.filter((one) => !one.known || segmentAt(one.line, here) !== null)
  if (recorded.length === 0) return overHole(engine, cameras, here, now)
  const isReady = (one: Standing) => one.known && one.ready
  if (recorded.every(isReady)) return engine.phase === 'waiting' ? move(engine, now) : engine
  const someAreReady = recorded.some(isReady)
  if (engine.phase === 'moving') {
    if (someAreReady && now < engine.withoutUntil) return engine
    return { ...stand(engine, 'waiting', now), waitsSince: now }
  }
  // Patience is over: those that are there go on; one alone is waited for.
  const impatient = someAreReady && now - engine.waitsSince >= patienceMs
  return impatient ? { ...move(engine, now), withoutUntil: now + withoutMs } : engine
}

/** Nothing is recorded here of any camera: on to where the first of them goes on. */
function overHole(engine: Engine, cameras: readonly Standing[], here: number, now: number): Engine {
  const direction = engine.rate < 0 ? -1 : 1
  const next = cameras.map((one) => goesOn(one.line, here, direction)).filter((one) => one !== null)
  if (next.length === 0) {
    if (!cameras.some((one) => one.more)) return stand(at(engine, edge(cameras, direction) ?? here, now), 'over', now)
    return engine.phase === 'waiting' ? engine : { ...stand(engine, 'waiting', now), waitsSince: now }
  }
  const to = direction === 1 ? Math.min(...next) : Math.max(...next)
  return { ...at(engine, to, now), jumped: { from: here, to, at: now } }
}

/** The last moment of the lines in a direction. */
function edge(cameras: readonly Standing[], direction: 1 | -1): number | null {
  const edges = cameras.map((one) => (direction === 1 ? one.line.at(-1)?.end : one.line[0]?.begin)).filter((one) => one !== undefined)
  if (edges.length === 0) return null
  return direction === 1 ? Math.max(...edges) - intoPictureMs : Math.min(...edges) + intoPictureMs
}
