/** One camera on the common clock: fetches what will be shown, and keeps its picture where the clock stands. */
import { asApiError } from '@/api/errors'
import { codecName } from '@/player/mime'

import { correction, flows, onlyKeys } from './clock'
import type { Standing } from './engine'
import { discardable, groupAt, wanted, type Aim, type Group, type Held } from './groups'
import { Library, type Head } from './library'
import { before, goesOn, landing, lineOf, segmentAt, type Segment } from './line'
import { Screen, ScreenTrouble } from './screen'
import { Source } from './source'
import { Watch } from './watch'

export interface Ask {
  position: number
  rate: number
  /** Whether the clock moves just now. */
  moving: boolean
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
  line: Segment[] = []
  trouble: CameraTrouble | null = null
  private readonly library = new Library()
  private readonly source = new Source(this.library)
  private readonly heads = new Map<Segment, Head>()
  private readonly held = new Map<string, Held>()
  private readonly heldGroups = new Map<string, Group>()
  private readonly times = new Map<string, number[]>()
  private groups: Group[] = []
  private fetching: { groups: readonly Group[]; keysOnly: boolean; stop: AbortController } | null = null
  private readonly learning = new Map<Segment, AbortController>()
  private quietUntil = 0
  private readonly appended = new Map<string, Held>()
  private aimedAt = Number.NaN
  private seekingSince = Number.NaN
  private evicting = false
  private closed = false

  /** `origin` is the moment that is zero for the video element, ms since 1970. */
  constructor(private readonly origin: number, clockAt: (now: number) => number | null) {
    this.screen = new Screen(() => this.fail('playback_decode_error'))
    this.watch = new Watch(this.screen.video, origin, clockAt)
  }

  /** What is recorded, as it is known now; the pictures that are there stay. */
  tell(segments: readonly Segment[], stream: number): void {
    const known = new Map(this.line.map((one) => [`${one.stream}/${one.sequence}`, one]))
    this.line = lineOf(segments, stream).map((one) => {
      const same = known.get(`${one.stream}/${one.sequence}`)
      return same === undefined ? one : Object.assign(same, { url: one.url })
    })
    const kept = new Set(this.line)
    for (const segment of [...this.heads.keys()]) if (!kept.has(segment)) this.heads.delete(segment)
    this.collect()
    this.trouble = null
    this.quietUntil = 0
  }

  standing(ask: Ask): Pick<Standing, 'line' | 'ready'> {
    return { line: this.line, ready: this.isReady(ask) }
  }

  /** Shows the place, and fetches what comes next. Called at every tick. */
  present(ask: Ask, now: number): void {
    if (this.closed) return
    const here = { ...ask, position: landing(this.line, ask.position) }
    this.fetchAround(here, now)
    const { video } = this.screen
    if (segmentAt(this.line, here.position) === null || !this.hasPictures(here)) {
      if (!video.paused) video.pause()
      this.seekingSince = Number.NaN
    } else if (this.isStuck(now) || !video.seeking) {
      if (ask.moving && flows(ask.rate)) this.run(here)
      else this.rest(here)
    }
  }

  /** When the pictures around a moment are shown, ms, in order; those of whole groups only. */
  picturesAround(position: number): number[] {
    const here = groupAt(this.groups, position)
    if (here === null) return []
    const at = this.groups.indexOf(here)
    return [at - 1, at, at + 1].flatMap((index) => this.times.get(this.groups[index]?.id ?? '') ?? [])
  }

  codecs(position: number): { name: string; width: number; height: number; foreign: boolean } | null {
    const segment = segmentAt(this.line, position)
    const head = segment === null ? undefined : this.heads.get(segment)
    if (segment === null || head === undefined) return null
    return { name: codecName(head.mime), width: head.width, height: head.height, foreign: this.source.isForeign(segment) }
  }

  close(): void {
    this.closed = true
    this.fetching?.stop.abort()
    for (const stop of this.learning.values()) stop.abort()
    this.watch.close()
    this.screen.close()
  }

  // -- the picture

  private hasPictures(ask: Ask): boolean {
    const segment = segmentAt(this.line, ask.position)
    const group = groupAt(this.groups, ask.position)
    if (group === null || group.segment !== segment) return false
    const held = this.appended.get(group.id)
    return held === 'whole' || (held === 'key' && this.keysOnly(ask))
  }

