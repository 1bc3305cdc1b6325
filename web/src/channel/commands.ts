/** Giving commands and following each until nothing more will become of it. */
import { onUnmounted, ref, shallowRef, type Ref, type ShallowRef } from 'vue'

import { answer, api } from '@/api/client'
import { RESYNC } from '@/api/events'
import { useWords } from '@/shell/words'
import { useFeed } from '@/stores/feed'

import type { Command, ManagingOrder, SteeringOrder } from './types'

/** Where notifications are lost, asking now and then still finds the truth, milliseconds. */
const askEveryMs = 2000

export function steerOrder(channelId: string, order: SteeringOrder): Promise<Command> {
  return answer(api.POST('/api/channels/{channel_id}/control', { params: { path: { channel_id: channelId } }, body: { order } }))
}

export function channelOrder(channelId: string, order: ManagingOrder): Promise<Command> {
  return answer(api.POST('/api/channels/{channel_id}/commands', { params: { path: { channel_id: channelId } }, body: { order } }))
}

export function deviceOrder(deviceId: string, order: ManagingOrder): Promise<Command> {
  return answer(api.POST('/api/devices/{device_id}/commands', { params: { path: { device_id: deviceId } }, body: { order } }))
}

function readCommand(commandId: string): Promise<Command> {
  return answer(api.GET('/api/commands/{command_id}', { params: { path: { command_id: commandId } } }))
}

export interface Following {
  /** The latest command given here, with every step it has made so far. */
  command: ShallowRef<Command | null>
  busy: Ref<boolean>
  wrong: Ref<string>
  /** True when the command went out; what becomes of it shows in `command`. */
  give: (work: () => Promise<Command>) => Promise<boolean>
  follow: (command: Command) => void
  clear: () => void
}

/** @param settled called once with every command that is over. */
export function useCommand(settled: (command: Command) => void = () => undefined): Following {
  const { problem } = useWords()
  const command = shallowRef<Command | null>(null)
  const busy = ref(false)
  const wrong = ref('')
  let timer: number | undefined

  async function look(): Promise<void> {
    const followed = command.value
    if (followed === null || followed.over) return
    try {
      const now = await readCommand(followed.id)
      if (command.value?.id !== now.id || command.value.over) return
      command.value = now
      if (now.over) finish(now)
    } catch {
      // asked again a moment later
    }
  }

  function finish(over: Command): void {
    window.clearInterval(timer)
    settled(over)
  }

  function follow(fresh: Command): void {
    window.clearInterval(timer)
    command.value = fresh
    if (fresh.over) finish(fresh)
    else timer = window.setInterval(() => void look(), askEveryMs)
  }

  async function give(work: () => Promise<Command>): Promise<boolean> {
    if (busy.value) return false
    busy.value = true
    wrong.value = ''
    try {
      follow(await work())
      return true
    } catch (error) {
      wrong.value = problem(error)
      return false
    } finally {
      busy.value = false
    }
  }

  function clear(): void {
    window.clearInterval(timer)
    command.value = null
    wrong.value = ''
  }

  const unlisten = useFeed().listen((event) => {
    if (event.topic === RESYNC || (event.topic === 'command.changed' && event.payload.command_id === command.value?.id)) void look()
  })
  onUnmounted(() => {
    unlisten()
    window.clearInterval(timer)
  })

  return { command, busy, wrong, give, follow, clear }
}
