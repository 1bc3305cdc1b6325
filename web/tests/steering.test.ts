import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'

import { ApiError, unreachable } from '@/api/errors'
import { warningOf } from '@/channel/capabilities'
import { markOf, wayOf } from '@/channel/commandWords'
import { daysOf, emptyWeek, maskOf, osdOf, segmentsOf, sizeOf, weekOf } from '@/channel/config/blocks'
import { between, pictureIn, zoomOrder } from '@/channel/dragZoom'
import { pressOf, presetOf, renewEveryMs, Steering, still, vectorOf } from '@/channel/steering'
import type { Capability, Command, SteeringLease, SteerVector } from '@/channel/types'

const lease: SteeringLease = { channel_id: 'c', command_id: 'k', holder_name: 'Li', ends_in_s: 10 }

describe('steering', () => {
  beforeEach(() => vi.useFakeTimers())
  afterEach(() => vi.useRealTimers())

  function camera(answers: (vector: SteerVector) => Promise<SteeringLease> = () => Promise.resolve(lease)) {
    const sent: SteerVector[] = []
    const failures: [string, boolean][] = []
    let released = 0
    const steering = new Steering({
      steer: (vector) => {
        sent.push(vector)
        return answers(vector)
      },
      release: () => {
        released += 1
        return Promise.resolve()
      },
      held: () => undefined,
      failed: (error, stopping) => failures.push([error.code, stopping]),
    })
    return { steering, sent, failures, releases: () => released }
  }

  const left = vectorOf([[{ part: 'pan', sign: -1 }]], 40)

  test('sends the movement at once, renews it while it lasts and stops when let go', async () => {
    const { steering, sent } = camera()
    steering.want(left)
    await vi.advanceTimersByTimeAsync(renewEveryMs * 2 + 10)
    steering.want(still)
    await vi.advanceTimersByTimeAsync(renewEveryMs * 3)
    expect(sent.map((one) => one.pan)).toEqual([-40, -40, -40, 0])
    expect(steering.active).toBe(false)
  })

  test('a stop never overtakes the movement before it', async () => {
    let arrive: (value: SteeringLease) => void = () => undefined
    const { steering, sent } = camera((vector) => (vector.pan === 0 ? Promise.resolve(lease) : new Promise((resolve) => (arrive = resolve))))
    steering.want(left)
    steering.want(still)
    await vi.advanceTimersByTimeAsync(50)
    expect(sent).toHaveLength(1)
    arrive(lease)
    await vi.advanceTimersByTimeAsync(0)
    expect(sent.at(-1)).toEqual(still)
  })

  test('a stop that does not get through is sent again', async () => {
    let stops = 0
    const { steering, sent, failures } = camera((vector) => {
      if (vector.pan !== 0) return Promise.resolve(lease)
      stops += 1
      return stops < 3 ? Promise.reject(unreachable()) : Promise.resolve(lease)
    })
    steering.want(left)
    await vi.advanceTimersByTimeAsync(10)
    steering.want(still)
    await vi.advanceTimersByTimeAsync(2000)
    expect(sent.filter((one) => one.pan === 0)).toHaveLength(3)
    expect(failures).toEqual([])
  })

  test('a movement that is refused is not renewed', async () => {
    const { steering, sent, failures } = camera(() => Promise.reject(new ApiError(409, 'ptz_busy', 'busy', { holder: 'Li' })))
    steering.want(left)
    await vi.advanceTimersByTimeAsync(renewEveryMs * 4)
    expect(failures[0]).toEqual(['ptz_busy', false])
    expect(sent.filter((one) => one.pan !== 0)).toHaveLength(1)
  })

  test('leaving gives the camera back once, and only by who touched it', async () => {
    const idle = camera()
    idle.steering.release()
    expect(idle.releases()).toBe(0)
    const used = camera()
    used.steering.want(left)
    await vi.advanceTimersByTimeAsync(10)
    used.steering.release()
    used.steering.release()
    await vi.advanceTimersByTimeAsync(renewEveryMs * 3)
    expect(used.releases()).toBe(1)
    expect(used.sent).toHaveLength(1)
  })

  test('keys and corners make one movement of what is held', () => {
    expect(vectorOf([pressOf('ArrowUp') ?? [], pressOf('ArrowRight') ?? [], pressOf('+') ?? []], 30)).toEqual({ pan: 30, tilt: 30, zoom: 30, focus: 0, aperture: 0 })
    expect(vectorOf([], 30)).toBe(still)
    expect(pressOf('x')).toBeNull()
    expect([presetOf('7'), presetOf('0'), presetOf('F1')]).toEqual([7, 10, null])
  })
})

