import { createRouter, createWebHashHistory } from 'vue-router'

import { keepSetupToken } from '@/entry/setupToken'
import SignInPage from '@/entry/SignInPage.vue'
import { doorOf, useSession, type Area } from '@/stores/session'

declare module 'vue-router' {
  interface RouteMeta {
    area?: Area
    open?: boolean
  }
}

/** Hash addresses: the server then serves one page, and set-up tokens never reach its log. */
export const router = createRouter({
  history: createWebHashHistory(),
  routes: [
    { path: '/sign-in', name: 'sign-in', component: SignInPage, meta: { open: true } },
    { path: '/setup', name: 'setup', component: () => import('@/entry/SetupPage.vue'), meta: { open: true } },
    {
      path: '/',
      component: () => import('@/shell/AppShell.vue'),
      children: [
        // Which page is home depends on the roles: the guard below leads on.
        { path: '', name: 'home', children: [] },
        { path: 'live', name: 'live', component: () => import('@/live/DutyPage.vue'), meta: { area: 'live' } },
        { path: 'alarms', name: 'alarms', component: () => import('@/network/AlarmsPage.vue'), meta: { area: 'alarms' } },
        { path: 'devices', name: 'devices', component: () => import('@/manage/DevicesPage.vue'), meta: { area: 'devices' } },
        { path: 'devices/admission', name: 'admission', component: () => import('@/network/AdmissionPage.vue'), meta: { area: 'devices' } },
        { path: 'devices/groups', name: 'groups', component: () => import('@/network/GroupsPage.vue'), meta: { area: 'devices' } },
        { path: 'devices/sources', name: 'sources', component: () => import('@/network/SourcesPage.vue'), meta: { area: 'devices' } },
        { path: 'diagnosis/:kind?/:id?', name: 'diagnosis', component: () => import('@/network/DiagnosisPage.vue'), meta: { area: 'devices' } },
        { path: 'devices/:id', name: 'device', component: () => import('@/channel/DevicePage.vue'), props: true, meta: { area: 'devices' } },
        { path: 'channels/:id', name: 'channel', component: () => import('@/channel/ChannelPage.vue'), props: true, meta: { area: 'devices' } },
        { path: 'sharing', name: 'sharing', component: () => import('@/network/SharingPage.vue'), meta: { area: 'sharing' } },
        { path: 'playback', name: 'playback', component: () => import('@/playback/PlaybackPage.vue'), meta: { area: 'recordings' } },
        { path: 'recordings', name: 'recordings', component: () => import('@/recordings/RecordingsPage.vue'), meta: { area: 'recordings' } },
        { path: 'recordings/exports', name: 'exports', component: () => import('@/exports/ExportsPage.vue'), meta: { area: 'recordings' } },
        { path: 'plans', name: 'plans', component: () => import('@/plans/PlansPage.vue'), meta: { area: 'plans' } },
        { path: 'plans/tracks', name: 'tracks', component: () => import('@/plans/TracksPage.vue'), meta: { area: 'plans' } },
        { path: 'plans/storage', name: 'storage', component: () => import('@/plans/StoragePage.vue'), meta: { area: 'plans' } },
        { path: 'plans/gaps', name: 'gaps', component: () => import('@/plans/GapsPage.vue'), meta: { area: 'plans' } },
        { path: 'plans/holds', name: 'holds', component: () => import('@/plans/HoldsPage.vue'), meta: { area: 'plans' } },
        { path: 'plans/deletions', name: 'deletions', component: () => import('@/plans/DeletionsPage.vue'), meta: { area: 'plans' } },
        { path: 'access', name: 'access', component: () => import('@/manage/AccessPage.vue'), meta: { area: 'access' } },
        { path: 'purposes', name: 'purposes', component: () => import('@/manage/PurposesPage.vue'), meta: { area: 'purposes' } },
        { path: 'accounts', name: 'accounts', component: () => import('@/manage/AccountsPage.vue'), meta: { area: 'accounts' } },
        { path: 'audit', name: 'audit', component: () => import('@/manage/AuditPage.vue'), meta: { area: 'audit' } },
        { path: 'system', name: 'system', component: () => import('@/manage/SystemPage.vue'), meta: { area: 'system' } },
        { path: 'system/statistics', name: 'statistics', component: () => import('@/manage/StatisticsPage.vue'), meta: { area: 'system' } },
        { path: 'me', name: 'me', component: () => import('@/manage/MyAccountPage.vue'), meta: { area: 'me' } },
      ],
    },
    { path: '/:rest(.*)*', redirect: '/' },
  ],
})

router.beforeEach(async (to) => {
  const session = useSession()
  if (to.name === 'setup') {
    if (typeof to.query.token !== 'string') return true
    keepSetupToken(to.query.token)
    return { name: 'setup', replace: true }
  }
  await session.restore()
  if (to.meta.open) return session.account === null ? true : { name: 'home' }
  if (session.account === null) {
    return { name: 'sign-in', query: to.name === 'home' ? {} : { next: to.fullPath } }
  }
  if (to.name === 'home') return { name: doorOf(session.home), replace: true }
  if (to.meta.area !== undefined && !session.may(to.meta.area)) return { name: doorOf(session.home) }
  return true
})
