/** The camera tree, read again whenever the server says that something in it changed. */
import { defineStore } from 'pinia'
import { computed, ref, shallowReactive, shallowRef } from 'vue'

import { answer, api } from '@/api/client'
import { RESYNC } from '@/api/events'
import type { Channel, Device } from '@/api/types'
import { useFeed } from '@/stores/feed'

/** Many devices may change at once: they are read together, at most this often. */
const gatherMs = 400

/** What pages that never read the whole tree know of a camera. */
export interface KnownCamera {
  name: string
  deviceId: string
  online: boolean
}

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

  const known = shallowReactive(new Map<string, KnownCamera>())
  const deviceNames = shallowReactive(new Map<string, string>())
  const asked = new Set<string>()

  /** A camera that a page has read, wherever from. */
  function know(channel: Pick<Channel, 'id' | 'name' | 'device_id'>, online: boolean): void {
    const before = known.get(channel.id)
    if (before?.name === channel.name && before.online === online) return
    known.set(channel.id, { name: channel.name, deviceId: channel.device_id, online })
  }

  function knowDevice(device: Pick<Device, 'id' | 'name'>): void {
    if (deviceNames.get(device.id) !== device.name) deviceNames.set(device.id, device.name)
  }

  /** Asks the server about one camera; the answer shows wherever its name stands. */
  async function look(channelId: string): Promise<void> {
    if (asked.has(channelId)) return
    asked.add(channelId)
    try {
      const { channel, online } = await answer(api.GET('/api/channels/{channel_id}', { params: { path: { channel_id: channelId } } }))
      know(channel, online)
      asked.delete(channelId)
    } catch {
      // a camera that is gone keeps its id for a name, and is not asked about again and again
      window.setTimeout(() => asked.delete(channelId), 10_000)
    }
  }

  function nameOf(channelId: string): string {
    const name = channels.value.get(channelId)?.channel.name ?? known.get(channelId)?.name
    if (name === undefined) void look(channelId)
    return name || channelId
  }

  /** The name of the device behind a camera, as far as some page has read it. */
  function deviceNameOf(channelId: string): string {
    const deviceId = known.get(channelId)?.deviceId
    return channels.value.get(channelId)?.device.name ?? (deviceId === undefined ? '' : (deviceNames.get(deviceId) ?? ''))
  }

  return { devices, channels, known, read, failed, load, follow, know, knowDevice, look, nameOf, deviceNameOf }
})
