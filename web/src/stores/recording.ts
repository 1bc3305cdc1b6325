/** Which cameras are recorded now: read in short once, and kept by what the server says of each stream. */
import { defineStore } from 'pinia'
import { shallowReactive } from 'vue'

import { answer, api } from '@/api/client'
import { RESYNC, type ServerEvent } from '@/api/events'
import { useFeed } from '@/stores/feed'
import { useSession } from '@/stores/session'

export type Mark = 'recording' | 'failing'
type States = Map<number, string>

/** What stands beside a camera with these streams: whether one is recorded, or none can be. */
export function markOf(states: ReadonlyMap<number, string> | undefined): Mark | null {
  const all = [...(states?.values() ?? [])]
  return all.includes('recording') ? 'recording' : all.includes('failing') ? 'failing' : null
}

/** The streams of a camera after one of them changed; null when none is left. */
export function changed(states: ReadonlyMap<number, string> | undefined, stream: number, state: string | null): States | null {
  const next = new Map(states)
  if (state === null) next.delete(stream)
  else next.set(stream, state)
  return next.size === 0 ? null : next
}

export const useRecording = defineStore('recording', () => {
  const channels = shallowReactive(new Map<string, States>())
  let followed = false

  async function read(): Promise<void> {
    try {
      const { items } = await answer(api.GET('/api/recording/standing'))
      const found = new Map<string, States>()
      for (const one of items) found.set(one.channel_id, (found.get(one.channel_id) ?? new Map<number, string>()).set(one.stream_number, one.state))
      for (const id of [...channels.keys()]) if (!found.has(id)) channels.delete(id)
      for (const [id, states] of found) channels.set(id, states)
    } catch {
      // the next notification brings what changed; a server that is gone has its own banner
    }
  }

  function heard(event: ServerEvent): void {
    if (event.topic === RESYNC) void read()
    if (event.topic !== 'recording.track') return
    const id = String(event.payload.channel_id)
    const { state } = event.payload
    const next = changed(channels.get(id), Number(event.payload.stream_number), typeof state === 'string' ? state : null)
    if (next === null) channels.delete(id)
    else channels.set(id, next)
  }

  /** The first mark that is shown begins it; it goes on for as long as the console is open. */
  function follow(): void {
    if (followed || !useSession().can('recording.read')) return
    followed = true
    useFeed().listen(heard)
    void read()
  }

  return { follow, of: (channelId: string) => markOf(channels.get(channelId)) }
})
