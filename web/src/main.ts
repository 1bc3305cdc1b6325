import { createPinia } from 'pinia'
import { createApp } from 'vue'

import '@/entry/setupToken' // first: it cleans the address before the router reads it
import App from '@/app/App.vue'
import { router } from '@/app/router'
import { i18n, startLanguage } from '@/i18n'
import '@/shell/theme.css'
import '@/shell/forms.css'

await startLanguage()
createApp(App).use(createPinia()).use(i18n).use(router).mount('#app')
