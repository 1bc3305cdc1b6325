import { describe, expect, test } from 'vitest'

import { correction, faster, flows, onlyKeys, positionAt, slower, turned } from '@/playback/clock'
import { advance, empty, patienceMs, place, type Engine, type Standing } from '@/playback/engine'
import { discardable, groupAt, groupsOf, wanted, type Held } from '@/playback/groups'
import { commandOf } from '@/playback/keys'
import { goesOn, holes, landing, lineOf, segmentAt, usualStream, type Segment } from '@/playback/line'
import { knownUntil } from '@/playback/looks'
import { day, following, marks, panned, zoomed } from '@/playback/scale'

const minute = 60_000

function segment(begin: number, end: number, change: Partial<Segment> = {}): Segment {
  return { stream: 0, sequence: begin, begin, end, url: `/s/${begin}`, gapReason: '', open: false, ...change }
}

describe('what is recorded of a camera', () => {
  const line = [segment(0, 60_000), segment(60_400, 120_000), segment(300_000, 360_000, { gapReason: 'stream_lost' })]

  test('a moment is in its segment, and a hole that nobody sees is none', () => {
    expect(segmentAt(line, 59_999)?.begin).toBe(0)
    expect(segmentAt(line, 60_200)?.begin).toBe(0)
    expect(landing(line, 60_200)).toBe(60_400)
    expect(segmentAt(line, 200_000)).toBeNull()
    expect(segmentAt(line, -1)).toBeNull()
    expect(segmentAt(line, 360_000)).toBeNull()
  })

  test('from a hole it goes on at the next segment, or back at the end of the one before', () => {
    expect(goesOn(line, 200_000, 1)).toBe(300_000)
    expect(goesOn(line, 200_000, -1)).toBe(119_999)
    expect(goesOn(line, 400_000, 1)).toBeNull()
    expect(goesOn(line, -5, -1)).toBeNull()
  })

  test('holes are told with their reason', () => {
    expect(holes(line)).toEqual([{ begin: 120_000, end: 300_000, reason: 'stream_lost' }])
  })

  test('the stream that covers most is shown, the main one when they are alike', () => {
    const sub = { stream: 1 }
    expect(usualStream([segment(0, minute), segment(0, minute + 900, sub)])).toBe(0)
    expect(usualStream([segment(0, minute), segment(0, 10 * minute, sub)])).toBe(1)
    expect(usualStream([segment(0, minute, sub)])).toBe(1)
    expect(usualStream([])).toBe(0)
    expect(lineOf([segment(5, 6, sub), segment(9, 10), segment(1, 2), segment(3, 3)], 0).map((one) => one.begin)).toEqual([1, 9])
  })
})

describe('the clock', () => {
  test('moves at its speed and turns where it stands', () => {
    const clock = turned({ position: 1000, at: 0, rate: 2 }, -4, 500)
    expect(clock.position).toBe(2000)
    expect(positionAt(clock, 600)).toBe(1600)
  })

  test('faster and slower stay within an eighth and sixteen, in both directions', () => {
    expect([0.125, 0.5, 1, 8, 16, -2].map((rate) => faster(rate, 1))).toEqual([1, 1, 2, 16, 16, 1])
    expect([1, -1, -8, -16].map((rate) => faster(rate, -1))).toEqual([-1, -2, -16, -16])
    expect([1, 0.25, 0.125, -1].map((rate) => slower(rate))).toEqual([0.5, 0.125, 0.125, -0.5])
  })

  test('pictures run forwards up to four times; above, key frames only', () => {
    expect([1, 4, 8, -1].map(flows)).toEqual([true, true, false, false])
    expect([4, -4, 8, -8].map(onlyKeys)).toEqual([false, false, true, true])
  })

  test('a picture that is off hurries or dawdles, and jumps only when it is far off', () => {
    expect(correction(10, 10.005, 1)).toEqual({ jump: null, rate: 1 })
    expect(correction(10, 9.9, 1).rate).toBeCloseTo(1.1)
    expect(correction(10, 10.1, 2).rate).toBeCloseTo(1.9)
    expect(correction(10, 9, 1).jump).toBe(10)
    expect(correction(10, 9, 4).jump).toBeNull()
  })
})

