/** Short words about what just happened; read out politely and gone after a while. */
import { defineStore } from 'pinia'
import { ref } from 'vue'

export interface Toast {
  id: number
  kind: 'good' | 'bad' | 'plain'
  text: string
  /** What one can do about it at once. */
  action: ToastAction | null
}

export interface ToastAction {
  label: string
  run: () => void
}

const shownForMs = 6000
/** Something to act on stays longer. */
const actionShownForMs = 20_000

export const useToasts = defineStore('toasts', () => {
  const toasts = ref<Toast[]>([])
  let last = 0

  function dismiss(id: number): void {
    toasts.value = toasts.value.filter((toast) => toast.id !== id)
  }

  function say(text: string, kind: Toast['kind'] = 'plain', action: ToastAction | null = null): void {
    last += 1
    const id = last
    toasts.value = [...toasts.value.slice(-3), { id, kind, text, action }]
    window.setTimeout(() => dismiss(id), action === null ? shownForMs : actionShownForMs)
  }

  return { toasts, say, dismiss }
})
