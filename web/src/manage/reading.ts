/** Reading something for a page, and again when the server says that it changed. */
import { onMounted, onUnmounted, ref, shallowRef, type Ref, type ShallowRef } from 'vue'

import { RESYNC } from '@/api/events'
import { isPresent } from '@/shell/presence'
import { useWords } from '@/shell/words'
import { useFeed } from '@/stores/feed'

export interface Reading<Value> {
  value: ShallowRef<Value | null>
  wrong: Ref<string>
  read: () => Promise<void>
}

/** Changes often come in bursts: they are read together, milliseconds. */
const gatherMs = 300

/** @param topics notifications after which it is read again; `everyMs` reads regularly besides. */
export function useReading<Value>(load: () => Promise<Value>, topics: readonly string[] = [], everyMs?: number): Reading<Value> {
  const { problem } = useWords()
  const value = shallowRef<Value | null>(null)
  const wrong = ref('')
  let soon: number | undefined
  let regular: number | undefined
  let unlisten: () => void = () => undefined

  async function read(): Promise<void> {
    try {
      value.value = await load()
      wrong.value = ''
    } catch (error) {
      wrong.value = problem(error)
    }
  }

  onMounted(() => {
    void read()
    unlisten = useFeed().listen((event) => {
      if (!topics.includes(event.topic) && event.topic !== RESYNC) return
      window.clearTimeout(soon)
      soon = window.setTimeout(() => void read(), gatherMs)
    })
    if (everyMs !== undefined) regular = window.setInterval(() => isPresent() && void read(), everyMs)
  })
  onUnmounted(() => {
    unlisten()
    window.clearTimeout(soon)
    window.clearInterval(regular)
  })

  return { value, wrong, read }
}
