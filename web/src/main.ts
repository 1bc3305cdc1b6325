import { createPinia } from 'pinia'
import { createApp } from 'vue'

import App from '@/app/App.vue'
import { router } from '@/app/router'
import { takeSetupToken } from '@/entry/setupToken'
import { i18n, startLanguage } from '@/i18n'
import '@/shell/theme.css'
import '@/shell/forms.css'

takeSetupToken()
await startLanguage()
createApp(App).use(createPinia()).use(i18n).use(router).mount('#app')
