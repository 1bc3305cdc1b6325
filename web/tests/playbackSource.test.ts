import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'

import { concat, Malformed } from '@/playback/fragments'
import { groupsOf } from '@/playback/groups'
import type { Head } from '@/playback/library'
import type { Segment } from '@/playback/line'
import { Source, split } from '@/playback/source'

function words(...values: number[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 4)
  values.forEach((value, index) => new DataView(bytes.buffer).setUint32(index * 4, value))
  return bytes
}

function box(kind: string, ...content: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const body = concat(content)
  return concat([words(8 + body.byteLength), new TextEncoder().encode(kind), body])
}

function picture(time: number, isKey: boolean): Uint8Array<ArrayBuffer> {
  const run = words(0x1000f01, 1, 112, 3600, 20, isKey ? 0x2000000 : 0x1010000, 0)
  const traf = box('traf', box('tfhd', words(0x20000, 1)), box('tfdt', words(0x1000000, 0, time)), box('trun', run))
  return concat([box('moof', box('mfhd', words(0, 1)), traf), box('mdat', new Uint8Array(20))])
}

const segment: Segment = { stream: 0, sequence: 7, begin: 1_000_000, end: 1_004_000, url: '/api/recorded/a1/0/7', gapReason: '', open: false }
const groups = groupsOf(segment, [[0, 500, 300], [2_000_000, 800, 300]])
const head: Head = { mime: 'video/mp4; codecs="hvc1.1.6.L93.90"', codec: 'hvc1.1.6.L93.90', init: box('ftyp'), groups, width: 640, height: 360, audio: '', begin: 1_000_000, open: false }
const init = concat([box('ftyp', words(1)), box('moov', words(2))])
const made = concat([init, picture(180_000, true), picture(183_600, false)])
const signal = new AbortController().signal
let asked: string[] = []

function answering(decodes: boolean): void {
  vi.stubGlobal('MediaSource', { isTypeSupported: () => decodes })
  vi.stubGlobal('fetch', (url: string) => {
    asked.push(url)
    const headers = { 'Content-Type': 'video/mp4; codecs="avc1.64001e"', 'X-Commonview-Init': String(init.byteLength) }
    return Promise.resolve(new Response(url.includes('/h264/') ? made : concat([picture(0, true), picture(3600, false)]), { headers }))
  })
}

describe('where the pictures of a group come from', () => {
  beforeEach(() => {
    asked = []
  })
  afterEach(() => vi.unstubAllGlobals())

  test('what the browser decodes comes as it was recorded, side by side', async () => {
    answering(true)
    const source = new Source()
    await source.judge(segment, head)
    expect(source.isForeign(segment)).toBe(false)
    expect(source.portion(groups, 1)).toEqual(groups)
    const [first] = groups
    const [brought] = await source.bring(head, first === undefined ? [] : [first], first === undefined ? [] : [first], false, signal)
    expect(asked).toEqual([segment.url])
    expect(brought).toMatchObject({ mime: head.mime, isWhole: true, times: [0, 3600] })
  })

  test('what it does not decode comes transcoded, one by one, with the times of the recording', async () => {
    answering(false)
    const source = new Source()
    await source.judge(segment, head)
    expect(source.isForeign(segment)).toBe(true)
    expect(source.portion(groups, 1)).toEqual(groups.slice(0, 1))
    const nearest = source.portion(groups, -1)
    expect(nearest).toEqual(groups.slice(1))
    const [brought] = await source.bring(head, nearest, nearest, false, signal)
    expect(asked).toEqual([`${segment.url}/h264/1`])
    expect(brought).toMatchObject({ mime: 'video/mp4; codecs="avc1.64001e"', isWhole: true, times: [180_000, 183_600] })
    expect(brought?.init).toEqual(init)
  })

  test('its key frame alone stands for the group', async () => {
    answering(false)
    const source = new Source()
    await source.judge(segment, head)
    const [brought] = await source.bring(head, groups.slice(1), groups.slice(1), true, signal)
    expect(asked).toEqual([`${segment.url}/h264/1?key_only=true`])
    expect(brought).toMatchObject({ isWhole: false, times: [180_000] })
  })

  test('an answer that does not hold what it says is refused', () => {
    for (const length of [Number.NaN, 0, 7.5, made.byteLength + 1]) expect(() => split(made, length)).toThrow(Malformed)
  })
})
