import { describe, expect, test } from 'vitest'

import { countdown } from '@/live/countdown'
import { commandOf, neighbour, typingIn, type KeyPress } from '@/live/keymap'
import { landing, resized, swapped } from '@/live/slots'
import { timelineText } from '@/live/timelineText'

import { session } from './samples'

const press = (key: string, more: Partial<KeyPress> = {}): KeyPress => ({ key, shiftKey: false, ctrlKey: false, altKey: false, metaKey: false, ...more })

describe('time left of a grant', () => {
  test('counts down in hours, minutes and seconds and never below zero', () => {
    expect(countdown(10_000_000, 10_000_000 - 3_725_000).text).toBe('1:02:05')
    expect(countdown(10_000_000, 10_000_000 - 65_000).text).toBe('01:05')
    expect(countdown(10_000_000, 10_000_000 - 1).text).toBe('00:01')
    expect(countdown(10_000_000, 10_100_000)).toEqual({ text: '00:00', leftMs: 0, warning: true, over: true })
  })

  test('warns in the last two minutes only', () => {
    expect(countdown(1_000_000, 1_000_000 - 120_001).warning).toBe(false)
    expect(countdown(1_000_000, 1_000_000 - 120_000).warning).toBe(true)
  })
})

describe('keys', () => {
  test('one key changes the layout, 6 standing for sixteen', () => {
    expect(['1', '4', '9', '6'].map((key) => commandOf(press(key)))).toEqual([1, 4, 9, 16].map((layout) => ({ type: 'layout', layout })))
  })

  test('arrows move and with Shift swap', () => {
    expect(commandOf(press('ArrowLeft'))).toEqual({ type: 'move', direction: 'left' })
    expect(commandOf(press('ArrowDown', { shiftKey: true }))).toEqual({ type: 'swap', direction: 'down' })
  })

  test('letters work in either case and the full-width question mark is one too', () => {
    expect(commandOf(press('F', { shiftKey: true }))).toEqual({ type: 'full' })
    expect(commandOf(press('f'))).toEqual({ type: 'full' })
    expect(commandOf(press('？'))).toEqual({ type: 'help' })
    expect(commandOf(press('Delete'))).toEqual({ type: 'close' })
  })

  test('chords belong to the browser and unknown keys to nobody', () => {
    expect(commandOf(press('f', { ctrlKey: true }))).toBeNull()
    expect(commandOf(press('1', { metaKey: true }))).toBeNull()
    expect(commandOf(press('x'))).toBeNull()
  })

  test('they rest while somebody types or a dialog is open', () => {
    document.body.innerHTML = '<input id="a"><div role="dialog"><button id="b"></button></div><button id="c"></button>'
    expect(['a', 'b', 'c'].map((id) => typingIn(document.getElementById(id)))).toEqual([true, true, false])
  })

  test('moving stops at the edges of the wall', () => {
    expect(neighbour(0, 'right', 4)).toBe(1)
    expect(neighbour(1, 'right', 4)).toBe(1)
    expect(neighbour(1, 'down', 4)).toBe(3)
    expect(neighbour(0, 'up', 16)).toBe(0)
    expect(neighbour(5, 'left', 16)).toBe(4)
    expect(neighbour(0, 'left', 1)).toBe(0)
  })
})

describe('tiles of the wall', () => {
  test('a camera lands on the focused tile when free, else on the next free one, else takes the focused one', () => {
    expect(landing(['a', null, null, null], 2)).toBe(2)
    expect(landing(['a', null, 'b', 'c'], 2)).toBe(1)
    expect(landing(['a', 'b'], 1)).toBe(1)
  })

  test('swapping exchanges two places, empty or not', () => {
    expect(swapped(['a', 'b', null, null], 0, 1)).toEqual(['b', 'a', null, null])
    expect(swapped(['a', 'b', null, null], 0, 3)).toEqual([null, 'b', null, 'a'])
  })

  test('growing keeps every place', () => {
    expect(resized(['a', null, 'b', null], 9, 2)).toEqual({ slots: ['a', null, 'b', ...Array(6).fill(null)], closed: [], focused: 2 })
  })

  test('shrinking keeps the focused tile whatever its place, then the others in order, and names what is closed', () => {
    expect(resized(['a', 'b', 'c', 'd'], 1, 2)).toEqual({ slots: ['c'], closed: ['a', 'b', 'd'], focused: 0 })
    const nine = ['a', null, 'b', null, 'c', null, 'd', null, 'e']
    expect(resized(nine, 4, 8)).toEqual({ slots: ['a', 'b', 'c', 'e'], closed: ['d'], focused: 3 })
  })

  test('shrinking moves nothing when the pictures fit where they are', () => {
    expect(resized(['a', null, 'b', null, null, null, null, null, null], 4, 2)).toEqual({ slots: ['a', null, 'b', null], closed: [], focused: 2 })
  })
})

test('a copied timeline holds every hop with its time, and the failure with cause and next check', () => {
  const failed = session({
    state: 'failed',
    timeline: [
      { step: 'invited', at: '2026-11-22T10:00:00.100Z', elapsed_ms: 100, params: { ssrc: '0200000001' } },
      { step: 'failed', at: '2026-11-22T10:00:10.100Z', elapsed_ms: 10_100, params: {} },
    ],
    failure: { code: 'no_packets', params: {} },
  })
  const text = timelineText(failed, { what: 'W', cause: 'C', check: 'N', code: 'no_packets' }, { heading: 'H', step: (one) => `<${one.step}>`, failure: (one) => [one.what, one.cause, one.check] })
  expect(text.split('\n')).toEqual([
    'H',
    'session s1  device d1  channel d1-c1  tcp-passive  failed',
    'started 2026-11-22T10:00:00Z',
    '2026-11-22T10:00:00.100Z  +100 ms  invited  <invited>  (ssrc=0200000001)',
    '2026-11-22T10:00:10.100Z  +10100 ms  failed  <failed>',
    'failure no_packets',
    'W',
    'C',
    'N',
  ])
})
