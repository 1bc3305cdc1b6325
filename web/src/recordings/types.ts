/** Short names for device recordings; the shapes are generated from the server's OpenAPI document. */
import type { components } from '@/api/schema'

type Schemas = components['schemas']

export type Recordings = Schemas['RecordingsOut']
export type Span = Schemas['RecordingSpanOut']
export type Band = Schemas['BandOut']
export type Playback = Schemas['PlaybackOut']
export type PlaybackOpened = Schemas['PlaybackOpened']
export type PlaybackControl = Schemas['PlaybackControl']
export type Download = Schemas['DownloadOut']
