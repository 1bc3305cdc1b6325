/** What is recorded of the cameras shown, for the stretch of the timeline that is in sight. */
import { onUnmounted, shallowRef, watch, type Ref } from 'vue'

import { answer, api, serverNow } from '@/api/client'
import type { View } from '@/recordings/timeline'

/** The bands of one camera: pairs of ms since 1970. */
export interface Line {
  recorded: number[][]
  gaps: number[][]
  events: number[][]
  device: number[][]
  /** What of the recorded is being written. */
  open: number[][]
  /** Why the device did not tell its own, a stable word. */
  device_failure: string | null
}

const soonMs = 120
const renewMs = 10_000
/** Devices are asked for no more than this at once: they answer slowly. */
const deviceSpanMs = 8 * 86_400_000

export function useBands(channelIds: () => readonly string[], view: Ref<View>, pixels: () => number, withDevices: Ref<boolean>) {
  const lines = shallowRef(new Map<string, Line>())
  const deviceLines = shallowRef(new Map<string, Line>())
  const wrong = shallowRef<unknown>(null)
  const asking = shallowRef(false)
  let have: { view: View; key: string; ms: number; at: number } | null = null
  let haveDevices = ''
  let timer: number | undefined
  let asked = 0

  /** What was read covers the view finely enough, and is not old where it touches the present. */
  function suffices(key: string): boolean {
    if (have === null || have.key !== key) return false
    const { from, to } = view.value
    const ms = (to - from) / pixels()
    const isOld = to > serverNow() - renewMs && performance.now() - have.at > renewMs
    return have.view.from <= from && have.view.to >= Math.min(to, serverNow()) && have.ms <= ms * 2 && !isOld
  }

  async function read(): Promise<void> {
    const ids = [...channelIds()]
    const key = ids.join()
    if (ids.length === 0 || suffices(key)) return
    const length = view.value.to - view.value.from
    const wide = { from: view.value.from - length / 2, to: view.value.to + length / 2 }
    const mine = ++asked
    try {
      const found = await ask(ids, wide, pixels() * 2, false)
      if (mine !== asked) return
      lines.value = found
      have = { view: wide, key, ms: (length * 2) / (pixels() * 2), at: performance.now() }
      wrong.value = null
    } catch (error) {
      if (mine === asked) wrong.value = error
    }
  }

  async function readDevices(): Promise<void> {
    const ids = [...channelIds()]
    if (!withDevices.value || ids.length === 0) return
    const length = Math.min(view.value.to - view.value.from, deviceSpanMs)
    const middle = (view.value.from + view.value.to) / 2
    // Whole days, so that panning about asks nobody anew.
    const day = 86_400_000
    const span = { from: Math.floor((middle - length / 2) / day) * day, to: Math.ceil((middle + length / 2) / day) * day }
    const key = `${ids.join()} ${span.from} ${span.to}`
    if (key === haveDevices) return
    haveDevices = key
    asking.value = true
    try {
      deviceLines.value = await ask(ids, { from: span.from, to: Math.min(span.to, serverNow()) }, 4000, true)
    } catch (error) {
      wrong.value = error
      haveDevices = ''
    } finally {
      asking.value = false
    }
  }

  async function ask(ids: readonly string[], span: View, width: number, devices: boolean): Promise<Map<string, Line>> {
    const body = { channel_ids: [...ids], begin: new Date(span.from).toISOString(), end: new Date(span.to).toISOString(), pixels: Math.min(10_000, Math.round(width)), with_devices: devices }
    const { lines: found } = await answer(api.POST('/api/recording/timeline', { body }))
    return new Map(found.map((one) => [one.channel_id, one]))
  }

  function soon(): void {
    window.clearTimeout(timer)
    timer = window.setTimeout(() => {
      void read()
      void readDevices()
    }, soonMs)
  }

  watch([view, () => channelIds().join(), withDevices], soon, { immediate: true })
  const renewing = window.setInterval(soon, renewMs)
  onUnmounted(() => {
    window.clearTimeout(timer)
    window.clearInterval(renewing)
  })
  return { lines, deviceLines, wrong, asking }
}
