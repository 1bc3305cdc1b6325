/** How many alarms wait for somebody, and a word at once when a grave one comes. */
import { defineStore } from 'pinia'
import { ref } from 'vue'

import { answer, api } from '@/api/client'
import { RESYNC, type ServerEvent } from '@/api/events'
import type { DeviceAlarm } from '@/api/types'
import { useFeed } from '@/stores/feed'

/** Priorities that are told at once, wherever one is: 1 is the gravest of 4. */
export const gravest = 2
const gatherMs = 400
/** So many alarms may be looked up at a time; a flood is counted, not shown one by one. */
const mostAtOnce = 4

export const useAlarms = defineStore('alarms', () => {
  const open = ref(0)
  let timer: number | undefined
  let asking = 0

  async function count(): Promise<void> {
    try {
      open.value = (await answer(api.GET('/api/alarms', { params: { query: { state: 'open', limit: 1 } } }))).open
    } catch {
      // the next notification asks again; a server that is gone has its own banner
    }
  }

  function countSoon(): void {
    if (timer !== undefined) return
    timer = window.setTimeout(() => {
      timer = undefined
      void count()
    }, gatherMs)
  }

  async function raised(event: ServerEvent, tell: (alarm: DeviceAlarm) => void): Promise<void> {
    if (asking >= mostAtOnce) return
    asking += 1
    try {
      const alarm = await answer(api.GET('/api/alarms/{alarm_id}', { params: { path: { alarm_id: String(event.payload.alarm_id) } } }))
      if (alarm.state === 'open' && alarm.priority !== null && alarm.priority <= gravest) tell(alarm)
    } catch {
      // it is in the list all the same
    } finally {
      asking -= 1
    }
  }

  /** Follows the alarms until the returned function is called; `tell` hears of each new grave one. */
  function follow(tell: (alarm: DeviceAlarm) => void): () => void {
    void count()
    return useFeed().listen((event) => {
      if (event.topic === 'alarm.raised') void raised(event, tell)
      if (event.topic.startsWith('alarm.') || event.topic === RESYNC) countSoon()
    })
  }

  return { open, follow }
})
