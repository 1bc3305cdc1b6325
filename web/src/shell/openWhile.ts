/** A dialog that is open as long as there is something it is about. */
import { computed, type Ref, type WritableComputedRef } from 'vue'

export function openWhile<Subject>(subject: Ref<Subject | null>): WritableComputedRef<boolean> {
  return computed({
    get: () => subject.value !== null,
    set: (open) => {
      if (!open) subject.value = null
    },
  })
}
