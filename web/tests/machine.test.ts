import { describe, expect, test } from 'vitest'

import { advance, cameraPauses, idle, linePauses, type PlayerEvent, type PlayerState } from '@/player/machine'

const start = 1_000_000
const grantEndsAt = start + 3_600_000

/** Feeds events at times given in seconds after the click and returns the last state and every command. */
function run(events: [number, PlayerEvent][], from: PlayerState = idle(start)) {
  let state = from
  const commands: string[] = []
  for (const [seconds, event] of events) {
    const next = advance(state, event, start + seconds * 1000)
    state = next.state
    commands.push(...next.commands)
  }
  return { state, commands }
}

const granted: PlayerEvent = { type: 'granted', accessId: 'a1', sessionId: 's1', url: 'ws://x/live/1.mp4?ticket=t', grantEndsAt }
const tick: PlayerEvent = { type: 'tick', visible: true }
const toPlaying: [number, PlayerEvent][] = [
  [0, { type: 'start' }],
  [0.1, granted],
  [0.2, { type: 'opened' }],
  [0.3, { type: 'data' }],
  [0.7, { type: 'picture' }],
]

describe('a healthy picture', () => {
  test('asks, connects, waits and plays, and reports its first picture once with the time from the click', () => {
    const { state, commands } = run([...toPlaying, [0.8, { type: 'data' }], [0.9, { type: 'picture' }]])
    expect(state.phase).toBe('playing')
    expect(commands).toEqual(['request', 'connect', 'report'])
    expect(state.measuredMs).toBe(700)
  })

  test('a grant that arrives after the tile was closed connects to nothing', () => {
    const { state, commands } = run([[0, { type: 'start' }], [0.1, { type: 'stop' }], [0.2, granted]])
    expect(state.phase).toBe('idle')
    expect(commands).not.toContain('connect')
  })
})

describe('the end of a grant', () => {
  test.each(['grant_ended', 'grant_revoked'])('the word %s from the outlet takes the picture away for good', (reason) => {
    const { state, commands } = run([...toPlaying, [5, { type: 'ending', reason }], [60, tick]])
    expect(state.phase).toBe('ended')
    expect(state.cause?.code).toBe(reason)
    expect(commands.slice(3)).toEqual(['teardown', 'release'])
  })

  test('the clock alone takes the picture away when the outlet says nothing', () => {
    const left = (grantEndsAt - start) / 1000
    const almost = run([...toPlaying, [left - 1, { type: 'data' }], [left - 0.5, tick]])
    expect(almost.state.phase).toBe('playing')
    const over = run([[left, tick]], almost.state)
    expect(over.state.phase).toBe('ended')
    expect(over.commands).toEqual(['teardown', 'release'])
  })

  test('a revocation heard from the server ends even a picture that is being fetched again', () => {
    const { state } = run([...toPlaying, [5, { type: 'lost', reason: 'connection_lost' }], [5.1, { type: 'revoked' }], [30, tick]])
    expect(state.phase).toBe('ended')
    expect(state.cause?.code).toBe('grant_revoked')
  })

  test('a refusal because the grant is over is an end and not a failure', () => {
    const { state } = run([[0, { type: 'start' }], [0.1, { type: 'refused', status: 403, code: 'grant_revoked', params: {} }]])
    expect(state.phase).toBe('ended')
  })
})

