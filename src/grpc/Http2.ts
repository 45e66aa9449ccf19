/**
 * One HTTP/2 connection, server side, as a function of bytes: what comes in goes to `receive`, what goes out comes from `output`.
 *
 * **When to use**: for a peer that is trusted to start this very process, such as a plugin's host on its socket. Flow control holds both
 * ways; there is no server push, no priority (RFC 9113 deprecates it), and no defence against a peer that floods.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9113
 */
import type { Header } from "./Hpack.ts"
import * as Hpack from "./Hpack.ts"

/** `RFC 9113, section 7`. */
export const errorCode = {
  noError: 0,
  protocolError: 1,
  internalError: 2,
  flowControlError: 3,
  frameSizeError: 6,
  refusedStream: 7,
  compressionError: 9
} as const

const frame = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9
} as const

const flag = { endStream: 0x1, ack: 0x1, endHeaders: 0x4, padded: 0x8, priority: 0x20 } as const

const initialWindowSetting = 4

const nothing = Buffer.alloc(0)
const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
const frameHeaderBytes = 9
/** What every peer takes. We never ask for more, and never send more to one that would take it. */
const maximumFrameBytes = 16_384
const initialWindow = 65_535
/** Bytes that are copied to be written at once. */
const largestBatch = 64 * 1024
const largestWindow = 2 ** 31 - 1

/** Bytes that a peer may send on one stream before they are taken. */
const streamWindow = 1024 * 1024
/** On all streams together. It bounds nothing, since what arrives is handed on at once; streams bound what is kept. */
const connectionWindow = 16 * 1024 * 1024

/** Where a connection's bytes go. */
export interface Output {
  /** Takes all of it, and says whether the next bytes should wait for `writable`. */
  readonly write: (bytes: Uint8Array) => boolean
  /** After what was written before. */
  readonly end: () => void
}

/** What happens on a stream. */
export interface Receiver {
  /** A view of what came, good for as long as somebody holds it. */
  readonly data: (bytes: Uint8Array) => void
  /** The client has sent everything. */
  readonly end: () => void
  /** The client gave the stream up, or is gone. Nothing can be sent any more. */
  readonly cancel: () => void
}

/** One request and its answer. */
export interface Stream {
  readonly headers: ReadonlyArray<Header>
  /** Sends a block; `isLast` ends the stream. After data that still waits. */
  readonly sendHeaders: (block: Uint8Array, isLast: boolean) => void
  /** Sends data, when the client has room. False: wait for `onceWritable` before sending more. */
  readonly sendData: (parts: ReadonlyArray<Uint8Array>) => boolean
  /** Calls when everything is sent, at once if it is. */
  readonly onceWritable: (listener: () => void) => void
  /** What is sent meanwhile leaves together. */
  readonly together: (work: () => void) => void
  /** Lets the client send so many bytes more. */
  readonly credit: (bytes: number) => void
}

/** A connection. */
export interface Connection {
  readonly receive: (bytes: Uint8Array) => void
  /** The output takes bytes again. */
  readonly writable: () => void
  /** The peer is gone: every stream is cancelled. */
  readonly closed: () => void
  /** No new streams; ends the output when the last one is done. */
  readonly finish: () => void
}

/** The peer does what RFC 9113 forbids; the connection ends. */
class ConnectionError extends Error {
  readonly code: number
  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}

interface OpenStream {
  readonly id: number
  receiver: Receiver
  sendWindow: number
  /** Bytes that wait for the client's window or the output; the first `offset` bytes of the first one are sent. */
  waiting: Array<Uint8Array>
  offset: number
  /** The block that ends the stream, behind what waits. */
  trailers: Uint8Array | undefined
  /** What the client may send before it has to wait. */
  uncredited: number
  isRemoteDone: boolean
  writable: (() => void) | undefined
}

const writeHeader = (out: Buffer, at: number, length: number, type: number, flags: number, id: number): void => {
  out.writeUIntBE(length, at, 3)
  out[at + 3] = type
  out[at + 4] = flags
  out.writeUInt32BE(id, at + 5)
}

