/** The QR code of an authenticator secret, drawn here: it never leaves this page. */
import { encode } from 'uqr'

/** An SVG path of unit squares and the side length of the code, quiet zone of 4 modules included (ISO/IEC 18004). */
export function qrPath(text: string): { path: string; side: number } {
  const { data, size } = encode(text, { ecc: 'M', border: 4 })
  let path = ''
  data.forEach((row, y) => {
    row.forEach((dark, x) => {
      if (dark) path += `M${x} ${y}h1v1h-1z`
    })
  })
  return { path, side: size }
}

/** A secret in groups of four, easier to type. */
export function grouped(secret: string): string {
  return secret.match(/.{1,4}/g)?.join(' ') ?? secret
}
