import { describe, expect, test } from 'vitest'

import { bodyOf, draftOf, faultOf, minimumOf } from '@/plans/draft'
import { roughly, saidOf, sharesOf } from '@/plans/foresight'
import { reasonsOf } from '@/plans/gaps'
import { countsOf, filtered } from '@/plans/tracks'
import { changed, markOf } from '@/stores/recording'
import type { Gap, Outlook, Plan, TrackStatus } from '@/plans/types'
import { coverage, emptyWeekDays, hoursOf, painted, parsed, spansOf, textOf, weekOf } from '@/plans/week'
import { clockOf } from '@/shell/halfHours'

const plan: Plan = {
  id: 'p1',
  name: 'gate',
  channel_id: 'c1',
  group_id: null,
  stream_number: 1,
  mode: 'schedule',
  spans: [
    { weekday: 0, begin_minute: 495, end_minute: 720 },
    { weekday: 6, begin_minute: 0, end_minute: 1440 },
  ],
  time_zone: 'Asia/Urumqi',
  after_event_s: 30,
  retention_days: 60,
  legal_basis: 'a court order',
  purpose: 'safety of the gate',
  quota_bytes: 3 * 2 ** 30,
  enabled: true,
  created_by: 'a1',
  created_at: '2026-11-22T12:00:00Z',
  channels: 1,
}

describe('a week', () => {
  test('goes through the form without losing a minute', () => {
    expect(spansOf(weekOf(plan.spans))).toEqual(plan.spans)
    expect(hoursOf(weekOf(plan.spans))).toBe(27.75)
  })

  test('is painted and erased, and what touches is one', () => {
    const day = painted(painted([], 480, 540, true), 540, 600, true)
    expect(day).toEqual([{ begin: 480, end: 600 }])
    expect(painted(day, 510, 540, false)).toEqual([
      { begin: 480, end: 510 },
      { begin: 540, end: 600 },
    ])
    expect(painted(day, 0, 1440, false)).toEqual([])
    expect(painted(day, 500, 520, true)).toEqual(day)
  })

  test('says how much of a half hour is recorded', () => {
    const day = [{ begin: 495, end: 720 }]
    expect([coverage(day, 480, 510), coverage(day, 510, 540), coverage(day, 720, 750)]).toEqual(['some', 'all', 'none'])
  })

  test('is written by the minute, in the signs of either language', () => {
    expect(textOf([{ begin: 495, end: 720 }, { begin: 840, end: 1440 }])).toBe('08:15–12:00, 14:00–24:00')
    expect(parsed('08:15–12:00, 14:00–24:00')).toEqual([{ begin: 495, end: 720 }, { begin: 840, end: 1440 }])
    expect(parsed('8：15至12：00，14:00-15:00')).toEqual([{ begin: 495, end: 720 }, { begin: 840, end: 900 }])
    expect(parsed('')).toEqual([])
    for (const wrong of ['8-12', '12:00-08:00', '08:00-24:01', '08:60-09:00', 'soon', '08:00-09:00 x']) expect(parsed(wrong), wrong).toBeNull()
    expect(clockOf(1440)).toBe('24:00')
  })
})

describe('a plan in the making', () => {
  test('comes back as it went in', () => {
    const body = bodyOf(draftOf(plan, 'Asia/Shanghai'))
    for (const [name, value] of Object.entries(body)) expect(value, name).toEqual(plan[name as keyof Plan])
  })

  test('sends a schedule only with the mode that has one, and a basis only where one is asked for', () => {
    const draft = { ...draftOf(plan, 'UTC'), mode: 'always' as const, days: 30, quotaGib: '' as const }
    expect(bodyOf(draft)).toMatchObject({ spans: [], legal_basis: '', quota_bytes: null })
    expect(bodyOf({ ...draft, scope: 'group', groupId: 'g1' })).toMatchObject({ channel_id: null, group_id: 'g1' })
  })

  test('tells the first thing that is missing', () => {
    const whole = draftOf(plan, 'UTC')
    expect(faultOf(whole, 30)).toBeNull()
    expect(faultOf({ ...whole, name: ' ' }, 30)).toBe('name')
    expect(faultOf({ ...whole, channelId: '' }, null)).toBe('channel_id')
    expect(faultOf({ ...whole, scope: 'group' }, null)).toBe('group_id')
    expect(faultOf({ ...whole, week: emptyWeekDays() }, 30)).toBe('spans')
    expect(faultOf({ ...whole, days: 29 }, 30)).toBe('retention_short')
    expect(faultOf({ ...whole, days: 29 }, null)).toBeNull()
    expect(faultOf({ ...whole, basis: '' }, 30)).toBe('legal_basis')
    expect(faultOf({ ...whole, purpose: '' }, 30)).toBe('purpose')
  })

  test('knows what the law asks for of a camera, the strictest where nobody said', () => {
    const classes = new Map([['c1', 1]])
    expect([minimumOf('c1', classes), minimumOf('c2', classes)]).toEqual([1, 30])
  })
})