describe('which groups are fetched', () => {
  const one = segment(0, 6000)
  const groups = groupsOf(one, [[0, 1000, 500], [2_000_000, 1500, 700], [4_000_000, 2200, 300]])
  const aim = { at: 2500, direction: 1 as const, keysOnly: false, aheadMs: 8000 }
  const have = (...ids: string[]) => new Map<string, Held>(ids.map((id) => [id, 'whole']))

  test('a group reaches to the next one, the last to the end of its segment', () => {
    expect(groups.map((group) => [group.begin, group.end])).toEqual([[0, 2000], [2000, 4000], [4000, 6000]])
    expect(groupAt(groups, 3999)?.id).toBe('0/0/1')
    expect(groupAt(groups, -5)?.id).toBe('0/0/0')
    expect(groupAt([], 0)).toBeNull()
  })

  test('the one that is shown comes first and alone, then those ahead together', () => {
    expect(wanted(groups, have(), aim).map((group) => group.id)).toEqual(['0/0/1'])
    expect(wanted(groups, have('0/0/1'), { ...aim, at: 100 }).map((group) => group.id)).toEqual(['0/0/0'])
    expect(wanted(groups, have('0/0/0'), { ...aim, at: 100 }).map((group) => group.id)).toEqual(['0/0/1', '0/0/2'])
    expect(wanted(groups, have('0/0/1', '0/0/2'), aim)).toEqual([])
  })

  test('backwards the groups before are fetched, in the order of the file', () => {
    expect(wanted(groups, have('0/0/2'), { ...aim, at: 5000, direction: -1 }).map((group) => group.id)).toEqual(['0/0/0', '0/0/1'])
  })

  test('a key frame is enough for the fast, and not for the slow', () => {
    const keys = new Map<string, Held>([['0/0/1', 'key']])
    expect(wanted(groups, keys, { ...aim, keysOnly: true }).map((group) => group.id)).toEqual(['0/0/2'])
    expect(wanted(groups, keys, aim).map((group) => group.id)).toEqual(['0/0/1'])
  })

  test('what lies far behind goes', () => {
    expect(discardable(groups, { ...aim, at: 18_500 }).map((group) => group.id)).toEqual(['0/0/0'])
    expect(discardable(groups, { ...aim, at: 18_500, direction: -1 })).toEqual([])
  })
})

describe('playing many cameras', () => {
  const line = [segment(0, minute), segment(3 * minute, 4 * minute)]
  const camera = (change: Partial<Standing> = {}): Standing => ({ line, ready: true, known: true, more: false, ...change })
  const tick = (engine: Engine, now: number, ...cameras: Standing[]) => advance(engine, { type: 'tick', cameras }, now)
  const playing = advance(empty(0), { type: 'play' }, 0)

  test('one camera that is not there holds all, and its picture sets all going', () => {
    const waiting = tick(playing, 1000, camera(), camera({ ready: false }))
    expect([waiting.phase, place(waiting, 5000)]).toEqual(['waiting', 1000])
    const on = tick(waiting, 2000, camera(), camera())
    expect([on.phase, place(on, 2500)]).toEqual(['moving', 1500])
  })

  test('one that never comes is left behind, and does not hold again at once', () => {
    const waiting = tick(playing, 1000, camera(), camera({ ready: false }))
    const on = tick(waiting, 1000 + patienceMs, camera(), camera({ ready: false }))
    expect(on.phase).toBe('moving')
    expect(tick(on, 2000 + patienceMs, camera(), camera({ ready: false })).phase).toBe('moving')
    expect(tick(waiting, 99_000, camera({ ready: false })).phase, 'one alone is waited for').toBe('waiting')
  })

  test('what is not known yet is waited for, and not taken for a hole', () => {
    expect(tick(playing, 2 * minute, camera({ known: false })).phase).toBe('waiting')
  })

  test('a hole of all is jumped over, and told', () => {
    const on = tick(playing, 2 * minute, camera())
    expect(place(on, 2 * minute)).toBe(3 * minute)
    expect(on.jumped).toEqual({ from: 2 * minute, to: 3 * minute, at: 2 * minute })
    const other = camera({ line: [segment(0, 9 * minute)] })
    expect(place(tick(playing, 2 * minute, camera(), other), 2 * minute), 'one goes on').toBe(2 * minute)
  })

  test('backwards a hole is left at its beginning', () => {
    const back = advance(advance(playing, { type: 'seek', to: 3 * minute }, 0), { type: 'rate', rate: -1 }, 0)
    expect(place(tick(back, 1000, camera()), 1000)).toBe(minute - 1)
  })

  test('at the end it stands on the last picture, unless more is being asked for', () => {
    const late = advance(playing, { type: 'seek', to: 5 * minute }, 0)
    const over = tick(late, 100, camera())
    expect([over.phase, place(over, 200)]).toEqual(['over', 4 * minute - 1])
    expect(tick(late, 100, camera({ more: true })).phase).toBe('waiting')
    expect(advance(over, { type: 'seek', to: 0 }, 300).phase).toBe('moving')
  })

  test('a step goes to the next or the last picture and stands there', () => {
    const pictures = [1000, 1040, 1080]
    const still = advance(playing, { type: 'seek', to: 1041 }, 0)
    const on = advance(still, { type: 'step', by: 1, pictures }, 0)
    expect([on.phase, place(on, 500)]).toEqual(['still', 1081])
    expect(place(advance(on, { type: 'step', by: -1, pictures }, 0), 0)).toBe(1041)
    expect(place(advance(on, { type: 'step', by: 1, pictures }, 0), 0), 'where no picture is known').toBe(1121)
  })

  test('pause, speed and place are kept apart', () => {
    const paused = advance(playing, { type: 'toggle' }, 500)
    const faster2 = advance(paused, { type: 'rate', rate: 4 }, 600)
    expect([faster2.phase, place(faster2, 900)]).toEqual(['still', 500])
    expect(place(advance(faster2, { type: 'toggle' }, 1000), 1100)).toBe(900)
  })
})

