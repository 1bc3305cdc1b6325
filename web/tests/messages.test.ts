import { readFileSync } from 'node:fs'

import { describe, expect, test } from 'vitest'
import { createApp, defineComponent } from 'vue'

import { i18n, languages, preferredLanguage, useLanguage } from '@/i18n'
import en from '@/i18n/en'
import zh from '@/i18n/zh-CN'
import { failureCodes, useFailureWords } from '@/live/failureWords'
import { useCommandWords } from '@/channel/commandWords'
import { useWords } from '@/shell/words'
import { ApiError } from '@/api/errors'

interface Document {
  components: { schemas: Record<string, { enum?: string[]; properties?: { kind?: { const?: string } } }> }
}

const document = JSON.parse(readFileSync('openapi.json', 'utf8')) as Document

function enumOf(name: string): string[] {
  const values = document.components.schemas[name]?.enum
  if (values === undefined) throw new Error(`the OpenAPI document has no enum ${name}`)
  return values
}

function keysOf(node: object, prefix = ''): string[] {
  return Object.entries(node).flatMap(([name, value]) => (typeof value === 'string' ? [prefix + name] : keysOf(value as object, `${prefix}${name}.`)))
}

/** Runs a composable inside an application that speaks `language`. */
async function within<Result>(language: (typeof languages)[number], composable: () => Result): Promise<Result> {
  await useLanguage(language)
  let result: Result | undefined
  const app = createApp(
    defineComponent({
      setup() {
        result = composable()
        return () => null
      },
    }),
  )
  app.use(i18n).mount(globalThis.document.createElement('div'))
  return result as Result
}

describe('both languages', () => {
  test('have the same keys, all of them filled', () => {
    expect(keysOf(zh)).toEqual(keysOf(en))
    expect(keysOf(en).length).toBeGreaterThan(500)
  })

  test('are chosen by the browser until somebody chooses', () => {
    expect(preferredLanguage(['zh-TW', 'en'])).toBe('zh-CN')
    expect(preferredLanguage(['de', 'en-US'])).toBe('en')
    expect(preferredLanguage(['de'])).toBe('en')
  })
})

describe('evidence of a command', () => {
  test('says yes and no, whatever number the server sends for them', async () => {
    const { facts } = await within('zh-CN', useCommandWords)
    expect(facts({ listed: 1, preset: 7, present: 1 })).toBe('列出预置位 1 · 预置位 7 · 存在 是')
    expect(facts({ online: 0 })).toBe('在线 否')
    expect(facts({ home: 'untold' })).toBe('看守位 未告知')
    expect(facts({ firmware: '1.0', reason: 'other' })).toBe('固件 1.0 · 原因：其他')
  })
})

