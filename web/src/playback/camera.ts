/** One camera on the common clock: fetches what will be shown, and keeps its picture where the clock stands. */
import { asApiError } from '@/api/errors'
import { codecName } from '@/player/mime'

import { correction, flows, onlyKeys } from './clock'
import { intoPictureMs, type Standing } from './engine'
import { pictures } from './fragments'
import { discardable, groupAt, wanted, type Aim, type Group, type Held } from './groups'
import { Edge, Growth } from './growth'
import { Heads } from './heads'
import type { Head } from './library'
import { goesOn, landing, lineOf, segmentAt, type Segment } from './line'
import { RecordedSound } from './recordedSound'
import { Screen, ScreenTrouble } from './screen'
import { Source, type Brought } from './source'
import { Watch } from './watch'

export interface Ask {
  position: number
  rate: number
  /** Whether the clock moves just now. */
  moving: boolean
  /** Whether it moves, or would if all pictures were there. */
  going: boolean
}

export interface CameraTrouble {
  code: string
  params: Record<string, string | number>
}

/** Pictures are fetched so far ahead of the clock, ms of recording at ordinary speed. */
const aheadMs = 8000
const ticksAMs = 90

/** After a fault it is tried again; the server may be busy, a file may be gone. */
const retryMs = 2000
/** A place that the video element does not reach is asked for again after so long. */
const stuckMs = 1500

export class Camera {
  readonly screen: Screen
  readonly watch: Watch
  readonly sound: RecordedSound
  line: Segment[] = []
  trouble: CameraTrouble | null = null
  private readonly library = new Source()
  private readonly heads: Heads
  private readonly held = new Map<string, Held>()
  private readonly heldGroups = new Map<string, Group>()
  private readonly times = new Map<string, number[]>()
  /** How many bytes of a group are in the buffer, and until when that is. */
  private readonly reach = new Map<string, { bytes: number; until: number }>()
  readonly growth: Growth
  readonly edge = new Edge()
  private fetching: { groups: readonly Group[]; keysOnly: boolean; stop: AbortController } | null = null
  private foreseen: number | null = null
  private quietUntil = 0
  private readonly appended = new Map<string, Held>()
  private aimedAt = Number.NaN
  private seekingSince = Number.NaN
  private evicting = false
  private closed = false
  private last: Ask | null = null

  /** `origin` is the moment that is zero for the video element, ms since 1970; `onNews` is called when something it waited for is there. */
  constructor(private readonly origin: number, clockAt: (now: number) => number | null, private readonly onNews: () => void) {
    this.screen = new Screen(() => this.fail('playback_decode_error'))
    this.watch = new Watch(this.screen.video, origin, clockAt)
    this.sound = new RecordedSound(origin)
    this.heads = new Heads(this.library, {
      // What cannot be decoded here is brought in another way.
      onOpened: ({ head, group, bytes }) => this.put(this.library.isForeign(group.segment) ? [] : [{ group, isWhole: true, skipped: 0, mime: head.mime, init: head.init, ...pictures(bytes) }]),
      onNews,
      onTrouble: (problem, stop, aim) => this.explain(problem, stop, aim),
    })
    this.growth = new Growth(this.library, {
      onGrown: (segment, head) => this.grow(segment, head),
      onTrouble: (problem, stop) => this.explain(problem, stop, null),
    })
    this.screen.video.addEventListener('seeked', () => {
      if (this.last?.moving !== true) onNews()
    })
  }

  /** What is recorded, as it is known now; the pictures that are there stay. */
  tell(segments: readonly Segment[], stream: number): void {
    const known = new Map(this.line.map((one) => [`${one.stream}/${one.begin}`, one]))
    this.line = lineOf(segments, stream).map((one) => {
      const same = known.get(`${one.stream}/${one.begin}`)
      return same === undefined ? one : Object.assign(same, one, { end: Math.max(same.end, one.end) })
    })
    this.heads.keep(this.line)
    this.growth.isStale = false
    this.trouble = null
    this.quietUntil = 0
  }

  standing(ask: Ask): Pick<Standing, 'line' | 'ready'> {
    return { line: this.line, ready: this.isReady(ask) }
  }