  private isReady(ask: Ask): boolean {
    const here = { ...ask, position: landing(this.line, ask.position) }
    if (segmentAt(this.line, here.position) === null) return true
    if (!this.hasPictures(here)) return false
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
    return ask.moving && onlyKeys(ask.rate)
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
    const target = this.pictureFor(ask)
    if (Math.abs(target - this.aimedAt) < 0.5) return
    this.aimedAt = target
    video.currentTime = this.seconds(target)
  }

  private pictureFor(ask: Ask): number {
    const group = groupAt(this.groups, ask.position)
    if (group === null) return ask.position
    if (this.keysOnly(ask)) return group.begin + 1
    const shown = (this.times.get(group.id) ?? []).findLast((one) => one <= ask.position + 0.5)
    return shown === undefined ? Math.max(ask.position, group.begin + 1) : shown + 1
  }

  // -- fetching

  private aim(ask: Ask): Aim {
    const keysOnly = this.keysOnly(ask)
    const speed = Math.max(1, Math.abs(ask.rate))
    return { at: ask.position, direction: ask.rate < 0 ? -1 : 1, keysOnly, aheadMs: ask.moving ? aheadMs * Math.min(speed, keysOnly ? speed : 4) : aheadMs / 2 }
  }

  private fetchAround(ask: Ask, now: number): void {
    if (now < this.quietUntil) return
    const asked = this.aim(ask)
    const inHole = segmentAt(this.line, asked.at) === null
    // In a hole, what comes behind it is made ready.
    const aim = inHole ? { ...asked, at: goesOn(this.line, asked.at, asked.direction) ?? asked.at } : asked
    this.learn(aim)
    this.discard(aim)
    const here = groupAt(this.groups, aim.at)
    if (here === null || here.segment !== segmentAt(this.line, aim.at)) return
    const next = this.source.portion(wanted(this.groups, this.held, aim), aim.direction)
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
      })
  }

  private async bring(groups: readonly Group[], keysOnly: boolean, stop: AbortController): Promise<void> {
    const segment = groups[0]?.segment
    const head = segment === undefined ? undefined : this.heads.get(segment)
    if (segment === undefined || head === undefined) return
    const parts = await this.source.bring(segment, head, groups, keysOnly, stop.signal)
    if (stop.signal.aborted || this.closed) return
    const missing = parts.filter((one) => this.held.get(one.group.id) !== 'whole')
    for (const { group, isWhole, mime, init, bytes, times } of missing) {
      // Written down first: what is discarded meanwhile is taken out behind it.
      this.held.set(group.id, isWhole ? 'whole' : 'key')
      this.heldGroups.set(group.id, group)
      if (isWhole) this.times.set(group.id, times.map((one) => segment.begin + one / ticksAMs))
      try {
        await this.screen.append({ mime, init, offset: this.seconds(segment.begin), bytes })
      } catch (problem) {
        this.forget(group)
        throw problem
      }
      if (this.held.has(group.id)) this.appended.set(group.id, isWhole ? 'whole' : 'key')
      this.trouble = null
      this.aimedAt = Number.NaN
    }
  }

  /** Heads of the segments around the aim, a few at a time. */
  private learn(aim: Aim): void {
    const reach = aim.aheadMs + 1000
    const [from, to] = aim.direction === 1 ? [aim.at - 1000, aim.at + reach] : [aim.at - reach, aim.at + 1000]
    const here = segmentAt(this.line, aim.at)
    if (here !== null) this.ask(here)
    for (let index = Math.max(0, before(this.line, from)); index < this.line.length; index++) {
      const segment = this.line[index]
      if (segment === undefined || segment.begin > to) return
      if (segment.end >= from) this.ask(segment)
    }
  }

  private ask(segment: Segment): void {
    if (this.heads.has(segment) || this.learning.has(segment) || this.learning.size >= 3) return
    const stop = new AbortController()
    this.learning.set(segment, stop)
    this.library
      .head(segment, stop.signal)
      .then(async (head) => {
        await this.source.judge(segment, head)
        if (this.closed) return
        this.heads.set(segment, head)
        this.collect()
      })
      .catch((problem: unknown) => this.explain(problem, stop, null))
      .finally(() => this.learning.delete(segment))
  }

  private collect(): void {
    this.groups = [...this.heads.values()].flatMap((head) => head.groups).sort((first, second) => first.begin - second.begin)
  }

  private forget(group: Group): void {
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
