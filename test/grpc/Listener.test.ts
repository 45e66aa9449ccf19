/** Real unix sockets, with and without TLS. Who is let in by TLS is in test/go-plugin/Server.test.ts. */
import { afterEach, assert, beforeEach, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Os from "node:os"
import * as Path from "node:path"
import * as Tls from "node:tls"
import { generate } from "selfsigned"
import * as Hpack from "../../src/grpc/Hpack.ts"
import type * as Http2 from "../../src/grpc/Http2.ts"
import * as Listeners from "../../src/grpc/Listener.ts"
import type { Frame } from "./Frames.ts"
import {
  flags,
  frame,
  headers,
  initialWindowSize,
  parseWhole,
  preface,
  requestHeaders,
  settings,
  showAll,
  windowUpdate,
  words
} from "./Frames.ts"
import { until } from "./Until.ts"

const ok = Hpack.encode([[":status", "200"]])
const trailers = Hpack.encode([["grpc-status", "0"]])

const identity = await generate([{ name: "commonName", value: "localhost" }], { keyType: "ec", curve: "P-256" })
const tls = { clientCertificate: identity.cert, certificate: identity.cert, privateKey: identity.private }

describe.each([
  ["plain", undefined],
  ["TLS", tls]
] as const)("a %s listener", (_, secrets) => {
  let directory: string
  let path: string
  let listener: Listeners.Listener
  let sockets: Array<Net.Socket>
  let streams: Array<Http2.Stream>
  let events: Array<string>
  let held: Array<Uint8Array>

  beforeEach(async () => {
    directory = Fs.mkdtempSync(Path.join(Os.tmpdir(), "listener-"))
    path = Path.join(directory, "socket")
    sockets = []
    streams = []
    // Of this test alone: a connection of the one before may still be closing.
    const heard: Array<string> = []
    events = heard
    held = []
    listener = await Listeners.listen(path, secrets, (stream) => {
      const name = stream.headers.find(([each]) => each === ":path")?.[1]
      if (name === "/throw") throw new Error("broken")
      streams.push(stream)
      heard.push(`${name} open`)
      return {
        data: (bytes) => {
          stream.credit(bytes.length)
          held.push(bytes)
          heard.push(`${name} data ${bytes.length}`)
        },
        end: () => heard.push(`${name} end`),
        cancel: () => heard.push(`${name} cancel`)
      }
    })
  })
  afterEach(() => {
    for (const socket of sockets) socket.destroy()
    listener.abort()
    Fs.rmSync(directory, { recursive: true })
  })

  const dial = (options: Net.SocketConstructorOpts = {}): Net.Socket => {
    const socket =
      secrets === undefined
        ? Net.connect({ ...options, path })
        : Tls.connect({
            ...options,
            path,
            cert: secrets.clientCertificate,
            key: secrets.privateKey,
            ca: secrets.certificate,
            servername: "localhost",
            checkServerIdentity: () => undefined,
            ALPNProtocols: ["h2"]
          })
    sockets.push(socket)
    return socket
  }

  /** A client by hand, whose windows are wide open. */
  const connect = async () => {
    const socket = dial()
    const state = { received: Buffer.alloc(0), bytes: 0, isEnded: false, isClosed: false }
    const parts: Array<Buffer> = []
    socket.on("data", (part: Buffer) => {
      parts.push(part)
      state.bytes += part.length
    })
    socket.on("end", () => (state.isEnded = true))
    socket.on("error", () => {})
    socket.on("close", () => (state.isClosed = true))
    socket.write(Buffer.concat([preface, settings([initialWindowSize, 2 ** 31 - 1]), windowUpdate(0, 2 ** 30)]))
    await until("the server's settings", () => state.bytes >= 9 + 6 + 9 + 4 + 9)
    return {
      socket,
      state,
      frames: (): Array<Frame> => parseWhole(Buffer.concat(parts)),
      send: (...all: ReadonlyArray<Buffer>) => socket.write(Buffer.concat(all))
    }
  }

  const hasLast = (frames: ReadonlyArray<Frame>, id: number) =>
    frames.some((each) => each.id === id && (each.flags & flags.endStream) !== 0)

  it("answers", async () => {
    const { frames, send } = await connect()
    send(headers(1, requestHeaders("/a"), true), frame("PING", 0, 0, words(7, 8)))
    await until("the call", () => events.length === 2)
    streams[0]?.sendHeaders(ok, false)
    streams[0]?.sendData([Buffer.from("answer")])
    streams[0]?.sendHeaders(trailers, true)
    await until("the answer", () => hasLast(frames(), 1))
    assert.deepStrictEqual(
      frames().map(({ type }) => type),
      ["SETTINGS", "WINDOW_UPDATE", "SETTINGS", "PING", "HEADERS", "DATA", "HEADERS"]
    )
    assert.deepStrictEqual(events, ["/a open", "/a end"])
  })

  it("keeps little for a client that does not read, which gets everything later, in order", async () => {
    const { frames, send, socket, state } = await connect()
    send(headers(1, requestHeaders("/a"), true))
    await until("the call", () => streams.length === 1)
    socket.pause()
    const [stream] = streams
    const chunk = 1_000_000
    const count = 40
    let made = 0
    let mostKept = 0
    stream?.sendHeaders(ok, false)
    const next = () => {
      while (made < count) {
        made++
        mostKept = Math.max(mostKept, made * chunk - state.bytes)
        if (!stream?.sendData([Buffer.alloc(chunk, made % 251)])) return stream?.onceWritable(next)
      }
      stream?.sendHeaders(trailers, true)
    }
    next()
    // The listener has time for others: this one is stuck, and what it asks for in between changes nothing.
    await connect()
    send(frame("PING", 0, 0, words(1, 2)))
    await connect()
    send(windowUpdate(1, 1))
    await connect()
    assert.isBelow(made, 4)
    socket.resume()
    await until("everything", () => state.bytes > chunk * count)
    await until("the end", () => hasLast(frames(), 1))
    // The message at hand, the one before, and the kernel's buffers.
    assert.isBelow(mostKept, 4_000_000)
    const data = frames()
      .filter(({ type }) => type === "DATA")
      .map(({ payload }) => payload)
    const expected = Buffer.concat(Array.from({ length: count }, (_, index) => Buffer.alloc(chunk, (index + 1) % 251)))
    assert.isTrue(Buffer.concat(data).equals(expected))
  })

  it("hands on views that stay what they were, also of frames that came in pieces", async () => {
    const { send } = await connect()
    const body = Buffer.from(Uint8Array.from({ length: 3_000_000 }, (_, index) => index % 251))
    send(headers(1, requestHeaders("/a")))
    for (let at = 0; at < body.length; at += 16_000) send(frame("DATA", 0, 1, body.subarray(at, at + 16_000)))
    send(frame("DATA", flags.endStream, 1))
    await until("all of it", () => events.includes("/a end"))
    assert.isTrue(Buffer.concat(held).equals(body))
  })

  it("ends the connection of a call whose handler throws, and no other", async () => {
    const one = await connect()
    const two = await connect()
    one.send(headers(1, requestHeaders("/throw")))
    await until("the end", () => one.state.isClosed)
    assert.deepStrictEqual(showAll(one.frames()).at(-1), "GOAWAY last=1 code=2")
    two.send(headers(1, requestHeaders("/two"), true))
    await until("the call", () => events.includes("/two end"))
  })

  it("cancels the calls of a client that is gone, and no others", async () => {
    const one = await connect()
    const two = await connect()
    one.send(headers(1, requestHeaders("/one")))
    two.send(headers(1, requestHeaders("/two")))
    await until("the calls", () => streams.length === 2)
    one.socket.destroy()
    await until("the cancellation", () => events.includes("/one cancel"))
    assert.isFalse(events.includes("/two cancel"))
    two.send(frame("DATA", flags.endStream, 1, Buffer.from("x")))
    await until("the end", () => events.includes("/two end"))
    // What is sent to nobody disturbs nobody.
    for (const stream of streams) stream.sendHeaders(ok, true)
    await until("the answer", () => hasLast(two.frames(), 1))
  })

  it("cancels the calls of a client that is gone while it is not read", async () => {
    const { send, socket } = await connect()
    send(headers(1, requestHeaders("/a"), true))
    await until("the call", () => streams.length === 1)
    socket.pause()
    while (streams[0]?.sendData([Buffer.alloc(1_000_000)]));
    socket.destroy()
    await until("the cancellation", () => events.includes("/a cancel"))
    await listener.finish()
  })

  it("finishes at once where nobody is connected", () => listener.finish())

  it("finishes when the last call is done, and lets nobody in any more", async () => {
    const idle = await connect()
    const busy = await connect()
    busy.send(headers(1, requestHeaders("/a"), true))
    await until("the call", () => streams.length === 1)
    let isDone = false
    const finished = listener.finish().then(() => (isDone = true))
    await until("the end of the idle connection", () => idle.state.isEnded)
    await until("the farewell", () => busy.frames().some(({ type }) => type === "GOAWAY"))
    const late = Net.connect(path)
    sockets.push(late)
    let refused: string | undefined
    late.on("error", (error: NodeJS.ErrnoException) => (refused = error.code))
    await until("the refusal", () => refused !== undefined)
    busy.send(headers(3, requestHeaders("/late"), true))
    await until("the reset", () => busy.frames().some(({ id, type }) => type === "RST_STREAM" && id === 3))
    assert.isFalse(isDone)
    assert.deepStrictEqual(events, ["/a open", "/a end"])
    streams[0]?.sendHeaders(ok, true)
    await finished
    await until("the end", () => busy.state.isEnded)
    assert.isTrue(hasLast(busy.frames(), 1))
  })

  it("finishes though a client never closes its end", async () => {
    const socket = dial({ allowHalfOpen: true })
    let isEnded = false
    socket.on("end", () => (isEnded = true)).resume()
    socket.write(preface)
    await connect()
    await listener.finish()
    await until("the end", () => isEnded)
  })

  it("finishes behind an answer that the client reads late", async () => {
    const { frames, send, socket, state } = await connect()
    send(headers(1, requestHeaders("/a"), true))
    await until("the call", () => streams.length === 1)
    socket.pause()
    const [stream] = streams
    stream?.sendHeaders(ok, false)
    stream?.sendData([Buffer.alloc(10_000_000, "x")])
    stream?.sendHeaders(trailers, true)
    let isDone = false
    const finished = listener.finish().then(() => (isDone = true))
    const other = Net.connect(path)
    sockets.push(other)
    let isRefused = false
    other.on("error", () => (isRefused = true))
    await until("the refusal", () => isRefused)
    assert.isFalse(isDone)
    socket.resume()
    await finished
    await until("the end", () => state.isEnded)
    const all = frames()
    assert.isTrue(hasLast(all, 1))
    assert.strictEqual(
      all.filter(({ type }) => type === "DATA").reduce((sum, { payload }) => sum + payload.length, 0),
      10_000_000
    )
  })

  it("aborts", async () => {
    const one = await connect()
    const two = await connect()
    one.send(headers(1, requestHeaders("/a")))
    await until("the call", () => streams.length === 1)
    const finished = listener.finish()
    listener.abort()
    await finished
    await until("both ends", () => one.state.isClosed && two.state.isClosed)
    assert.deepStrictEqual(events, ["/a open", "/a cancel"])
  })

  it("ends the connection of a client that speaks something else", async () => {
    const socket = dial()
    let isClosed = false
    socket
      .on("error", () => {})
      .on("close", () => (isClosed = true))
      .resume()
    socket.write("GET / HTTP/1.1\r\n\r\n")
    await until("the end", () => isClosed)
    // The next one is served.
    await connect()
  })

  it("says what is wrong with a path", async () => {
    let problem: unknown
    await Listeners.listen(Path.join(directory, "none", "socket"), secrets, () => assert.fail("unused")).catch(
      (error: unknown) => (problem = error)
    )
    assert.instanceOf(problem, Error)
  })
})