const control = (type: number, flags: number, id: number, payload: ReadonlyArray<number>): Buffer => {
  const out = Buffer.allocUnsafe(frameHeaderBytes + payload.length * 4)
  writeHeader(out, 0, payload.length * 4, type, flags, id)
  for (const [index, word] of payload.entries()) out.writeUInt32BE(word, frameHeaderBytes + index * 4)
  return out
}

/** SETTINGS of one value. */
const settingsFrame = (id: number, value: number): Buffer => {
  const out = Buffer.allocUnsafe(frameHeaderBytes + 6)
  writeHeader(out, 0, 6, frame.settings, 0, 0)
  out.writeUInt16BE(id, frameHeaderBytes)
  out.writeUInt32BE(value, frameHeaderBytes + 2)
  return out
}

/** A block as HEADERS, and CONTINUATION where one frame cannot hold it. */
const headersFrames = (id: number, block: Uint8Array, isLast: boolean): Buffer => {
  const count = Math.max(1, Math.ceil(block.length / maximumFrameBytes))
  const out = Buffer.allocUnsafe(count * frameHeaderBytes + block.length)
  let at = 0
  for (let index = 0; index < count; index++) {
    const part = block.subarray(index * maximumFrameBytes, (index + 1) * maximumFrameBytes)
    const flags = (index === count - 1 ? flag.endHeaders : 0) | (index === 0 && isLast ? flag.endStream : 0)
    writeHeader(out, at, part.length, index === 0 ? frame.headers : frame.continuation, flags, id)
    out.set(part, at + frameHeaderBytes)
    at += frameHeaderBytes + part.length
  }
  return out
}

/** The payload without padding and, of HEADERS, without the priority. */
const unpadded = (payload: Buffer, flags: number, hasPriority: boolean): Buffer => {
  let from = 0
  let to = payload.length
  if ((flags & flag.padded) !== 0) {
    to -= payload[0] ?? 0
    from = 1
  }
  if (hasPriority) from += 5
  if (from > to) throw new ConnectionError(errorCode.protocolError, "a frame is shorter than its padding")
  return payload.subarray(from, to)
}

