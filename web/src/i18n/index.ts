import { createI18n } from 'vue-i18n'

/** Languages the console speaks; each is complete (a test compares their keys). */
export const languages = ['zh-CN', 'en'] as const
export type Language = (typeof languages)[number]

const memory = 'commonview.language'

const loaders: Record<Language, () => Promise<{ default: Record<string, unknown> }>> = {
  'zh-CN': () => import('./zh-CN'),
  en: () => import('./en'),
}

export const i18n = createI18n({
  legacy: false,
  locale: 'en' as string,
  fallbackLocale: false,
  missingWarn: false,
  fallbackWarn: false,
  messages: {} as Record<string, Record<string, never>>,
})

/** The language for a browser that never chose one: Chinese for any `zh-*`, English otherwise. */
export function preferredLanguage(offered: readonly string[]): Language {
  for (const tag of offered) {
    if (tag.toLowerCase().startsWith('zh')) return 'zh-CN'
    if (tag.toLowerCase().startsWith('en')) return 'en'
  }
  return 'en'
}

function remembered(): Language | null {
  try {
    const value = localStorage.getItem(memory)
    return languages.find((language) => language === value) ?? null
  } catch {
    return null // storage may be denied; the browser's own language then decides
  }
}

export async function useLanguage(language: Language): Promise<void> {
  const loaded = await loaders[language]()
  i18n.global.setLocaleMessage(language, loaded.default as Record<string, never>)
  i18n.global.locale.value = language
  document.documentElement.lang = language
}

/** Shows `language` from now on and remembers it in this browser. */
export async function chooseLanguage(language: Language): Promise<void> {
  await useLanguage(language)
  try {
    localStorage.setItem(memory, language)
  } catch {
    // storage may be denied; the choice then lasts until the page is closed
  }
}

export async function startLanguage(): Promise<void> {
  await useLanguage(remembered() ?? preferredLanguage(navigator.languages))
}
