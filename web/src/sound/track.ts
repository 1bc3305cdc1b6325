/** Telling sound from pictures among the segments of a viewer's connection. */

export const soundTrack = 2
/** Where a fragment names its track: behind the heads of moof, mfhd, traf and tfhd (ISO/IEC 14496-12 8.8). */
const trackAt = 44

export type SegmentKind = 'init' | 'picture' | 'sound'

export function kindOf(segment: ArrayBuffer): SegmentKind {
  if (segment.byteLength < trackAt + 4) return 'picture'
  const view = new DataView(segment)
  if (view.getUint32(4) === 0x66747970) return 'init' // "ftyp"
  return view.getUint32(trackAt) === soundTrack ? 'sound' : 'picture'
}