/** A connection whose streams `accept` answers. */
export const make = (output: Output, accept: (stream: Stream) => Receiver): Connection => {
  const streams = new Map<number, OpenStream>()
  const decode = Hpack.makeDecoder()
  let hasPreface = false
  /** The beginning of a frame whose end has not come yet. */
  let rest: Buffer = nothing
  let lastId = 0
  /** The header block whose end has not come yet. */
  let block: { readonly id: number; readonly flags: number; readonly parts: Array<Uint8Array> } | undefined
  let sendWindow = initialWindow
  let peerWindow = initialWindow
  let uncredited = 0
  let isCongested = false
  let isFinishing = false
  let isClosed = false

  /** What is to be written when the bytes at hand are dealt with; undefined: at once. */
  let batch: Array<Uint8Array> | undefined

  const write = (bytes: Uint8Array): void => {
    if (isClosed) return
    if (batch === undefined) isCongested = !output.write(bytes)
    else batch.push(bytes)
  }

  const flush = (): void => {
    const parts = batch ?? []
    batch = undefined
    const isLarge = parts.reduce((sum, { length }) => sum + length, 0) > largestBatch
    // What is small leaves together; of what is large a copy would cost more than another write.
    for (const bytes of isLarge || parts.length < 2 ? parts : [Buffer.concat(parts)]) write(bytes)
  }

  const cancelAll = (): void => {
    const all = [...streams.values()]
    streams.clear()
    for (const { receiver } of all) receiver.cancel()
  }

  const endIfDone = (): void => {
    if (isFinishing && streams.size === 0 && !isClosed) {
      flush()
      isClosed = true
      output.end()
    }
  }

  const fail = (code: number): void => {
    write(control(frame.goAway, 0, 0, [lastId, code]))
    isFinishing = true
    cancelAll()
    endIfDone()
  }

  /** The answer is complete. A client that is still sending is told that nobody listens. */
  const finished = (stream: OpenStream): void => {
    streams.delete(stream.id)
    if (!stream.isRemoteDone) write(control(frame.rstStream, 0, stream.id, [errorCode.noError]))
    endIfDone()
  }

  /** Takes so many bytes of what waits. */
  const take = (stream: OpenStream, out: Buffer, at: number, count: number): void => {
    while (count > 0) {
      const first = stream.waiting[0]!
      const part = first.subarray(stream.offset, stream.offset + count)
      out.set(part, at)
      at += part.length
      count -= part.length
      stream.offset += part.length
      if (stream.offset === first.length) {
        stream.waiting.shift()
        stream.offset = 0
      }
    }
  }

  /** Sends as much of what waits as the windows and the output allow. */
  const pump = (stream: OpenStream): void => {
    const waiting = stream.waiting.reduce((sum, { length }) => sum + length, -stream.offset)
    const allowed = isCongested ? 0 : Math.max(0, Math.min(waiting, sendWindow, stream.sendWindow))
    if (allowed > 0) {
      const frames = Math.ceil(allowed / maximumFrameBytes)
      const out = Buffer.allocUnsafe(frames * frameHeaderBytes + allowed)
      for (let at = 0, left = allowed; left > 0;) {
        const length = Math.min(left, maximumFrameBytes)
        writeHeader(out, at, length, frame.data, 0, stream.id)
        take(stream, out, at + frameHeaderBytes, length)
        at += frameHeaderBytes + length
        left -= length
      }
      sendWindow -= allowed
      stream.sendWindow -= allowed
      write(out)
    }
    if (allowed < waiting) return
    if (stream.trailers !== undefined) {
      write(headersFrames(stream.id, stream.trailers, true))
      finished(stream)
    } else if (!isCongested) {
      const listener = stream.writable
      stream.writable = undefined
      listener?.()
    }
  }

  const pumpAll = (): void => {
    for (const stream of Array.from(streams.values())) pump(stream)
  }

  const inBatch = (work: () => void): void => {
    if (batch !== undefined) return work()
    batch = []
    try {
      work()
    } finally {
      flush()
    }
  }

  const credit = (stream: OpenStream, bytes: number): void => {
    stream.uncredited += bytes
    if (stream.uncredited < streamWindow / 2 || stream.isRemoteDone || !streams.has(stream.id)) return
    write(control(frame.windowUpdate, 0, stream.id, [stream.uncredited]))
    stream.uncredited = 0
  }

  const streamOf = (open: OpenStream, headers: ReadonlyArray<Header>): Stream => ({
    headers,
    sendHeaders: (headerBlock, isLast) => {
      if (streams.get(open.id) !== open) return
      if (!isLast) return write(headersFrames(open.id, headerBlock, false))
      open.trailers = headerBlock
      pump(open)
    },
    sendData: (parts) => {
      if (streams.get(open.id) !== open) return true
      // An empty part would never be taken.
      open.waiting.push(...parts.filter(({ length }) => length > 0))
      pump(open)
      return open.waiting.length === 0 && !isCongested
    },
    onceWritable: (listener) => {
      open.writable = listener
      // The room may have come since.
      if (streams.get(open.id) === open) pump(open)
    },
    together: inBatch,
    credit: (bytes) => credit(open, bytes)
  })

  const remoteDone = (stream: OpenStream): void => {
    stream.isRemoteDone = true
    stream.receiver.end()
  }

  const open = (id: number, headers: ReadonlyArray<Header>, isLast: boolean): void => {
    const stream: OpenStream = {
      id,
      receiver: { data: () => {}, end: () => {}, cancel: () => {} },
      sendWindow: peerWindow,
      waiting: [],
      offset: 0,
      trailers: undefined,
      uncredited: 0,
      isRemoteDone: false,
      writable: undefined
    }
    streams.set(id, stream)
    stream.receiver = accept(streamOf(stream, headers))
    if (isLast) remoteDone(stream)
  }

  const onHeaders = (id: number, flags: number, headerBlock: Uint8Array): void => {
    // Also of a stream that nobody listens to any more: the tables depend on it.
    const headers = decode(headerBlock)
    const isLast = (flags & flag.endStream) !== 0
    const known = streams.get(id)
    if (known !== undefined) {
      // The client's trailers, which gRPC gives no meaning.
      if (!isLast || known.isRemoteDone) throw new ConnectionError(errorCode.protocolError, "headers out of place")
      return remoteDone(known)
    }
    if (id <= lastId) return
    if (id % 2 === 0) throw new ConnectionError(errorCode.protocolError, "a client's streams are odd")
    if (isFinishing) return write(control(frame.rstStream, 0, id, [errorCode.refusedStream]))
    lastId = id
    open(id, headers, isLast)
  }

  const onData = (id: number, flags: number, payload: Buffer): void => {
    uncredited += payload.length
    if (uncredited >= connectionWindow / 2) {
      write(control(frame.windowUpdate, 0, 0, [uncredited]))
      uncredited = 0
    }
    const stream = streams.get(id)
    if (stream === undefined) {
      // A stream that was refused may have sent data before it knew.
      const wasOpen = id <= lastId || isFinishing
      if (!wasOpen || id === 0) throw new ConnectionError(errorCode.protocolError, "data without a stream")
      return
    }
    if (stream.isRemoteDone) throw new ConnectionError(errorCode.protocolError, "data behind the end")
    const data = unpadded(payload, flags, false)
    // Nobody but us sees padding.
    credit(stream, payload.length - data.length)
    if (data.length > 0) stream.receiver.data(data)
    if ((flags & flag.endStream) !== 0 && streams.has(id)) remoteDone(stream)
  }

  const onSettings = (flags: number, payload: Buffer): void => {
    if ((flags & flag.ack) !== 0) return
    if (payload.length % 6 !== 0) throw new ConnectionError(errorCode.frameSizeError, "settings are cut")
    for (let at = 0; at < payload.length; at += 6) {
      const value = payload.readUInt32BE(at + 2)
      if (payload.readUInt16BE(at) !== initialWindowSetting) continue
      if (value > largestWindow) throw new ConnectionError(errorCode.flowControlError, "a window is too large")
      for (const stream of streams.values()) stream.sendWindow += value - peerWindow
      peerWindow = value
    }
    write(control(frame.settings, flag.ack, 0, []))
    pumpAll()
  }

  const onWindowUpdate = (id: number, payload: Buffer): void => {
    if (payload.length !== 4) throw new ConnectionError(errorCode.frameSizeError, "a window update is cut")
    const increment = payload.readUInt32BE(0) & 0x7fffffff
    if (increment === 0) throw new ConnectionError(errorCode.protocolError, "a window grows by nothing")
    if (id === 0) {
      sendWindow += increment
      return pumpAll()
    }
    const stream = streams.get(id)
    if (stream === undefined) return
    stream.sendWindow += increment
    pump(stream)
  }

  const onFrame = (bytes: Buffer, at: number, length: number): void => {
    const type = bytes[at + 3]!
    const flags = bytes[at + 4]!
    const id = bytes.readUInt32BE(at + 5) & 0x7fffffff
    const payload = bytes.subarray(at + frameHeaderBytes, at + frameHeaderBytes + length)
    if (block !== undefined && (type !== frame.continuation || id !== block.id)) {
      throw new ConnectionError(errorCode.protocolError, "a header block is interrupted")
    }
    switch (type) {
      case frame.data:
        return onData(id, flags, payload)
      case frame.headers: {
        const part = unpadded(payload, flags, (flags & flag.priority) !== 0)
        if ((flags & flag.endHeaders) !== 0) return onHeaders(id, flags, part)
        block = { id, flags, parts: [part] }
        return
      }
      case frame.continuation: {
        if (block === undefined) throw new ConnectionError(errorCode.protocolError, "nothing to continue")
        block.parts.push(payload)
        if ((flags & flag.endHeaders) === 0) return
        const whole = block
        block = undefined
        return onHeaders(id, whole.flags, Buffer.concat(whole.parts))
      }
      case frame.rstStream: {
        const stream = streams.get(id)
        if (stream === undefined) return
        streams.delete(id)
        stream.receiver.cancel()
        return endIfDone()
      }
      case frame.settings:
        return onSettings(flags, payload)
      case frame.ping: {
        if ((flags & flag.ack) !== 0) return
        if (payload.length !== 8) throw new ConnectionError(errorCode.frameSizeError, "a ping is cut")
        return write(control(frame.ping, flag.ack, 0, [payload.readUInt32BE(0), payload.readUInt32BE(4)]))
      }
      case frame.windowUpdate:
        return onWindowUpdate(id, payload)
      case frame.pushPromise:
        throw new ConnectionError(errorCode.protocolError, "clients do not push")
      default:
        // GOAWAY, PRIORITY, and what later versions may bring.
        return
    }
  }

  /** All frames of some bytes that are complete; what is left begins the next one. */
  const frames = (given: Buffer): void => {
    let bytes = given
    while (rest.length > 0) {
      const wanted =
        rest.length < frameHeaderBytes ? frameHeaderBytes : frameHeaderBytes + checkedLength(rest.readUIntBE(0, 3))
      const missing = wanted - rest.length
      if (missing > bytes.length) {
        rest = Buffer.concat([rest, bytes])
        return
      }
      rest = Buffer.concat([rest, bytes.subarray(0, missing)])
      bytes = bytes.subarray(missing)
      if (wanted > frameHeaderBytes || rest.readUIntBE(0, 3) === 0) {
        const whole = rest
        rest = nothing
        onFrame(whole, 0, whole.length - frameHeaderBytes)
      }
    }
    let at = 0
    while (bytes.length - at >= frameHeaderBytes) {
      const length = checkedLength(bytes.readUIntBE(at, 3))
      if (bytes.length - at < frameHeaderBytes + length) break
      onFrame(bytes, at, length)
      at += frameHeaderBytes + length
    }
    // An empty view would keep all of it.
    rest = at === bytes.length ? nothing : bytes.subarray(at)
  }

  const checkedLength = (length: number): number => {
    if (length > maximumFrameBytes) throw new ConnectionError(errorCode.frameSizeError, "a frame is too long")
    return length
  }

  const begin = (bytes: Buffer): Buffer => {
    rest = Buffer.concat([rest, bytes])
    const length = Math.min(rest.length, preface.length)
    if (Buffer.compare(rest.subarray(0, length), preface.subarray(0, length)) !== 0) {
      throw new ConnectionError(errorCode.protocolError, "not HTTP/2")
    }
    if (rest.length < preface.length) return nothing
    hasPreface = true
    const after = rest.subarray(preface.length)
    rest = nothing
    return after
  }

  write(
    Buffer.concat([
      settingsFrame(initialWindowSetting, streamWindow),
      control(frame.windowUpdate, 0, 0, [connectionWindow - initialWindow])
    ])
  )

  return {
    receive: (given) => {
      if (isClosed) return
      batch = []
      try {
        const bytes = Buffer.from(given.buffer, given.byteOffset, given.length)
        const after = hasPreface ? bytes : begin(bytes)
        if (hasPreface) frames(after)
      } catch (error) {
        if (error instanceof ConnectionError) fail(error.code)
        else if (error instanceof Hpack.CompressionError) fail(errorCode.compressionError)
        else {
          fail(errorCode.internalError)
          throw error
        }
      } finally {
        flush()
      }
    },
    writable: () => {
      isCongested = false
      pumpAll()
    },
    closed: () => {
      isClosed = true
      cancelAll()
    },
    finish: () => {
      if (isFinishing) return
      isFinishing = true
      write(control(frame.goAway, 0, 0, [lastId, errorCode.noError]))
      endIfDone()
    }
  }
}
