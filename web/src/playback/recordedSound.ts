/**
 * The sound of one camera's recordings beside its picture: fetched a few seconds ahead, in pieces of a segment, and played
 * by an element of its own on the common clock. Forwards at the recorded speed only; otherwise there is silence. Times: ms since 1970.
 */
import type { SoundState } from '@/sound/listening'
import { silent } from '@/sound/listening'
import { inStep } from '@/sound/step'

import { before, type Segment } from './line'
import { Screen, ScreenTrouble } from './screen'

/** A segment's sound is fetched in pieces of this; a piece holds what begins in it. */
const pieceMs = 4000
/** Fetched so far ahead of the clock, and kept so long around it. */
const aheadMs = 8000
const keptBehindMs = 8000
const keptAheadMs = 20_000
/** What begins before a segment's end may be told a little behind it. */
const overhangMs = 2000
/** After a fault it is tried again, so often in a row. */
const retryMs = 2000
const triesMax = 3

/** Of RFC 6381 names as the index of a segment tells them. */
const codecs: Record<string, string> = { alaw: 'g711a', ulaw: 'g711u' }

export interface Piece {
  id: string
  segment: Segment
  begin: number
  end: number
}

export interface Hearing {
  line: readonly Segment[]
  /** How the sound of a segment is coded: empty when it has none, null while that is not known. */
  codecOf: (segment: Segment) => string | null
  position: number
  /** Whether the clock moves just now, forwards, at the recorded speed. */
  usual: boolean
}

/** The pieces of sound around a moment, in order: from the one it is in on, as far as they are wanted. */
export function piecesFrom(line: readonly Segment[], at: number, untilMs: number): Piece[] {
  const found: Piece[] = []
  for (let index = Math.max(0, before(line, at)); index < line.length; index++) {
    const segment = line[index]
    if (segment === undefined || segment.begin >= at + untilMs) break
    const count = Math.max(1, Math.ceil((segment.end - segment.begin) / pieceMs))
    for (let number = 0; number < count; number++) {
      const begin = segment.begin + number * pieceMs
      const end = number === count - 1 ? segment.end + overhangMs : begin + pieceMs
      // The last one of a segment that is being written is another one when more is there.
      const id = `${segment.stream}/${segment.sequence}/${number === count - 1 ? segment.end : number}`
      if (end > at && begin < at + untilMs) found.push({ id, segment, begin, end })
    }
  }
  return found
}

/** Where the first two boxes of fragmented MP4 end: `ftyp` and `moov`. */
export function beginningEnd(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let at = 0
  for (let box = 0; box < 2; box++) {
    if (bytes.byteLength - at < 8) return bytes.byteLength
    at += Math.max(8, view.getUint32(at))
  }
  return Math.min(at, bytes.byteLength)
}

export function soundUrl(piece: Piece): string {
  const { segment } = piece
  const us = (at: number) => Math.round((at - segment.begin) * 1000)
  return `${segment.url}/sound?begin_us=${us(piece.begin)}&end_us=${us(piece.end)}`
}

export class RecordedSound {
  state: SoundState = { ...silent }
  private element: Screen | null = null
  private readonly held = new Map<string, Piece>()
  private fetching: AbortController | null = null
  private quietUntil = 0
  private tries = 0
  private starting = false
  private closed = false

  /** `origin` is the moment that is zero for the element. */
  constructor(private readonly origin: number) {}

  want(on: boolean): void {
    if (this.closed || (on === this.state.on && this.state.status !== 'blocked')) return
    this.drop()
    this.tries = 0
    this.quietUntil = 0
    this.state = { ...this.state, on, status: on ? 'waiting' : 'off' }
  }

  setVolume(volume: number): void {
    this.state = { ...this.state, volume }
    if (this.element !== null) this.element.video.volume = volume
  }

  /** Called at every tick. */
  present(hearing: Hearing, now: number): void {
    const { line, position, usual } = hearing
    const segment = line[before(line, position)] ?? null
    const codec = segment === null ? null : hearing.codecOf(segment)
    const name = codec === null ? this.state.codec : codec === '' ? null : (codecs[codec] ?? 'aac')
    if (name !== this.state.codec) this.state = { ...this.state, codec: name }
    if (!this.state.on || this.closed || this.state.status === 'blocked') return
    if (this.tries >= triesMax) {
      this.tell('unplayable')
      return
    }
    if (!usual) {
      this.element?.video.pause()
      this.tell('waiting')
      return
    }
    this.fetchAround(hearing, now)
    this.keepUp(position, codec === '')
  }

