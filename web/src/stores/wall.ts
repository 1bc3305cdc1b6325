/** The video wall: which camera is where, under which grant, and the players behind the tiles. */
import { defineStore } from 'pinia'
import { computed, ref, shallowReactive, shallowRef } from 'vue'

import { answer, api, serverNow } from '@/api/client'
import { RESYNC } from '@/api/events'
import type { LiveAccess, LiveGrant, LiveRequest } from '@/api/types'
import type { Direction, Layout } from '@/live/keymap'
import { neighbour } from '@/live/keymap'
import { learnt, newFit, settleMs, stayMs, undecoded, wantedStream, type Choice, type Fit, type Wanted, type Why } from '@/live/streamChoice'
import { emptySlots, landing, resized, swapped, type Slots } from '@/live/slots'
import type { Decoding } from '@/player/decoding'
import { LivePlayer } from '@/player/livePlayer'
import { active, type PlayerState } from '@/player/machine'
import { silent, type SoundState } from '@/sound/listening'
import { useDevices } from '@/stores/devices'
import { useFeed } from '@/stores/feed'

export interface Tile {
  readonly id: number
  readonly channelId: string
  /** 0 main, 1 first sub stream. */
  stream: number
  /** Whether the server makes H.264 of it. */
  transcoded: boolean
  /** What decides on the stream, and what it went by. */
  choice: Choice
  why: Why
  fit: Fit
  decoding: Decoding | null
  player: LivePlayer
  state: PlayerState
  grant: LiveGrant
  /** Changes whenever the player has another video element, or none. */
  picture: HTMLVideoElement | null
  sound: SoundState
}

export type Terms = Pick<LiveRequest, 'purpose_id' | 'reason' | 'duration_s' | 'grant_id'>

const layoutMemory = 'commonview.layout'

function rememberedLayout(): Layout {
  try {
    const value = Number(localStorage.getItem(layoutMemory))
    return value === 1 || value === 9 || value === 16 ? value : 4
  } catch {
    return 4
  }
}

async function openLive(channelId: string, terms: Terms, { stream, transcoded }: Pick<Wanted, 'stream' | 'transcoded'>): Promise<LiveAccess> {
  const codec = transcoded ? 'h264' : null
  return answer(api.POST('/api/live', { body: { channel_id: channelId, protocol: 'ws', stream_number: stream, codec, ...terms } }))
}

const differs = (next: Wanted, tile: Tile) => next.stream !== tile.stream || next.transcoded !== tile.transcoded

function releaseAccess(accessId: string): void {
  // The server also notices by itself; this only tells it at once.
  answer(api.DELETE('/api/live/{access_id}', { params: { path: { access_id: accessId } } })).catch(() => undefined)
}

function reportPicture(accessId: string, elapsedMs: number): void {
  const asked = api.POST('/api/live/{access_id}/picture', { params: { path: { access_id: accessId } }, body: { elapsed_ms: elapsedMs } })
  answer(asked).catch(() => undefined)
}