  /** Somebody points at a moment and may go there: its index is fetched ahead. */
  foresee(at: number | null): void {
    this.foreseen = at
  }

  /** Shows the place, and fetches what comes next. Called at every tick, and at every news. */
  present(ask: Ask, now: number): void {
    if (this.closed) return
    const here = { ...ask, position: landing(this.line, ask.position) }
    this.last = here
    this.fetchAround(here, now)
    this.sound.present({ line: this.line, codecOf: (segment) => this.heads.of(segment)?.audio ?? null, position: here.position, usual: ask.moving && ask.rate === 1 }, now)
    this.growth.follow(this.line, here.position, (segment) => this.heads.of(segment) !== undefined, now)
    this.edge.look(this.line, here.position, this.has(here.position, this.keysOnly(here)))
    const { video } = this.screen
    if (segmentAt(this.line, here.position) === null || !this.has(here.position, this.keysOnly(here))) {
      if (!video.paused) video.pause()
      this.seekingSince = Number.NaN
      this.goAhead(here)
    } else if (!video.seeking || !this.isFed() || this.isStuck(now)) {
      if (ask.moving && flows(ask.rate)) this.run(here)
      else this.rest(here)
    }
  }

  /** When the pictures around a moment are shown, ms, in order; those of whole groups only. */
  picturesAround(position: number): number[] {
    const here = groupAt(this.heads.groups, position)
    if (here === null) return []
    const at = this.heads.groups.indexOf(here)
    return [at - 1, at, at + 1].flatMap((index) => this.times.get(this.heads.groups[index]?.id ?? '') ?? [])
  }

  codecs(position: number): { name: string; width: number; height: number; foreign: boolean } | null {
    const segment = segmentAt(this.line, position)
    const head = segment === null ? undefined : this.heads.of(segment)
    if (segment === null || head === undefined) return null
    return { name: codecName(head.mime), width: head.width, height: head.height, foreign: this.library.isForeign(segment) }
  }

  close(): void {
    this.closed = true
    this.fetching?.stop.abort()
    this.heads.close()
    this.growth.close()
    this.watch.close()
    this.sound.close()
    this.screen.close()
  }

  // -- the picture

  /** Whether the picture of a moment is in the buffer. */
  private has(at: number, keysOnly: boolean): boolean {
    const segment = segmentAt(this.line, at)
    const group = groupAt(this.heads.groups, at)
    if (group === null || group.segment !== segment) return false
    const held = this.appended.get(group.id)
    if (segment?.open === true && at >= Math.min(segment.end, this.reach.get(group.id)?.until ?? 0)) return false
    return held === 'whole' || held === 'part' || (held === 'key' && keysOnly)
  }

  /** Whether the element was sent to a place whose picture is there; if not, it may be sent elsewhere at any time. */
  private isFed(): boolean {
    return Number.isNaN(this.aimedAt) || this.has(this.aimedAt, true)
  }

  private isReady(ask: Ask): boolean {
    const here = { ...ask, position: landing(this.line, ask.position) }
    if (segmentAt(this.line, here.position) === null) return true
    if (!this.has(here.position, this.keysOnly(here))) return false
    if (this.edge.stands && ask.rate > 0) return false
    const { video } = this.screen
    // What runs must have a picture to run on from; jumps are followed as fast as they can be.
    return !flows(ask.rate) || (!video.seeking && video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA)
  }

  /** A place was asked for that did not come: it is asked for again. */
  private isStuck(now: number): boolean {
    if (!this.screen.video.seeking) this.seekingSince = Number.NaN
    else if (Number.isNaN(this.seekingSince)) this.seekingSince = now
    const stuck = now - this.seekingSince > stuckMs
    if (stuck) {
      this.seekingSince = now
      this.aimedAt = Number.NaN
    }
    return stuck
  }

  private keysOnly(ask: Ask): boolean {
    return ask.going && onlyKeys(ask.rate)
  }

  private seconds(at: number): number {
    return (at - this.origin) / 1000
  }