  close(): void {
    this.drop()
    this.closed = true
  }

  private tell(status: SoundState['status']): void {
    if (status !== this.state.status) this.state = { ...this.state, status }
  }

  private seconds(at: number): number {
    return (at - this.origin) / 1000
  }

  private keepUp(position: number, none: boolean): void {
    const { element } = this
    if (element === null) {
      this.tell(none ? 'none' : 'waiting')
      return
    }
    const audio = element.video
    const { buffered } = audio
    const ranges = Array.from({ length: buffered.length }, (_, index) => ({ start: buffered.start(index), end: buffered.end(index) }))
    const pace = inStep(ranges, audio.currentTime, audio.playbackRate, this.seconds(position), 1)
    if (pace.silent) audio.pause()
    else {
      if (pace.seekTo !== null) audio.currentTime = pace.seekTo
      if (audio.playbackRate !== pace.rate) audio.playbackRate = pace.rate
      if (audio.paused && !this.starting) this.play(element)
    }
    const heard = !pace.silent && !audio.paused && audio.readyState >= HTMLMediaElement.HAVE_FUTURE_DATA
    this.tell(heard ? 'playing' : none ? 'none' : 'waiting')
  }

  private play(element: Screen): void {
    this.starting = true
    element.video.play().then(
      () => (this.starting = false),
      (problem: unknown) => {
        this.starting = false
        if (this.element === element && problem instanceof DOMException && problem.name === 'NotAllowedError') this.tell('blocked')
      },
    )
  }

  private fetchAround({ line, position, codecOf }: Hearing, now: number): void {
    this.discard(position)
    if (this.fetching !== null || now < this.quietUntil) return
    const next = piecesFrom(line, position, aheadMs).find((one) => !this.held.has(one.id) && codecOf(one.segment) !== '')
    if (next === undefined || codecOf(next.segment) === null) return
    const stop = new AbortController()
    this.fetching = stop
    this.bring(next, stop)
      .catch((problem: unknown) => this.failed(next, stop, problem))
      .finally(() => {
        if (this.fetching === stop) this.fetching = null
      })
  }

  private async bring(piece: Piece, stop: AbortController): Promise<void> {
    const response = await fetch(soundUrl(piece), { signal: stop.signal, credentials: 'same-origin' })
    if (!response.ok) throw new Error(String(response.status))
    const bytes = new Uint8Array(await response.arrayBuffer())
    const mime = response.headers.get('content-type') ?? ''
    if (stop.signal.aborted || this.closed) return
    this.held.set(piece.id, piece)
    const beginning = beginningEnd(bytes)
    if (beginning === bytes.byteLength) return // nothing is heard in it
    this.element ??= this.made()
    await this.element.append({ mime, init: bytes.slice(0, beginning), offset: this.seconds(piece.segment.begin), bytes: bytes.slice(beginning) })
    this.tries = 0
  }

  private made(): Screen {
    const element = new Screen(() => {
      if (this.element === element) this.broken()
    })
    element.video.muted = false
    element.video.volume = this.state.volume
    return element
  }

  /** A refusal of the server is the picture's to tell; it asks for the same segment. */
  private failed(piece: Piece, stop: AbortController, problem: unknown): void {
    if (stop.signal.aborted || this.closed) return
    this.held.delete(piece.id)
    if (problem instanceof ScreenTrouble && problem.trouble === 'unsupported') this.tries = triesMax
    else if (problem instanceof ScreenTrouble) this.broken()
    this.quietUntil = performance.now() + retryMs
  }

  private broken(): void {
    this.tries += 1
    this.drop()
    this.quietUntil = performance.now() + retryMs
  }

  private discard(position: number): void {
    for (const [id, piece] of this.held) {
      if (piece.end > position - keptBehindMs && piece.begin < position + keptAheadMs) continue
      this.held.delete(id)
      this.element?.remove(this.seconds(piece.begin), this.seconds(piece.end)).catch(() => undefined)
    }
  }

  private drop(): void {
    this.fetching?.abort()
    this.fetching = null
    this.element?.close()
    this.element = null
    this.held.clear()
    this.starting = false
  }
}
