/** Keeps the first load small: everything up to the duty screen within the budget, administration apart. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'

const budget = 200 * 1024
const folder = new URL('../dist/assets', import.meta.url).pathname
/** Loaded only when opened; of the two languages one is loaded. */
const apart = /^(Accounts|Purposes|Access|Devices|Audit|System|MyAccount|Setup|Admission|Diagnosis|Alarms|Sources|Groups|Sharing|Positions|Channel|Device|Recordings|Playback|Plans|Tracks|Storage|Gaps|Holds|Deletions|Exports|Statistics)Page-|^(PasswordField|TileSide|PtzPad|DragZoomLayer|SnapshotButton|TalkButton|PageTabs|CommandSteps|HoverPreview|PlansTabs|ChannelField|SubscriptionsSection|NetworkTabs|RecordingTabs|draft|ExportDialog|StillButton|capabilities|talkWorklet)-|^zh-CN-/

const scripts = readdirSync(folder).filter((name) => name.endsWith('.js') && !apart.test(name))
const total = scripts.reduce((sum, name) => sum + gzipSync(readFileSync(join(folder, name))).length, 0)
const kib = (bytes) => `${(bytes / 1024).toFixed(1)} KiB`
if (total > budget) {
  console.error(`the first load has ${kib(total)} of scripts (gzip), more than ${kib(budget)}`)
  process.exit(1)
}
console.log(`first load: ${kib(total)} of scripts (gzip), at most ${kib(budget)}`)
