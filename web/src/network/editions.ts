/** X-GB-Ver as the edition that it stands for (GB/T 28181-2022 Annex I). Pure. */
const editions: Record<string, string> = { '1.0': '2011', '1.1': '2011/2014', '2.0': '2016', '3.0': '2022' }

export function editionOf(version: string): string {
  return editions[version] === undefined ? `X-GB-Ver ${version}` : `GB/T 28181-${editions[version]}`
}
