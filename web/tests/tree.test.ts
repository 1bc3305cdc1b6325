import { describe, expect, test } from 'vitest'

import type { TreeNode } from '@/api/types'
import { appended, emptyBranch, outdated, replaced, staleInSight, type Branch } from '@/network/branches'
import { channelWord, foundRows, treeRows } from '@/network/treeRows'

import { channel, device } from './samples'

function deviceNode(id: string, change: Parameters<typeof device>[0] = {}): TreeNode {
  const told = device({ id, name: id, ...change })
  return { id, kind: 'device', name: told.name, total: 2, on: 1, has_children: true, device_id: id, online: told.online, channel: null, device: told }
}

function cameraNode(id: string, change: Parameters<typeof channel>[0] = {}): TreeNode {
  const told = channel({ id, device_id: 'd1', ...change })
  return { id, kind: 'channel', name: told.name, total: 1, on: 1, has_children: false, device_id: 'd1', online: true, channel: told, device: null }
}

function branch(nodes: TreeNode[], cursor: string | null = null): Branch {
  return { ...emptyBranch, nodes, cursor }
}

const problem = { code: 'wrong_password', params: { address: '10.0.0.9', count: 3 }, since: '2026-11-22T10:00:00Z' } as const

describe('the camera tree', () => {
  test('what is closed is one row, what is open and not read yet says so', () => {
    const branches = new Map([['', branch([deviceNode('d1'), deviceNode('d2')])]])
    expect(treeRows(branches, new Set()).map((row) => row.kind)).toEqual(['device', 'device'])
    expect(treeRows(branches, new Set(['d2'])).map((row) => row.kind)).toEqual(['device', 'device', 'hint'])
  })

  test('an absent device says why before its cameras, and none of them is called on', () => {
    const absent = deviceNode('d1', { online: false, state: 'offline', state_reason: 'keepalive_missed' })
    const branches = new Map([
      ['', branch([absent])],
      ['d1', branch([{ ...cameraNode('d1-c1'), online: false }])],
    ])
    const rows = treeRows(branches, new Set(['d1']))
    expect(rows.map((row) => row.kind)).toEqual(['device', 'note', 'channel'])
    expect(rows.at(-1)).toMatchObject({ word: 'deviceOffline', level: 2, parentKey: 'd1' })
  })

  test('a device with trouble is shown with it, whether it has cameras or not', () => {
    const troubled = { ...deviceNode('d3', { state: 'problem', problems: [problem] }), has_children: false }
    expect(treeRows(new Map([['', branch([troubled])]]), new Set(['d3'])).map((row) => row.kind)).toEqual(['device', 'note', 'hint'])
  })

  test('pages that follow are asked for by a row of their own, another one after each page', () => {
    const first = treeRows(new Map([['', branch([deviceNode('d1')], 'd1')]]), new Set())
    const second = treeRows(new Map([['', branch([deviceNode('d1'), deviceNode('d2')], 'd2')]]), new Set())
    expect(first.at(-1)).toMatchObject({ kind: 'more', parent: '' })
    expect(second.at(-1)?.key).not.toBe(first.at(-1)?.key)
  })

  test('a camera in two groups is two rows with keys of their own', () => {
    const folder = (id: string): TreeNode => ({ ...cameraNode(id), kind: 'group', channel: null, has_children: true })
    const branches = new Map([
      ['', branch([folder('g1'), folder('g2')])],
      ['g1', branch([cameraNode('d1-c1')])],
      ['g2', branch([cameraNode('d1-c1')])],
    ])
    expect(treeRows(branches, new Set(['g1', 'g2'])).map((row) => row.key)).toEqual(['g1', 'g1>d1-c1', 'g2', 'g2>d1-c1'])
  })

  test('organisations are folders, alarm inputs are not offered', () => {
    const organisation: TreeNode = { ...cameraNode('o', { kind: 'organisation' }), kind: 'organisation' }
    const branches = new Map([['', branch([organisation, cameraNode('v'), cameraNode('a', { kind: 'other' })])]])
    expect(treeRows(branches, new Set()).map((row) => row.kind)).toEqual(['folder', 'channel'])
  })

  test('a search shows its cameras under their devices, and devices that fit by themselves', () => {
    const found = { devices: [deviceNode('d1'), deviceNode('d2')], channels: [channel({ id: 'd1-c1', device_id: 'd1' })], cursor: null }
    expect(foundRows(found, new Set(), new Map()).map((row) => row.key)).toEqual(['d1', 'd1>d1-c1', 'd2'])
  })

  test('ten thousand devices are ten thousand rows', () => {
    const many = Array.from({ length: 10_000 }, (_, index) => deviceNode(`d${index}`))
    expect(treeRows(new Map([['', branch(many)]]), new Set())).toHaveLength(10_000)
  })

  test('a camera is called what its device and its catalogue say', () => {
    expect(channelWord(true, channel({ status: 'off' }))).toBe('off')
    expect(channelWord(false, channel({ status: 'on' }))).toBe('deviceOffline')
    expect(channelWord(true, channel({ vanished_at: '2026-11-22T10:00:00Z' }))).toBe('vanished')
  })
})

describe('what has been read of a tree', () => {
  const page = (ids: string[], cursor: string | null) => ({ nodes: ids.map((id) => deviceNode(id)), cursor })
  const ids = (of: Branch) => of.nodes.map((node) => node.id)
  const three = () => [page(['a', 'b'], 'b'), page(['c', 'd'], 'd'), page(['e'], null)].reduce(appended, emptyBranch)

  test('pages follow each other, each asked for after the last of the one before', () => {
    expect(ids(three())).toEqual(['a', 'b', 'c', 'd', 'e'])
    expect(three().pages.map((one) => one.from)).toEqual(['', 'b', 'd'])
    expect(three().cursor).toBeNull()
  })

  test('after a change only the pages in sight are read again', () => {
    const changed = outdated(three())
    expect(staleInSight(three(), new Set(['c']))).toEqual([])
    expect(staleInSight(changed, new Set(['c']))).toEqual([1])
    expect(staleInSight(replaced(changed, 1, page(['c', 'd'], 'd')), new Set(['c']))).toEqual([])
    expect(staleInSight(replaced(changed, 1, page(['c', 'd'], 'd')), new Set(['c', 'e']))).toEqual([2])
  })

  test('a page that still fits leaves what follows as it is', () => {
    const again = replaced(three(), 1, page(['c', 'd'], 'd'))
    expect(ids(again)).toEqual(['a', 'b', 'c', 'd', 'e'])
    expect(again.cursor).toBeNull()
  })

  test('when something came in between, what follows is read anew: nothing is lost and nothing is there twice', () => {
    const grown = replaced(three(), 0, page(['a', 'aa'], 'aa'))
    expect(ids(grown)).toEqual(['a', 'aa'])
    expect(grown.cursor).toBe('aa')
    expect(ids(appended(grown, page(['b', 'c'], 'c')))).toEqual(['a', 'aa', 'b', 'c'])
  })

  test('an empty tree is asked again, so that its first device shows', () => {
    const nothing = outdated(appended(emptyBranch, page([], null)))
    expect(staleInSight(nothing, new Set())).toEqual([0])
    expect(ids(replaced(nothing, 0, page(['a'], null)))).toEqual(['a'])
  })
})
