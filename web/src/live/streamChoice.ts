/** Which stream of its camera a tile shows: chosen by a person, or by what fits the tile and the browser. Pure. */

export type Choice = 'auto' | 0 | 1

/**
 * chosen: a person said so. small, large: it fits the tile. undecodable: this browser cannot decode the main stream;
 * rough: it can, but not smoothly. noSub: the camera gave no sub stream. transcoded: this browser decodes neither, so the
 * server converts it.
 */
export type Why = 'chosen' | 'small' | 'large' | 'undecodable' | 'rough' | 'noSub' | 'transcoded'

export interface Circumstances {
  choice: Choice
  stream: number
  /** What is shown now comes converted. */
  transcoded: boolean
  /** Width of the tile in the screen's own pixels; 0 while it is not measured. */
  pixels: number
  /** The main stream cannot be decoded here. */
  undecodable: boolean
  /** The browser says that it decodes the main stream, but not smoothly. */
  rough: boolean
  /** The sub stream did not come, or cannot be decoded either. */
  noSub: boolean
  /** It did come, and cannot be decoded here. */
  subUndecodable: boolean
}

export interface Wanted {
  stream: number
  /** As H.264, made by the server. */
  transcoded: boolean
  why: Why
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
  subUndecodable: boolean
  /** When the stream shown was asked for, milliseconds. */
  since: number
  switching: boolean
}

export const newFit = (now: number): Fit => ({ undecodable: false, rough: false, noSub: false, subUndecodable: false, since: now, switching: false })

/** Endings that say nothing about a stream of the camera, but about the camera or the right to look. */
const noFault: ReadonlySet<string> = new Set(['device_offline', 'grant_ended', 'grant_revoked', 'access_cut', 'noMse'])

export interface Seen {
  phase: string
  /** The code of why it ended, if it did. */
  cause: string | null
  /** Whether a picture of it was ever shown. */
  shown: boolean
}

/** What it teaches that the browser does not decode a stream as the camera sends it. */
export const undecoded = (fit: Fit, stream: number): Fit => (stream === 0 ? { ...fit, undecodable: true } : { ...fit, noSub: true, subUndecodable: true })

/** What the fate of a stream teaches; that of a converted one says nothing of the camera's. */
export function learnt(fit: Fit, { stream, transcoded }: { stream: number; transcoded: boolean }, seen: Seen): Fit {
  if (transcoded) return fit
  if (seen.cause === 'unsupported') return undecoded(fit, stream)
  const failed = seen.phase === 'failed' || seen.phase === 'reconnecting'
  const fault = seen.cause !== null && !noFault.has(seen.cause)
  return stream === 1 && failed && fault && !seen.shown ? { ...fit, noSub: true } : fit
}

export function wantedStream(now: Circumstances): Wanted {
  if (now.choice !== 'auto') return shown(now.choice, now.choice === 0 ? now.undecodable : now.subUndecodable, 'chosen')
  const narrow = now.pixels > 0 && now.pixels < smallBelow
  if (now.undecodable && now.noSub) {
    // What is converted stays what it is: another size would be another transcoder.
    const stream = now.transcoded ? now.stream : now.subUndecodable && narrow ? 1 : 0
    return shown(stream, true, 'transcoded')
  }
  if (now.noSub) return shown(0, false, 'noSub')
  if (now.undecodable) return shown(1, false, 'undecodable')
  if (now.rough) return shown(1, false, 'rough')
  const small = narrow || (now.pixels > 0 && now.stream === 1 && now.pixels <= largeAbove)
  return small ? shown(1, false, 'small') : shown(0, false, 'large')
}

function shown(stream: number, transcoded: boolean, why: Why): Wanted {
  return { stream, transcoded, why: transcoded ? 'transcoded' : why }
}
