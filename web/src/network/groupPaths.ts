/** The name of each group by its path from the root, as people write it. Pure. */
import type { Group } from '@/api/types'

export function pathsOf(groups: readonly Group[]): Map<string, string> {
  const byId = new Map(groups.map((group) => [group.id, group]))
  const path = (group: Group): string => {
    const above = byId.get(group.parent_id)
    return above === undefined ? group.name : `${path(above)}/${group.name}`
  }
  return new Map(groups.map((group) => [group.id, path(group)]))
}
