/** Drives one live picture: the machine decides, this carries out its commands with sockets, elements and the server. */
import { serverNow } from '@/api/client'
import { asApiError } from '@/api/errors'
import type { LiveAccess } from '@/api/types'
import { Listening, type SoundState } from '@/sound/listening'

import { decodingOf, type Decoding } from './decoding'
import { Delay } from './delay'
import { active, advance, idle, type PlayerEvent, type PlayerState } from './machine'
import { codecName, playable } from './mime'
import { Picture, type PictureStats } from './picture'

export interface LiveDoor {
  /** A fresh access under the grant in use. */
  request: () => Promise<LiveAccess>
  report: (accessId: string, elapsedMs: number) => void
  release: (accessId: string) => void
  changed: (state: PlayerState) => void
  sounded: (state: SoundState) => void
  /** What the browser says of decoding the stream that comes. */
  judged?: (decoding: Decoding) => void
}

export interface LiveStats extends PictureStats {
  /** From the arrival of what is shown at the server to the screen; null while it is not known. */
  delayMs: number | null
}

const tickMs = 250

export class LivePlayer {
  state: PlayerState = idle(serverNow())
  picture: Picture | null = null
  readonly listening: Listening
  private readonly delay = new Delay()
  private socket: WebSocket | null = null
  private readonly timer: number
  private readonly door: LiveDoor
  private released: string | null = null

  constructor(door: LiveDoor) {
    this.door = door
    this.listening = new Listening({
      send: (word) => {
        if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(word)
      },
      video: () => this.picture?.video ?? null,
      changed: (state) => this.door.sounded(state),
      now: serverNow,
    })
    this.timer = window.setInterval(() => this.tick(), tickMs)
  }

  /** Starts with an access that was just granted; `clickedAt` is when the person asked. */
  adopt(access: LiveAccess, clickedAt: number): void {
    this.state = { ...idle(clickedAt), phase: 'requesting', clickedAt }
    this.granted(access)
  }

  feed(event: PlayerEvent): void {
    const before = this.state
    const { state, commands } = advance(this.state, event, serverNow())
    this.state = state
    for (const command of commands) this[command]()
    if (state.phase !== before.phase || state.cause !== before.cause || state.attempt !== before.attempt) this.door.changed(this.state)
  }

  stats(): LiveStats | null {
    if (this.picture === null || (this.state.phase !== 'playing' && this.state.phase !== 'stalled')) return null
    return { ...this.picture.stats(), delayMs: this.delay.of(this.picture.video.currentTime * 1000, performance.now()) }
  }

  /** For good: nothing of this player runs afterwards. */
  dispose(): void {
    this.feed({ type: 'stop' })
    this.listening.close()
    window.clearInterval(this.timer)
  }

  private tick(): void {
    this.picture?.keepUp()
    this.listening.keepUp()
    if (this.state.phase === 'playing' && document.visibilityState === 'visible') this.askAge()
    if (active(this.state.phase)) this.feed({ type: 'tick', visible: document.visibilityState === 'visible' })
  }

  private askAge(): void {
    const question = this.socket?.readyState === WebSocket.OPEN ? this.delay.ask(performance.now()) : null
    if (question !== null) this.socket?.send(`age ${question}`)
  }

  private granted(access: LiveAccess): void {
    this.feed({
      type: 'granted',
      accessId: access.access_id,
      sessionId: access.session_id,
      url: access.url,
      grantEndsAt: Date.parse(access.grant.ends_at),
    })
  }

  private request(): void {
    const asked = this.state.since
    this.door.request().then(
      (access) => {
        if (this.state.phase === 'requesting' && this.state.since === asked) this.granted(access)
        else this.door.release(access.access_id)
      },
      (problem: unknown) => {
        const { status, code, params } = asApiError(problem)
        this.feed({ type: 'refused', status, code, params })
      },
    )
  }

  private connect(): void {
    if (this.state.url === null) return
    if (typeof MediaSource === 'undefined') {
      this.feed({ type: 'ending', reason: 'noMse' })
      return
    }
    const socket = new WebSocket(this.state.url)
    socket.binaryType = 'arraybuffer'
    this.socket = socket
    socket.onopen = () => {
      this.feed({ type: 'opened' })
      this.listening.opened()
    }
    socket.onmessage = (message: MessageEvent<string | ArrayBuffer>) => {
      if (this.socket !== socket) return
      if (typeof message.data === 'string') this.said(message.data)
      else this.received(message.data)
    }
    socket.onclose = () => {
      if (this.socket === socket) this.feed({ type: 'lost', reason: 'connection_lost' })
    }
  }

  private said(text: string): void {
    let word: { type?: unknown; mime?: unknown; reason?: unknown; codec?: unknown; width?: unknown; height?: unknown; question?: unknown; media_ms?: unknown; age_ms?: unknown }
    try {
      word = JSON.parse(text) as typeof word
    } catch {
      this.feed({ type: 'lost', reason: 'protocol_error' })
      return
    }
    if (this.listening.said(word)) return
    if (word.type === 'age') this.delay.heard(Number(word.question), Number(word.media_ms), Number(word.age_ms), performance.now())
    if (word.type === 'end') this.feed({ type: 'ending', reason: typeof word.reason === 'string' ? word.reason : 'unknown' })
    if (word.type === 'init' && typeof word.mime === 'string') {
      this.prepare(word.mime)
      const { judged } = this.door
      if (judged !== undefined) void decodingOf(word.mime, Number(word.width), Number(word.height), playable(word.mime)).then(judged)
    }
  }

  private prepare(mime: string): void {
    if (!playable(mime)) {
      this.feed({ type: 'unsupported', codec: codecName(mime) })
      return
    }
    if (this.picture !== null) {
      this.picture.change(mime)
      return
    }
    this.picture = new Picture(mime, {
      onPicture: () => this.feed({ type: 'picture' }),
      onBroken: (reason) => this.feed({ type: 'lost', reason }),
    })
    this.door.changed(this.state)
  }

  private received(segment: ArrayBuffer): void {
    if (this.listening.received(segment)) return
    if (this.picture === null) return // bytes before their init message: nothing can be made of them
    this.feed({ type: 'data' })
    this.picture.append(segment)
  }

  private teardown(): void {
    const socket = this.socket
    this.socket = null
    if (socket !== null && socket.readyState <= WebSocket.OPEN) socket.close(1000)
    this.picture?.close()
    this.picture = null
    this.listening.lost()
    this.delay.forget()
  }

  private report(): void {
    const { accessId, measuredMs } = this.state
    if (accessId !== null && measuredMs !== null) this.door.report(accessId, Math.round(measuredMs))
  }

  private release(): void {
    const { accessId } = this.state
    if (accessId === null || accessId === this.released) return
    this.released = accessId
    this.door.release(accessId)
  }
}