describe('zooming by drawing', () => {
  const picture = pictureIn({ width: 800, height: 600 }, { width: 1280, height: 720 })

  test('knows the picture inside its black bars', () => {
    expect(picture).toEqual({ left: 0, top: 75, width: 800, height: 450 })
  })

  test('names the rectangle in pixels of the picture, cut to it', () => {
    const drawn = between({ x: 100, y: 20 }, { x: 300, y: 275 }, picture)
    expect(drawn).toEqual({ left: 100, top: 75, width: 200, height: 200 })
    expect(zoomOrder(drawn, picture, 'in')).toEqual({ kind: 'drag_zoom', direction: 'in', window_length: 800, window_width: 450, mid_x: 200, mid_y: 100, length_x: 200, length_y: 200 })
  })

  test('takes a click for nothing', () => {
    expect(zoomOrder(between({ x: 5, y: 100 }, { x: 7, y: 101 }, picture), picture, 'out')).toBeNull()
  })
})

describe('what became of a command', () => {
  const command = (states: Command['state'][]): Command => ({
    id: 'k',
    device_id: 'd',
    channel_id: 'c',
    kind: 'preset_set',
    parameters: {},
    account_id: 'a',
    account_name: 'Li',
    created_at: '2026-11-22T14:00:00Z',
    state: states.at(-1) ?? 'sent',
    failure: null,
    over: false,
    steps: states.map((state, index) => ({ state, at: `2026-11-22T14:00:0${index}Z`, evidence: {} })),
  })

  test('a mere 200 is never shown as done', () => {
    expect(markOf(command(['sent', 'accepted']))).toBe('wait')
    expect(markOf(command(['sent', 'accepted', 'answered']))).toBe('wait')
    expect(markOf(command(['sent', 'accepted', 'not_observable']))).toBe('unknown')
    expect(markOf(command(['sent', 'accepted', 'observed']))).toBe('good')
  })

  test('a step that was passed over is not shown as reached', () => {
    expect(wayOf(command(['sent', 'accepted', 'observed'])).map((step) => step.at !== null)).toEqual([true, true, false, true])
  })

  test('the channel is warned about before its device, and not about what works', () => {
    const known = (channel_id: string | null, verdict: Capability['verdict']): Capability => ({ device_id: 'd', channel_id, kind: 'guard', verdict, failures: 2, command_id: 'k', at: '2026-11-22T14:00:00Z', evidence: {} })
    expect(warningOf([known(null, 'not_done_by_device'), known('c', 'done')], 'guard', 'c')).toBeNull()
    expect(warningOf([known(null, 'not_done_by_device')], 'guard', 'c')?.verdict).toBe('not_done_by_device')
    expect(warningOf([], 'guard', 'c')).toBeNull()
  })
})

describe('configuration as devices tell it', () => {
  test('a plan becomes half hours and back', () => {
    const { week, exact } = weekOf({ schedules: [{ week_day: 2, segments: [{ start_hour: 8, start_min: 30, stop_hour: 12 }, { start_hour: 22, stop_hour: 23, stop_min: 59, stop_sec: 59 }] }] })
    expect(exact).toBe(true)
    expect(daysOf(week)).toEqual([{ weekday: 2, segments: [{ start_s: 30_600, stop_s: 43_200 }, { start_s: 79_200, stop_s: 86_399 }] }])
  })

  test('a plan to the second is said to be rounded', () => {
    expect(weekOf({ schedules: [{ week_day: 1, segments: [{ start_hour: 8, start_min: 10, stop_hour: 9 }] }] }).exact).toBe(false)
  })

  test('nothing told is an empty week, and a whole day is one segment', () => {
    expect(weekOf({}).week).toEqual(emptyWeek())
    expect(segmentsOf(Array.from({ length: 48 }, () => true))).toEqual([{ start_s: 0, stop_s: 86_399 }])
  })

  test('a mask that says anything but four numbers is left out', () => {
    expect(maskOf({ on: true, regions: [{ point: '10,20,30,40' }, { point: 'everything' }] })).toEqual({ enabled: true, regions: [{ left: 10, top: 20, right: 30, bottom: 40 }] })
  })

  test('sizes come as WxH or as the code of the standard', () => {
    expect(sizeOf('1920x1080')).toEqual({ width: 1920, height: 1080 })
    expect(sizeOf('5')).toEqual({ width: 1280, height: 720 })
    expect(sizeOf('')).toBeNull()
  })

  test('texts on the picture keep their places', () => {
    expect(osdOf({ length: 704, width: 576, text_enable: true, items: [{ text: 'Gate', x: 8, y: 9 }] })).toMatchObject({ window_length: 704, texts: [{ text: 'Gate', x: 8, y: 9 }] })
  })
})
