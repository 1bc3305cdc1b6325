/** Checks the messages: both languages complete and alike, and every key that the source names exists. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const root = new URL('..', import.meta.url).pathname
const languages = ['zh-CN', 'en']
const faults = []

function flatten(node, prefix = '') {
  return Object.entries(node).flatMap(([name, value]) =>
    typeof value === 'string' ? [[prefix + name, value]] : flatten(value, `${prefix}${name}.`),
  )
}

function messagesOf(language) {
  const folder = join(root, 'src/i18n', language)
  const sections = readdirSync(folder).filter((name) => name.endsWith('.json'))
  return new Map(sections.flatMap((name) => flatten(JSON.parse(readFileSync(join(folder, name), 'utf8')))))
}

function sourcesBelow(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return sourcesBelow(path)
    return /\.(ts|vue)$/.test(entry.name) ? [path] : []
  })
}

const placeholders = (text) => [...text.matchAll(/\{(\w+)\}/g)].map((match) => match[1]).sort().join(',')

const [zh, en] = languages.map(messagesOf)
for (const key of zh.keys()) if (!en.has(key)) faults.push(`en lacks ${key}`)
for (const key of en.keys()) if (!zh.has(key)) faults.push(`zh-CN lacks ${key}`)
for (const [key, text] of zh) {
  const other = en.get(key) ?? ''
  if (text.trim() === '' || other.trim() === '') faults.push(`${key} is empty in one language`)
  if (placeholders(text) !== placeholders(other)) faults.push(`${key}: placeholders differ between languages`)
  // vue-i18n reads these as plurals and linked messages.
  for (const written of [text, other]) if (/[|@]/.test(written)) faults.push(`${key}: holds a sign with a meaning of its own`)
}

for (const path of sourcesBelow(join(root, 'src'))) {
  const source = readFileSync(path, 'utf8')
  for (const match of source.matchAll(/\bt\(\s*'([A-Za-z0-9_.-]+)'/g)) {
    if (!zh.has(match[1])) faults.push(`${path.slice(root.length)} asks for ${match[1]}, which no language has`)
  }
}

if (faults.length > 0) {
  console.error(faults.join('\n'))
  process.exit(1)
}
console.log(`${zh.size} messages in ${languages.join(' and ')}`)
