import { flushPromises, mount } from '@vue/test-utils'
import { createPinia } from 'pinia'
import { expect, test, vi } from 'vitest'
import { createMemoryHistory, createRouter } from 'vue-router'

import { i18n, useLanguage } from '@/i18n'
import RecordingsPage from '@/recordings/RecordingsPage.vue'

vi.mock('@/api/client', () => ({
  api: { GET: (_path: string, about: { params: { path: { channel_id: string } } }) => ({ channel: { name: `camera ${about.params.path.channel_id}` } }) },
  answer: (found: unknown) => Promise.resolve(found),
}))
vi.mock('@/stores/feed', () => ({ useFeed: () => ({ listen: () => () => undefined }) }))

test('the title names the camera of the address, however one came there', async () => {
  await useLanguage('en')
  const router = createRouter({
    history: createMemoryHistory(),
    routes: [
      { path: '/recordings', name: 'recordings', component: RecordingsPage },
      { path: '/playback', name: 'playback', component: RecordingsPage },
      { path: '/channels/:id', name: 'channel', component: RecordingsPage },
    ],
  })
  await router.push('/recordings')
  const page = mount(RecordingsPage, { global: { plugins: [router, i18n, createPinia()], stubs: { ChannelPicker: true, ChannelRecordings: true, RecordingTabs: true } } })
  for (const camera of ['one', 'other', 'one']) {
    await router.push({ name: 'recordings', query: { channel: camera } })
    await flushPromises()
    expect(page.find('h1').text()).toContain(`camera ${camera}`)
  }
  page.unmount()
})
