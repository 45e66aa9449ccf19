/**
 * HPACK, as much of it as a gRPC server needs: every block that a client may send is read; our own are written without
 * compression, which every client reads.
 *
 * Names and values are latin-1 text: gRPC's are ASCII.
 *
 * @see https://www.rfc-editor.org/rfc/rfc7541
 */

/** A header field. Names are lower case, pseudo headers begin with a colon. */
export type Header = readonly [name: string, value: string]

/** A block that is no HPACK. The connection cannot go on: what follows depends on it. */
export class CompressionError extends Error {}

/** RFC 7541, appendix A. Index 1 is the first. */
const staticTable: ReadonlyArray<Header> = [
  [":authority", ""],
  [":method", "GET"],
  [":method", "POST"],
  [":path", "/"],
  [":path", "/index.html"],
  [":scheme", "http"],
  [":scheme", "https"],
  [":status", "200"],
  [":status", "204"],
  [":status", "206"],
  [":status", "304"],
  [":status", "400"],
  [":status", "404"],
  [":status", "500"],
  ["accept-charset", ""],
  ["accept-encoding", "gzip, deflate"],
  ["accept-language", ""],
  ["accept-ranges", ""],
  ["accept", ""],
  ["access-control-allow-origin", ""],
  ["age", ""],
  ["allow", ""],
  ["authorization", ""],
  ["cache-control", ""],
  ["content-disposition", ""],
  ["content-encoding", ""],
  ["content-language", ""],
  ["content-length", ""],
  ["content-location", ""],
  ["content-range", ""],
  ["content-type", ""],
  ["cookie", ""],
  ["date", ""],
  ["etag", ""],
  ["expect", ""],
  ["expires", ""],
  ["from", ""],
  ["host", ""],
  ["if-match", ""],
  ["if-modified-since", ""],
  ["if-none-match", ""],
  ["if-range", ""],
  ["if-unmodified-since", ""],
  ["last-modified", ""],
  ["link", ""],
  ["location", ""],
  ["max-forwards", ""],
  ["proxy-authenticate", ""],
  ["proxy-authorization", ""],
  ["range", ""],
  ["referer", ""],
  ["refresh", ""],
  ["retry-after", ""],
  ["server", ""],
  ["set-cookie", ""],
  ["strict-transport-security", ""],
  ["transfer-encoding", ""],
  ["user-agent", ""],
  ["vary", ""],
  ["via", ""],
  ["www-authenticate", ""]
]

/**
 * Lengths in bits of the codes of bytes 0 to 255 and of the end of a string (RFC 7541, appendix B). The code is canonical, and complete:
 * any thirty bits begin with one of them.
 */
const codeLengths: ReadonlyArray<number> = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
  28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6,
  5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23,
  22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22,
  23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26,
  20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27,
  27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27,
  27, 27, 27, 26, 30
]

const longestCode = 30
const endOfString = 256

/** For each length: the first code, and where its symbols begin in the list of all by length. */
interface Codes {
  readonly symbols: Uint16Array
  readonly first: Int32Array
  readonly index: Int32Array
  readonly count: Int32Array
}

const makeCodes = (): Codes => {
  const symbols = Uint16Array.from(codeLengths.keys()).toSorted((a, b) => (codeLengths[a] ?? 0) - (codeLengths[b] ?? 0))
  const [first, index, count] = [0, 1, 2].map(() => new Int32Array(longestCode + 1)) as [
    Int32Array,
    Int32Array,
    Int32Array
  ]
  for (const length of codeLengths) count[length]!++
  let code = 0
  let before = 0
  for (let length = 1; length <= longestCode; length++) {
    code <<= 1
    first[length] = code
    index[length] = before
    code += count[length]!
    before += count[length]!
  }
  return { symbols, first, index, count }
}

/** Made for the first string that needs it. */
let codes: Codes | undefined

