/** The one clock that all cameras follow: where playback stands, and how fast it moves. Times in ms, `now` by a monotone clock. */

export interface Clock {
  position: number
  at: number
  /** Signed; 0 while it stands. */
  rate: number
}

/** Speeds offered, slowest to fastest; the same backwards. */
export const speeds = [0.125, 0.25, 0.5, 1, 2, 4, 8, 16] as const
/** All of them, fastest backwards first. */
export const rates = [...speeds].reverse().map((one) => -one).concat([...speeds])
/** Above this only key frames are shown. */
export const everyPictureUpTo = 4

export function positionAt(clock: Clock, now: number): number {
  return clock.position + (now - clock.at) * clock.rate
}

export function moved(clock: Clock, position: number, now: number): Clock {
  return { ...clock, position, at: now }
}

export function turned(clock: Clock, rate: number, now: number): Clock {
  return { position: positionAt(clock, now), at: now, rate }
}

export function onlyKeys(rate: number): boolean {
  return Math.abs(rate) > everyPictureUpTo
}

/** Whether the pictures run by themselves in the browser, which they do forwards only. */
export function flows(rate: number): boolean {
  return rate > 0 && rate <= everyPictureUpTo
}

/** The next faster speed in a direction: from standing or from the other direction, ordinary speed. */
export function faster(rate: number, direction: 1 | -1): number {
  const size = rate * direction
  if (size < 1) return direction
  return direction * (speeds.find((one) => one > size) ?? 16)
}

/** As people write it: 1/4×, −2×. */
export function rateText(rate: number): string {
  const size = Math.abs(rate)
  return `${rate < 0 ? '−' : ''}${size < 1 ? `1/${1 / size}` : size}×`
}

export function slower(rate: number): number {
  const direction = rate < 0 ? -1 : 1
  return direction * (speeds.findLast((one) => one < Math.abs(rate)) ?? 0.125)
}

export interface Correction {
  /** Seconds to jump to; null to keep on. */
  jump: number | null
  rate: number
}

/** Further apart than this is jumped, seconds of media at ordinary speed. */
const jumpBeyond = 0.4
/** Closer than this is left alone. */
const closeEnough = 0.012

/** What keeps a picture that runs with the clock: nothing, a little faster or slower, or a jump. Seconds. */
export function correction(target: number, current: number, rate: number): Correction {
  const behind = target - current
  if (Math.abs(behind) > jumpBeyond * Math.max(1, rate)) return { jump: target, rate }
  if (Math.abs(behind) < closeEnough * Math.max(1, rate)) return { jump: null, rate }
  const part = Math.max(-0.25, Math.min(0.25, behind / Math.max(1, rate)))
  return { jump: null, rate: rate * (1 + part) }
}
