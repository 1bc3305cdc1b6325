/** The sound of one connection: asked for by a word, taken out of what arrives, played beside the picture. */
import { SoundElement } from './soundElement'
import { kindOf } from './track'

/**
 * off: not asked for. waiting: asked, nothing heard yet. playing. none: the camera sends none.
 * unplayable: it sends what this browser cannot play. blocked: the browser wants a gesture first.
 */
export type SoundStatus = 'off' | 'waiting' | 'playing' | 'none' | 'unplayable' | 'blocked'

export interface SoundState {
  on: boolean
  status: SoundStatus
  /** What the camera sends, as the media node names it; null while none has come. */
  codec: string | null
  volume: number
}

export const silent: SoundState = { on: false, status: 'off', codec: null, volume: 0.8 }

export interface ListeningDoor {
  send: (word: 'audio on' | 'audio off') => void
  video: () => HTMLVideoElement | null
  changed: (state: SoundState) => void
  now: () => number
}

/** A camera from which nothing has come for so long sends no sound. */
const noneAfterMs = 4000

/** What the media node calls a coding it does not know. */
const unknownCodec = 'other'

/** A sound element is closed and made anew after an error, this often in a row. */
const triesMax = 3

export class Listening {
  state: SoundState
  element: SoundElement | null = null
  private readonly door: ListeningDoor
  private since = 0
  private expectsInit = false
  private tries = 0

  constructor(door: ListeningDoor, before: SoundState = silent) {
    this.door = door
    this.state = { ...before, status: before.on ? 'waiting' : 'off', codec: null }
  }

  /** The person wants to hear, or no longer. */
  want(on: boolean): void {
    if (on === this.state.on && this.state.status !== 'blocked') return
    this.drop()
    this.tries = 0
    this.since = this.door.now()
    this.change({ on, status: on ? 'waiting' : 'off' })
    this.door.send(on ? 'audio on' : 'audio off')
  }

  setVolume(volume: number): void {
    if (this.element !== null) this.element.audio.volume = volume
    this.change({ volume })
  }

  /** The connection stands: what is wanted is said again. */
  opened(): void {
    this.since = this.door.now()
    if (this.state.on) this.door.send('audio on')
  }

  /** The connection is gone. */
  lost(): void {
    this.drop()
    this.change({ status: this.state.on ? 'waiting' : 'off', codec: null })
  }

  /** Takes a message if it is about sound. */
  said(word: { type?: unknown; mime?: unknown; codec?: unknown }): boolean {
    // A slow connection may lose the beginning that was announced; the next one is the picture's.
    if (word.type === 'init') this.expectsInit = false
    if (word.type === 'sound' && typeof word.codec === 'string') {
      const unplayable = this.state.on && word.codec === unknownCodec
      this.change({ codec: word.codec, ...(unplayable ? { status: 'unplayable' } : {}) })
      return true
    }
    if (word.type !== 'audio' || typeof word.mime !== 'string') return false
    this.drop()
    this.expectsInit = true
    if (this.state.on && playable(word.mime)) this.start(word.mime)
    else if (this.state.on) this.change({ status: 'unplayable' })
    return true
  }

  /** Takes a segment if it is sound. */
  received(segment: ArrayBuffer): boolean {
    const kind = kindOf(segment)
    const own = kind === 'sound' || (kind === 'init' && this.expectsInit)
    if (!own) return false
    this.expectsInit = false
    this.element?.append(segment)
    return true
  }

  /** Called a few times a second. */
  keepUp(): void {
    if (!this.state.on) return
    const video = this.door.video()
    if (video !== null) this.element?.keepUp(video)
    const waited = this.door.now() - this.since > noneAfterMs
    if (this.state.status === 'waiting' && waited && this.element === null) {
      this.change({ status: this.state.codec === unknownCodec ? 'unplayable' : 'none' })
    }
  }

  close(): void {
    this.drop()
  }

  private start(mime: string): void {
    const element = new SoundElement(mime, this.state.volume, {
      onHeard: (heard) => this.change({ status: heard ? 'playing' : 'waiting' }),
      onBlocked: () => this.change({ status: 'blocked' }),
      onBroken: () => this.broken(element),
    })
    this.element = element
    this.change({ status: 'waiting' })
  }

  /** Asking again brings a new beginning. */
  private broken(element: SoundElement): void {
    if (this.element !== element) return
    this.drop()
    this.tries += 1
    if (this.tries < triesMax) this.door.send('audio on')
    else this.change({ status: 'unplayable' })
  }

  private drop(): void {
    this.element?.close()
    this.element = null
    this.expectsInit = false
  }

  private change(part: Partial<SoundState>): void {
    const next = { ...this.state, ...part }
    const same = next.on === this.state.on && next.status === this.state.status && next.codec === this.state.codec && next.volume === this.state.volume
    this.state = next
    if (!same) this.door.changed(next)
  }
}

function playable(mime: string): boolean {
  return typeof MediaSource !== 'undefined' && MediaSource.isTypeSupported(mime)
}