const huffman = (bytes: Uint8Array, from: number, to: number): string => {
  const { count, first, index, symbols } = (codes ??= makeCodes())
  let text = ""
  let code = 0
  let length = 0
  for (let at = from; at < to; at++) {
    const byte = bytes[at]!
    for (let bit = 7; bit >= 0; bit--) {
      code = (code << 1) | ((byte >> bit) & 1)
      length++
      const offset = code - first[length]!
      if (offset >= 0 && offset < count[length]!) {
        const symbol = symbols[index[length]! + offset]!
        if (symbol === endOfString) throw new CompressionError("a Huffman string holds its end")
        text += String.fromCharCode(symbol)
        code = 0
        length = 0
      }
    }
  }
  // What is left is padding: fewer than eight ones.
  if (length > 7 || code !== (1 << length) - 1) throw new CompressionError("a Huffman string is padded wrongly")
  return text
}

/** An entry's size by RFC 7541, section 4.1. */
const sizeOf = ([name, value]: Header): number => name.length + value.length + 32

/** What RFC 7541 has both sides begin with; we never ask for another size. */
const tableSize = 4096

/** Reads the blocks of one connection, in their order. */
export const makeDecoder = (): ((block: Uint8Array) => Array<Header>) => {
  // The newest entry last.
  const entries: Array<Header> = []
  let size = 0
  let limit = tableSize

  const shrink = () => {
    while (size > limit) size -= sizeOf(entries.shift()!)
  }

  const add = (header: Header) => {
    entries.push(header)
    size += sizeOf(header)
    shrink()
  }

  const lookUp = (index: number): Header => {
    const header =
      index <= staticTable.length ? staticTable[index - 1] : entries[entries.length - (index - staticTable.length)]
    if (header === undefined) throw new CompressionError(`there is no header ${index}`)
    return header
  }

  return (block) => {
    let at = 0

    const byte = (): number => {
      const value = block[at++]
      if (value === undefined) throw new CompressionError("a header block ends early")
      return value
    }

    /** An integer whose first bits are in the byte before. */
    const integer = (head: number, bits: number): number => {
      const most = (1 << bits) - 1
      let value = head & most
      if (value < most) return value
      for (let shift = 0; ; shift += 7) {
        if (shift > 21) throw new CompressionError("an integer is too large")
        const next = byte()
        value += (next & 0x7f) << shift
        if ((next & 0x80) === 0) return value
      }
    }

    const string = (): string => {
      const head = byte()
      const length = integer(head, 7)
      const from = at
      at += length
      if (at > block.length) throw new CompressionError("a header block ends early")
      return (head & 0x80) === 0
        ? Buffer.from(block.buffer, block.byteOffset + from, length).toString("latin1")
        : huffman(block, from, at)
    }

    const headers: Array<Header> = []
    while (at < block.length) {
      const head = byte()
      if ((head & 0x80) !== 0) {
        headers.push(lookUp(integer(head, 7)))
      } else if ((head & 0xe0) === 0x20) {
        limit = integer(head, 5)
        if (limit > tableSize) throw new CompressionError("the table is larger than was agreed")
        shrink()
      } else {
        const isIndexed = (head & 0x40) !== 0
        const index = integer(head, isIndexed ? 6 : 4)
        const header: Header = [index === 0 ? string() : lookUp(index)[0], string()]
        headers.push(header)
        if (isIndexed) add(header)
      }
    }
    return headers
  }
}

const pushInteger = (out: Array<number>, head: number, bits: number, value: number): void => {
  const most = (1 << bits) - 1
  if (value < most) {
    out.push(head | value)
    return
  }
  out.push(head | most)
  let rest = value - most
  for (; rest >= 0x80; rest >>>= 7) out.push((rest & 0x7f) | 0x80)
  out.push(rest)
}

const pushString = (out: Array<number>, text: string): void => {
  pushInteger(out, 0, 7, text.length)
  for (let at = 0; at < text.length; at++) out.push(text.charCodeAt(at) & 0xff)
}

/** A block that changes no table: each field is one of the static table, or literal. */
export const encode = (headers: ReadonlyArray<Header>): Uint8Array => {
  const out: Array<number> = []
  for (const [name, value] of headers) {
    const whole = staticTable.findIndex((known) => known[0] === name && known[1] === value)
    if (whole >= 0) {
      pushInteger(out, 0x80, 7, whole + 1)
      continue
    }
    pushInteger(out, 0, 4, staticTable.findIndex((known) => known[0] === name) + 1)
    if (!staticTable.some((known) => known[0] === name)) pushString(out, name)
    pushString(out, value)
  }
  return Uint8Array.from(out)
}
