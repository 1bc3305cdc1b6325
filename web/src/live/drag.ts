/** What travels with a drag on the duty screen. */

export const channelsType = 'application/x-commonview-channels'
export const slotType = 'application/x-commonview-slot'

export function carryChannels(transfer: DataTransfer, channelIds: readonly string[]): void {
  transfer.effectAllowed = 'copy'
  transfer.setData(channelsType, JSON.stringify(channelIds))
}

export function carrySlot(transfer: DataTransfer, slot: number): void {
  transfer.effectAllowed = 'move'
  transfer.setData(slotType, String(slot))
}

export type Dropped = { kind: 'channels'; channelIds: string[] } | { kind: 'slot'; slot: number }

/** Only what this page itself put there counts; a foreign drag is ignored. */
export function droppedOf(transfer: DataTransfer): Dropped | null {
  const slot = transfer.getData(slotType)
  if (/^\d{1,2}$/.test(slot)) return { kind: 'slot', slot: Number(slot) }
  try {
    const ids = JSON.parse(transfer.getData(channelsType) || 'null') as unknown
    if (Array.isArray(ids) && ids.length > 0 && ids.every((id) => typeof id === 'string')) return { kind: 'channels', channelIds: ids }
  } catch {
    // not ours
  }
  return null
}

export function acceptable(transfer: DataTransfer | null): boolean {
  return transfer !== null && (transfer.types.includes(channelsType) || transfer.types.includes(slotType))
}
