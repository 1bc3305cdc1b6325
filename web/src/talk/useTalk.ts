/** Speaking through a camera: microphone, access, the device's call, and the way between. */
import { onUnmounted, ref, shallowRef } from 'vue'

import { answer, api, serverNow } from '@/api/client'
import type { components } from '@/api/schema'
import { useWords } from '@/shell/words'
import { useFeed } from '@/stores/feed'

import { AacEncoder, encodableRates } from './aac'
import workletUrl from './talkWorklet?worker&url'

type Talk = components['schemas']['TalkOut']
export type Terms = { purpose_id: string; reason: string; duration_s: number } | { grant_id: string }

const askEveryMs = 700

/** A browser that has no microphone to give says why in the name of its error. */
export class NoMicrophone extends Error {
  readonly code: string
  readonly params = {}

  constructor(error: unknown) {
    super(error instanceof Error ? error.message : String(error))
    this.code = error instanceof DOMException && error.name === 'NotAllowedError' ? 'microphone_denied' : 'microphone_missing'
  }
}

export function useTalk(channelId: () => string) {
  const { problem } = useWords()
  const talk = shallowRef<Talk | null>(null)
  const speaking = ref(false)
  const level = ref(0)
  const wrong = ref('')
  let url = ''
  let startBy = 0
  let socket: WebSocket | null = null
  let stream: MediaStream | null = null
  let audio: AudioContext | null = null
  let encoder: AacEncoder | null = null
  let timer: number | undefined

  const over = () => talk.value === null || talk.value.state === 'ended' || talk.value.state === 'failed'

  /** The microphone comes first: without one nobody is called. */
  async function start(terms: Terms): Promise<void> {
    await hangUp()
    wrong.value = ''
    if (!('mediaDevices' in navigator)) throw { code: 'microphone_insecure', params: {} } // browsers give no microphone to pages without TLS
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true } })
    } catch (error) {
      const missing = new NoMicrophone(error)
      throw { code: missing.code, params: {} }
    }
    try {
      const opened = await answer(api.POST('/api/talk', { body: { channel_id: channelId(), ...terms, aac_rates: await encodableRates() } }))
      url = opened.url
      startBy = Date.parse(opened.start_by)
      await look(opened.talk_id)
      timer = window.setInterval(() => void look(opened.talk_id), askEveryMs)
    } catch (error) {
      silence()
      throw error
    }
  }

  async function look(talkId: string): Promise<void> {
    const now = await answer(api.GET('/api/talk/{talk_id}', { params: { path: { talk_id: talkId } } })).catch(() => null)
    if (now === null) return
    talk.value = now
    if (now.state === 'connected' && socket === null && serverNow() < startBy) connect()
    if (over()) silence()
  }

  function connect(): void {
    const fresh = new WebSocket(url)
    fresh.binaryType = 'arraybuffer'
    socket = fresh
    fresh.onopen = () => void speak(fresh)
    fresh.onclose = () => {
      if (socket !== fresh) return
      silence()
      if (talk.value !== null) void look(talk.value.id)
    }
  }

  async function speak(to: WebSocket): Promise<void> {
    if (stream === null) return
    // A line that cannot keep up would speak late for ever: what does not fit is left out.
    const send = (frame: Uint8Array<ArrayBuffer>) => {
      if (to.readyState === WebSocket.OPEN && to.bufferedAmount < 4000) to.send(frame)
    }
    const giveUp = (error: unknown) => {
      wrong.value = problem(error)
      void hangUp()
    }
    try {
      const rate = talk.value?.aac_rate_hz ?? 0
      audio = rate > 0 ? new AudioContext({ sampleRate: rate }) : new AudioContext()
      const aac = rate > 0 ? new AacEncoder(rate, send, giveUp) : null
      encoder = aac
      await audio.audioWorklet.addModule(workletUrl)
      const worklet = new AudioWorkletNode(audio, 'talk', { numberOfOutputs: 0, processorOptions: { isAac: aac !== null } })
      worklet.port.onmessage = (message: MessageEvent<{ frame: Uint8Array<ArrayBuffer> | Float32Array<ArrayBuffer>; level: number }>) => {
        level.value = message.data.level
        const frame = message.data.frame
        if (frame instanceof Float32Array) aac?.encode(frame)
        else send(frame)
      }
      audio.createMediaStreamSource(stream).connect(worklet)
      await audio.resume()
      speaking.value = true
    } catch (error) {
      giveUp(error)
    }
  }

  /** The microphone is off and nothing is sent any more. */
  function silence(): void {
    window.clearInterval(timer)
    const was = socket
    socket = null
    if (was !== null && was.readyState <= WebSocket.OPEN) was.close(1000)
    for (const track of stream?.getTracks() ?? []) track.stop()
    stream = null
    void audio?.close()
    audio = null
    encoder?.close()
    encoder = null
    speaking.value = false
    level.value = 0
  }

  async function hangUp(): Promise<void> {
    const one = talk.value
    const running = !over()
    silence()
    if (one !== null && running) {
      await answer(api.DELETE('/api/talk/{talk_id}', { params: { path: { talk_id: one.id } } })).catch(() => undefined)
      await look(one.id)
    }
  }

  const unlisten = useFeed().listen((event) => {
    if (event.topic === 'talk.changed' && talk.value !== null && event.payload.talk_id === talk.value.id) void look(talk.value.id)
  })
  onUnmounted(() => {
    unlisten()
    void hangUp()
  })

  return { talk, speaking, level, wrong, start, hangUp, running: () => !over() }
}
