/** Dates, numbers and sizes in the language chosen, always on a 24-hour clock. */
import { computed } from 'vue'
import { useI18n } from 'vue-i18n'

export function useFormats() {
  const { locale, t } = useI18n()
  const tag = computed(() => (locale.value === 'en' ? 'en-GB' : 'zh-CN'))

  const full = computed(
    () =>
      new Intl.DateTimeFormat(tag.value, {
        year: 'numeric',
        month: '2-digit',
        day: '2-digit',
        hour: '2-digit',
        minute: '2-digit',
        second: '2-digit',
        hourCycle: 'h23',
      }),
  )
  const day = computed(() => new Intl.DateTimeFormat(tag.value, { year: 'numeric', month: '2-digit', day: '2-digit' }))
  const clock = computed(
    () => new Intl.DateTimeFormat(tag.value, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' }),
  )
  const short = computed(() => new Intl.DateTimeFormat(tag.value, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' }))
  const count = computed(() => new Intl.NumberFormat(tag.value))
  const decimal = computed(() => new Intl.NumberFormat(tag.value, { maximumFractionDigits: 1 }))

  function written(format: Intl.DateTimeFormat, at: string | number | null | undefined, none: string): string {
    if (at === null || at === undefined || at === '') return none
    const time = new Date(at)
    return Number.isNaN(time.getTime()) ? none : format.format(time)
  }

  return {
    dateTime: (at: string | number | null | undefined) => written(full.value, at, t('time.none')),
    date: (at: string | number | null | undefined) => written(day.value, at, t('time.none')),
    time: (at: string | number | null | undefined) => written(clock.value, at, t('time.none')),
    hourMinute: (at: string | number | null | undefined) => written(short.value, at, t('time.none')),
    number: (value: number) => count.value.format(value),
    decimal: (value: number) => decimal.value.format(value),
    bytes: (value: number) => {
      const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
      let size = value
      let unit = 0
      while (size >= 1024 && unit < units.length - 1) {
        size /= 1024
        unit += 1
      }
      return `${decimal.value.format(size)} ${units[unit] ?? ''}`
    },
  }
}
