/** What the browser can decode, said in names that people know. */

const names: [RegExp, string][] = [
  [/hvc1|hev1/i, 'H.265 (HEVC)'],
  [/avc1|avc3/i, 'H.264 (AVC)'],
  [/av01/i, 'AV1'],
]

export function codecName(mime: string): string {
  for (const [pattern, name] of names) if (pattern.test(mime)) return name
  const codecs = /codecs="?([^"]+)"?/.exec(mime)?.[1]
  return codecs ?? mime
}

export function playable(mime: string): boolean {
  return typeof MediaSource !== 'undefined' && MediaSource.isTypeSupported(mime)
}
