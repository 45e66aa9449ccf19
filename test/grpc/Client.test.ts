/** The client against servers that are not ours: node:http2's, and a socket that closes. */
import { afterEach, assert, beforeEach, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import * as Http2 from "node:http2"
import * as Net from "node:net"
import * as Os from "node:os"
import * as Path from "node:path"
import * as Client from "../../src/grpc/Client.ts"
import { parseWhole, preface, settings, showAll } from "./Frames.ts"
import { until } from "./Until.ts"

type Answer = (stream: Http2.ServerHttp2Stream, headers: Http2.IncomingHttpHeaders, request: Buffer) => void

const framed = (message: string): Buffer => Buffer.concat([Buffer.of(0, 0, 0, 0, message.length), Buffer.from(message)])

describe("a client", () => {
  let directory: string
  let path: string
  let server: Http2.Http2Server
  let sessions: Array<Http2.ServerHttp2Session>
  let clients: Array<Client.Client>
  let answer: Answer

  beforeEach(async () => {
    directory = Fs.mkdtempSync(Path.join(Os.tmpdir(), "client-"))
    path = Path.join(directory, "socket")
    sessions = []
    clients = []
    server = Http2.createServer()
    server.on("session", (session) => sessions.push(session))
    server.on("stream", (stream: Http2.ServerHttp2Stream, headers: Http2.IncomingHttpHeaders) => {
      const parts: Array<Buffer> = []
      stream.on("error", () => {})
      stream.on("data", (part: Buffer) => parts.push(part))
      stream.on("end", () => {
        // Also at the end of its session.
        if (!stream.destroyed) answer(stream, headers, Buffer.concat(parts))
      })
    })
    await new Promise<void>((resolve) => server.listen(path, resolve))
  })
  afterEach(() => {
    for (const client of clients) client.close()
    for (const session of sessions) session.destroy()
    server.close()
    Fs.rmSync(directory, { recursive: true })
  })

  const connect = () => {
    const client = Client.connect(path)
    clients.push(client)
    return client
  }

  interface Outcome {
    readonly failure: Client.Failure | undefined
    readonly response: string
  }
  const ask = (client: Client.Client, request = "request") =>
    new Promise<Outcome>((resolve) => {
      client.call("/a.B/C", Buffer.from(request), (failure, response) =>
        resolve({ failure, response: Buffer.from(response).toString() })
      )
    })

  const head = { ":status": 200, "content-type": "application/grpc" }
  /** Messages, and a status behind them. */
  const respond =
    (messages: ReadonlyArray<Buffer>, trailers: Http2.OutgoingHttpHeaders): Answer =>
    (stream) => {
      stream.respond(head, { waitForTrailers: true })
      stream.on("wantTrailers", () => stream.sendTrailers(trailers))
      for (const message of messages) stream.write(message)
      stream.end()
    }
  /** A status alone. */
  const refuse =
    (trailers: Http2.OutgoingHttpHeaders): Answer =>
    (stream) =>
      stream.respond({ ...head, ...trailers }, { endStream: true })

  it("sends one message as gRPC has it, and reads one", async () => {
    const seen: Array<unknown> = []
    answer = (stream, headers, request) => {
      seen.push(
        headers[":method"],
        headers[":path"],
        headers["content-type"],
        headers["te"],
        request.toString("latin1")
      )
      respond([framed("an answer").subarray(0, 3), framed("an answer").subarray(3)], { "grpc-status": "0" })(
        stream,
        headers,
        request
      )
    }
    assert.deepStrictEqual(await ask(connect(), "x".repeat(300)), { failure: undefined, response: "an answer" })
    assert.deepStrictEqual(seen, [
      "POST",
      "/a.B/C",
      "application/grpc",
      "trailers",
      `\0\0\0\u{1}\u{2c}${"x".repeat(300)}`
    ])
  })

  it("reports each call once", async () => {
    answer = respond([framed("x")], { "grpc-status": "0" })
    const client = connect()
    const outcomes: Array<Client.Failure | undefined> = []
    client.call("/a.B/C", Buffer.from("x"), (failure) => outcomes.push(failure))
    // What closes a stream comes behind its trailers.
    for (let count = 0; count < 3; count++) await ask(client)
    assert.deepStrictEqual(outcomes, [undefined])
  })

  it("grants windows that never make the server wait", async () => {
    const received: Array<Buffer> = []
    const raw = Net.createServer((socket) => {
      socket.on("error", () => {}).on("data", (part: Buffer) => received.push(part))
      socket.write(settings())
    })
    const there = Path.join(directory, "raw")
    await new Promise<void>((resolve) => raw.listen(there, resolve))
    const client = Client.connect(there)
    clients.push(client)
    client.open("/", undefined)
    const granted = () => showAll(parseWhole(Buffer.concat(received).subarray(preface.length)))
    await until("the connection's window", () =>
      granted().some((line) => line === `WINDOW_UPDATE 0 +${2 ** 30 - 65_535}`)
    )
    // The setting of a stream's window.
    assert.isTrue(granted().some((line) => line.startsWith("SETTINGS") && line.includes("00047fffffff")))
    raw.close()
  })

  it("reads more than any window, and answers in their order", async () => {
    const body = Buffer.alloc(3_000_000, "y")
    const front = Buffer.from([0, 0, 0, 0, 0])
    front.writeUInt32BE(body.length, 1)
    answer = respond([front, body], { "grpc-status": "0" })
    const client = connect()
    const all = await Promise.all([ask(client), ask(client), ask(client)])
    for (const { failure, response } of all) {
      assert.isUndefined(failure)
      assert.strictEqual(response.length, body.length)
    }
  })

  const details = Buffer.from([1, 2, 0xff])
  it.each<readonly [string, Http2.OutgoingHttpHeaders, Client.Failure]>([
    ["a code alone", { "grpc-status": "5" }, { code: 5, message: "", details: undefined }],
    [
      "a message",
      { "grpc-status": "2", "grpc-message": "50%25 gr%C3%B6%C3%9Fer%0A" },
      { code: 2, message: "50% größer\n", details: undefined }
    ],
    [
      "a message that is not encoded well",
      { "grpc-status": "2", "grpc-message": "50% more" },
      { code: 2, message: "50% more", details: undefined }
    ],
    [
      "details",
      {
        "grpc-status": "13",
        "grpc-message": "no",
        "grpc-status-details-bin": details.toString("base64").replace(/=+$/, "")
      },
      { code: 13, message: "no", details }
    ]
  ])("reports %s, alone and behind a message", async (_, trailers, expected) => {
    const client = connect()
    for (const each of [refuse(trailers), respond([framed("half")], trailers)]) {
      answer = each
      const { failure, response } = await ask(client)
      assert.deepStrictEqual(
        { ...failure, details: failure?.details && [...failure.details] },
        { ...expected, details: expected.details && [...expected.details] }
      )
      assert.strictEqual(response, "")
    }
  })

  it("reports a stream without a status", async () => {
    answer = (stream) => {
      stream.respond(head)
      stream.end(framed("x"))
    }
    assert.strictEqual((await ask(connect())).failure?.code, 14)
  })

  it("reports a stream that the server resets", async () => {
    answer = (stream) => stream.close(Http2.constants.NGHTTP2_INTERNAL_ERROR)
    const { failure } = await ask(connect())
    assert.strictEqual(failure?.code, 14)
    assert.notStrictEqual(failure?.message, "")
  })

  it("reports a connection that is lost, at every call", async () => {
    answer = () => {
      for (const session of sessions) session.destroy()
    }
    const client = connect()
    const both = await Promise.all([ask(client), ask(client)])
    assert.deepStrictEqual(
      both.map(({ failure }) => failure?.code),
      [14, 14]
    )
    assert.isUndefined(both[0]?.failure?.details)
    const { failure } = await ask(client)
    assert.strictEqual(failure?.code, 14)
    assert.notStrictEqual(failure?.message, "")
  })

  it("reports that nobody listens", async () => {
    const client = Client.connect(Path.join(directory, "none"))
    clients.push(client)
    const { failure } = await ask(client)
    assert.strictEqual(failure?.code, 14)
    assert.include(failure?.message, "none")
    assert.deepStrictEqual(await ask(client), {
      failure: { code: 14, message: `connect ENOENT ${path.replace(/socket$/, "none")}`, details: undefined },
      response: ""
    })
  })

  it("reports a server that hangs up", async () => {
    const closing = Net.createServer((socket) => socket.destroy())
    const there = Path.join(directory, "closing")
    await new Promise<void>((resolve) => closing.listen(there, resolve))
    const client = Client.connect(there)
    clients.push(client)
    assert.strictEqual((await ask(client)).failure?.code, 14)
    closing.close()
  })

  it("refuses calls once it is closed", async () => {
    const client = connect()
    client.close()
    assert.strictEqual((await ask(client)).failure?.code, 14)
  })

  it("cancels a call, of which it says nothing more", async () => {
    const reset: Array<number> = []
    let isAsked = false
    answer = (stream) => {
      isAsked = true
      stream.on("close", () => reset.push(stream.rstCode))
    }
    const client = connect()
    let answers = 0
    const cancel = client.call("/a.B/C", Buffer.from("x"), () => answers++)
    await until("the request", () => isAsked)
    cancel()
    await until("the reset", () => reset.length > 0)
    assert.deepStrictEqual(reset, [Http2.constants.NGHTTP2_CANCEL])
    // Others go on.
    answer = respond([framed("fine")], { "grpc-status": "0" })
    assert.strictEqual((await ask(client)).response, "fine")
    assert.strictEqual(answers, 0)
  })

  it("opens streams, with and without a message, and reads nothing of them", async () => {
    const opened: Array<string> = []
    server.on("stream", (_, headers) => opened.push(String(headers[":path"])))
    const requests: Array<string> = []
    answer = (stream, _, request) => {
      requests.push(request.toString("latin1"))
      stream.close(Http2.constants.NGHTTP2_INTERNAL_ERROR)
    }
    const client = connect()
    client.open("/one", Buffer.from("x"))
    client.open("/two", undefined)
    await until("both", () => opened.length === 2 && requests.length === 1)
    assert.deepStrictEqual(opened.toSorted(), ["/one", "/two"])
    assert.deepStrictEqual(requests, ["\0\0\0\0\u{1}x"])
    answer = respond([framed("fine")], { "grpc-status": "0" })
    assert.strictEqual((await ask(client)).response, "fine")
  })
})
