/** Pictures that the server makes of a stream or of a recording, each on record as a look of its own. */
import { answer, api, serverNow } from '@/api/client'
import type { components } from '@/api/schema'

type Asked = components['schemas']['StillRequest']

export interface Still {
  blob: Blob
  /** When it was taken, ms since 1970. */
  at: number
}

/** A little into the picture, so that rounding never gives the one before. */
const intoPictureMs = 1

/** The picture of a moment of the recording; of now without one. Throws the server's refusal. */
export async function takeStill(asked: Asked, at: number | null): Promise<Still> {
  if (at === null) return { blob: (await answer(api.POST('/api/live/still', { body: asked, parseAs: 'blob' }))) as unknown as Blob, at: serverNow() }
  const body = { ...asked, at: new Date(at + intoPictureMs).toISOString() }
  return { blob: (await answer(api.POST('/api/recorded/still', { body, parseAs: 'blob' }))) as unknown as Blob, at }
}

/** Camera and local time, in characters that every file system takes: `East gate_2026-11-22_16-30-05.250.jpg`. */
export function fileName(camera: string, at: number): string {
  // eslint-disable-next-line no-control-regex -- they may not stand in a file's name
  const name = camera.replace(/[\u0000-\u001f\u007f<>:"/\\|?*]/g, '_').replace(/^\.+|[. ]+$/g, '_').slice(0, 80)
  const local = new Date(at - new Date(at).getTimezoneOffset() * 60_000).toISOString()
  return `${name}_${local.slice(0, 10)}_${local.slice(11, 23).replaceAll(':', '-')}.jpg`
}
