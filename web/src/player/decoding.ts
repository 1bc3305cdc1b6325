/** What this browser says of decoding a stream. */

export interface Decoding {
  mime: string
  supported: boolean
  smooth: boolean
  /** By the machine's own circuits. */
  efficient: boolean
}

/** Cameras seldom say their rates; these stand for a busy one. */
const framerate = 25
const bitsPerPixel = 0.1

/** Asks `mediaCapabilities`; a browser without it is taken at its word that it plays the type at all. */
export async function decodingOf(mime: string, width: number, height: number, playable: boolean): Promise<Decoding> {
  const plain: Decoding = { mime, supported: playable, smooth: playable, efficient: false }
  if (!playable || !('mediaCapabilities' in navigator) || width <= 0 || height <= 0) return plain
  const bitrate = Math.round(width * height * framerate * bitsPerPixel)
  try {
    const told = await navigator.mediaCapabilities.decodingInfo({ type: 'media-source', video: { contentType: mime, width, height, bitrate, framerate } })
    return { mime, supported: told.supported, smooth: told.smooth, efficient: told.powerEfficient }
  } catch {
    return plain // the question itself was not understood
  }
}
