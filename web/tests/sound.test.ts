import { beforeEach, describe, expect, test, vi } from 'vitest'

import { Listening, silent, type SoundState } from '@/sound/listening'
import { inStep, jump } from '@/sound/step'
import { kindOf, soundTrack } from '@/sound/track'

const all = [{ start: 0, end: 20 }]

describe('sound in step with its picture', () => {
  test('far off jumps, a little off plays faster or slower until it fits', () => {
    expect(inStep(all, 10, 1, 15, 1)).toEqual({ seekTo: 15, rate: 1, silent: false, removeBefore: 11 })
    expect(inStep(all, 10.1, 1, 10, 1).rate).toBeLessThan(1)
    expect(inStep(all, 9.9, 1, 10, 1).rate).toBeGreaterThan(1)
    expect(inStep(all, 10.03, 1, 10, 1).rate).toBe(1)
    expect(inStep(all, 10.03, 0.94, 10, 1).rate).toBeLessThan(1)
    expect(inStep(all, 10.01, 0.94, 10, 1).rate).toBe(1)
  })

  test('follows a picture that hurries', () => {
    expect(inStep(all, 10, 1.1, 10, 1.1).rate).toBe(1.1)
  })

  test('waits silently for sound that begins later, and when it has ended', () => {
    expect(inStep([{ start: 12, end: 13 }], 0, 1, 10, 1).silent).toBe(true)
    expect(inStep([{ start: 0, end: 7 }], 7, 1, 10, 1).silent).toBe(true)
    expect(inStep([], 0, 1, 10, 1).silent).toBe(true)
  })

  test('what a device sends late is heard late, but heard', () => {
    const pace = inStep([{ start: 0, end: 9.8 }], 5, 1, 10, 1)
    expect(pace.silent).toBe(false)
    expect(pace.seekTo).toBeCloseTo(9.7)
  })

  test('a hole is jumped over', () => {
    const ranges = [{ start: 0, end: 8 }, { start: 9, end: 12 }]
    expect(inStep(ranges, 8, 1, 8.5, 1).silent).toBe(true)
    expect(inStep(ranges, 8, 1, 9.1, 1).seekTo).toBeCloseTo(9.1)
  })

  test('whatever drift there is at first, it comes to nothing', () => {
    for (const start of [-jump, -0.1, 0.1, jump, 3]) {
      let [sound, picture, rate] = [10 + start, 10, 1]
      for (let tick = 0; tick < 40; tick += 1) {
        const pace = inStep([{ start: 0, end: picture + 0.5 }], sound, rate, picture, 1)
        rate = pace.rate
        sound = (pace.seekTo ?? sound) + 0.25 * rate
        picture += 0.25
      }
      expect(Math.abs(sound - picture)).toBeLessThan(0.05)
    }
  })
})

function segment(kind: string, track = 0): ArrayBuffer {
  const bytes = new ArrayBuffer(60)
  const view = new DataView(bytes)
  for (let at = 0; at < 4; at += 1) view.setUint8(4 + at, kind.charCodeAt(at))
  view.setUint32(44, track)
  return bytes
}

test('sound and pictures are told apart by their track', () => {
  expect(kindOf(segment('ftyp'))).toBe('init')
  expect(kindOf(segment('moof', 1))).toBe('picture')
  expect(kindOf(segment('moof', soundTrack))).toBe('sound')
  expect(kindOf(new ArrayBuffer(3))).toBe('picture')
})

describe('listening to a connection', () => {
  let said: string[]
  let states: SoundState[]
  let now: number
  let listening: Listening

  beforeEach(() => {
    said = []
    states = []
    now = 0
    vi.stubGlobal('MediaSource', { isTypeSupported: (mime: string) => mime.includes('flac') })
    listening = new Listening({ send: (word) => said.push(word), video: () => null, changed: (state) => states.push(state), now: () => now })
  })

  test('is asked for by a word, and again when the connection comes back', () => {
    listening.opened()
    expect(said).toEqual([])
    listening.want(true)
    listening.lost()
    listening.opened()
    listening.want(false)
    expect(said).toEqual(['audio on', 'audio on', 'audio off'])
    expect(states.at(-1)).toEqual(silent)
  })

  test('a camera that sends none is said to', () => {
    listening.want(true)
    now = 5000
    listening.keepUp()
    expect(listening.state.status).toBe('none')
  })

  test('a coding nobody plays is said at once', () => {
    listening.want(true)
    expect(listening.said({ type: 'sound', codec: 'other' })).toBe(true)
    expect(listening.state.status).toBe('unplayable')
    expect(listening.said({ type: 'audio', mime: 'audio/mp4; codecs="mp4a.40.2"' })).toBe(true)
    expect(listening.state).toMatchObject({ status: 'unplayable', on: true, codec: 'other' })
  })

  test('takes its own beginning and its own segments, and leaves the pictures theirs', () => {
    expect(listening.received(segment('ftyp'))).toBe(false)
    listening.said({ type: 'audio', mime: 'audio/mp4; codecs="flac"' })
    expect(listening.received(segment('ftyp'))).toBe(true)
    expect(listening.received(segment('moof', soundTrack))).toBe(true)
    expect(listening.received(segment('moof', 1))).toBe(false)
    expect(listening.said({ type: 'end' })).toBe(false)
  })

  test('a beginning that was announced and lost is not mistaken for that of the picture', () => {
    listening.said({ type: 'audio', mime: 'audio/mp4; codecs="flac"' })
    listening.said({ type: 'init', mime: 'video/mp4' })
    expect(listening.received(segment('ftyp'))).toBe(false)
  })
})
