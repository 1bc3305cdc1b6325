/** One live picture outside the wall: under a grant like any other, with the same player. */
import { onUnmounted, ref, shallowRef, type Ref, type ShallowRef } from 'vue'

import { answer, api, serverNow } from '@/api/client'
import type { LiveGrant, LiveRequest } from '@/api/types'
import { LivePlayer } from '@/player/livePlayer'
import { active, idle, type PlayerState } from '@/player/machine'
import { silent, type SoundState } from '@/sound/listening'

export type Terms = Pick<LiveRequest, 'purpose_id' | 'reason' | 'duration_s' | 'grant_id'>

export interface LiveView {
  state: ShallowRef<PlayerState>
  video: ShallowRef<HTMLVideoElement | null>
  grant: ShallowRef<LiveGrant | null>
  shown: Ref<boolean>
  /** Whether the server makes H.264 of it, because this browser cannot decode what the camera sends. */
  transcoded: Ref<boolean>
  sound: ShallowRef<SoundState>
  listen: (on: boolean) => void
  setVolume: (volume: number) => void
  /** Throws the server's refusal. */
  open: (terms: Terms) => Promise<void>
  close: () => void
  again: () => void
}

export function useLiveView(channelId: () => string): LiveView {
  const state = shallowRef<PlayerState>(idle(serverNow()))
  const video = shallowRef<HTMLVideoElement | null>(null)
  const grant = shallowRef<LiveGrant | null>(null)
  const shown = ref(false)
  const transcoded = ref(false)
  const sound = shallowRef<SoundState>(silent)
  let player: LivePlayer | null = null

  function request(terms: Terms) {
    const codec = transcoded.value ? 'h264' : null
    return answer(api.POST('/api/live', { body: { channel_id: channelId(), protocol: 'ws', stream_number: 0, codec, ...terms } }))
  }

  async function open(terms: Terms): Promise<void> {
    const clickedAt = serverNow()
    transcoded.value = false
    const access = await request(terms)
    close()
    grant.value = access.grant
    const fresh: LivePlayer = new LivePlayer({
      request: () => request({ grant_id: access.grant.id }),
      report: (accessId, elapsed_ms) => {
        answer(api.POST('/api/live/{access_id}/picture', { params: { path: { access_id: accessId } }, body: { elapsed_ms } })).catch(() => undefined)
      },
      release: (accessId) => {
        // The server also notices by itself; this only tells it at once.
        answer(api.DELETE('/api/live/{access_id}', { params: { path: { access_id: accessId } } })).catch(() => undefined)
      },
      sounded: (next) => {
        if (player === fresh) sound.value = next
      },
      changed: (next) => {
        if (player !== fresh) return
        if (next.cause?.code === 'unsupported' && !transcoded.value) {
          transcoded.value = true
          window.setTimeout(() => fresh.feed({ type: 'retry' }))
        }
        state.value = next
        video.value = fresh.picture?.video ?? null
        shown.value = active(next.phase)
        if (next.phase === 'ended') grant.value = null
      },
    })
    player = fresh
    shown.value = true
    fresh.adopt(access, clickedAt)
  }

  function close(): void {
    player?.dispose()
    player = null
    video.value = null
    grant.value = null
    shown.value = false
    sound.value = silent
    state.value = idle(serverNow())
  }

  function again(): void {
    player?.feed({ type: 'retry' })
  }

  const listen = (on: boolean) => player?.listening.want(on)
  const setVolume = (volume: number) => player?.listening.setVolume(volume)

  onUnmounted(close)

  return { state, video, grant, shown, transcoded, sound, listen, setVolume, open, close, again }
}
