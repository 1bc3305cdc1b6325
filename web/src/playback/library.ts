/** Bytes of recordings from the server: the head of a segment once, groups of pictures by Range. */
import { errorFrom, unreachable } from '@/api/errors'
import type { components } from '@/api/schema'

import { concat, firstPictureEnd, pictureInit } from './fragments'
import { groupsOf, type Group } from './groups'
import type { Segment } from './line'

type SegmentIndex = components['schemas']['SegmentIndexOut']

export interface Head {
  mime: string
  codec: string
  init: Uint8Array<ArrayBuffer>
  groups: Group[]
  width: number
  height: number
}

/** `ftyp` and `moov` have some 1,500 octets: asked for beside the index, so that one way there and back is enough. */
const initGuess = 4096
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

export class Library {
  private largestKey = leastKey

  async head(segment: Segment, signal: AbortSignal): Promise<Head> {
    const early = bytesOf(segment.url, 0, initGuess, signal)
    early.catch(() => undefined) // the index says it better
    const told = (await (await asked(`${segment.url}/index`, signal)).json()) as SegmentIndex
    let init = (await early).subarray(0, told.init_bytes)
    if (init.byteLength < told.init_bytes) init = await bytesOf(segment.url, 0, told.init_bytes, signal)
    return {
      mime: `video/mp4; codecs="${told.video_codec}"`,
      codec: told.video_codec,
      init: pictureInit(init),
      groups: groupsOf(segment, told.groups),
      width: told.width,
      height: told.height,
    }
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