const outlook: Outlook = {
  disk_id: null,
  state: 'unknown',
  bytes_per_day: 0,
  room_bytes: 0,
  kept_bytes: 0,
  peak_bytes: null,
  days_until_full: null,
  effect: null,
  days_until_stop: null,
  keeps_days: null,
  oldest_begin: null,
  oldest_goes_at: null,
}

describe('a forecast in words', () => {
  test('promises nothing while nothing is known', () => {
    expect(saidOf(outlook)).toEqual([{ key: 'unknown', params: {}, tone: '' }])
  })

  test('says what follows from a full disk', () => {
    const said = saidOf({ ...outlook, state: 'fills', days_until_full: 4.26, effect: 'stops', days_until_stop: 33.4 })
    expect(said).toEqual([
      { key: 'fillsIn', params: { n: 4 }, tone: 'bad' },
      { key: 'thenStops', params: { n: 33 }, tone: 'bad' },
    ])
    expect(saidOf({ ...outlook, state: 'full', effect: 'oldest_goes', keeps_days: 21.2 }).map((one) => one.key)).toEqual(['full', 'thenOldest'])
  })

  test('says one day as one', () => {
    expect(saidOf({ ...outlook, state: 'fills', days_until_full: 1.02 })[0]?.key).toBe('fillsInOne')
  })

  test('is as rough as it is far away', () => {
    expect([0.26, 2.94, 33.4, 118].map(roughly)).toEqual([0.3, 2.9, 33, 120])
  })

  test('draws a disk whose parts are the whole', () => {
    const shares = sharesOf({ total_bytes: 100, free_bytes: 30, recorded_bytes: 50, reserve_bytes: 10 })
    expect(shares).toEqual({ recorded: 0.5, other: expect.closeTo(0.2) as number, free: expect.closeTo(0.2) as number, reserve: 0.1 })
    expect(Object.values(sharesOf({ total_bytes: 100, free_bytes: 5, recorded_bytes: 200, reserve_bytes: 10 })).reduce((a, b) => a + b)).toBeCloseTo(1)
  })
})

describe('lists', () => {
  const track = (channel_id: string, state: TrackStatus['state']): TrackStatus => ({ channel_id, stream_number: 0, plan_id: 'p', state, since: '', reason: null, detail: '' })

  test('of tracks show what is amiss first, and what is sought', () => {
    const tracks = [track('a1', 'recording'), track('b2', 'failing'), track('c3', 'waiting')]
    expect(filtered(tracks, '', '', () => '').map((one) => one.channel_id)).toEqual(['b2', 'c3', 'a1'])
    expect(filtered(tracks, '', 'yard', (id) => (id === 'c3' ? 'The Yard' : '')).map((one) => one.channel_id)).toEqual(['c3'])
    expect(filtered(tracks, 'waiting', 'b2', () => '')).toEqual([])
    expect(countsOf(tracks)).toMatchObject({ failing: 1, waiting: 1, recording: 1, ready: 0 })
  })

  test('of gaps are summed by reason, the dearest first', () => {
    const gap = (reason: Gap['reason'], begin: string, end: string | null): Gap => ({ channel_id: 'c', stream_number: 0, begin, end, reason, detail: '' })
    const gaps = [gap('packet_loss', '2026-11-22T00:00:00Z', '2026-11-22T00:00:02Z'), gap('device_offline', '2026-11-22T00:00:00Z', null), gap('packet_loss', '2026-11-22T01:00:00Z', '2026-11-22T01:00:03Z')]
    expect(reasonsOf(gaps, Date.parse('2026-11-22T00:10:00Z'))).toEqual([
      { reason: 'device_offline', count: 1, seconds: 600 },
      { reason: 'packet_loss', count: 2, seconds: 5 },
    ])
  })
})

describe('the mark beside a camera', () => {
  test('is of all its streams', () => {
    const both = changed(changed(undefined, 0, 'failing') ?? undefined, 1, 'recording')
    expect(markOf(both ?? undefined)).toBe('recording')
    expect(markOf(changed(both ?? undefined, 1, 'waiting') ?? undefined)).toBe('failing')
    expect(markOf(changed(undefined, 0, 'ready') ?? undefined)).toBeNull()
    expect(changed(changed(undefined, 0, 'recording') ?? undefined, 0, null)).toBeNull()
  })
})
