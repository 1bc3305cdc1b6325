/** Leads to the wall with a camera asked for; the wall asks for the person's own purpose as always. */
import { useRouter } from 'vue-router'

import { useWall } from '@/stores/wall'

export function useLook(): (channelId: string) => void {
  const router = useRouter()
  const wall = useWall()
  return (channelId) => {
    wall.wanted = channelId
    void router.push({ name: 'live' })
  }
}
