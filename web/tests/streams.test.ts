import { describe, expect, test, vi } from 'vitest'

import { largeAbove, learnt, newFit, smallBelow, wantedStream, type Circumstances } from '@/live/streamChoice'
import { decodingOf } from '@/player/decoding'
import { askEveryMs, Delay, giveUpMs } from '@/player/delay'

const plain: Circumstances = { choice: 'auto', stream: 0, transcoded: false, pixels: 1000, undecodable: false, rough: false, noSub: false, subUndecodable: false }

describe('the stream a tile shows', () => {
  test('fits its size, and does not flicker between two sizes', () => {
    expect(wantedStream(plain)).toEqual({ stream: 0, transcoded: false, why: 'large' })
    expect(wantedStream({ ...plain, pixels: smallBelow - 1 })).toEqual({ stream: 1, transcoded: false, why: 'small' })
    expect(wantedStream({ ...plain, pixels: smallBelow + 1 }).stream).toBe(0)
    expect(wantedStream({ ...plain, pixels: smallBelow + 1, stream: 1 }).stream).toBe(1)
    expect(wantedStream({ ...plain, pixels: largeAbove + 1, stream: 1 }).stream).toBe(0)
    expect(wantedStream({ ...plain, pixels: 0 }).stream, 'not measured yet').toBe(0)
  })

  test('is what a person chose, whatever fits', () => {
    expect(wantedStream({ ...plain, choice: 1 })).toEqual({ stream: 1, transcoded: false, why: 'chosen' })
    expect(wantedStream({ ...plain, choice: 0, pixels: 100 })).toEqual({ stream: 0, transcoded: false, why: 'chosen' })
    expect(wantedStream({ ...plain, choice: 0, undecodable: true }), 'and converted where it must be').toEqual({ stream: 0, transcoded: true, why: 'transcoded' })
    expect(wantedStream({ ...plain, choice: 1, undecodable: true }).transcoded).toBe(false)
    expect(wantedStream({ ...plain, choice: 1, noSub: true, subUndecodable: true })).toEqual({ stream: 1, transcoded: true, why: 'transcoded' })
  })

  test('is one the browser can decode, smoothly if there is a choice', () => {
    expect(wantedStream({ ...plain, undecodable: true })).toEqual({ stream: 1, transcoded: false, why: 'undecodable' })
    expect(wantedStream({ ...plain, rough: true })).toEqual({ stream: 1, transcoded: false, why: 'rough' })
    expect(wantedStream({ ...plain, noSub: true })).toEqual({ stream: 0, transcoded: false, why: 'noSub' })
  })

  test('is converted by the server when the browser decodes neither, and then stays what it is', () => {
    const neither = { ...plain, undecodable: true, noSub: true }
    expect(wantedStream(neither)).toEqual({ stream: 0, transcoded: true, why: 'transcoded' })
    expect(wantedStream({ ...neither, pixels: 200 }).stream, 'the camera gives no sub stream').toBe(0)
    const both = { ...neither, subUndecodable: true }
    expect(wantedStream({ ...both, pixels: 200 })).toEqual({ stream: 1, transcoded: true, why: 'transcoded' })
    expect(wantedStream({ ...both, pixels: 1000, transcoded: true, stream: 1 }).stream).toBe(1)
    expect(wantedStream({ ...both, pixels: 200, transcoded: true, stream: 0 }).stream).toBe(0)
  })

  test('what fails teaches, but an absent camera and an ended grant teach nothing', () => {
    const fit = newFit(0)
    const failed = (cause: string, stream: number, shown = false) => learnt(fit, { stream, transcoded: false }, { phase: 'failed', cause, shown })
    expect(failed('unsupported', 0).undecodable).toBe(true)
    expect(failed('unsupported', 1)).toMatchObject({ noSub: true, subUndecodable: true })
    expect(learnt(fit, { stream: 1, transcoded: true }, { phase: 'failed', cause: 'device_refused', shown: false })).toEqual(fit)
    expect(failed('device_refused', 1).noSub).toBe(true)
    expect(failed('device_refused', 1, true)).toEqual(fit)
    expect(failed('device_offline', 1)).toEqual(fit)
    expect(failed('device_refused', 0)).toEqual(fit)
    expect(learnt(fit, { stream: 1, transcoded: false }, { phase: 'playing', cause: null, shown: true })).toEqual(fit)
  })
})

describe('what the browser says of decoding', () => {
  test('is taken from mediaCapabilities, and from the type alone where there is none', async () => {
    const told = { supported: true, smooth: false, powerEfficient: true }
    const asked = vi.fn().mockResolvedValue(told)
    vi.stubGlobal('navigator', { mediaCapabilities: { decodingInfo: asked } })
    expect(await decodingOf('video/mp4; codecs="hvc1"', 1920, 1080, true)).toEqual({ mime: 'video/mp4; codecs="hvc1"', supported: true, smooth: false, efficient: true })
    expect(asked.mock.calls[0]?.[0].video).toMatchObject({ width: 1920, height: 1080, framerate: 25 })
    expect((await decodingOf('video/x', 1920, 1080, false)).supported).toBe(false)
    asked.mockRejectedValue(new TypeError())
    expect((await decodingOf('video/mp4', 1920, 1080, true)).smooth).toBe(true)
    vi.stubGlobal('navigator', {})
    expect((await decodingOf('video/mp4', 1920, 1080, true)).smooth).toBe(true)
    vi.unstubAllGlobals()
  })
})

describe('how late a picture is shown', () => {
  test('counts the way of the answer, the age of the newest picture and what the player keeps', () => {
    const delay = new Delay()
    expect(delay.of(0, 0)).toBeNull()
    expect(delay.ask(1000)).toBe(1)
    expect(delay.ask(1100), 'one question at a time').toBeNull()
    delay.heard(1, 60_000, 30, 1020)
    // 10 ms on its way, 30 ms old, and 400 ms behind the newest picture; 100 ms later as much more.
    expect(delay.of(59_600, 1020)).toBeCloseTo(440)
    expect(delay.of(59_600, 1120)).toBeCloseTo(540)
  })

  test('an answer that stood in line with pictures counts as late as it was', () => {
    const delay = new Delay()
    delay.ask(0)
    delay.heard(1, 0, 0, 20)
    const question = delay.ask(askEveryMs) ?? 0
    delay.heard(question, 2000, 0, askEveryMs + 300)
    expect(delay.of(2000, askEveryMs + 300)).toBeCloseTo(290)
  })

  test('a late answer to an old question is left out, and a lost one is asked anew', () => {
    const delay = new Delay()
    delay.ask(0)
    expect(delay.ask(giveUpMs)).toBe(2)
    delay.heard(1, 0, 0, giveUpMs + 1)
    expect(delay.of(0, giveUpMs + 1)).toBeNull()
    delay.forget()
    expect(delay.ask(giveUpMs + 2)).toBe(3)
  })
})
