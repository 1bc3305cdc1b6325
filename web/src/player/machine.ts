/**
 * The life of one live picture as a pure state machine: an event and a time in, a new state and commands out.
 *
 *   idle -> requesting -> connecting -> waiting -> playing <-> stalled
 *                 \            \           \          |
 *                  +------------+-----------+-----> reconnecting -> requesting ...
 *                                                     |
 *                                        ended (for good)   failed (only a person tries again)
 *
 * Contract: whoever feeds an event carries out every command it gave, in order. No clock, no socket, no DOM here.
 */

export type Phase =
  | 'idle'
  | 'requesting'
  | 'connecting'
  | 'waiting'
  | 'playing'
  | 'stalled'
  | 'reconnecting'
  | 'ended'
  | 'failed'

export interface Cause {
  code: string
  params: Record<string, string | number>
  /** `ending`: why a viewing stopped; `failure`: which hop of the session failed; `refusal`: what the server refused. */
  kind: 'ending' | 'failure' | 'refusal'
}

export interface PlayerState {
  phase: Phase
  /** When the phase began, milliseconds by the server's clock, as all times here. */
  since: number
  grantEndsAt: number | null
  accessId: string | null
  sessionId: string | null
  url: string | null
  /** Attempts in a row that came to nothing. */
  attempt: number
  retryAt: number | null
  cause: Cause | null
  lastDataAt: number | null
  clickedAt: number
  /** Click to first decoded picture, milliseconds. */
  measuredMs: number | null
}

export type PlayerEvent =
  | { type: 'start' }
  | { type: 'granted'; accessId: string; sessionId: string; url: string; grantEndsAt: number }
  | { type: 'refused'; status: number; code: string; params: Record<string, string | number> }
  | { type: 'opened' }
  | { type: 'data' }
  | { type: 'picture' }
  | { type: 'ending'; reason: string }
  | { type: 'lost'; reason: 'connection_lost' | 'overrun' | 'decode_error' | 'protocol_error' }
  | { type: 'unsupported'; codec: string }
  | { type: 'sessionFailed'; code: string; params: Record<string, string | number> }
  | { type: 'sessionTroubled'; code: string; params: Record<string, string | number> }
  | { type: 'deviceBack' }
  | { type: 'revoked' }
  | { type: 'retry' }
  | { type: 'stop' }
  | { type: 'tick'; visible: boolean }

/** request: POST /api/live; connect: open the URL; teardown: drop socket and picture; report: tell the first picture; release: DELETE the access. */
export type Command = 'request' | 'connect' | 'teardown' | 'report' | 'release'

export interface Transition {
  state: PlayerState
  commands: Command[]
}

/** Pauses between attempts, seconds: quick for a broken line, slow for a camera that gives nothing. */
export const linePauses: readonly number[] = [0.5, 1, 2, 4, 8, 15]
export const cameraPauses: readonly number[] = [5, 10, 20, 30, 30, 30]

const connectMs = 10_000
const firstPictureMs = 30_000
const stallMs = 2_000
const giveUpStallMs = 10_000
/** A picture that stood this long makes the next fault a first one again. */
const steadyMs = 10_000

/** Nothing to be gained by asking again by ourselves. */
const finalEndings: ReadonlySet<string> = new Set(['grant_ended', 'grant_revoked', 'access_cut', 'unsupported', 'noMse'])

const showing: ReadonlySet<Phase> = new Set(['requesting', 'connecting', 'waiting', 'playing', 'stalled', 'reconnecting'])

export function idle(now: number): PlayerState {
  return {
    phase: 'idle',
    since: now,
    grantEndsAt: null,
    accessId: null,
    sessionId: null,
    url: null,
    attempt: 0,
    retryAt: null,
    cause: null,
    lastDataAt: null,
    clickedAt: now,
    measuredMs: null,
  }
}

/** Whether the tile is occupied by a picture that is there, comes or comes back. */
export function active(phase: Phase): boolean {
  return showing.has(phase)
}

