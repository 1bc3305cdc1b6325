/**
 * Reading the fragments of a recorded segment (ISO/IEC 14496-12): what belongs to the picture, when each picture is shown,
 * and a key frame that stands until the next one. Nothing here believes a length that the bytes do not bear out.
 */

export const timescale = 90_000
const videoTrack = 1

/** One `moof` with its `mdat`, where it lies in the bytes that were read. */
export interface Fragment {
  track: number
  at: number
  end: number
  /** Decoded and shown, ticks of its track. */
  time: number
  shown: number
  duration: number
  isKey: boolean
  /** Where the duration of its only sample stands; null when it has several. */
  durationAt: number | null
}

interface Box {
  kind: string
  at: number
  /** Where its content begins and where it ends. */
  body: number
  end: number
}

export class Malformed extends Error {}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** The whole boxes side by side between two places; ends at the first that is not whole. */
function* boxes(data: DataView, from: number, to: number): Generator<Box> {
  let at = from
  while (to - at >= 8) {
    const size = data.getUint32(at)
    if (size < 8 || size > to - at) return
    const kind = String.fromCharCode(data.getUint8(at + 4), data.getUint8(at + 5), data.getUint8(at + 6), data.getUint8(at + 7))
    yield { kind, at, body: at + 8, end: at + size }
    at += size
  }
}

function find(data: DataView, from: number, to: number, ...path: string[]): Box | null {
  let found: Box | null = null
  for (const kind of path) {
    const within: { from: number; to: number } = found === null ? { from, to } : { from: found.body, to: found.end }
    found = null
    for (const box of boxes(data, within.from, within.to)) {
      if (box.kind === kind) {
        found = box
        break
      }
    }
    if (found === null) return null
  }
  return found
}

/** A reader that never leaves its box. */
class Reader {
  constructor(private readonly data: DataView, private at: number, private readonly end: number) {}

  get place(): number {
    return this.at
  }

  u32(): number {
    if (this.end - this.at < 4) throw new Malformed('a box is shorter than what it announces')
    this.at += 4
    return this.data.getUint32(this.at - 4)
  }

  i32(): number {
    return this.u32() | 0
  }

  u64(): number {
    return this.u32() * 2 ** 32 + this.u32()
  }
}

function fragmentOf(data: DataView, moof: Box, end: number): Fragment {
  const tfhd = find(data, moof.body, moof.end, 'traf', 'tfhd')
  const tfdt = find(data, moof.body, moof.end, 'traf', 'tfdt')
  const trun = find(data, moof.body, moof.end, 'traf', 'trun')
  if (tfhd === null || tfdt === null || trun === null) throw new Malformed('a fragment without its track')
  const head = new Reader(data, tfhd.body, tfhd.end)
  head.u32()
  const track = head.u32()
  const when = new Reader(data, tfdt.body, tfdt.end)
  const time = when.u32() >>> 24 === 1 ? when.u64() : when.u32()
  const run = new Reader(data, trun.body, trun.end)
  const flags = run.u32() & 0xffffff
  const count = run.u32()
  if ((flags & 0x100) === 0 || count < 1) throw new Malformed('samples without durations')
  if ((flags & 1) !== 0) run.u32()
  let sampleFlags = (flags & 4) !== 0 ? run.u32() : 0
  let duration = 0
  let offset = 0
  const durationAt = run.place
  for (let sample = 0; sample < count; sample++) {
    duration += run.u32()
    if ((flags & 0x200) !== 0) run.u32()
    const own = (flags & 0x400) !== 0 ? run.u32() : null
    const composition = (flags & 0x800) !== 0 ? run.i32() : 0
    if (sample === 0) {
      offset = composition
      sampleFlags = own ?? sampleFlags
    }
  }
  const isKey = (sampleFlags & 0x10000) === 0
  return { track, at: moof.at, end, time, shown: time + offset, duration, isKey, durationAt: count === 1 ? durationAt : null }
}

/** The whole fragments in these bytes. Throws Malformed for what cannot be a fragment; ends before one that is cut off. */
export function fragments(bytes: Uint8Array): Fragment[] {
  const data = view(bytes)
  const found: Fragment[] = []
  let moof: Box | null = null
  for (const box of boxes(data, 0, bytes.byteLength)) {
    if (box.kind === 'moof') moof = box
    else if (box.kind === 'mdat' && moof !== null) {
      found.push(fragmentOf(data, moof, box.end))
      moof = null
    } else break
  }
  return found
}

