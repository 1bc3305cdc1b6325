import { describe, expect, it } from 'vitest'

import type { Segment } from '@/playback/line'
import { beginningEnd, piecesFrom, soundUrl } from '@/playback/recordedSound'

const at = 1_700_000_000_000

function segment(sequence: number, begin: number, end: number): Segment {
  return { stream: 0, sequence, begin: at + begin, end: at + end, url: `/api/recorded/a1/0/${sequence}`, gapReason: '', open: false }
}

describe('pieces of recorded sound', () => {
  const line = [segment(1, 0, 10_000), segment(2, 10_000, 13_000), segment(3, 60_000, 70_000)]

  it('are told from where the clock stands on, segment by segment', () => {
    const found = piecesFrom(line, at + 5000, 8000).map((one) => one.id)
    expect(found).toEqual(['0/1/1', `0/1/${at + 10_000}`, `0/2/${at + 13_000}`])
  })

  it('tile a segment, and the last one takes what begins a little behind its end', () => {
    const found = piecesFrom([segment(1, 0, 9000)], at, 60_000)
    expect(found.map((one) => one.begin - at)).toEqual([0, 4000, 8000])
    expect(found.map((one) => one.end - at)).toEqual([4000, 8000, 11_000])
    const last = found.at(-1)
    expect(last && soundUrl(last)).toBe('/api/recorded/a1/0/1/sound?begin_us=8000000&end_us=11000000')
  })

  it('in a hole nothing is fetched but what comes soon', () => {
    expect(piecesFrom(line, at + 30_000, 8000)).toEqual([])
    expect(piecesFrom(line, at + 55_000, 8000).map((one) => one.id)).toEqual(['0/3/0'])
  })
})

describe('the beginning of fragmented MP4', () => {
  const box = (size: number) => [0, 0, 0, size, ...new Array<number>(size - 4).fill(0)]

  it('ends behind its second box', () => {
    expect(beginningEnd(new Uint8Array([...box(12), ...box(20), ...box(16)]))).toBe(32)
  })

  it('is all there is when nothing follows, or when lengths lie', () => {
    expect(beginningEnd(new Uint8Array([...box(12), ...box(20)]))).toBe(32)
    expect(beginningEnd(new Uint8Array([...box(12), 0, 0, 9, 9, 0, 0, 0, 0]))).toBe(20)
    expect(beginningEnd(new Uint8Array([0, 0]))).toBe(2)
    expect(beginningEnd(new Uint8Array([...box(12), 0, 0, 0, 0, 1, 1, 1, 1]))).toBe(20)
  })
})
