/**
 * gRPC over an HTTP/2 stream: messages with their five bytes in front, statuses in trailers.
 *
 * @see https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 */
import type { Header } from "./Hpack.ts"
import * as Hpack from "./Hpack.ts"
import type * as Http2 from "./Http2.ts"

/** Numbers of `google.rpc.Code` that the protocol itself answers with. */
export const code = { ok: 0, unimplemented: 12, internal: 13, unavailable: 14 } as const

/** What a call ends with. */
export interface Status {
  readonly code: number
  /** Any text; it travels percent-encoded. */
  readonly message: string
  /** A serialized `google.rpc.Status`. */
  readonly details?: Uint8Array
}

/** A call that a client has begun. */
export interface Call {
  /** Sends messages. False: wait for `onceWritable` before the next ones. */
  readonly write: (...messages: ReadonlyArray<Uint8Array>) => boolean
  readonly onceWritable: (listener: () => void) => void
  /** Ends the call. Only the first end counts, which may also be the client's. */
  readonly end: (status: Status) => void
  /** Sends the only message and ends the call with OK, in one write where the client has room. */
  readonly answer: (message: Uint8Array) => void
  /** More messages are wanted again, after `isFull`. */
  readonly resume: () => void
}

/** What the client does. */
export interface Receiver {
  readonly message: (bytes: Uint8Array) => void
  /** Whether the client should wait. It may send one window of bytes until it has to. */
  readonly isFull: () => boolean
  readonly end: () => void
  readonly cancel: () => void
}

/** Answers calls of one method. */
export type Handle = (call: Call) => Receiver

/** The handler of a path, `/package.Service/Method`. */
export type Find = (path: string) => Handle | undefined

const ok: Status = { code: code.ok, message: "" }

const noMethod = (): Status => ({ code: code.unimplemented, message: "the plugin has no such method" })

const unreadable = (cause: unknown): Status => ({
  code: code.internal,
  message: `a message cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`
})

const nobody: Receiver = { message: () => {}, isFull: () => false, end: () => {}, cancel: () => {} }

/** A handler that is known later; what the client sends waits until then. */
export const deferred =
  (load: () => Promise<Handle | undefined>): Handle =>
  (call) => {
    let receiver: Receiver | undefined
    const waiting: Array<(receiver: Receiver) => void> = []
    const pass = (event: (receiver: Receiver) => void): void => {
      if (receiver === undefined) waiting.push(event)
      else event(receiver)
    }
    const begin = (handle: Handle | undefined, otherwise: Status): void => {
      receiver = handle?.(call) ?? nobody
      if (handle === undefined) call.end(otherwise)
      for (const event of waiting) event(receiver)
      if (!receiver.isFull()) call.resume()
    }
    load()
      .then(
        (handle) => begin(handle, noMethod()),
        (cause: unknown) =>
          begin(undefined, { code: code.internal, message: `it could not be loaded: ${String(cause)}` })
      )
      .catch((cause: unknown) => {
        call.end(unreadable(cause))
        receiver?.cancel()
      })
    return {
      message: (bytes) => pass(({ message }) => message(bytes)),
      isFull: () => receiver?.isFull() ?? true,
      end: () => pass(({ end }) => end()),
      cancel: () => pass(({ cancel }) => cancel())
    }
  }

const prefixBytes = 5

const contentType: Header = ["content-type", "application/grpc"]
const head: ReadonlyArray<Header> = [[":status", "200"], contentType]

/** The blocks of every call that succeeds, made once. */
const blocks = { head: Hpack.encode(head), ok: Hpack.encode([["grpc-status", "0"]]) }