function joined(bytes: Uint8Array, parts: readonly { at: number; end: number }[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, one) => sum + one.end - one.at, 0))
  let to = 0
  for (const one of parts) {
    all.set(bytes.subarray(one.at, one.end), to)
    to += one.end - one.at
  }
  return all
}

export interface Pictures {
  bytes: Uint8Array<ArrayBuffer>
  /** When each is shown, ticks from the beginning of the segment, in order. */
  times: number[]
}

/** The pictures among the fragments, without sound. */
export function pictures(bytes: Uint8Array): Pictures {
  const found = fragments(bytes).filter((one) => one.track === videoTrack)
  return { bytes: joined(bytes, found), times: found.map((one) => one.shown).sort((first, second) => first - second) }
}

/** Bytes of the first picture of a group with what stands in front of it; null while they are not all there. */
export function firstPictureEnd(bytes: Uint8Array): number | null {
  try {
    return fragments(bytes).find((one) => one.track === videoTrack && one.isKey)?.end ?? null
  } catch {
    return null
  }
}

/** The key frame alone, made to stand for so many ticks. Throws Malformed when there is none. */
export function standing(bytes: Uint8Array, ticks: number): Pictures {
  const key = fragments(bytes).find((one) => one.track === videoTrack && one.isKey)
  if (key === undefined || key.durationAt === null) throw new Malformed('no key frame of its own')
  const alone = joined(bytes, [key])
  view(alone).setUint32(key.durationAt - key.at, Math.max(1, Math.min(Math.round(ticks), 0xffffffff)))
  return { bytes: alone, times: [key.shown] }
}

function put(kind: string, content: Uint8Array): Uint8Array<ArrayBuffer> {
  const box = new Uint8Array(8 + content.byteLength)
  view(box).setUint32(0, box.byteLength)
  for (let at = 0; at < 4; at++) box[4 + at] = kind.charCodeAt(at)
  box.set(content, 8)
  return box
}

/** `ftyp` and `moov` with the track of the picture only: browsers refuse tracks that they cannot decode. */
export function pictureInit(init: Uint8Array): Uint8Array<ArrayBuffer> {
  const data = view(init)
  const ftyp = find(data, 0, init.byteLength, 'ftyp')
  const moov = find(data, 0, init.byteLength, 'moov')
  if (ftyp === null || moov === null) throw new Malformed('no beginning of a segment')
  const kept: Uint8Array[] = []
  for (const box of boxes(data, moov.body, moov.end)) {
    if (box.kind === 'trak' && trackOf(data, box) !== videoTrack) continue
    kept.push(box.kind === 'mvex' ? extendsOf(data, init, box) : init.subarray(box.at, box.end))
  }
  const content = concat(kept)
  return concat([init.subarray(ftyp.at, ftyp.end), put('moov', content)])
}

function trackOf(data: DataView, trak: Box): number | null {
  const tkhd = find(data, trak.body, trak.end, 'tkhd')
  if (tkhd === null) return null
  const head = new Reader(data, tkhd.body, tkhd.end)
  // Creation and modification time stand in front of the id, of 8 octets each in version 1 (8.3.2).
  const wide = head.u32() >>> 24 === 1
  for (let skipped = 0; skipped < (wide ? 4 : 2); skipped++) head.u32()
  return head.u32()
}

function extendsOf(data: DataView, init: Uint8Array, mvex: Box): Uint8Array {
  const kept: Uint8Array[] = []
  for (const box of boxes(data, mvex.body, mvex.end)) {
    if (box.kind === 'trex' && (box.end - box.body < 8 || data.getUint32(box.body + 4) !== videoTrack)) continue
    kept.push(init.subarray(box.at, box.end))
  }
  return put('mvex', concat(kept))
}

export function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, one) => sum + one.byteLength, 0))
  let to = 0
  for (const one of parts) {
    all.set(one, to)
    to += one.byteLength
  }
  return all
}

export function sameBytes(one: Uint8Array, other: Uint8Array): boolean {
  return one.byteLength === other.byteLength && one.every((octet, at) => octet === other[at])
}
