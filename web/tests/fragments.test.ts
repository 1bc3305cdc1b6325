import { describe, expect, test } from 'vitest'

import { concat, firstPictureEnd, fragments, Malformed, pictureInit, pictures, sameBytes, standing } from '@/playback/fragments'
import { openingOf } from '@/playback/library'

function words(...values: number[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 4)
  values.forEach((value, index) => new DataView(bytes.buffer).setUint32(index * 4, value))
  return bytes
}

function box(kind: string, ...content: Uint8Array[]): Uint8Array {
  const body = concat(content)
  return concat([words(8 + body.byteLength), new TextEncoder().encode(kind), body])
}

/** One sample, as the recorder writes pictures: duration, size, flags and composition offset of its own. */
function picture(time: number, isKey: boolean, content = 100, offset = 0): Uint8Array {
  const traf = box('traf', box('tfhd', words(0x20000, 1)), box('tfdt', words(0x1000000, 0, time)), box('trun', words(0xf01, 1, 0, 3600, content, isKey ? 0x2000000 : 0x1010000, offset)))
  return concat([box('moof', box('mfhd', words(0, 1)), traf), box('mdat', new Uint8Array(content))])
}

function sound(time: number): Uint8Array {
  const traf = box('traf', box('tfhd', words(0x20020, 2, 0x2000000)), box('tfdt', words(0x1000000, 0, time)), box('trun', words(0x301, 2, 0, 320, 320, 320, 320)))
  return concat([box('moof', box('mfhd', words(0, 1)), traf), box('mdat', new Uint8Array(640))])
}

const group = concat([picture(0, true, 500), sound(0), picture(3600, false, 100, 7200), picture(7200, false)])

describe('the fragments of a group', () => {
  test('tell track, times and key frames', () => {
    expect(fragments(group).map((one) => [one.track, one.time, one.shown, one.duration, one.isKey])).toEqual([
      [1, 0, 0, 3600, true],
      [2, 0, 0, 640, true],
      [1, 3600, 10_800, 3600, false],
      [1, 7200, 7200, 3600, false],
    ])
  })

  test('the pictures come without the sound, and with the times they are shown at', () => {
    const found = pictures(group)
    expect(found.times).toEqual([0, 7200, 10_800])
    expect(sameBytes(found.bytes, concat([picture(0, true, 500), picture(3600, false, 100, 7200), picture(7200, false)]))).toBe(true)
  })

  test('a key frame alone stands until the next one', () => {
    const alone = standing(group, 180_000)
    expect(fragments(alone.bytes)).toMatchObject([{ time: 0, duration: 180_000, isKey: true }])
    expect(alone.bytes.byteLength).toBe(picture(0, true, 500).byteLength)
  })

  test('the bytes so far hold the key frame or do not', () => {
    const end = picture(0, true, 500).byteLength
    expect(firstPictureEnd(group.subarray(0, end))).toBe(end)
    expect(firstPictureEnd(group.subarray(0, end - 1))).toBeNull()
    expect(firstPictureEnd(concat([sound(0), picture(0, true)]))).toBe(sound(0).byteLength + picture(0, true).byteLength)
  })

  test('what is cut off anywhere gives whole fragments, and lies in no length', () => {
    for (let length = 0; length <= group.byteLength; length++) {
      const found = fragments(group.subarray(0, length))
      for (const one of found) expect(one.end).toBeLessThanOrEqual(length)
    }
  })

  test('a flipped bit makes other fragments or is refused, and never runs out of its box', () => {
    for (let at = 0; at < 200; at++) {
      const flipped = group.slice()
      flipped[at] = (flipped[at] ?? 0) ^ (1 << (at % 8))
      try {
        for (const one of fragments(flipped)) expect(one.end).toBeLessThanOrEqual(flipped.byteLength)
      } catch (problem) {
        expect(problem).toBeInstanceOf(Malformed)
      }
    }
    expect(() => standing(sound(0), 1)).toThrow(Malformed)
  })
})

describe('the beginning of a segment', () => {
  const track = (id: number) => box('trak', box('tkhd', words(3, 0, 0, id, 0)))
  const init = concat([
    box('ftyp', words(1)),
    box('moov', box('mvhd', words(9)), track(1), track(2), box('mvex', box('trex', words(0, 1, 1)), box('trex', words(0, 2, 1)))),
  ])

  test('keeps the track of the picture only', () => {
    const wanted = concat([box('ftyp', words(1)), box('moov', box('mvhd', words(9)), track(1), box('mvex', box('trex', words(0, 1, 1))))])
    expect(sameBytes(pictureInit(init), wanted)).toBe(true)
    expect(sameBytes(pictureInit(wanted), wanted)).toBe(true)
  })

  test('is refused when it is none', () => {
    expect(() => pictureInit(init.subarray(0, 30))).toThrow(Malformed)
    expect(() => pictureInit(new Uint8Array(64))).toThrow(Malformed)
  })
})

describe('what opens a segment', () => {
  const one = { stream: 0, sequence: 7, begin: 60_000, end: 64_000, url: '/s/7', gapReason: '', open: false }
  const init = concat([box('ftyp', words(0)), box('moov', box('trak', box('tkhd', words(0, 0, 0, 1))))])
  const index = {
    begin: '1970-01-01T00:01:00Z', end: '1970-01-01T00:01:04Z', is_open: false, bytes: 9000, init_bytes: init.byteLength, init: btoa(String.fromCharCode(...init)), video_codec: 'avc1.64001f', audio_codec: '', width: 1280, height: 720,
    groups: [[0, 700, group.byteLength], [2_000_000, 5000, 100]],
  }
  const told = new TextEncoder().encode(JSON.stringify(index))
  const sent = concat([words(told.byteLength), told, group])

  test('is its index, then the group of the moment', () => {
    const { head, group: found, bytes } = openingOf(one, 61_999, sent)
    expect([head.mime, head.width, head.height]).toEqual(['video/mp4; codecs="avc1.64001f"', 1280, 720])
    expect(head.groups.map((each) => [each.begin, each.end])).toEqual([[60_000, 62_000], [62_000, 64_000]])
    expect(found.id).toBe('0/60000/0')
    expect(sameBytes(bytes, group)).toBe(true)
  })

  test('is refused when it is cut off, or is of another moment', () => {
    for (let length = 0; length < sent.byteLength; length += 13) expect(() => openingOf(one, 61_000, sent.subarray(0, length))).toThrow(Malformed)
    expect(() => openingOf(one, 62_000, sent)).toThrow(Malformed)
  })
})