  private run(ask: Ask): void {
    const { video } = this.screen
    this.aimedAt = Number.NaN
    const { jump, rate } = correction(this.seconds(ask.position), video.currentTime, ask.rate)
    if (jump !== null) video.currentTime = jump
    if (Math.abs(video.playbackRate - rate) > 0.002) video.playbackRate = rate
    if (video.paused) video.play().catch(() => undefined) // refused while it has no data; the next tick asks again
  }

  /** Standing, going backwards or by key frames: one picture after the other, as fast as the decoder can. */
  private rest(ask: Ask): void {
    const { video } = this.screen
    if (!video.paused) video.pause()
    const { begin, end } = this.pictureFor(ask)
    if (this.aimedAt < begin - 0.5 || this.aimedAt >= end - 0.5 || Number.isNaN(this.aimedAt)) this.send(begin + intoPictureMs)
  }

  /** The element is sent on its way while the pictures come: its decoder is empty and waiting when they are there. */
  private goAhead(ask: Ask): void {
    if (ask.moving || segmentAt(this.line, ask.position) === null || Math.abs(this.aimedAt - ask.position) <= 2 * intoPictureMs) return
    this.send(ask.position + intoPictureMs)
  }

  private send(to: number): void {
    this.aimedAt = to
    this.screen.video.currentTime = this.seconds(to)
  }

  /** From when until when the picture is shown that belongs to the moment asked for. */
  private pictureFor(ask: Ask): { begin: number; end: number } {
    const group = groupAt(this.heads.groups, ask.position)
    if (group === null) return { begin: ask.position, end: ask.position + intoPictureMs }
    if (this.keysOnly(ask)) return group
    const times = this.times.get(group.id) ?? []
    const index = Math.max(0, times.findLastIndex((one) => one <= ask.position + 0.5))
    const begin = times[index]
    if (begin === undefined) return { begin: Math.max(ask.position, group.begin), end: group.end }
    return { begin, end: times[index + 1] ?? group.end }
  }

  // -- fetching

  private aim(ask: Ask): Aim {
    const keysOnly = this.keysOnly(ask)
    const speed = Math.max(1, Math.abs(ask.rate))
    return { at: ask.position, direction: ask.rate < 0 ? -1 : 1, keysOnly, aheadMs: ask.going ? aheadMs * Math.min(speed, keysOnly ? speed : 4) : aheadMs / 2 }
  }

  private fetchAround(ask: Ask, now: number): void {
    if (now < this.quietUntil) return
    const asked = this.aim(ask)
    const inHole = segmentAt(this.line, asked.at) === null
    // In a hole, what comes behind it is made ready.
    const aim = inHole ? { ...asked, at: goesOn(this.line, asked.at, asked.direction) ?? asked.at } : asked
    this.letGo(aim)
    this.heads.learn(this.line, aim, this.foreseen)
    this.discard(aim)
    const here = groupAt(this.heads.groups, aim.at)
    if (here === null || here.segment !== segmentAt(this.line, aim.at)) return
    const next = this.library.portion(wanted(this.heads.groups, this.held, aim), aim.direction)
    const first = next[0]
    if (first === undefined) return
    const current = this.fetching
    if (current !== null) {
      const urgent = first.id === here.id && !current.groups.some((one) => one.id === here.id)
      if (!urgent) return
      current.stop.abort()
    }
    const stop = new AbortController()
    this.fetching = { groups: next, keysOnly: aim.keysOnly, stop }
    void this.bring(next, aim.keysOnly, stop)
      .catch((problem: unknown) => this.explain(problem, stop, aim))
      .finally(() => {
        if (this.fetching?.stop === stop) this.fetching = null
        this.onNews()
      })
  }

  /** Pictures that are under way for another place are no longer wanted. */
  private letGo(aim: Aim): void {
    const reach = 2 * (aim.aheadMs + aheadMs)
    if (this.fetching?.groups.every((one) => one.end < aim.at - reach || one.begin > aim.at + reach) !== true) return
    this.fetching.stop.abort()
    this.fetching = null
  }

  private async bring(groups: readonly Group[], keysOnly: boolean, stop: AbortController): Promise<void> {
    const segment = groups[0]?.segment
    const head = segment === undefined ? undefined : this.heads.of(segment)
    if (segment === undefined || head === undefined) return
    // Of a group that grew only what is new.
    const asked = groups.map((group) => ({ ...group, ...this.remaining(group) }))
    const parts = await this.library.bring(head, groups, asked, keysOnly, stop.signal)
    if (stop.signal.aborted || this.closed) return
    await this.put(parts.filter((one) => this.held.get(one.group.id) !== 'whole'))
  }