describe('looks side by side', () => {
  test('count as one, in both directions', () => {
    const looks = [{ from: 0, to: 10 }, { from: 20, to: 30 }, { from: 10, to: 20 }]
    expect(knownUntil(looks, 5, 1)).toBe(30)
    expect(knownUntil(looks, 25, -1)).toBe(0)
    expect(knownUntil(looks, 40, 1)).toBeNull()
  })
})

describe('the scale', () => {
  const view = { from: 0, to: day }

  test('zooms around a place from a month to seconds, and not into the future', () => {
    const half = zoomed(view, 0.5, day / 4, 10 * day)
    expect(half).toEqual({ from: day / 8, to: (day * 5) / 8 })
    expect(zoomed(view, 1e-9, 0, 10 * day).to).toBe(10_000)
    expect(zoomed(view, 1e9, 0, 100 * day).to - zoomed(view, 1e9, 0, 100 * day).from).toBe(31 * day)
    expect(panned(view, day, day).to).toBeCloseTo(day * 1.1)
  })

  test('goes along with the clock, and only when it must', () => {
    expect(following(view, day / 2, 10 * day)).toBe(view)
    expect(following(view, day, 10 * day).from).toBe(day * 0.9)
    expect(following(view, 5 * day, 10 * day)).toEqual({ from: 4.5 * day, to: 5.5 * day })
    expect(following(view, day, day).to, 'the future is of no use').toBeCloseTo(day * 1.1)
  })

  test('marks are round in the time of the place', () => {
    const found = marks({ from: 0, to: 60_000 }, 12, 8 * 3_600_000)
    expect(found[0]).toEqual({ at: 0, kind: 'second' })
    expect(found).toHaveLength(13)
    expect(marks({ from: 0, to: 7 * day }, 8, 8 * 3_600_000).map((one) => one.kind)).toEqual(Array(7).fill('day'))
  })
})

describe('keys', () => {
  const press = (key: string, more = {}) => commandOf({ key, shiftKey: false, ctrlKey: false, altKey: false, metaKey: false, ...more })

  test('are those of editing desks', () => {
    expect(['j', 'k', 'L', ' ', ',', '。'].map((key) => press(key)?.type)).toEqual(['backward', 'pause', 'forward', 'toggle', 'step', 'step'])
    expect(press('ArrowLeft')).toEqual({ type: 'skip', byMs: -10_000 })
    expect(press('ArrowRight', { shiftKey: true })).toEqual({ type: 'skip', byMs: 60_000 })
    expect(press('l', { ctrlKey: true })).toBeNull()
    expect(press('x')).toBeNull()
  })
})
