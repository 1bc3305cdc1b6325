/** Bytes of recordings from the server: the index of a segment once, groups of pictures by Range, or both in one answer. */
import { errorFrom, unreachable } from '@/api/errors'
import type { components } from '@/api/schema'

import { concat, firstPictureEnd, Malformed, pictureInit } from './fragments'
import { groupAt, groupsOf, type Group } from './groups'
import type { Segment } from './line'

type SegmentIndex = components['schemas']['SegmentIndexOut']

export interface Head {
  mime: string
  codec: string
  /** As `codec`, of the sound; empty without. */
  audio: string
  init: Uint8Array<ArrayBuffer>
  /** When its segment begins, by the index; and whether it is being written. */
  begin: number
  open: boolean
  groups: Group[]
  width: number
  height: number
}

/** A segment that nothing is known of, and the group of pictures at a moment of it. */
export interface Opening {
  head: Head
  group: Group
  bytes: Uint8Array<ArrayBuffer>
}

/** A key frame is fetched by as much as the largest seen, and some. */
const leastKey = 64 * 1024

/** Throws the server's refusal. */
export async function asked(url: string, signal: AbortSignal, range?: readonly [number, number]): Promise<Response> {
  let response: Response
  try {
    const headers: Record<string, string> = range === undefined ? {} : { Range: `bytes=${range[0]}-${range[1] - 1}` }
    response = await fetch(url, { signal, headers, credentials: 'same-origin' })
  } catch (problem) {
    if (signal.aborted) throw problem
    throw unreachable()
  }
  if (response.ok) return response
  throw errorFrom(response.status, await response.json().catch(() => null))
}

async function bytesOf(url: string, from: number, to: number, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
  const response = await asked(url, signal, [from, to])
  return new Uint8Array(await response.arrayBuffer())
}

function headOf(segment: Segment, told: SegmentIndex): Head {
  // What is being written has grown since it was listed.
  if (segment.open) segment.end = Math.max(segment.end, Date.parse(told.end))
  const init = Uint8Array.from(atob(told.init), (one) => one.charCodeAt(0))
  return {
    mime: `video/mp4; codecs="${told.video_codec}"`,
    codec: told.video_codec,
    audio: told.audio_codec,
    init: pictureInit(init),
    begin: Date.parse(told.begin),
    open: told.is_open,
    groups: groupsOf(segment, told.groups),
    width: told.width,
    height: told.height,
  }
}

/** The index behind its length, then the bytes of the group that `at` lies in. Throws Malformed. */
export function openingOf(segment: Segment, at: number, all: Uint8Array<ArrayBuffer>): Opening {
  const size = all.byteLength < 4 ? Number.POSITIVE_INFINITY : new DataView(all.buffer, all.byteOffset).getUint32(0)
  if (size > all.byteLength - 4) throw new Malformed('an index that is longer than what was sent')
  const head = headOf(segment, JSON.parse(new TextDecoder().decode(all.subarray(4, 4 + size))) as SegmentIndex)
  const group = groupAt(head.groups, at)
  const bytes = all.subarray(4 + size)
  if (group === null || bytes.byteLength !== group.bytes) throw new Malformed('not the group that was asked for')
  return { head, group, bytes }
}

export class Library {
  private largestKey = leastKey

  async head(segment: Segment, signal: AbortSignal): Promise<Head> {
    return headOf(segment, (await (await asked(`${segment.url}/index`, signal)).json()) as SegmentIndex)
  }

  /** One way there and back for what is needed to show a moment of a segment that nothing is known of. */
  async opening(segment: Segment, at: number, signal: AbortSignal): Promise<Opening> {
    const atUs = Math.max(0, Math.round((at - segment.begin) * 1000))
    const response = await asked(`${segment.url}/opening?at_us=${atUs}`, signal)
    return openingOf(segment, segment.begin + atUs / 1000, new Uint8Array(await response.arrayBuffer()))
  }

  /** Groups side by side in one segment. */
  whole(url: string, groups: readonly Group[], signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    const first = groups[0]
    const last = groups.at(-1)
    if (first === undefined || last === undefined) return Promise.resolve(new Uint8Array())
    return bytesOf(url, first.offset, last.offset + last.bytes, signal)
  }

  /** As much of a group as holds its key frame. */
  async key(url: string, group: Group, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    const guess = Math.min(group.bytes, Math.ceil(this.largestKey * 1.25))
    let bytes = await bytesOf(url, group.offset, group.offset + guess, signal)
    if (firstPictureEnd(bytes) === null && guess < group.bytes) {
      bytes = concat([bytes, await bytesOf(url, group.offset + guess, group.offset + group.bytes, signal)])
    }
    this.largestKey = Math.max(this.largestKey, firstPictureEnd(bytes) ?? 0)
    return bytes
  }
}
