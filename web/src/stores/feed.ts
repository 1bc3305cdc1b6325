/** The live feed of notifications and whether the server can be reached at all. */
import { defineStore } from 'pinia'
import { computed, ref } from 'vue'

import { whenReached, whenStorageChanges } from '@/api/client'
import { EventStream, type EventListener, type ServerEvent } from '@/api/events'

export const useFeed = defineStore('feed', () => {
  const reached = ref(true)
  const connected = ref(true)
  /** `ok`, or the word for why the audit log takes no entries. */
  const storage = ref('ok')
  const listeners = new Set<EventListener>()
  let stream: EventStream | null = null

  const banner = computed(() => (!reached.value || !connected.value ? 'unreachable' : storage.value === 'ok' ? null : storage.value))

  whenReached((value) => (reached.value = value))
  whenStorageChanges((state) => (storage.value = state))

  function hand(event: ServerEvent): void {
    for (const listener of listeners) listener(event)
  }

  function start(): void {
    if (stream !== null) return
    stream = new EventStream(hand, (value) => {
      connected.value = value
      if (value) reached.value = true
    })
    stream.open()
  }

  function stop(): void {
    stream?.close()
    stream = null
    connected.value = true
  }

  /** Hears every notification until the returned function is called. */
  function listen(listener: EventListener): () => void {
    listeners.add(listener)
    return () => listeners.delete(listener)
  }

  return { reached, connected, storage, banner, start, stop, listen }
})
