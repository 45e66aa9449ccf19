/** A client's half of HTTP/2, in frames: written by hand, so that a test can also send what no client would. */
import * as Arbitrary from "effect/Arbitrary"
import * as Schema from "effect/Schema"
import type { Header } from "../../src/grpc/Hpack.ts"
import * as Hpack from "../../src/grpc/Hpack.ts"

export const number = (minimum: number, maximum: number): Arbitrary.Arbitrary<number> =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

export const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")

const types = [
  "DATA",
  "HEADERS",
  "PRIORITY",
  "RST_STREAM",
  "SETTINGS",
  "PUSH_PROMISE",
  "PING",
  "GOAWAY",
  "WINDOW_UPDATE",
  "CONTINUATION"
] as const

export type Type = (typeof types)[number]

export const flags = { endStream: 0x1, ack: 0x1, endHeaders: 0x4, padded: 0x8, priority: 0x20 } as const

export const frame = (
  type: Type | number,
  flagBits: number,
  id: number,
  payload: Uint8Array | ReadonlyArray<number> = []
): Buffer => {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head[3] = typeof type === "number" ? type : types.indexOf(type)
  head[4] = flagBits
  head.writeUInt32BE(id, 5)
  return Buffer.concat([head, Uint8Array.from(payload)])
}

/** Numbers of four bytes. */
export const words = (...all: ReadonlyArray<number>): Buffer => {
  const bytes = Buffer.alloc(all.length * 4)
  for (const [index, word] of all.entries()) bytes.writeUInt32BE(word, index * 4)
  return bytes
}

export const settings = (...all: ReadonlyArray<readonly [id: number, value: number]>): Buffer =>
  frame("SETTINGS", 0, 0, Buffer.concat(all.map(([id, value]) => Buffer.concat([Buffer.of(0, id), words(value)]))))

/** The setting's number. */
export const initialWindowSize = 4

export const windowUpdate = (id: number, increment: number): Buffer => frame("WINDOW_UPDATE", 0, id, words(increment))

/** What every call begins with. */
export const requestHeaders = (path: string): ReadonlyArray<Header> => [
  [":method", "POST"],
  [":scheme", "http"],
  [":path", path],
  ["content-type", "application/grpc"]
]

export const headers = (id: number, all: ReadonlyArray<Header> = requestHeaders("/"), isLast = false): Buffer =>
  frame("HEADERS", flags.endHeaders | (isLast ? flags.endStream : 0), id, Hpack.encode(all))

export const data = (id: number, payload: Uint8Array | string, isLast = false): Buffer =>
  frame("DATA", isLast ? flags.endStream : 0, id, Buffer.from(payload))

/** A payload with so many bytes of padding behind it; its frame has the flag `padded`. */
export const padded = (payload: Uint8Array | string, padding: number): Buffer =>
  Buffer.concat([Buffer.of(padding), Buffer.from(payload), Buffer.alloc(padding)])

export interface Frame {
  readonly type: Type
  readonly flags: number
  readonly id: number
  readonly payload: Buffer
}

/** The frames of some bytes whose end has come. */
export const parseWhole = (bytes: Buffer): Array<Frame> => {
  const all: Array<Frame> = []
  for (let at = 0; at + 9 <= bytes.length;) {
    const end = at + 9 + bytes.readUIntBE(at, 3)
    if (end > bytes.length) break
    const payload = bytes.subarray(at + 9, end)
    all.push({ type: types[bytes[at + 3]!]!, flags: bytes[at + 4]!, id: bytes.readUInt32BE(at + 5), payload })
    at = end
  }
  return all
}

/** The frames of some bytes that hold nothing else. */
export const parse = (bytes: Buffer): Array<Frame> => {
  const all = parseWhole(bytes)
  const length = all.reduce((sum, { payload }) => sum + 9 + payload.length, 0)
  if (length !== bytes.length) throw new Error("a frame is cut")
  return all
}

/** A frame as a line of text. */
const show =
  (decode: (block: Uint8Array) => ReadonlyArray<Header>) =>
  ({ flags: bits, id, payload, type }: Frame): string => {
    const end = (bits & flags.endStream) === 0 ? "" : " end"
    switch (type) {
      case "DATA":
        return `DATA ${id}${end} ${payload.toString("latin1")}`
      case "HEADERS":
        return (bits & flags.endHeaders) === 0
          ? `HEADERS ${id}${end} ${payload.length} bytes`
          : `HEADERS ${id}${end} ${decode(payload)
              .map(([name, value]) => `${name}=${value}`)
              .join(" ")}`
      case "CONTINUATION":
        return `CONTINUATION ${id}${(bits & flags.endHeaders) === 0 ? "" : " last"} ${payload.length} bytes`
      case "SETTINGS":
        return bits === flags.ack ? "SETTINGS ack" : `SETTINGS ${payload.toString("hex")}`
      case "PING":
        return `PING ${bits} ${payload.toString("hex")}`
      case "GOAWAY":
        return `GOAWAY last=${payload.readUInt32BE(0)} code=${payload.readUInt32BE(4)}`
      case "RST_STREAM":
        return `RST_STREAM ${id} code=${payload.readUInt32BE(0)}`
      case "WINDOW_UPDATE":
        return `WINDOW_UPDATE ${id} +${payload.readUInt32BE(0)}`
      default:
        return `${type} ${id}`
    }
  }

/** Frames as lines of text, with header blocks decoded. */
export const showAll = (frames: ReadonlyArray<Frame>): Array<string> => frames.map(show(Hpack.makeDecoder()))
