/** What is known of the segments of one camera, where their groups of pictures lie: asked for around the place that is looked at. */
import type { Aim, Group } from './groups'
import type { Head, Library, Opening } from './library'
import { before, segmentAt, type Segment } from './line'

interface Listener {
  /** Nothing was known of the segment where playback stands: its pictures came with its head. */
  onOpened: (opening: Opening) => Promise<void>
  onNews: () => void
  onTrouble: (problem: unknown, stop: AbortController, aim: Aim | null) => void
}

/** So many are asked for ahead at once. */
const most = 3

export class Heads {
  /** Of all segments that are known, in order. */
  groups: Group[] = []
  private readonly known = new Map<Segment, Head>()
  private readonly asked = new Map<Segment, AbortController>()
  private opening: { segment: Segment; stop: AbortController } | null = null

  constructor(private readonly library: Library, private readonly listener: Listener) {}

  of(segment: Segment): Head | undefined {
    return this.known.get(segment)
  }

  /** A segment that is being written has grown. */
  renew(segment: Segment, head: Head): void {
    if (!this.known.has(segment)) return
    this.known.set(segment, head)
    this.collect()
    this.listener.onNews()
  }

  /** These segments are there now, and no others. */
  keep(line: readonly Segment[]): void {
    const kept = new Set(line)
    for (const segment of [...this.known.keys()]) if (!kept.has(segment)) this.known.delete(segment)
    this.collect()
  }

  /** The segment that is looked at, with its pictures; those within reach; those beside them; the one that is pointed at. */
  learn(line: readonly Segment[], aim: Aim, pointedAt: number | null): void {
    const here = segmentAt(line, aim.at)
    this.letGo(here)
    if (here !== null) this.ask(here, aim)
    const pointed = pointedAt === null ? null : segmentAt(line, pointedAt)
    if (pointed !== null) this.ask(pointed, null)
    const reach = aim.aheadMs + 1000
    const [from, to] = aim.direction === 1 ? [aim.at - 1000, aim.at + reach] : [aim.at - reach, aim.at + 1000]
    const first = before(line, from)
    const last = before(line, to)
    for (let index = Math.max(0, first - 1); index <= Math.min(last + 1, line.length - 1); index++) {
      const segment = line[index]
      if (segment !== undefined) this.ask(segment, null)
    }
  }

  close(): void {
    for (const stop of this.asked.values()) stop.abort()
  }

  /** Pictures of a place where playback no longer stands are not waited for. */
  private letGo(here: Segment | null): void {
    if (this.opening === null || this.opening.segment === here) return
    this.opening.stop.abort()
    this.asked.delete(this.opening.segment)
    this.opening = null
  }

  /** The head of a segment; with an aim, at once, and with the pictures of that place. */
  private ask(segment: Segment, aim: Aim | null): void {
    if (this.known.has(segment) || this.asked.has(segment) || (aim === null && this.asked.size >= most)) return
    const stop = new AbortController()
    this.asked.set(segment, stop)
    const opens = aim !== null && !aim.keysOnly
    if (opens) this.opening = { segment, stop }
    const coming: Promise<{ head: Head; opening: Opening | null }> = opens
      ? this.library.opening(segment, aim.at, stop.signal).then((opening) => ({ head: opening.head, opening }))
      : this.library.head(segment, stop.signal).then((head) => ({ head, opening: null }))
    coming
      .then(({ head, opening }) => {
        if (stop.signal.aborted) return
        this.known.set(segment, head)
        this.collect()
        this.listener.onNews()
        return opening === null ? undefined : this.listener.onOpened(opening)
      })
      .catch((problem: unknown) => this.listener.onTrouble(problem, stop, aim))
      .finally(() => {
        if (this.asked.get(segment) === stop) this.asked.delete(segment)
        if (this.opening?.stop === stop) this.opening = null
      })
  }

  private collect(): void {
    this.groups = [...this.known.values()].flatMap((head) => head.groups).sort((first, second) => first.begin - second.begin)
  }
}