describe('faults on the way', () => {
  test('a lost connection drops the picture at once and is tried again after a growing pause', () => {
    let { state, commands } = run([...toPlaying, [5, { type: 'lost', reason: 'connection_lost' }]])
    expect(commands.slice(3)).toEqual(['teardown', 'release'])
    for (const [index, pause] of linePauses.entries()) {
      expect(state.phase).toBe('reconnecting')
      expect((state.retryAt ?? 0) - state.since).toBe(pause * 1000)
      const before = run([[((state.retryAt ?? 0) - start) / 1000 - 0.001, tick]], state)
      expect(before.commands).toEqual([])
      const due = ((state.retryAt ?? 0) - start) / 1000
      ;({ state, commands } = run([[due, tick], [due + 0.1, granted], [due + 0.2, { type: 'lost', reason: 'connection_lost' }]], state))
      expect(commands.slice(0, 2)).toEqual(['request', 'connect'])
      expect(state.attempt).toBe(Math.min(index + 2, linePauses.length))
    }
    expect(state.phase).toBe('failed')
  })

  test('a picture that held for ten seconds makes the next fault a first one again', () => {
    const fault = run([...toPlaying, [5, { type: 'lost', reason: 'connection_lost' }]])
    const due = ((fault.state.retryAt ?? 0) - start) / 1000
    const again = run(
      [
        [due, tick],
        [due + 0.1, granted],
        [due + 0.2, { type: 'opened' }],
        [due + 0.3, { type: 'picture' }],
        [due + 10.2, { type: 'data' }],
        [due + 10.4, tick],
      ],
      fault.state,
    )
    expect(again.state.phase).toBe('playing')
    expect(again.state.attempt).toBe(0)
    expect(again.commands).not.toContain('report')
  })

  test('a camera that gives nothing is asked more slowly than a broken line, and then left to a person', () => {
    expect(cameraPauses[0]).toBeGreaterThan(linePauses[0] ?? 0)
    const failed: PlayerEvent = { type: 'sessionFailed', code: 'no_packets', params: {} }
    let { state } = run([[0, { type: 'start' }], [0.1, granted], [0.2, { type: 'opened' }], [10, failed]])
    for (let tries = 0; tries < cameraPauses.length; tries += 1) {
      expect(state.cause).toEqual({ kind: 'failure', code: 'no_packets', params: {} })
      const due = ((state.retryAt ?? 0) - start) / 1000
      ;({ state } = run([[due, tick], [due + 0.1, granted], [due + 0.2, { type: 'opened' }], [due + 10, failed]], state))
    }
    expect(state.phase).toBe('failed')
    const back = run([[900, { type: 'deviceBack' }]], state)
    expect(back.commands).toEqual(['request'])
  })

  test('the hop that failed replaces the bare end of a stream as the explanation', () => {
    const { state } = run([...toPlaying, [5, { type: 'ending', reason: 'stream_ended' }], [5.2, { type: 'sessionFailed', code: 'media_lost', params: {} }]])
    expect(state.phase).toBe('reconnecting')
    expect(state.cause).toEqual({ kind: 'failure', code: 'media_lost', params: {} })
  })

  test('while the server asks the camera again the tile says why, and forgets it with the picture', () => {
    const troubled: PlayerEvent = { type: 'sessionTroubled', code: 'media_lost', params: {} }
    const waiting = run([[0, { type: 'start' }], [0.1, granted], [0.2, { type: 'opened' }], [3, troubled]])
    expect(waiting.state.phase).toBe('waiting')
    expect(waiting.state.cause?.code).toBe('media_lost')
    expect(run([[4, { type: 'picture' }]], waiting.state).state.cause).toBeNull()
  })

  test('no frozen picture: two seconds without data are marked, ten take it away', () => {
    const stalled = run([...toPlaying, [2.8, tick]])
    expect(stalled.state.phase).toBe('stalled')
    expect(run([[3, { type: 'data' }]], stalled.state).state.phase).toBe('playing')
    const gone = run([[10.4, tick]], stalled.state)
    const explained = run([[4, { type: 'sessionTroubled', code: 'device_offline', params: {} }], [10.4, tick]], stalled.state)
    expect(explained.state.cause?.code).toBe('device_offline')
    expect(gone.state.phase).toBe('reconnecting')
    expect(gone.commands).toEqual(['teardown', 'release'])
  })

  test('a page in the background is not blamed for showing no frames', () => {
    const opened: [number, PlayerEvent][] = [[0, { type: 'start' }], [0.1, granted], [0.2, { type: 'opened' }], [1, { type: 'data' }], [29, { type: 'data' }]]
    expect(run([...opened, [31, { type: 'tick', visible: false }]]).state.phase).toBe('waiting')
    const seen = run([...opened, [31, tick]]).state
    expect(seen.phase).toBe('reconnecting')
    expect(seen.cause?.code).toBe('decode_error')
  })

  test('a codec that cannot be decoded is said and not tried again', () => {
    const { state } = run([[0, { type: 'start' }], [0.1, granted], [0.2, { type: 'opened' }], [0.3, { type: 'unsupported', codec: 'H.265 (HEVC)' }], [60, tick]])
    expect(state.phase).toBe('failed')
    expect(state.cause).toEqual({ kind: 'ending', code: 'unsupported', params: { codec: 'H.265 (HEVC)' } })
  })

  test('a refusal that asking again cannot change is left to a person; a passing one is not', () => {
    const refused = (status: number, code: string): [number, PlayerEvent][] => [[0, { type: 'start' }], [0.1, { type: 'refused', status, code, params: {} }]]
    expect(run(refused(403, 'purpose_retired')).state.phase).toBe('failed')
    expect(run(refused(503, 'storage_full')).state.phase).toBe('reconnecting')
    expect(run(refused(0, 'unreachable')).state.phase).toBe('reconnecting')
  })

  test('a refusal that names a failed session says which hop failed; an absent camera is asked again when it is back', () => {
    const refused = (code: string): [number, PlayerEvent][] => [[0, { type: 'start' }], [0.1, { type: 'refused', status: 409, code, params: { session_id: 's1' } }]]
    const busy = run(refused('media_ports_exhausted')).state
    expect(busy.phase).toBe('reconnecting')
    expect(busy.cause?.kind).toBe('failure')
    const absent = run(refused('device_offline')).state
    expect(absent.phase).toBe('failed')
    const back = run([[5, { type: 'deviceBack' }]], absent)
    expect(back.state.phase).toBe('requesting')
    expect(back.commands).toEqual(['request'])
  })

  test('closing a tile releases the access from every phase that has one', () => {
    for (let length = 2; length <= toPlaying.length; length += 1) {
      expect(run([...toPlaying.slice(0, length), [2, { type: 'stop' }]]).commands.slice(-2)).toEqual(['teardown', 'release'])
    }
  })
})
