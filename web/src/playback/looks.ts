/** Looks at the recordings of one camera: which spans were opened under the grant, and what is in them. Times: ms since 1970. */
import { answer, api, serverNow } from '@/api/client'
import type { LiveGrant } from '@/api/types'
import type { components } from '@/api/schema'
import type { Terms } from '@/recordings/usePlayback'

import type { Segment } from './line'

type Told = components['schemas']['SegmentOut']

interface Look {
  accessId: string
  from: number
  to: number
  segments: Segment[]
}

/** A look covers so much around the place that is looked at: no more is opened, and written down, than is near. */
const backMs = 2 * 3600_000
const onMs = 4 * 3600_000
/** So many stay open of one camera; the oldest gives way. */
const most = 4
/** How far is looked ahead for where recording goes on. */
const searchMs = 31 * 86_400_000
const searchPixels = 4000
/** What is this new is known by refreshing. */
const freshMs = 60_000

export function segmentOf(told: Told): Segment {
  return { stream: told.stream_number, sequence: told.sequence, begin: Date.parse(told.begin), end: Date.parse(told.end), url: told.url, gapReason: told.gap_reason, open: told.is_open }
}

/** Looks side by side count as one. */
export function knownUntil(looks: readonly { from: number; to: number }[], at: number, direction: 1 | -1): number | null {
  let here: number | null = null
  for (let changed = true; changed; ) {
    changed = false
    for (const one of looks) {
      const place: number = here ?? at
      if (one.from > place || one.to < place) continue
      const edge = direction === 1 ? one.to : one.from
      if (here === null || (direction === 1 ? edge > here : edge < here)) {
        here = edge
        changed = true
      }
    }
  }
  return here
}

/** So long after its end the newest segment is taken to go on: its successor shows when a second of it is on the disk. */
const goesOnMs = 5000

/** Each segment once, as far as it is known to have come: they are told apart by when they begin. */
export function united(segments: readonly Segment[], now: number): Segment[] {
  const all = new Map<string, Segment>()
  for (const one of segments) {
    const key = `${one.stream}/${one.begin}`
    const other = all.get(key)
    if (other === undefined || (other.open && !one.open) || (other.open === one.open && one.end >= other.end)) all.set(key, one)
  }
  const found = [...all.values()]
  const newest = found.reduce((latest, one) => Math.max(latest, one.end), 0)
  return found.map((one) => (one.end === newest && !one.open && now - one.end < goesOnMs ? { ...one, open: true } : one))
}

function same(one: readonly Segment[], other: readonly Segment[]): boolean {
  const text = (list: readonly Segment[]) => list.map((each) => `${each.stream}/${each.begin}/${each.end}/${each.open}`).join()
  return text(one) === text(other)
}

export class Looks {
  grant: LiveGrant | null = null
  private looks: Look[] = []
  private opening = false
  private closed = false

  constructor(private readonly channelId: string) {}

  get segments(): Segment[] {
    return united(this.looks.flatMap((look) => look.segments), serverNow())
  }

  get busy(): boolean {
    return this.opening
  }

  isKnown(at: number): boolean {
    return knownUntil(this.looks, at, 1) !== null
  }

  /** The look that a moment lies in; null when none is open there. */
  accessAt(at: number): string | null {
    return this.looks.findLast((one) => one.accessId !== '' && one.from <= at && one.to > at)?.accessId ?? null
  }

  /** Whether more may be recorded in this direction than is known. */
  hasMore(at: number, direction: 1 | -1): boolean {
    const edge = knownUntil(this.looks, at, direction)
    if (edge === null) return false
    return direction === 1 ? edge < serverNow() - freshMs : edge > this.earliest
  }

  private earliest = 0

