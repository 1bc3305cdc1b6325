/** Recordings of up to sixteen cameras on one clock: the machine decides, this lets the cameras show it. */
import { computed, onUnmounted, ref, shallowReactive, shallowRef } from 'vue'

import { serverNow } from '@/api/client'
import { asApiError } from '@/api/errors'
import { RESYNC } from '@/api/events'
import type { LiveGrant } from '@/api/types'
import type { Terms } from '@/recordings/usePlayback'
import { silent, type SoundState } from '@/sound/listening'
import { useFeed } from '@/stores/feed'

import { Camera, type Ask } from './camera'
import { advance, empty, place, type Engine, type Event } from './engine'
import { goesOn, holes, segmentAt, usualStream, type Hole } from './line'
import { Looks } from './looks'

export const mostCameras = 16

export type TileState = 'opening' | 'shown' | 'loading' | 'edge' | 'nothing' | 'ended'

export interface PlayerTile {
  readonly id: number
  readonly channelId: string
  readonly video: HTMLVideoElement
  grant: LiveGrant | null
  state: TileState
  /** What went wrong, as the server or the browser said it. */
  trouble: { code: string; params: Record<string, string | number> } | null
  stream: number
  streams: number[]
  holes: Hole[]
  /** The picture on screen, ms since 1970. */
  shownAt: number | null
  offByMs: number | null
  seekMs: number | null
  /** `foreign`: this browser cannot decode it, and is sent it transcoded. */
  codec: { name: string; width: number; height: number; foreign: boolean } | null
  sound: SoundState
}

interface Held {
  tile: PlayerTile
  camera: Camera
  looks: Looks
  chosen: number | null
  failedUntil: number
  /** For good: the grant or the look is over. */
  ended: boolean
}

const tickMs = 40
/** What was finished lately is asked for this often while one looks at the newest. */
const refreshMs = 3000
/** And so often when a segment was finished, and the next one is waited for. */
const soonMs = 500
const nearNowMs = 10 * 60_000
/** Looks that failed are opened again after so long. */
const pauseMs = 5000
/** Codes that speak of one file, not of the look. */
const fileCodes: ReadonlySet<string> = new Set(['segment_unknown', 'segment_unreadable'])
/** Codes that say that the look is over, whatever was asked. */
const overCodes: ReadonlySet<string> = new Set(['grant_ended', 'grant_revoked', 'not_permitted', 'role_lacks_right', 'grant_unusable'])