  /** Into the buffer, group after group. */
  private async put(parts: readonly Brought[]): Promise<void> {
    for (const { group, isWhole, skipped, mime, init, bytes, times } of parts) {
      const { begin } = group.segment
      const before = skipped > 0 ? (this.times.get(group.id) ?? []) : []
      // Written down first: what is discarded meanwhile is taken out behind it.
      this.held.set(group.id, isWhole ? 'whole' : 'key')
      this.heldGroups.set(group.id, group)
      if (isWhole) this.times.set(group.id, [...before, ...times.map((one) => begin + one / ticksAMs)])
      try {
        await this.screen.append({ mime, init, offset: this.seconds(begin), bytes })
      } catch (problem) {
        this.forget(group)
        throw problem
      }
      // Another picture than the key frame that stood there may be the one to be shown.
      if (this.appended.get(group.id) === 'key') this.aimedAt = Number.NaN
      const held = this.held.get(group.id)
      if (held !== undefined) {
        this.appended.set(group.id, held)
        this.reach.set(group.id, { bytes: isWhole ? group.bytes : 0, until: group.end })
      }
      this.trouble = null
      this.onNews()
    }
  }

  /** What is not in the buffer of a group that grew. */
  private remaining(group: Group): { offset: number; bytes: number } {
    const there = this.held.get(group.id) === 'part' ? (this.reach.get(group.id)?.bytes ?? 0) : 0
    return { offset: group.offset + there, bytes: group.bytes - there }
  }

  /** The segment that is being written has grown, and with it its last group. */
  private grow(segment: Segment, head: Head): void {
    if (this.closed) return
    this.heads.renew(segment, head)
    for (const group of head.groups) {
      const there = this.reach.get(group.id)
      if (this.heldGroups.has(group.id)) this.heldGroups.set(group.id, group)
      if (there === undefined || there.bytes === 0 || this.held.get(group.id) !== 'whole') continue
      if (there.bytes < group.bytes) {
        this.held.set(group.id, 'part')
        this.appended.set(group.id, 'part')
      } else there.until = group.end
    }
  }

  private forget(group: Group): void {
    this.reach.delete(group.id)
    this.held.delete(group.id)
    this.appended.delete(group.id)
    this.heldGroups.delete(group.id)
    this.times.delete(group.id)
  }

  private discard(aim: Aim, factor = 1): void {
    if (this.evicting) return
    const gone = discardable(this.heldGroups.values(), aim, factor)
    if (gone.length === 0) return
    this.evicting = true
    for (const group of gone) this.forget(group)
    // Side by side ones are taken out together.
    const spans: { begin: number; end: number }[] = []
    for (const one of gone.sort((first, second) => first.begin - second.begin)) {
      const last = spans.at(-1)
      if (last !== undefined && one.begin - last.end < 1) last.end = one.end
      else spans.push({ begin: one.begin, end: one.end })
    }
    void Promise.all(spans.map((one) => this.screen.remove(this.seconds(one.begin), this.seconds(one.end))))
      .catch(() => undefined)
      .finally(() => (this.evicting = false))
  }

  private explain(problem: unknown, stop: AbortController, aim: Aim | null): void {
    if (this.closed || stop.signal.aborted) return
    if (problem instanceof ScreenTrouble) {
      if (problem.trouble === 'full' && aim !== null) this.discard(aim, 0.3)
      else if (problem.trouble === 'unsupported') this.fail('codec_unsupported', { codec: this.codecs(aim?.at ?? 0)?.name ?? '' })
      else if (problem.trouble !== 'closed') this.fail('playback_decode_error')
      return
    }
    if (problem instanceof Error && problem.name === 'AbortError') return
    const { code, params } = asApiError(problem)
    this.fail(code, params)
  }

  private fail(code: string, params: Record<string, string | number> = {}): void {
    this.trouble = { code, params }
    this.quietUntil = performance.now() + retryMs
  }
}