  /** Opens a look around a moment. Throws the server's refusal. */
  async open(at: number, terms: Terms): Promise<void> {
    this.opening = true
    try {
      const [from, to] = [at - backMs, at + onMs]
      const body = { channel_id: this.channelId, begin: new Date(from).toISOString(), end: new Date(to).toISOString(), ...terms }
      const opened = await answer(api.POST('/api/recorded', { body }))
      if (this.closed) {
        leave(opened.access_id)
        return
      }
      this.grant = opened.grant
      const until = opened.more_from === null ? to : Date.parse(opened.more_from)
      this.looks.push({ accessId: opened.access_id, from, to: until, segments: opened.segments.map(segmentOf) })
      while (this.looks.length > most) {
        const gone = this.looks.shift()
        if (gone !== undefined) leave(gone.accessId)
      }
    } finally {
      this.opening = false
    }
  }

  /** Opens the next span under the grant that runs: around the moment, or where recording goes on. Throws the server's refusal. */
  async goOn(at: number, direction: 1 | -1): Promise<void> {
    const { grant } = this
    if (grant === null || this.opening) return
    const edge = knownUntil(this.looks, at, direction)
    if (edge === null) {
      await this.open(at, { grant_id: grant.id })
      return
    }
    this.opening = true
    let next: number | null
    try {
      next = await this.nextRecorded(edge, direction)
    } finally {
      this.opening = false
    }
    if (next === null) {
      if (direction === -1) this.earliest = Math.max(this.earliest, edge)
      else this.stretch(edge)
      return
    }
    // What lies between is empty, and known to be so.
    const span: Look = direction === 1 ? { accessId: '', from: edge, to: next, segments: [] } : { accessId: '', from: next, to: edge, segments: [] }
    await this.open(direction === 1 ? next + backMs : next - onMs, { grant_id: grant.id })
    this.looks.unshift(span)
  }

  /** Nothing is recorded from here until now. */
  private stretch(edge: number): void {
    this.looks.unshift({ accessId: '', from: edge, to: serverNow(), segments: [] })
  }

  private async nextRecorded(edge: number, direction: 1 | -1): Promise<number | null> {
    const now = serverNow()
    const [from, to] = direction === 1 ? [edge, Math.min(now, edge + searchMs)] : [edge - searchMs, edge]
    if (to - from < 1000) return null
    const body = { channel_ids: [this.channelId], begin: new Date(from).toISOString(), end: new Date(to).toISOString(), pixels: searchPixels, with_devices: false }
    const { lines } = await answer(api.POST('/api/recording/timeline', { body }))
    const bands = lines[0]?.recorded ?? []
    const found = direction === 1 ? bands[0]?.[0] : bands.at(-1)?.[1]
    return found ?? null
  }

  /** What was finished since: recording goes on while one looks. */
  async refresh(at: number): Promise<boolean> {
    const look = this.looks.findLast((one) => one.accessId !== '' && one.from <= at && one.to >= at)
    if (look === undefined) return false
    const since = look.segments.find((one) => one.open) ?? look.segments.at(-1)
    const query = since === undefined ? {} : { from: new Date(Math.max(look.from, since.begin)).toISOString() }
    const { segments } = await answer(api.GET('/api/recorded/{access_id}', { params: { path: { access_id: look.accessId }, query } }))
    const fresh = segments.map(segmentOf)
    const before = look.segments
    look.segments = united([...before.filter((one) => !one.open), ...fresh], Number.POSITIVE_INFINITY)
    return fresh.length > 0 && !same(before, look.segments)
  }

  /** Throws the server's refusal when a look is over. */
  async check(): Promise<void> {
    for (const one of this.looks) {
      if (one.accessId === '') continue
      const query = { from: new Date(one.to).toISOString() }
      await answer(api.GET('/api/recorded/{access_id}', { params: { path: { access_id: one.accessId }, query } }))
    }
  }

  close(): void {
    this.closed = true
    for (const one of this.looks) if (one.accessId !== '') leave(one.accessId)
    this.looks = []
  }
}

function leave(accessId: string): void {
  // The server also notices by itself; this only tells it at once.
  answer(api.DELETE('/api/recorded/{access_id}', { params: { path: { access_id: accessId } } })).catch(() => undefined)
}