export function usePlayer() {
  const engine = shallowRef<Engine>(empty(performance.now()))
  const tiles = shallowReactive<PlayerTile[]>([])
  const position = ref(0)
  const holds = new Map<number, Held>()
  let origin: number | null = null
  let lastId = 0
  let refreshedAt = 0
  let hasNews = false

  const phase = computed(() => engine.value.phase)
  const rate = computed(() => engine.value.rate)
  const jumped = computed(() => engine.value.jumped)
  /** How far the pictures on screen are apart, ms; null unless two or more run. */
  const skewMs = ref<number | null>(null)
  const lead = ref<number | null>(null)
  /** Playback has come to the newest picture, and waits for more. */
  const atEdge = ref(false)

  const asked = (now: number): Ask => {
    const { phase: is, rate: speed } = engine.value
    return { position: place(engine.value, now), rate: speed, moving: is === 'moving', going: is === 'moving' || is === 'waiting' }
  }

  function feed(event: Event): void {
    const now = performance.now()
    engine.value = advance(engine.value, event, now)
    if (event.type === 'seek') for (const { camera } of holds.values()) camera.watch.seek(event.to, 500, now)
    // A place whose pictures are not there stops the clock at once, not at the next tick.
    if (event.type === 'seek' && holds.size > 0) tick()
    else show(now)
  }

  /** Something that was waited for is there: it is shown now, and not at the next tick. */
  function news(): void {
    if (hasNews) return
    hasNews = true
    queueMicrotask(() => {
      hasNews = false
      tick()
    })
  }

  /** Somebody points at a moment. */
  function foresee(at: number | null): void {
    for (const { camera } of holds.values()) camera.foresee(at)
  }

  /** Adds a camera at a moment. Throws the server's refusal, so that whoever asked can say it. */
  async function add(channelId: string, terms: Terms, at: number): Promise<PlayerTile> {
    if (tiles.length >= mostCameras) throw asApiError({ code: 'playback_full', params: { n: mostCameras } })
    const looks = new Looks(channelId)
    await looks.open(at, terms)
    if (origin === null) {
      // Media time is the wall clock counted from a year before, so that any moment of the recordings is after zero.
      origin = Math.floor(at / 1000) * 1000 - 300 * 86_400_000
      engine.value = { ...empty(performance.now()), rate: engine.value.rate }
      feed({ type: 'seek', to: at })
    }
    const camera = new Camera(origin, (now) => (engine.value.phase === 'moving' ? place(engine.value, now) : null), news)
    lastId += 1
    const tile: PlayerTile = shallowReactive({
      id: lastId, channelId, video: camera.screen.video, grant: looks.grant, state: 'opening', trouble: null, stream: 0, streams: [],
      holes: [], shownAt: null, offByMs: null, seekMs: null, codec: null, sound: silent,
    })
    const held: Held = { tile, camera, looks, chosen: null, failedUntil: 0, ended: false }
    holds.set(tile.id, held)
    camera.watch.seek(place(engine.value, performance.now()), 500, performance.now())
    tell(held)
    tiles.push(tile)
    lead.value ??= tile.id
    return tile
  }

  function remove(id: number): void {
    const held = holds.get(id)
    holds.delete(id)
    held?.camera.close()
    held?.looks.close()
    const index = tiles.findIndex((one) => one.id === id)
    if (index >= 0) tiles.splice(index, 1)
    if (lead.value === id) lead.value = tiles[0]?.id ?? null
    if (tiles.length === 0) origin = null
  }

  function tell(held: Held): void {
    const { segments } = held.looks
    held.tile.streams = [...new Set(segments.map((one) => one.stream))].sort()
    held.tile.stream = held.chosen ?? usualStream(segments)
    held.camera.tell(segments, held.tile.stream)
    held.tile.holes = holes(held.camera.line)
    held.tile.grant = held.looks.grant
  }

  function chooseStream(id: number, stream: number): void {
    const held = holds.get(id)
    if (held === undefined) return
    held.chosen = stream
    tell(held)
  }

  /** One camera is heard at a time, unless others are asked for beside it. */
  function listen(id: number, { on, also }: { on: boolean; also: boolean }): void {
    for (const [other, { camera, tile }] of holds) {
      if (other === id) camera.sound.want(on)
      else if (on && !also) camera.sound.want(false)
      tile.sound = camera.sound.state
    }
  }

  function setVolume(id: number, volume: number): void {
    holds.get(id)?.camera.sound.setVolume(volume)
  }

  /** Where the server gives a small picture of a moment of the camera that is looked at; null outside what was opened. */
  function stillAt(at: number, width: number): string | null {
    const held = holds.get(lead.value ?? -1)
    const access = held === undefined || held.ended || segmentAt(held.camera.line, at) === null ? null : held.looks.accessAt(at)
    if (held === undefined || access === null) return null
    return `/api/recorded/${access}/${held.tile.stream}/still?at=${encodeURIComponent(new Date(at).toISOString())}&width=${width}`
  }

  function step(by: 1 | -1): void {
    const camera = holds.get(lead.value ?? -1)?.camera
    feed({ type: 'step', by, pictures: camera?.picturesAround(place(engine.value, performance.now())) ?? [] })
  }

  /** Looks where none is open yet, in the background; one camera's trouble is its own. */
  function lookOn(held: Held, at: number, direction: 1 | -1, now: number): void {
    if (held.ended || held.looks.busy || now < held.failedUntil) return
    const isKnown = held.looks.isKnown(at)
    const needs = !isKnown || (segmentAt(held.camera.line, at) === null && held.looks.hasMore(at, direction)) || !held.looks.isKnown(at + direction * 60_000 * Math.max(1, Math.abs(engine.value.rate)))
    if (!needs || at > serverNow()) return
    if (isKnown && !held.looks.hasMore(at, direction)) return
    held.looks.goOn(at, direction).then(
      () => tell(held),
      (problem: unknown) => refused(held, problem, now),
    )
  }

  function refused(held: Held, problem: unknown, now: number): void {
    const { code, params, status } = asApiError(problem)
    held.tile.trouble = { code, params }
    held.failedUntil = now + pauseMs
    if (overCodes.has(code) || status === 403 || (status === 404 && !fileCodes.has(code))) end(held)
  }

  /** Nothing of it stays on screen or in the buffer. */
  function end(held: Held): void {
    held.ended = true
    held.camera.close()
  }

  function check(grantId: unknown): void {
    for (const held of holds.values()) {
      if (held.ended || (grantId !== null && held.tile.grant?.id !== grantId)) continue
      held.looks.check().catch((problem: unknown) => refused(held, problem, performance.now()))
    }
  }

  function refresh(now: number, at: number): void {
    const isStale = [...holds.values()].some((held) => held.camera.growth.isStale)
    if (now - refreshedAt < (isStale ? soonMs : refreshMs) || serverNow() - at > nearNowMs) return
    refreshedAt = now
    for (const held of holds.values()) {
      if (held.ended) continue
      held.looks.refresh(at).then(
        (fresh) => {
          if (fresh) tell(held)
        },
        (problem: unknown) => refused(held, problem, performance.now()),
      )
    }
  }

  function tick(): void {
    const now = performance.now()
    if (holds.size === 0) return
    const ask = asked(now)
    const direction = ask.rate < 0 ? -1 : 1
    for (const held of holds.values()) lookOn(held, ask.position, direction, now)
    refresh(now, ask.position)
    const cameras = [...holds.values()]
      .filter((held) => !held.ended && held.camera.trouble === null)
      .map((held) => ({ ...held.camera.standing(ask), known: held.looks.isKnown(ask.position), more: held.looks.hasMore(ask.position, direction) }))
    engine.value = advance(engine.value, { type: 'tick', cameras }, now)
    const here = place(engine.value, now)
    if (engine.value.phase === 'over' && direction === 1 && cameras.some((one) => goesOn(one.line, here, 1) !== null)) feed({ type: 'play' })
    show(now)
  }

  function show(now: number): void {
    const ask = asked(now)
    position.value = ask.position
    for (const held of holds.values()) {
      held.camera.present(ask, now)
      describe(held, ask)
    }
    atEdge.value = engine.value.phase === 'waiting' && [...holds.values()].some((held) => held.camera.edge.stands)
    // Nothing is written faster than it happens.
    if (atEdge.value && engine.value.rate > 1) engine.value = advance(engine.value, { type: 'rate', rate: 1 }, now)
    const off = tiles.map((one) => one.offByMs).filter((one) => one !== null)
    skewMs.value = off.length > 1 && ask.moving ? Math.max(...off) - Math.min(...off) : null
  }

  function describe(held: Held, ask: Ask): void {
    const { tile, camera } = held
    const trouble = camera.trouble
    if (trouble !== null) tile.trouble = trouble
    else if (!held.ended && held.failedUntil < performance.now()) tile.trouble = null
    const ends = held.tile.grant === null ? Number.POSITIVE_INFINITY : Date.parse(held.tile.grant.ends_at)
    if (!held.ended && serverNow() >= ends) {
      tile.trouble = { code: 'grant_ended', params: {} }
      end(held)
    } else if (!held.ended && trouble !== null && (trouble.code === 'not_found' || overCodes.has(trouble.code))) end(held)
    tile.shownAt = camera.watch.shownAt
    tile.offByMs = camera.watch.offBy
    tile.seekMs = camera.watch.seekMs
    tile.codec = camera.codecs(ask.position)
    tile.sound = camera.sound.state
    tile.state = stateOf(held, ask)
  }

  function stateOf(held: Held, ask: Ask): TileState {
    if (held.ended) return 'ended'
    if (!held.looks.isKnown(ask.position)) return 'loading'
    if (segmentAt(held.camera.line, ask.position) === null) return 'nothing'
    if (held.camera.standing(ask).ready) return 'shown'
    return held.camera.edge.stands ? 'edge' : 'loading'
  }

  const unlisten = useFeed().listen((event) => {
    if (event.topic === RESYNC) check(null)
    else if (event.topic === 'grant.changed') check(event.payload.grant_id)
  })
  const ticking = window.setInterval(tick, tickMs)
  onUnmounted(() => {
    unlisten()
    window.clearInterval(ticking)
    for (const id of [...holds.keys()]) remove(id)
  })

  return { tiles, lead, position, phase, rate, jumped, skewMs, atEdge, feed, add, remove, chooseStream, listen, setVolume, stillAt, step, foresee }
}
