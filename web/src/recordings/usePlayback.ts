/** One playback of a device recording: opened under a grant, steered, and where it stands told by the server. */
import { computed, onUnmounted, ref, shallowRef } from 'vue'

import { answer, api, serverNow } from '@/api/client'
import { asApiError } from '@/api/errors'
import { RESYNC } from '@/api/events'
import { codecName, playable } from '@/player/mime'
import { Picture } from '@/player/picture'
import { useWords } from '@/shell/words'
import { Listening, silent, type SoundState } from '@/sound/listening'
import { useFeed } from '@/stores/feed'

import { positionNow, type Piece } from './timeline'
import type { Playback, PlaybackControl, PlaybackOpened } from './types'

export type Terms = { purpose_id: string; reason: string; duration_s: number } | { grant_id: string }

const tickMs = 250
/** The picture lies so far behind the newest data, milliseconds: what is shown is that much older. */
const behindMs = 300
const askEveryMs = 1000

export function usePlayback(channelId: () => string) {
  const { problem } = useWords()
  const playback = shallowRef<Playback | null>(null)
  const grant = shallowRef<PlaybackOpened['grant'] | null>(null)
  const video = shallowRef<HTMLVideoElement | null>(null)
  const showing = ref(false)
  const opening = ref(false)
  const commanding = ref(false)
  const wrong = ref('')
  /** Why the media node ended the picture, in its own word. */
  const ended = ref('')
  const position = ref(0)
  const sound = shallowRef<SoundState>(silent)
  const listening = new Listening({
    send: (word) => {
      if (socket?.readyState === WebSocket.OPEN) socket.send(word)
    },
    video: () => video.value,
    changed: (state) => (sound.value = state),
    now: serverNow,
  })
  let told = { position: 0, speed: 1, flowing: false, at: 0 }
  let picture: Picture | null = null
  let socket: WebSocket | null = null
  let asked = 0

  const over = computed(() => playback.value === null || ['finished', 'ended', 'failed'].includes(playback.value.state))
  const paused = computed(() => playback.value?.state === 'paused')
  const speed = computed(() => playback.value?.speed ?? 1)

  function hear(now: Playback, sentAt: number): void {
    playback.value = now
    const at = (sentAt + serverNow()) / 2
    told = { position: Date.parse(now.position), speed: now.speed, flowing: now.state === 'playing', at }
    place()
  }

  function place(): void {
    const one = playback.value
    if (one === null) return
    const piece: Piece = { start: Date.parse(one.start), end: Date.parse(one.end) }
    // A picture that flows is shown a little after the server counted it; one that stands is where it stands.
    position.value = positionNow(told, serverNow() - (told.flowing ? behindMs : 0), piece)
  }

  async function ask(): Promise<void> {
    const one = playback.value
    if (one === null || commanding.value) return
    const mine = ++asked
    const sentAt = serverNow()
    try {
      const now = await answer(api.GET('/api/playback/{playback_id}', { params: { path: { playback_id: one.id } } }))
      if (mine === asked && playback.value?.id === now.id) hear(now, sentAt)
    } catch {
      // asked again a moment later
    }
  }

  /** Opens a piece. Throws the server's refusal, so that whoever asked can say it. */
  async function open(piece: Piece, terms: Terms): Promise<void> {
    close()
    opening.value = true
    try {
      const sentAt = serverNow()
      const body = { channel_id: channelId(), start: new Date(piece.start).toISOString(), end: new Date(piece.end).toISOString(), protocol: 'ws' as const, ...terms }
      const opened = await answer(api.POST('/api/playback', { body }))
      grant.value = opened.grant
      hear(opened.playback, sentAt)
      connect(opened.url)
    } finally {
      opening.value = false
    }
  }

  function connect(url: string): void {
    const fresh = new WebSocket(url)
    fresh.binaryType = 'arraybuffer'
    socket = fresh
    fresh.onopen = () => listening.opened()
    fresh.onmessage = (message: MessageEvent<string | ArrayBuffer>) => {
      if (socket !== fresh) return
      if (typeof message.data === 'string') said(message.data)
      else if (!listening.received(message.data)) picture?.append(message.data)
    }
    fresh.onclose = () => {
      if (socket !== fresh) return
      if (ended.value === '') ended.value = 'connection_lost'
      void ask()
    }
  }

  function said(text: string): void {
    const word = JSON.parse(text) as { type?: unknown; mime?: unknown; reason?: unknown; codec?: unknown }
    if (listening.said(word)) return
    if (word.type === 'end') {
      ended.value = typeof word.reason === 'string' ? word.reason : 'unknown'
      void ask()
    }
    if (word.type !== 'init' || typeof word.mime !== 'string') return
    if (!playable(word.mime)) {
      ended.value = 'unsupported'
      wrong.value = problem({ code: 'codec_unsupported', params: { codec: codecName(word.mime) } })
      close()
      return
    }
    if (picture !== null) {
      picture.change(word.mime)
      return
    }
    picture = new Picture(word.mime, {
      onPicture: () => {
        showing.value = true
        void ask()
      },
      onBroken: (reason) => (ended.value = reason),
    })
    video.value = picture.video
  }

  async function control(body: PlaybackControl): Promise<void> {
    const one = playback.value
    if (one === null || over.value || commanding.value) return
    commanding.value = true
    asked += 1
    wrong.value = ''
    const sentAt = serverNow()
    try {
      const now = await answer(api.POST('/api/playback/{playback_id}/control', { params: { path: { playback_id: one.id } }, body }))
      if (playback.value?.id === now.id) hear(now, sentAt + (serverNow() - sentAt))
    } catch (error) {
      wrong.value = problem(asApiError(error))
    } finally {
      commanding.value = false
    }
  }

  const pause = () => control({ verb: 'pause' })
  const resume = () => control({ verb: 'resume' })
  const seek = (to: number) => control({ verb: 'seek', position: new Date(to).toISOString() })
  const setSpeed = (value: number) => control({ verb: 'speed', speed: value })

  function close(): void {
    const one = playback.value
    const was = socket
    socket = null
    if (was !== null && was.readyState <= WebSocket.OPEN) was.close(1000)
    picture?.close()
    picture = null
    listening.lost()
    video.value = null
    showing.value = false
    ended.value = ''
    if (one !== null && !over.value) {
      // The server also notices by itself; this only tells it at once.
      answer(api.DELETE('/api/playback/{playback_id}', { params: { path: { playback_id: one.id } } })).catch(() => undefined)
    }
    playback.value = null
  }

  const unlisten = useFeed().listen((event) => {
    if (event.topic === RESYNC || (event.topic === 'playback.changed' && event.payload.playback_id === playback.value?.id)) void ask()
  })
  let sinceAsked = 0
  const ticking = window.setInterval(() => {
    if (!paused.value) picture?.keepUp()
    listening.keepUp()
    place()
    sinceAsked += tickMs
    if (sinceAsked >= askEveryMs && !over.value) {
      sinceAsked = 0
      void ask()
    }
  }, tickMs)

  onUnmounted(() => {
    unlisten()
    window.clearInterval(ticking)
    close()
    listening.close()
  })

  const listen = (on: boolean) => listening.want(on)
  const setVolume = (volume: number) => listening.setVolume(volume)

  return { playback, grant, sound, listen, setVolume, video, showing, opening, commanding, wrong, ended, position, over, paused, speed, open, pause, resume, seek, setSpeed, close }
}
