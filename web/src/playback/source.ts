/**
 * Where the pictures of a group come from: the segment as it was recorded, or, where this browser cannot decode that, the
 * server's transcoding of the group to H.264, whose times are the same.
 */
import { decodingOf, type Decoding } from '@/player/decoding'
import { playable } from '@/player/mime'

import { Malformed, pictures, standing } from './fragments'
import type { Group } from './groups'
import { asked, Library, type Head, type Opening } from './library'
import type { Segment } from './line'

export interface Brought {
  group: Group
  /** Else only its key frame, made to stand for the whole of it. */
  isWhole: boolean
  /** Bytes of it that were there before. */
  skipped: number
  mime: string
  init: Uint8Array<ArrayBuffer>
  bytes: Uint8Array<ArrayBuffer>
  /** When each picture is shown, ticks from the beginning of the segment. */
  times: number[]
}

const ticksAMs = 90

/** What the server's answer holds: its beginning, and the fragments behind it. */
export function split(bytes: Uint8Array<ArrayBuffer>, init: number): { init: Uint8Array<ArrayBuffer>; rest: Uint8Array<ArrayBuffer> } {
  if (!Number.isInteger(init) || init < 8 || init > bytes.byteLength) throw new Malformed('no beginning')
  return { init: bytes.subarray(0, init), rest: bytes.subarray(init) }
}

function lasting(group: Group): number {
  return (group.end - group.begin) * ticksAMs
}

export class Source extends Library {
  private readonly verdicts = new Map<string, Promise<Decoding>>()
  private readonly foreign = new WeakSet<Segment>()

  override async head(segment: Segment, signal: AbortSignal): Promise<Head> {
    const head = await super.head(segment, signal)
    await this.judge(segment, head)
    return head
  }

  override async opening(segment: Segment, at: number, signal: AbortSignal): Promise<Opening> {
    const opening = await super.opening(segment, at, signal)
    await this.judge(segment, opening.head)
    return opening
  }

  /** Asks the browser about a segment before anything of it is shown. */
  async judge(segment: Segment, head: Head): Promise<void> {
    const kind = `${head.mime} ${head.width}x${head.height}`
    const verdict = this.verdicts.get(kind) ?? decodingOf(head.mime, head.width, head.height, playable(head.mime))
    this.verdicts.set(kind, verdict)
    if (!(await verdict).supported) this.foreign.add(segment)
  }

  /** Whether this browser cannot decode a segment, and is given it transcoded. */
  isForeign(segment: Segment): boolean {
    return this.foreign.has(segment)
  }

  /** What of the groups wanted is asked for at once: what must be made is asked for one by one, the nearest first. */
  portion(groups: Group[], direction: 1 | -1): Group[] {
    const nearest = direction === 1 ? groups[0] : groups.at(-1)
    return nearest !== undefined && this.isForeign(nearest.segment) ? [nearest] : groups
  }

  /** Groups side by side in one segment, or their key frames alone. `rests` are what of each is not there yet. */
  async bring(head: Head, groups: readonly Group[], rests: readonly Group[], keysOnly: boolean, signal: AbortSignal): Promise<Brought[]> {
    const first = groups[0]
    if (first === undefined) return []
    const { segment } = first
    if (this.isForeign(segment)) return Promise.all(groups.map((group) => this.transcoded(segment, group, keysOnly, signal)))
    const bytes = keysOnly ? await this.key(segment.url, first, signal) : await this.whole(segment.url, rests, signal)
    const base = rests[0]?.offset ?? 0
    return groups.map((group, index) => {
      const rest = rests[index] ?? group
      const own = keysOnly ? bytes : bytes.subarray(rest.offset - base, rest.offset - base + rest.bytes)
      const isWhole = !keysOnly || own.byteLength >= group.bytes
      const skipped = group.bytes - rest.bytes
      return { group, isWhole, skipped, mime: head.mime, init: head.init, ...(isWhole ? pictures(own) : standing(own, lasting(group))) }
    })
  }

  private async transcoded(segment: Segment, group: Group, keysOnly: boolean, signal: AbortSignal): Promise<Brought> {
    const number = group.id.split('/').at(-1)
    const response = await asked(`${segment.url}/h264/${number}${keysOnly ? '?key_only=true' : ''}`, signal)
    const { init, rest } = split(new Uint8Array(await response.arrayBuffer()), Number(response.headers.get('X-Commonview-Init')))
    const mime = response.headers.get('Content-Type') ?? ''
    return { group, isWhole: !keysOnly, skipped: 0, mime, init, ...(keysOnly ? standing(rest, lasting(group)) : pictures(rest)) }
  }
}