/** Everything but printable ASCII, the percent sign itself, and spaces at both ends, which no header may have. */
const percentEncode = (text: string): string =>
  text.replace(/[^ -$&-~]+|^ +| +$/g, (part) =>
    [...Buffer.from(part)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join("")
  )

const trailers = ({ code: number, details, message }: Status): ReadonlyArray<Header> => [
  ["grpc-status", String(number)],
  ...(message === "" ? [] : ([["grpc-message", percentEncode(message)]] as const)),
  ...(details === undefined
    ? []
    : ([["grpc-status-details-bin", Buffer.from(details).toString("base64").replace(/=+$/, "")]] as const))
]

const prefix = (message: Uint8Array): Uint8Array => {
  const bytes = Buffer.allocUnsafe(prefixBytes)
  bytes[0] = 0
  bytes.writeUInt32BE(message.length, 1)
  return bytes
}

/**
 * Puts messages together. One that came in one piece is handed on as a view of it, others are copied once, into a buffer of their
 * size.
 */
const makeAssembler = (message: (bytes: Uint8Array) => void, fail: (problem: string) => void) => {
  let front: Buffer = Buffer.alloc(0)
  let body: Buffer | undefined
  let filled = 0
  const data = (given: Uint8Array): void => {
    let bytes: Buffer = Buffer.from(given.buffer, given.byteOffset, given.length)
    while (bytes.length > 0) {
      if (body === undefined) {
        const whole: Buffer = front.length === 0 ? bytes : Buffer.concat([front, bytes])
        if (whole.length < prefixBytes) {
          front = whole
          return
        }
        front = Buffer.alloc(0)
        if (whole[0] !== 0) return fail("a compressed message came, and no compression was offered")
        const end = prefixBytes + whole.readUInt32BE(1)
        if (whole.length >= end) {
          message(whole.subarray(prefixBytes, end))
          bytes = whole.subarray(end)
          continue
        }
        body = Buffer.allocUnsafe(end - prefixBytes)
        filled = 0
        bytes = whole.subarray(prefixBytes)
      }
      const part = bytes.subarray(0, body.length - filled)
      body.set(part, filled)
      filled += part.length
      bytes = bytes.subarray(part.length)
      if (filled === body.length) {
        const complete = body
        body = undefined
        message(complete)
      }
    }
  }
  return { data, isWithin: () => body !== undefined || front.length > 0 }
}

const ignore: Http2.Receiver = { data: () => {}, end: () => {}, cancel: () => {} }

const header = (headers: ReadonlyArray<Header>, name: string): string =>
  headers.find(([each]) => each === name)?.[1] ?? ""

/** Answers the streams of a connection. */
export const accept =
  (find: Find) =>
  (stream: Http2.Stream): Http2.Receiver => {
    const { headers } = stream
    if (header(headers, ":method") !== "POST" || !header(headers, "content-type").startsWith(contentType[1])) {
      stream.sendHeaders(Hpack.encode([[":status", "415"]]), true)
      return ignore
    }
    let hasHead = false
    const end = (status: Status) => {
      if (!hasHead) stream.sendHeaders(Hpack.encode([...head, ...trailers(status)]), true)
      else stream.sendHeaders(status.code === code.ok ? blocks.ok : Hpack.encode(trailers(status)), true)
    }
    const handle = find(header(headers, ":path"))
    if (handle === undefined) {
      end(noMethod())
      return ignore
    }
    /** Bytes that the client may send again once the receiver takes messages again. */
    let owed = 0
    let isOver = false
    const write: Call["write"] = (...messages) => {
      if (!hasHead) stream.sendHeaders(blocks.head, false)
      hasHead = true
      return stream.sendData(messages.flatMap((message) => [prefix(message), message]))
    }
    const endOnce: Call["end"] = (status) => {
      if (isOver) return
      isOver = true
      end(status)
    }
    const receiver = handle({
      write,
      onceWritable: stream.onceWritable,
      end: endOnce,
      answer: (message) =>
        stream.together(() => {
          write(message)
          endOnce(ok)
        }),
      resume: () => {
        stream.credit(owed)
        owed = 0
      }
    })
    const fail = (status: Status) => {
      if (isOver) return
      isOver = true
      end(status)
      receiver.cancel()
    }
    const assembler = makeAssembler(receiver.message, (message) => fail({ code: code.internal, message }))
    return {
      data: (bytes) => {
        if (isOver) return stream.credit(bytes.length)
        try {
          assembler.data(bytes)
        } catch (cause) {
          fail(unreadable(cause))
        }
        if (receiver.isFull()) owed += bytes.length
        else stream.credit(bytes.length)
      },
      end: () => {
        if (isOver) return
        if (assembler.isWithin()) fail({ code: code.internal, message: "the client ended inside of a message" })
        else receiver.end()
      },
      cancel: () => {
        isOver = true
        receiver.cancel()
      }
    }
  }