function enter(state: PlayerState, phase: Phase, now: number, change: Partial<PlayerState> = {}): PlayerState {
  return { ...state, phase, since: now, ...change }
}

function finish(state: PlayerState, phase: 'ended' | 'failed', cause: Cause, now: number): Transition {
  return { state: enter(state, phase, now, { cause, retryAt: null, url: null }), commands: ['teardown', 'release'] }
}

function request(state: PlayerState, now: number, change: Partial<PlayerState> = {}): Transition {
  return { state: enter(state, 'requesting', now, { retryAt: null, url: null, lastDataAt: null, ...change }), commands: ['request'] }
}

/** Tries again after a pause, or leaves it to a person when there were enough attempts. */
function again(state: PlayerState, cause: Cause, pauses: readonly number[], now: number): Transition {
  const pause = pauses[state.attempt]
  if (pause === undefined) return finish(state, 'failed', cause, now)
  const retryAt = now + pause * 1000
  return {
    state: enter(state, 'reconnecting', now, { cause, attempt: state.attempt + 1, retryAt, url: null }),
    commands: ['teardown', 'release'],
  }
}

/** The hop that failed, when the session has said so, explains more than what the player saw of it. */
function better(state: PlayerState, seen: Cause): Cause {
  return state.cause?.kind === 'failure' ? state.cause : seen
}

function onTick(state: PlayerState, visible: boolean, now: number): Transition {
  const stay: Transition = { state, commands: [] }
  if (!active(state.phase)) return stay
  if (state.grantEndsAt !== null && now >= state.grantEndsAt) {
    return finish(state, 'ended', { kind: 'ending', code: 'grant_ended', params: {} }, now)
  }
  const quietMs = now - Math.max(state.since, state.lastDataAt ?? 0)
  switch (state.phase) {
    case 'connecting':
      return quietMs < connectMs ? stay : again(state, { kind: 'ending', code: 'connection_lost', params: {} }, linePauses, now)
    case 'waiting': {
      if (quietMs >= firstPictureMs) return again(state, better(state, { kind: 'ending', code: 'no_media', params: {} }), cameraPauses, now)
      // A page in the background shows no frames: only a visible one can tell that nothing decodes.
      const undecoded = visible && state.lastDataAt !== null && now - state.since >= firstPictureMs
      return undecoded ? again(state, { kind: 'ending', code: 'decode_error', params: {} }, cameraPauses, now) : stay
    }
    case 'playing': {
      if (quietMs >= stallMs) return { state: enter(state, 'stalled', now), commands: [] }
      if (state.attempt > 0 && now - state.since >= steadyMs) return { state: { ...state, attempt: 0 }, commands: [] }
      return stay
    }
    case 'stalled':
      return now - (state.lastDataAt ?? state.since) < giveUpStallMs
        ? stay
        : again(state, better(state, { kind: 'ending', code: 'stalled', params: {} }), linePauses, now)
    case 'reconnecting':
      return state.retryAt !== null && now >= state.retryAt ? request(state, now) : stay
    default:
      return stay
  }
}

function onRefused(state: PlayerState, event: Extract<PlayerEvent, { type: 'refused' }>, now: number): Transition {
  const cause: Cause = { kind: 'refusal', code: event.code, params: event.params }
  if (event.code === 'grant_ended' || event.code === 'grant_revoked') {
    return finish(state, 'ended', { ...cause, kind: 'ending' }, now)
  }
  // The session exists and has failed: a hop of it, not the wish, was refused.
  if (event.status === 409 && 'session_id' in event.params) {
    const failure: Cause = { ...cause, kind: 'failure' }
    // Asking an absent camera again would only fill the records; `deviceBack` asks when it is there.
    return event.code === 'device_offline' ? finish(state, 'failed', failure, now) : again(state, failure, cameraPauses, now)
  }
  const passing = event.status === 0 || event.status === 429 || event.status >= 500
  return passing ? again(state, cause, cameraPauses, now) : finish(state, 'failed', cause, now)
}

