/** Which stream of its camera a tile shows: chosen by a person, or by what fits the tile and the browser. Pure. */

export type Choice = 'auto' | 0 | 1

/**
 * chosen: a person said so. small, large: it fits the tile. undecodable: this browser cannot decode the main stream;
 * rough: it can, but not smoothly. noSub: the camera gave no sub stream.
 */
export type Why = 'chosen' | 'small' | 'large' | 'undecodable' | 'rough' | 'noSub'

export interface Circumstances {
  choice: Choice
  stream: number
  /** Width of the tile in the screen's own pixels; 0 while it is not measured. */
  pixels: number
  /** The main stream cannot be decoded here. */
  undecodable: boolean
  /** The browser says that it decodes the main stream, but not smoothly. */
  rough: boolean
  /** The sub stream did not come, or cannot be decoded either. */
  noSub: boolean
}

/** A tile below this width shows the sub stream. */
export const smallBelow = 480
/** Above this it shows the main stream again; between the two what is there stays. */
export const largeAbove = 560
/** A tile must have kept its size for so long, and its stream, before another is asked for. */
export const settleMs = 1500
export const stayMs = 10_000

/** What a tile has learnt of its camera's streams. */
export interface Fit {
  undecodable: boolean
  rough: boolean
  noSub: boolean
  /** When the stream shown was asked for, milliseconds. */
  since: number
  switching: boolean
}

export const newFit = (now: number): Fit => ({ undecodable: false, rough: false, noSub: false, since: now, switching: false })

/** Endings that say nothing about a stream of the camera, but about the camera or the right to look. */
const noFault: ReadonlySet<string> = new Set(['device_offline', 'grant_ended', 'grant_revoked', 'access_cut', 'noMse'])

export interface Seen {
  phase: string
  /** The code of why it ended, if it did. */
  cause: string | null
  /** Whether a picture of it was ever shown. */
  shown: boolean
}

/** What the fate of a stream teaches. */
export function learnt(fit: Fit, stream: number, seen: Seen): Fit {
  if (seen.cause === 'unsupported') return stream === 0 ? { ...fit, undecodable: true } : { ...fit, noSub: true }
  const failed = seen.phase === 'failed' || seen.phase === 'reconnecting'
  const fault = seen.cause !== null && !noFault.has(seen.cause)
  return stream === 1 && failed && fault && !seen.shown ? { ...fit, noSub: true } : fit
}

export function wantedStream(now: Circumstances): { stream: number; why: Why } {
  if (now.choice !== 'auto') return { stream: now.choice, why: 'chosen' }
  if (now.noSub) return { stream: 0, why: 'noSub' }
  if (now.undecodable) return { stream: 1, why: 'undecodable' }
  if (now.rough) return { stream: 1, why: 'rough' }
  const small = now.pixels > 0 && (now.pixels < smallBelow || (now.stream === 1 && now.pixels <= largeAbove))
  return small ? { stream: 1, why: 'small' } : { stream: 0, why: 'large' }
}
