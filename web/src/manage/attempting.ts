/** Doing something on a page: busy while it lasts, in plain words when it is refused. */
import { ref } from 'vue'

import { useWords } from '@/shell/words'

export function useAttempt() {
  const { problem } = useWords()
  const busy = ref(false)
  const wrong = ref('')

  /** True when `work` went through. */
  async function attempt(work: () => Promise<unknown>): Promise<boolean> {
    if (busy.value) return false
    busy.value = true
    wrong.value = ''
    try {
      await work()
      return true
    } catch (error) {
      wrong.value = problem(error)
      return false
    } finally {
      busy.value = false
    }
  }

  return { busy, wrong, attempt }
}
