/**
 * Pictures of presets: what the live picture showed when a preset was set or reached.
 *
 * They are taken from the picture this person watches under a grant, live in this window only, and go with the grant:
 * nothing is stored on the server or on this computer.
 */
import { defineStore } from 'pinia'
import { shallowReactive } from 'vue'

import { serverNow } from '@/api/client'

export interface PresetPicture {
  url: string
  takenAt: number
  /** The grant it was taken under, and when that ends by itself. */
  grantId: string
  until: number
}

const width = 240

/** A small JPEG of what a video element shows now; null while it shows nothing. */
export function still(video: HTMLVideoElement | null): string | null {
  if (video === null || video.videoWidth === 0 || video.readyState < 2) return null
  const canvas = document.createElement('canvas')
  canvas.width = width
  canvas.height = Math.round((width * video.videoHeight) / video.videoWidth)
  canvas.getContext('2d')?.drawImage(video, 0, 0, canvas.width, canvas.height)
  return canvas.toDataURL('image/jpeg', 0.8)
}

export const usePresetPictures = defineStore('presetPictures', () => {
  const kept = shallowReactive(new Map<string, PresetPicture>())
  const nameOf = (channelId: string, preset: number) => `${channelId}/${preset}`

  function keep(channelId: string, preset: number, url: string, grant: { id: string; ends_at: string }): void {
    const until = Date.parse(grant.ends_at)
    kept.set(nameOf(channelId, preset), { url, takenAt: serverNow(), grantId: grant.id, until })
    window.setTimeout(() => of(channelId, preset), Math.min(until - serverNow() + 50, 2 ** 31 - 1))
  }

  /** The picture of a preset, while the grant it was taken under runs. */
  function of(channelId: string, preset: number): PresetPicture | null {
    const found = kept.get(nameOf(channelId, preset))
    if (found === undefined) return null
    if (found.until > serverNow()) return found
    kept.delete(nameOf(channelId, preset))
    return null
  }

  function forget(channelId: string, preset: number): void {
    kept.delete(nameOf(channelId, preset))
  }

  /** The grant is over: so is every picture taken under it. */
  function forgetGrant(grantId: string): void {
    for (const [name, picture] of kept) if (picture.grantId === grantId) kept.delete(name)
  }

  return { keep, of, forget, forgetGrant }
})
