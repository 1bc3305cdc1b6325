/** Keys of the playback page, as editing desks have them. Pure: a key press in, a command out. */

export type PlayerCommand =
  | { type: 'toggle' | 'pause' | 'forward' | 'backward' | 'faster' | 'slower' | 'zoomIn' | 'zoomOut' | 'newest' | 'full' | 'close' | 'help' | 'tree' | 'goto' | 'sound' }
  | { type: 'skip'; byMs: number }
  | { type: 'step'; by: 1 | -1 }

export interface Press {
  key: string
  shiftKey: boolean
  ctrlKey: boolean
  altKey: boolean
  metaKey: boolean
}

const skipMs = 10_000
const farMs = 60_000

const simple: Record<string, PlayerCommand> = {
  ' ': { type: 'toggle' },
  k: { type: 'pause' },
  l: { type: 'forward' },
  j: { type: 'backward' },
  ']': { type: 'faster' },
  '[': { type: 'slower' },
  '.': { type: 'step', by: 1 },
  ',': { type: 'step', by: -1 },
  '。': { type: 'step', by: 1 }, // full-width, as a Chinese input method types them
  '，': { type: 'step', by: -1 },
  '+': { type: 'zoomIn' },
  '=': { type: 'zoomIn' },
  '-': { type: 'zoomOut' },
  End: { type: 'newest' },
  m: { type: 'sound' },
  f: { type: 'full' },
  t: { type: 'tree' },
  g: { type: 'goto' },
  Delete: { type: 'close' },
  Backspace: { type: 'close' },
  '?': { type: 'help' },
  '？': { type: 'help' },
}

export function commandOf(press: Press): PlayerCommand | null {
  if (press.ctrlKey || press.altKey || press.metaKey) return null
  if (press.key === 'ArrowLeft' || press.key === 'ArrowRight') {
    const by = press.shiftKey ? farMs : skipMs
    return { type: 'skip', byMs: press.key === 'ArrowLeft' ? -by : by }
  }
  return simple[press.key.length === 1 ? press.key.toLowerCase() : press.key] ?? null
}
