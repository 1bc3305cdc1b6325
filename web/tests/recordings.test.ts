import { describe, expect, test } from 'vitest'

import { day, labelled, momentAt, moved, pieceAt, playCommandOf, playFrom, positionNow, shareOf, shortestView, ticks, zoomed } from '@/recordings/timeline'

const hour = 3_600_000
const bounds = { from: 0, to: day }

describe('the timeline', () => {
  test('keeps the moment under the pointer while it zooms, inside its day', () => {
    const view = zoomed(bounds, 0.5, 6 * hour, bounds)
    expect(view.to - view.from).toBe(12 * hour)
    expect(shareOf(6 * hour, view)).toBeCloseTo(0.25)
    expect(momentAt(0.25, view)).toBeCloseTo(6 * hour)
    expect(zoomed(view, 100, 6 * hour, bounds)).toEqual(bounds)
    expect(zoomed(view, 0.0001, 6 * hour, bounds).to - zoomed(view, 0.0001, 6 * hour, bounds).from).toBe(shortestView)
  })

  test('never leaves its day when it is moved', () => {
    expect(moved({ from: 0, to: hour }, -hour, bounds)).toEqual({ from: 0, to: hour })
    expect(moved({ from: 0, to: hour }, 30 * hour, bounds)).toEqual({ from: 23 * hour, to: 24 * hour })
  })

  test('writes round local hours, and days where they begin', () => {
    const marks = ticks(bounds, 12, 8 * hour)
    expect(marks.map((one) => (one.at + 8 * hour) % (2 * hour))).toEqual(marks.map(() => 0))
    expect(marks.filter((one) => one.midnight).map((one) => one.at)).toEqual([16 * hour])
  })

  test('writes no label over another, and days before hours', () => {
    const week = { from: 0, to: 7 * day }
    const marks = ticks(week, 15, 0)
    const x = (at: number) => shareOf(at, week) * 1200
    const written = labelled(marks, x, 1200).map((one) => one.at)
    expect(marks.map((one) => one.at)).toContain(day / 2)
    expect(written).not.toContain(day / 2) // the day at the left edge leans over it
    expect(written.filter((at) => at % day === 0)).toEqual([0, 1, 2, 3, 4, 5, 6, 7].map((n) => n * day))
    expect(written).toContain(1.5 * day)
    expect(labelled(marks, (at) => x(at) * 2, 2400)).toEqual(marks)
  })
})

describe('playing from a moment', () => {
  const pieces = [
    { start: 0, end: 2 * hour },
    { start: 3 * hour, end: 60 * hour },
  ]

  test('begins there, goes to the end of what is recorded without a gap', () => {
    expect(playFrom(pieces, hour)).toEqual({ start: hour, end: 2 * hour })
  })

  test('begins at the next recording when the moment lies in a gap', () => {
    expect(playFrom(pieces, 2.5 * hour)?.start).toBe(3 * hour)
    expect(pieceAt(pieces, 2.5 * hour)).toEqual(pieces[1])
  })

  test('lasts a day at most, and there is nothing after the last', () => {
    expect(playFrom(pieces, 4 * hour)).toEqual({ start: 4 * hour, end: 4 * hour + day })
    expect(playFrom(pieces, 61 * hour)).toBeNull()
  })

  test('stands where the server said, moved on at its speed, never outside', () => {
    const piece = { start: 0, end: 10_000 }
    expect(positionNow({ position: 2000, speed: 4, flowing: true, at: 100 }, 1100, piece)).toBe(6000)
    expect(positionNow({ position: 2000, speed: -2, flowing: true, at: 100 }, 1600, piece)).toBe(0)
    expect(positionNow({ position: 2000, speed: 4, flowing: false, at: 100 }, 9100, piece)).toBe(2000)
    expect(positionNow({ position: 9000, speed: 4, flowing: true, at: 0 }, 5000, piece)).toBe(10_000)
  })
})

describe('keys of the player', () => {
  test('J goes backwards and faster, L forwards and faster, K pauses', () => {
    expect([1, -1, -2, -16].map((speed) => playCommandOf('j', false, speed, false))).toEqual([-1, -2, -4, -16].map((speed) => ({ type: 'speed', speed })))
    expect([0.25, 1, 2, 4, 8, -2].map((speed) => playCommandOf('L', false, speed, false))).toEqual([1, 2, 4, 8, 16, 1].map((speed) => ({ type: 'speed', speed })))
    expect(playCommandOf('k', false, 1, false)).toEqual({ type: 'pause' })
    expect(playCommandOf(' ', false, 1, false)).toEqual({ type: 'toggle' })
  })

  test('arrows seek, further with Shift; other keys do nothing', () => {
    expect(playCommandOf('ArrowLeft', false, 1, false)).toEqual({ type: 'seek', byS: -10 })
    expect(playCommandOf('ArrowRight', true, 1, false)).toEqual({ type: 'seek', byS: 60 })
    expect(playCommandOf('x', false, 1, false)).toBeNull()
  })

  test('plus and minus walk the speeds of recordings in the direction they play', () => {
    const speedsAfter = (key: string, from: readonly number[]) => from.map((speed) => playCommandOf(key, false, speed, false))
    const said = (...speeds: number[]) => speeds.map((speed) => ({ type: 'speed', speed }))
    expect(speedsAfter('+', [1, 4, 16, -1, -8])).toEqual(said(2, 8, 16, -2, -16))
    expect(speedsAfter('-', [16, 1, 0.125, -4])).toEqual(said(8, 0.5, 0.125, -2))
  })
})
