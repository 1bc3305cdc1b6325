import { describe, expect, test } from 'vitest'

import { AppendQueue } from '@/player/appendQueue'
import { follow, landBehind } from '@/player/liveEdge'
import { codecName } from '@/player/mime'

describe('staying near the newest data', () => {
  test('starts near the end of what came first, wherever the stream’s clock stands', () => {
    const step = follow([{ start: 86_400, end: 86_401 }], 0, 1)
    expect(step.seekTo).toBeCloseTo(86_401 - landBehind)
  })

  test('does not seek before the data begins', () => {
    expect(follow([{ start: 10, end: 10.1 }], 0, 1).seekTo).toBe(10)
  })

  test('more than two seconds behind jumps; somewhat behind only hurries, until it has caught up', () => {
    expect(follow([{ start: 0, end: 10 }], 7.5, 1).seekTo).toBeCloseTo(9.7)
    const hurrying = follow([{ start: 0, end: 10 }], 8.9, 1)
    expect(hurrying).toEqual({ seekTo: null, rate: 1.1, removeBefore: null })
    expect(follow([{ start: 0, end: 10 }], 9.3, 1.1).rate).toBe(1.1)
    expect(follow([{ start: 0, end: 10 }], 9.6, 1.1).rate).toBe(1)
  })

  test('a gap left by dropped data is jumped over', () => {
    const step = follow([{ start: 0, end: 5 }, { start: 6, end: 7 }], 5, 1)
    expect(step.seekTo).toBeCloseTo(6.7)
  })

  test('what was shown long ago is thrown away, what was shown just now is kept', () => {
    expect(follow([{ start: 0, end: 12.4 }], 12, 1).removeBefore).toBeNull()
    expect(follow([{ start: 0, end: 20.3 }], 20, 1).removeBefore).toBe(16)
  })

  test('without data there is nothing to do', () => {
    expect(follow([], 3, 1.1)).toEqual({ seekTo: null, rate: 1, removeBefore: null })
  })
})

describe('segments waiting for the source buffer', () => {
  test('come out in the order in which they came in, and are counted in bytes', () => {
    const queue = new AppendQueue(100, 10)
    const [first, second] = [new ArrayBuffer(10), new ArrayBuffer(20)]
    expect(queue.push(first) && queue.push(second)).toBe(true)
    expect(queue.bytes).toBe(30)
    expect(queue.shift()).toBe(first)
    queue.unshift(first)
    expect([queue.shift(), queue.shift(), queue.shift()]).toEqual([first, second, undefined])
    expect(queue.bytes).toBe(0)
  })

  test('are refused, not dropped silently, beyond either bound', () => {
    const bytes = new AppendQueue(25, 10)
    expect([bytes.push(new ArrayBuffer(20)), bytes.push(new ArrayBuffer(6))]).toEqual([true, false])
    const number = new AppendQueue(1000, 1)
    expect([number.push(new ArrayBuffer(1)), number.push(new ArrayBuffer(1))]).toEqual([true, false])
  })
})

test('codecs are named as people know them', () => {
  expect(codecName('video/mp4; codecs="hvc1.1.6.L93.B0"')).toBe('H.265 (HEVC)')
  expect(codecName('video/mp4; codecs="hev1.1.6.L93.B0"')).toBe('H.265 (HEVC)')
  expect(codecName('video/mp4; codecs="avc1.64001f"')).toBe('H.264 (AVC)')
  expect(codecName('video/mp4; codecs="vvc1"')).toBe('vvc1')
})