export const useWall = defineStore('wall', () => {
  const layout = ref<Layout>(rememberedLayout())
  const slots = shallowRef<Slots<Tile>>(emptySlots<Tile>(layout.value))
  const focused = ref(0)
  /** A camera somebody asked for on another page; the wall takes it up with its usual questions. */
  const wanted = ref<string | null>(null)
  let lastId = 0
  /** Widths of the tiles' places in the screen's own pixels, and when they came to be so. */
  const widths = new Map<number, { pixels: number; at: number }>()

  const tiles = computed(() => slots.value.filter((tile): tile is Tile => tile !== null))
  const focusedTile = computed(() => slots.value[focused.value] ?? null)
  const shown = computed(() => new Set(tiles.value.map((tile) => tile.channelId)))

  function newPlayer(tile: () => Tile): LivePlayer {
    const player: LivePlayer = new LivePlayer({
      request: () => openLive(tile().channelId, { grant_id: tile().grant.id }, tile()),
      report: reportPicture,
      release: releaseAccess,
      sounded: (state) => {
        if (tile().player === player) tile().sound = state
      },
      judged: (decoding) => {
        const own = tile()
        if (own.player !== player) return
        own.decoding = decoding
        if (own.transcoded) return
        if (!decoding.supported) own.fit = undecoded(own.fit, own.stream)
        if (own.stream === 0) own.fit.rough = decoding.supported && !decoding.smooth
      },
      changed: (state) => {
        const own = tile()
        if (own.player !== player) return
        own.state = state
        own.picture = player.picture?.video ?? null
        if (state.phase === 'connecting' || state.phase === 'waiting' || state.cause?.kind === 'ending') void lookAtSession(own)
      },
    })
    return player
  }

  /** Puts a camera on the wall. Throws the server's refusal, so that whoever asked can say it. */
  async function open(channelId: string, terms: Terms, slot?: number): Promise<Tile> {
    const clickedAt = serverNow()
    const place = slot !== undefined && slot < slots.value.length ? slot : landing(slots.value, focused.value)
    const fit = newFit(clickedAt)
    const wish = wantedStream({ ...fit, choice: 'auto', stream: 0, transcoded: false, pixels: widths.get(place)?.pixels ?? 0 })
    const access = await openLive(channelId, terms, wish)
    lastId += 1
    const holder: { tile?: Tile } = {}
    const player = newPlayer(() => holder.tile as Tile)
    const shown = { player, state: player.state, grant: access.grant, picture: null, sound: silent, decoding: null }
    const tile: Tile = shallowReactive({ id: lastId, channelId, ...wish, choice: 'auto' as Choice, fit, ...shown })
    holder.tile = tile
    slots.value[place]?.player.dispose()
    slots.value = slots.value.map((old, index) => (index === place ? tile : old))
    focused.value = place
    player.adopt(access, clickedAt)
    return tile
  }

  /** Goes on with another stream of the camera, under the same grant, or with whichever fits. */
  async function chooseStream(tile: Tile, choice: Choice): Promise<void> {
    tile.choice = choice
    if (choice === 'auto') {
      tile.fit = newFit(0)
      await adapt(tile)
      return
    }
    const next = wantedStream({ ...tile.fit, choice, stream: tile.stream, transcoded: tile.transcoded, pixels: 0 })
    tile.why = next.why
    if (differs(next, tile)) await extend(tile, { grant_id: tile.grant.id }, next)
  }

  function measure(slot: number, pixels: number): void {
    widths.set(slot, { pixels, at: serverNow() })
  }

  /** Shows the stream that fits the tile and the browser, where nobody has chosen one. */
  async function adapt(tile: Tile): Promise<void> {
    const { state, choice } = tile
    if (tile.fit.switching || (!active(state.phase) && state.phase !== 'failed')) return
    tile.fit = learnt(tile.fit, tile, { phase: state.phase, cause: state.cause?.code ?? null, shown: state.measuredMs !== null })
    const width = widths.get(slots.value.indexOf(tile))
    const next = wantedStream({ ...tile.fit, choice, stream: tile.stream, transcoded: tile.transcoded, pixels: width?.pixels ?? 0 })
    // A person has the say over the stream; what this browser cannot decode is converted all the same.
    if (choice !== 'auto' && next.stream !== tile.stream) return
    tile.why = next.why
    if (!differs(next, tile)) return
    const now = serverNow()
    const steady = now - tile.fit.since >= stayMs && now - (width?.at ?? 0) >= settleMs
    const failing = state.phase === 'failed' || state.phase === 'reconnecting'
    if (!failing && !(state.phase === 'playing' && steady)) return
    if (failing && next.transcoded) {
      // There is nothing to be kept on screen, and a refusal is the player's to show.
      Object.assign(tile, { stream: next.stream, transcoded: true })
      tile.player.feed({ type: 'retry' })
      return
    }
    const { fit } = tile
    fit.switching = true
    fit.since = now
    try {
      const arrived = await extend(tile, { grant_id: tile.grant.id }, next, !failing)
      if (!arrived && next.stream === 1) fit.noSub = true
    } catch {
      // Refused now; what is shown stays, and it is tried again when the time has come.
    } finally {
      fit.switching = false
    }
  }

  /** Makes a tile heard or silences it. One is heard at a time, unless a further one is asked for. */
  function listen(tile: Tile, on: boolean, also = false): void {
    if (on && !also) for (const other of tiles.value) if (other !== tile) other.player.listening.want(false)
    tile.player.listening.want(on)
  }

  /**
   * Goes on under a new grant: the old picture stays until the new one is there; for good when `tentative` and it does not
   * come. Returns whether the new one is what the tile has now.
   */
  async function extend(tile: Tile, terms: Terms, wish: Pick<Wanted, 'stream' | 'transcoded'> = tile, tentative = false): Promise<boolean> {
    const clickedAt = serverNow()
    const { stream, transcoded } = wish
    const access = await openLive(tile.channelId, terms, wish)
    const before = tile.player
    const after = newPlayer(() => tile)
    const showing = before.state.phase === 'playing'
    const settle = (): void => {
      const { on, volume } = before.listening.state
      before.dispose()
      after.listening.setVolume(volume)
      after.listening.want(on)
      tile.stream = stream
      tile.transcoded = transcoded
      tile.player = after
      tile.grant = access.grant
      tile.state = after.state
      tile.sound = after.listening.state
      tile.picture = after.picture?.video ?? null
    }
    after.adopt(access, clickedAt)
    if (!showing) {
      settle()
      return true
    }
    await new Promise<void>((done) => {
      const timer = window.setInterval(() => {
        if (after.state.phase === 'connecting' || after.state.phase === 'waiting') return
        window.clearInterval(timer)
        done()
      }, 50)
    })
    const stays = !slots.value.includes(tile) || (tentative && after.state.phase !== 'playing')
    if (stays) after.dispose()
    else settle()
    return !stays
  }

  function close(slot: number): void {
    slots.value[slot]?.player.dispose()
    slots.value = slots.value.map((tile, index) => (index === slot ? null : tile))
  }

  function closeAll(): void {
    for (const tile of tiles.value) tile.player.dispose()
    slots.value = emptySlots<Tile>(layout.value)
  }

  /** Returns how many pictures had to be closed for want of room. */
  function setLayout(next: Layout): number {
    const result = resized(slots.value, next, focused.value)
    for (const tile of result.closed) tile.player.dispose()
    slots.value = result.slots
    focused.value = Math.min(result.focused, next - 1)
    layout.value = next
    try {
      localStorage.setItem(layoutMemory, String(next))
    } catch {
      // storage may be denied; the next visit then starts with four tiles
    }
    return result.closed.length
  }

  function swap(from: number, to: number): void {
    if (from === to) return
    slots.value = swapped(slots.value, from, to)
    focused.value = to
  }

  function move(direction: Direction, take: boolean): void {
    const to = neighbour(focused.value, direction, layout.value)
    if (take) swap(focused.value, to)
    else focused.value = to
  }

  /** Why is there no picture yet? The session knows the hop that failed before the outlet gives up. */
  async function lookAtSession(tile: Tile): Promise<void> {
    const { sessionId } = tile.state
    if (sessionId === null) return
    try {
      const session = await answer(api.GET('/api/sessions/{session_id}', { params: { path: { session_id: sessionId } } }))
      if (tile.state.sessionId !== sessionId) return
      const last = session.timeline.findLast((step) => step.step === 'retrying' || step.step === 'first_key_frame')
      if (session.failure !== null) tile.player.feed({ type: 'sessionFailed', code: session.failure.code, params: session.failure.params })
      else if (last?.step === 'retrying') tile.player.feed({ type: 'sessionTroubled', code: String(last.params.code), params: last.params })
    } catch {
      // the player's own time limits still hold
    }
  }

  async function lookAtGrants(): Promise<void> {
    const held = tiles.value.filter((tile) => active(tile.state.phase))
    if (held.length === 0) return
    try {
      const { items } = await answer(api.GET('/api/grants', { params: { query: { limit: 200 } } }))
      const revoked = new Set(items.filter((grant) => grant.state === 'revoked').map((grant) => grant.id))
      for (const tile of held) if (revoked.has(tile.grant.id)) tile.player.feed({ type: 'revoked' })
    } catch {
      // the media node cuts the picture by itself
    }
  }

  function start(): () => void {
    const devices = useDevices()
    const unlisten = useFeed().listen((event) => {
      if (event.topic === 'session.changed' || event.topic === RESYNC) {
        for (const tile of tiles.value) {
          if (event.payload.session_id === undefined || event.payload.session_id === tile.state.sessionId) {
            if (tile.state.phase === 'connecting' || tile.state.phase === 'waiting' || tile.state.phase === 'stalled') void lookAtSession(tile)
          }
        }
      }
      if (event.topic === 'grant.changed' || event.topic === RESYNC) void lookAtGrants()
    })
    // Where notifications are lost, looking every few seconds still finds the truth.
    const fitting = window.setInterval(() => {
      for (const tile of tiles.value) void adapt(tile)
    }, 500)
    const looking = window.setInterval(() => {
      for (const tile of tiles.value) {
        if (tile.state.phase === 'waiting' || tile.state.phase === 'stalled') void lookAtSession(tile)
        const waited = tile.state.cause?.kind === 'failure' && tile.state.cause.code === 'device_offline'
        if (!waited) continue
        void devices.look(tile.channelId).then(() => {
          if (devices.known.get(tile.channelId)?.online === true) tile.player.feed({ type: 'deviceBack' })
        })
      }
    }, 3000)
    return () => {
      unlisten()
      window.clearInterval(looking)
      window.clearInterval(fitting)
      closeAll()
    }
  }

  return { layout, slots, focused, wanted, focusedTile, tiles, shown, open, extend, listen, measure, chooseStream, close, closeAll, setLayout, swap, move, start }
})
