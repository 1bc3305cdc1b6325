/** What pages know of cameras and devices by name; nobody reads them all. */
import { defineStore } from 'pinia'
import { shallowReactive } from 'vue'

import { answer, api } from '@/api/client'
import type { Channel, Device } from '@/api/types'
import { useSession } from '@/stores/session'

export interface KnownCamera {
  name: string
  deviceId: string
  online: boolean
}

/** A camera that is gone keeps its id for a name and is asked about again this rarely, milliseconds. */
const goneMs = 10_000

export const useDevices = defineStore('devices', () => {
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
    if (asked.has(channelId) || !useSession().can('device.read')) return
    asked.add(channelId)
    try {
      const { channel, online } = await answer(api.GET('/api/channels/{channel_id}', { params: { path: { channel_id: channelId } } }))
      know(channel, online)
      asked.delete(channelId)
    } catch {
      window.setTimeout(() => asked.delete(channelId), goneMs)
    }
  }

  function nameOf(channelId: string): string {
    const name = known.get(channelId)?.name
    if (name === undefined) void look(channelId)
    return name || channelId
  }

  /** The name of the device behind a camera, as far as some page has read it. */
  function deviceNameOf(channelId: string): string {
    const deviceId = known.get(channelId)?.deviceId
    return deviceId === undefined ? '' : (deviceNames.get(deviceId) ?? '')
  }

  return { known, know, knowDevice, look, nameOf, deviceNameOf }
})
