import { describe, expect, test } from 'vitest'

import { wanted, groupsOf, type Held } from '@/playback/groups'
import { Edge, Growth, reserveMs } from '@/playback/growth'
import type { Head, Library } from '@/playback/library'
import { goesOn, segmentAt, type Segment } from '@/playback/line'
import { united } from '@/playback/looks'

function segment(begin: number, end: number, change: Partial<Segment> = {}): Segment {
  return { stream: 0, sequence: begin, begin, end, url: `/s/${begin}`, gapReason: '', open: false, ...change }
}

const line = [segment(0, 60_000), segment(60_000, 75_000, { open: true })]

describe('the segment that is being written', () => {
  test('holds what comes behind its end, and is no hole', () => {
    expect(segmentAt(line, 80_000)?.begin).toBe(60_000)
    expect(goesOn(line, 80_000, -1)).toBe(74_999)
    expect(segmentAt([segment(0, 60_000)], 80_000)).toBeNull()
  })

  test('is told once, as far as it has come, and as finished once it is', () => {
    const later = segment(60_000, 77_000, { open: true })
    expect(united([...line, later, segment(60_000, 76_000, { open: true })], 1e9).map((one) => one.end)).toEqual([60_000, 77_000])
    const finished = segment(60_000, 76_500)
    expect(united([finished, later], 1e9)).toEqual([finished])
  })

  test('goes on for a moment behind its end, until its successor is known', () => {
    const finished = segment(60_000, 120_000)
    expect(united([finished], 122_000)[0]?.open).toBe(true)
    expect(united([finished], 126_000)[0]?.open).toBe(false)
    expect(united([finished, segment(120_000, 121_000, { open: true })], 122_000).map((one) => one.open)).toEqual([false, true])
  })

  test('keeps its groups apart from those of another one that gets its number', () => {
    const ids = [segment(60_000, 70_000, { sequence: 7 }), segment(61_000, 70_000, { sequence: 7 })].map((one) => groupsOf(one, [[0, 0, 9]])[0]?.id)
    expect(new Set(ids).size).toBe(2)
  })

  test('the rest of a group of which only the beginning is there is wanted, key frames are not', () => {
    const groups = groupsOf(segment(0, 3000, { open: true }), [[0, 700, 10], [2_000_000, 710, 5]])
    const held = new Map<string, Held>([['0/0/0', 'whole'], ['0/0/1', 'part']])
    const aim = { at: 2500, direction: 1, keysOnly: false, aheadMs: 8000 } as const
    expect(wanted(groups, held, aim).map((one) => one.id)).toEqual(['0/0/1'])
    expect(wanted(groups, held, { ...aim, keysOnly: true })).toEqual([])
  })
})

describe('the newest picture', () => {
  test('is waited at until there is enough to run on', () => {
    const edge = new Edge()
    const look = (position: number, isThere = true) => {
      edge.look(line, position, isThere)
      return edge.stands
    }
    expect(look(74_000)).toBe(false)
    expect(look(74_950)).toBe(true)
    expect(look(75_000 - reserveMs + 1)).toBe(true)
    expect(look(75_000 - reserveMs)).toBe(false)
    expect(look(74_000, false)).toBe(true)
    expect(look(30_000, false)).toBe(false)
    edge.look([segment(0, 60_000)], 59_990, true)
    expect(edge.stands).toBe(false)
  })
})

describe('following what is written', () => {
  class Told {
    asked = 0
    told: Partial<Head> = {}
    head(): Promise<Head> {
      this.asked += 1
      return Promise.resolve(this.told as Head)
    }
  }

  function following(told: Partial<Head>) {
    const library = Object.assign(new Told(), { told })
    const grown: Head[] = []
    const growth = new Growth(library as unknown as Library, { onGrown: (_, head) => grown.push(head), onTrouble: () => undefined })
    return { library, grown, growth }
  }

  const settled = () => new Promise((resolve) => setTimeout(resolve))

  test('asks while playback is near, one question at a time and not too often', async () => {
    const { library, grown, growth } = following({ begin: 60_000, open: true })
    growth.follow(line, 10_000, () => true, 0)
    growth.follow(line, 74_000, () => false, 0)
    expect(library.asked).toBe(0)
    growth.follow(line, 74_000, () => true, 0)
    growth.follow(line, 74_000, () => true, 5000)
    expect(library.asked).toBe(1)
    await settled()
    growth.follow(line, 74_000, () => true, 100)
    expect(library.asked).toBe(1)
    growth.follow(line, 74_000, () => true, 1000)
    expect(library.asked).toBe(2)
    await settled()
    expect([grown.length, growth.isStale]).toEqual([2, false])
  })

  test('sees that it is finished, or that the number is another one\'s', async () => {
    const finished = following({ begin: 60_000, open: false })
    finished.growth.follow(line, 74_000, () => true, 0)
    await settled()
    expect([finished.grown.length, finished.growth.isStale]).toEqual([1, true])
    const other = following({ begin: 61_000, open: true })
    other.growth.follow(line, 74_000, () => true, 0)
    await settled()
    expect([other.grown.length, other.growth.isStale]).toEqual([0, true])
  })
})
