/** The camera tree, read again whenever the server says that something in it changed. */
import { defineStore } from 'pinia'
import { computed, ref, shallowRef } from 'vue'

import { answer, api } from '@/api/client'
import { RESYNC } from '@/api/events'
import type { Channel, Device } from '@/api/types'
import { useFeed } from '@/stores/feed'

/** Many devices may change at once: they are read together, at most this often. */
const gatherMs = 400

export const useDevices = defineStore('devices', () => {
  const devices = shallowRef<Device[]>([])
  const read = ref(false)
  const failed = ref<unknown>(null)
  let timer: number | undefined
  let users = 0
  let unlisten: () => void = () => undefined

  const channels = computed(() => {
    const all = new Map<string, { channel: Channel; device: Device }>()
    for (const device of devices.value) for (const channel of device.channels) all.set(channel.id, { channel, device })
    return all
  })

  async function load(): Promise<void> {
    try {
      devices.value = (await answer(api.GET('/api/tree'))).devices
      read.value = true
      failed.value = null
    } catch (problem) {
      failed.value = problem
    }
  }

  function loadSoon(): void {
    if (timer !== undefined) return
    timer = window.setTimeout(() => {
      timer = undefined
      void load()
    }, gatherMs)
  }

  /** Keeps the tree fresh until the returned function is called. */
  function follow(): () => void {
    users += 1
    if (users === 1) {
      void load()
      unlisten = useFeed().listen((event) => {
        const concerns = event.topic === 'device.changed' || event.topic === 'channel.changed' || event.topic === 'session.changed'
        if (concerns || event.topic === RESYNC) loadSoon()
      })
    }
    return () => {
      users -= 1
      if (users === 0) unlisten()
    }
  }

  function nameOf(channelId: string): string {
    const found = channels.value.get(channelId)
    return found === undefined || found.channel.name === '' ? channelId : found.channel.name
  }

  return { devices, channels, read, failed, load, follow, nameOf }
})
