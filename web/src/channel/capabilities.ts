/** What a device turned out to do or not to do, read again whenever a command is over. */
import { answer, api } from '@/api/client'
import { useReading } from '@/manage/reading'

import type { Capability } from './types'

export function useCapabilities(deviceId: () => string) {
  const reading = useReading(
    async () => (await answer(api.GET('/api/devices/{device_id}/capabilities', { params: { path: { device_id: deviceId() } } }))).items,
    ['command.changed'],
  )

  /** The warning for one kind of command, or null when nothing speaks against it. */
  function against(kind: string, channelId: string | null): Capability | null {
    return warningOf(reading.value.value ?? [], kind, channelId)
  }

  return { ...reading, against }
}

/** What is known of the channel itself counts before what is known of its device. */
export function warningOf(known: readonly Capability[], kind: string, channelId: string | null): Capability | null {
  const of = known.filter((one) => one.kind === kind)
  const found = of.find((one) => one.channel_id === channelId) ?? of.find((one) => one.channel_id === null)
  return found === undefined || found.verdict === 'done' ? null : found
}
