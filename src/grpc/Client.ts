/**
 * A gRPC client for unary calls over a unix socket, on Node's HTTP/2: what a plugin's host needs in tests and previews.
 *
 * **Gotchas**: no TLS, no deadlines, no compression, no retries; streams can be opened and are never read.
 */
import * as Http2 from "node:http2"
import * as Net from "node:net"
import { code } from "./Call.ts"

/** A call that ended otherwise than with OK. */
export interface Failure {
  readonly code: number
  readonly message: string
  /** The trailer `grpc-status-details-bin`. */
  readonly details: Uint8Array | undefined
}

export interface Client {
  /** One unary call; the returned function cancels it. */
  readonly call: (
    path: string,
    request: Uint8Array,
    done: (failure: Failure | undefined, response: Uint8Array) => void
  ) => () => void
  /** Begins a call, and never sends or reads anything more. */
  readonly open: (path: string, request: Uint8Array | undefined) => void
  readonly close: () => void
}

const prefixBytes = 5

/** One message as it travels. */
const framed = (message: Uint8Array): Buffer => {
  const bytes = Buffer.alloc(prefixBytes + message.length)
  bytes.writeUInt32BE(message.length, 1)
  bytes.set(message, prefixBytes)
  return bytes
}

/** Windows that never make the server wait. */
const settings: Http2.Settings = { initialWindowSize: 2 ** 31 - 1, maxHeaderListSize: 1024 * 1024 }

const decodePercent = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** A header of a gRPC server, of which none comes twice. */
const text = (value: string | ReadonlyArray<string> | undefined): string => String(value ?? "")

export const connect = (path: string): Client => {
  const session = Http2.connect("http://localhost", { createConnection: () => Net.connect(path), settings })
  let lost = "the connection was closed"
  session.on("error", (error: Error) => {
    lost = error.message
  })
  session.on("connect", () => session.setLocalWindowSize(2 ** 30))

  const begin = (method: string): Http2.ClientHttp2Stream =>
    session.request({
      ":method": "POST",
      ":path": method,
      "content-type": "application/grpc",
      te: "trailers"
    })

  return {
    call: (method, request, done) => {
      let isDone = false
      const finish = (failure: Failure | undefined, response: Uint8Array) => {
        if (isDone) return
        isDone = true
        done(failure, response)
      }
      const unavailable = (message: string) =>
        finish({ code: code.unavailable, message, details: undefined }, new Uint8Array())
      if (session.destroyed || session.closed) {
        unavailable(lost)
        return () => {}
      }
      const stream = begin(method)
      const parts: Array<Buffer> = []
      const onStatus = (headers: Http2.IncomingHttpHeaders) => {
        const status = headers["grpc-status"]
        if (status === undefined) return
        const number = Number(text(status))
        if (number === code.ok) return finish(undefined, Buffer.concat(parts).subarray(prefixBytes))
        const details = text(headers["grpc-status-details-bin"])
        finish(
          {
            code: number,
            message: decodePercent(text(headers["grpc-message"])),
            details: details === "" ? undefined : Buffer.from(details, "base64")
          },
          new Uint8Array()
        )
      }
      stream.on("response", onStatus)
      stream.on("data", (part: Buffer) => parts.push(part))
      stream.on("trailers", onStatus)
      stream.on("error", (error) => unavailable(error.message))
      stream.on("close", () => unavailable(lost))
      stream.end(framed(request))
      return () => {
        isDone = true
        stream.close(Http2.constants.NGHTTP2_CANCEL)
      }
    },
    open: (method, request) => {
      const stream = begin(method)
      stream.on("error", () => {}).resume()
      if (request !== undefined) stream.end(framed(request))
    },
    close: () => session.close()
  }
}