describe.each(languages)('in %s the console has words for', (language) => {
  test('every alarm, subscription and linkage', () => {
    const words = language === 'en' ? en.alarms : zh.alarms
    expect(Object.keys(words.code).sort()).toEqual(enumOf('AlarmCode').sort())
    expect(Object.keys(words.state).sort()).toEqual(enumOf('AlarmState').sort())
    expect(Object.keys(words.linkage.action).sort()).toEqual(enumOf('LinkageAction').sort())
    expect(Object.keys(words.subscription.kind).sort()).toEqual(enumOf('SubscriptionKind').sort())
    expect(Object.keys(words.subscription.status).sort()).toEqual(enumOf('SubscriptionStatus').sort())
  })

  test('every state of a transcoder', () => {
    const words = language === 'en' ? en.statistics : zh.statistics
    expect(Object.keys(words.transcoder).sort()).toEqual(enumOf('TranscoderState').sort())
  })

  test('every failure of a live session: what, probable cause and next check', async () => {
    expect([...failureCodes].sort()).toEqual(enumOf('FailureCode').sort())
    const { failure } = await within(language, useFailureWords)
    for (const code of failureCodes) {
      const { what, cause, check } = failure({ code, params: { status: 486, reason: 'Busy Here', seconds: 10 } })
      for (const text of [what, cause, check]) {
        expect(text).not.toContain('failure.')
        expect(text).not.toMatch(/[{}]/)
        expect(text.length).toBeGreaterThan(4)
      }
    }
  })

  test('a failure it does not know, showing its code', async () => {
    const { failure } = await within(language, useFailureWords)
    expect(failure({ code: 'from_the_future', params: {} }).what).toContain('from_the_future')
  })

  test.each([
    ['ProblemCode', 'problem'],
    ['ProblemCode', 'problemHint'],
    ['RefusalReason', 'refusal'],
    ['Step', 'step'],
    ['Role', 'roles'],
    ['Role', 'roleHints'],
    ['AccessOutcome', 'access.outcome'],
    ['GrantState', 'access.state'],
    ['SessionState', 'panel.state'],
    ['CatalogueState', 'devices.catalogueState'],
    ['DeviceState', 'tree'],
    ['ChannelStatus', 'tree'],
    ['MediaTransport', 'transportShort'],
    ['SignallingTransport', 'transportShort'],
    ['ChannelFault', 'channelFault'],
    ['NodeKind', 'nodeKind'],
    ['TreeView', 'treeView'],
    ['DeviceOrigin', 'origin'],
    ['Flag', 'quirk'],
    ['CommandState', 'control.state'],
    ['CommandState', 'control.standing'],
    ['CapabilityVerdict', 'control.verdict'],
    ['ChannelKind', 'channel.kindOf'],
    ['PlanMode', 'recording.mode'],
    ['TrackState', 'recording.trackState'],
    ['GapReason', 'recording.gapReason'],
    ['LegalClass', 'recording.legalClass'],
    ['HoldState', 'recording.holdState'],
    ['DeletionRule', 'recording.deletionRule'],
    ['DiskPolicy', 'recording.diskPolicy'],
    ['DiskAlarm', 'recording.diskAlarm'],
    ['ForecastState', 'plans.forecastState'],
    ['FullEffect', 'plans.fullEffect'],
    ['ApplicationState', 'admission.application'],
    ['RuleEffect', 'admission.effect'],
    ['RuleSubject', 'admission.subject'],
    ['SourceOutcome', 'source.outcome'],
    ['RegistrationPhase', 'cascade.phase'],
    ['RegistrationTrouble', 'cascade.trouble'],
    ['CascadeTransport', 'cascade.transport'],
    ['Edition', 'cascade.edition'],
    ['CascadeCharset', 'cascade.charset'],
    ['VirtualDirectory', 'cascade.directory'],
    ['RelayKind', 'cascade.relayKind'],
    ['RelayState', 'cascade.relayState'],
    ['RelayEnd', 'cascade.relayEnd'],
    ['SharedAction', 'cascade.action'],
    ['SharingState', 'cascade.sharingState'],
    ['GrantOrigin', 'cascade.grantOrigin'],
    ['TalkState', 'talk.state'],
    ['TalkHopKind', 'talk.hop'],
    ['TalkEnd', 'talk.end'],
    ['TalkDialect', 'talk.dialect'],
    ['TalkCarriage', 'talk.carriage'],
  ])('every %s under %s', (name, group) => {
    const keys = new Set(keysOf(language === 'en' ? en : zh))
    for (const value of enumOf(name)) expect(keys, value).toContain(`${group}.${value}`)
  })

  test('every kind of command', () => {
    const kinds = document.components.schemas
    const known = new Set(Object.keys(language === 'en' ? en.control.kind : zh.control.kind))
    for (const order of Object.values(kinds)) {
      const kind = order.properties?.kind?.const
      if (kind !== undefined) expect(known, kind).toContain(kind)
    }
  })

  test('a refusal with a wait, one without, and one it has never heard of', async () => {
    const { problem } = await within(language, useWords)
    expect(problem(new ApiError(429, 'too_many_attempts', 'wait', { retry_after_s: 90 }))).toMatch(/1 (min|分) 30 (s|秒)/)
    expect(problem(new ApiError(401, 'sign_in_refused', 'no'))).not.toContain('sign_in_refused')
    expect(problem(new ApiError(409, 'from_the_future', 'the reason'))).toMatch(/from_the_future/)
    expect(problem(new ApiError(409, 'from_the_future', 'the reason'))).toMatch(/the reason/)
  })
})

describe.each(languages)('in %s a command is told in words:', (language) => {
  const words = language === 'en' ? en : zh
  test('its state, its failure and what is known of its device', () => {
    expect(Object.keys(words.commandWords.state).sort()).toEqual(enumOf('CommandState').sort())
    expect(Object.keys(words.commandWords.failure).sort()).toEqual(enumOf('CommandFailure').sort())
    expect(Object.keys(words.capabilityWords.verdict).sort()).toEqual(enumOf('CapabilityVerdict').sort())
  })
})