function onSessionFailed(state: PlayerState, cause: Cause, now: number): Transition {
  if (state.phase === 'connecting' || state.phase === 'waiting' || state.phase === 'stalled') {
    return again(state, cause, cameraPauses, now)
  }
  // The picture is gone already; the hop that failed is the better explanation for it.
  const explains = (state.phase === 'reconnecting' || state.phase === 'failed') && state.cause?.kind === 'ending'
  return { state: explains ? { ...state, cause } : state, commands: [] }
}

function onEnding(state: PlayerState, reason: string, now: number): Transition {
  const cause: Cause = { kind: 'ending', code: reason, params: {} }
  if (finalEndings.has(reason)) return finish(state, 'ended', cause, now)
  return again(state, better(state, cause), reason === 'too_slow' || reason === 'feed_lost' ? linePauses : cameraPauses, now)
}

export function advance(state: PlayerState, event: PlayerEvent, now: number): Transition {
  const stay: Transition = { state, commands: [] }
  switch (event.type) {
    case 'start':
      return request({ ...idle(now), grantEndsAt: state.grantEndsAt }, now, { clickedAt: now })
    case 'granted': {
      if (state.phase !== 'requesting') return { state, commands: [] }
      const { accessId, sessionId, url, grantEndsAt } = event
      return { state: enter(state, 'connecting', now, { accessId, sessionId, url, grantEndsAt }), commands: ['connect'] }
    }
    case 'refused':
      return state.phase === 'requesting' ? onRefused(state, event, now) : stay
    case 'opened':
      return state.phase === 'connecting' ? { state: enter(state, 'waiting', now), commands: [] } : stay
    case 'data':
      if (state.phase === 'stalled') return { state: enter(state, 'playing', now, { lastDataAt: now, cause: null }), commands: [] }
      return state.phase === 'waiting' || state.phase === 'playing' ? { state: { ...state, lastDataAt: now }, commands: [] } : stay
    case 'picture': {
      if (state.phase !== 'waiting') return stay
      const first = state.measuredMs === null
      const measuredMs = first ? Math.max(0, now - state.clickedAt) : state.measuredMs
      return { state: enter(state, 'playing', now, { cause: null, measuredMs }), commands: first ? ['report'] : [] }
    }
    case 'ending':
      return active(state.phase) ? onEnding(state, event.reason, now) : stay
    case 'lost': {
      const live = state.phase === 'connecting' || state.phase === 'waiting' || state.phase === 'playing' || state.phase === 'stalled'
      return live ? again(state, { kind: 'ending', code: event.reason, params: {} }, linePauses, now) : stay
    }
    case 'unsupported':
      return finish(state, 'failed', { kind: 'ending', code: 'unsupported', params: { codec: event.codec } }, now)
    case 'sessionFailed':
      return onSessionFailed(state, { kind: 'failure', code: event.code, params: event.params }, now)
    case 'sessionTroubled': {
      // The server asks the camera again by itself: only say why there is no picture meanwhile.
      const without = state.phase === 'connecting' || state.phase === 'waiting' || state.phase === 'stalled'
      const unexplained = state.phase === 'reconnecting' && state.cause?.kind === 'ending'
      const cause: Cause = { kind: 'failure', code: event.code, params: event.params }
      return (without && state.cause?.code !== event.code) || unexplained ? { state: { ...state, cause }, commands: [] } : stay
    }
    case 'deviceBack':
      return state.phase === 'reconnecting' || (state.phase === 'failed' && state.cause?.kind === 'failure')
        ? request(state, now, { attempt: 0 })
        : stay
    case 'revoked':
      return active(state.phase) ? finish(state, 'ended', { kind: 'ending', code: 'grant_revoked', params: {} }, now) : stay
    case 'retry':
      return state.phase === 'failed' || state.phase === 'ended' || state.phase === 'reconnecting'
        ? request(state, now, { attempt: 0, cause: null, clickedAt: now, measuredMs: null })
        : stay
    case 'stop':
      return { state: enter(state, 'idle', now, { retryAt: null, url: null }), commands: ['teardown', 'release'] }
    case 'tick':
      return onTick(state, event.visible, now)
  }
}
