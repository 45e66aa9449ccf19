/** A connection as a function of bytes: no socket, so that every byte and every moment is the test's choice. */
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Hpack from "../../src/grpc/Hpack.ts"
import * as Http2 from "../../src/grpc/Http2.ts"
import type { Frame } from "./Frames.ts"
import {
  data,
  flags,
  frame,
  headers,
  initialWindowSize,
  number,
  padded,
  parse,
  preface,
  requestHeaders,
  settings,
  showAll,
  windowUpdate,
  words
} from "./Frames.ts"

const codes = Http2.errorCode

/** What the server grants for each stream, and for all together: `SETTINGS` and the first `WINDOW_UPDATE` say so. */
const streamWindow = 1024 * 1024
const connectionWindow = 16 * 1024 * 1024

/** A connection, the streams that were opened on it, and what happened on them. */
const make = (
  onOpen: (stream: Http2.Stream, receiver: Http2.Receiver) => Http2.Receiver = (_, receiver) => receiver
) => {
  const events: Array<string> = []
  const streams: Array<Http2.Stream> = []
  const output = { written: Buffer.alloc(0), hasRoom: true, isEnded: false, writes: 0 }
  const connection = Http2.make(
    {
      write: (bytes) => {
        assert.isFalse(output.isEnded, "written behind the end")
        output.written = Buffer.concat([output.written, bytes])
        output.writes++
        return output.hasRoom
      },
      end: () => {
        assert.isFalse(output.isEnded, "ended twice")
        output.isEnded = true
      }
    },
    (stream) => {
      const index = streams.push(stream)
      events.push(`${index} open ${stream.headers.map(([name, value]) => `${name}=${value}`).join(" ")}`)
      return onOpen(stream, {
        data: (bytes) => events.push(`${index} data ${Buffer.from(bytes).toString("latin1")}`),
        end: () => events.push(`${index} end`),
        cancel: () => events.push(`${index} cancel`)
      })
    }
  )
  const take = (): Array<Frame> => {
    const all = parse(output.written)
    output.written = Buffer.alloc(0)
    return all
  }
  return {
    connection,
    events,
    streams,
    output,
    /** The frames since the last time. */
    take,
    /** The same, as text. */
    shown: () => showAll(take()),
    receive: (...parts: ReadonlyArray<Uint8Array>) => connection.receive(Buffer.concat(parts))
  }
}

/** The same behind the preface and the first settings of both sides. */
const begun = (...given: Parameters<typeof make>) => {
  const rig = make(...given)
  rig.receive(preface, settings())
  rig.take()
  return rig
}

const ok = Hpack.encode([[":status", "200"]])
const trailers = Hpack.encode([["grpc-status", "0"]])
const opened = "open :method=POST :scheme=http :path=/ content-type=application/grpc"
const goAway = (last: number, code: number) => `GOAWAY last=${last} code=${code}`

/** Cuts bytes at the places that are given as parts of the whole, in thousandths. */
const cut = (bytes: Buffer, places: ReadonlyArray<number>): Array<Buffer> => {
  const at = [
    0,
    ...places.map((place) => Math.floor((place * bytes.length) / 1000)).toSorted((a, b) => a - b),
    bytes.length
  ]
  return at.slice(1).map((end, index) => bytes.subarray(at[index], end))
}

const blockOf = (path: string) => Hpack.encode(requestHeaders(path))

/** One of each: settings, pings, padding, priority, continuation, trailers, a reset, an unknown frame. */
const conversation = Buffer.concat([
  preface,
  settings([initialWindowSize, 100_000]),
  windowUpdate(0, 1_000_000),
  headers(1),
  frame("PING", 0, 0, words(1, 2)),
  data(1, "hello "),
  headers(3, requestHeaders("/only"), true),
  data(1, "world", true),
  frame(
    "HEADERS",
    flags.padded | flags.priority | flags.endHeaders,
    5,
    padded(Buffer.concat([words(3, 0).subarray(0, 5), blockOf("/padded")]), 9)
  ),
  frame("DATA", flags.padded, 5, padded("padded", 3)),
  frame("PRIORITY", 0, 5, [0, 0, 0, 0, 1]),
  frame("HEADERS", 0, 7, blockOf("/continued").subarray(0, 3)),
  frame("CONTINUATION", 0, 7, blockOf("/continued").subarray(3, 5)),
  frame("CONTINUATION", flags.endHeaders, 7, blockOf("/continued").subarray(5)),
  frame(0xbb, 0xff, 5, [1, 2, 3]),
  data(7, Buffer.alloc(16_384, "x")),
  data(7, ""),
  frame("RST_STREAM", 0, 7, words(8)),
  headers(5, [["trailer", "ignored"]], true),
  frame("SETTINGS", flags.ack, 0),
  frame("GOAWAY", 0, 0, words(0, 0))
])

const conversationEvents = [
  `1 ${opened}`,
  "1 data hello ",
  "2 open :method=POST :scheme=http :path=/only content-type=application/grpc",
  "2 end",
  "1 data world",
  "1 end",
  "3 open :method=POST :scheme=http :path=/padded content-type=application/grpc",
  "3 data padded",
  "4 open :method=POST :scheme=http :path=/continued content-type=application/grpc",
  `4 data ${"x".repeat(16_384)}`,
  "4 cancel",
  "3 end"
]

describe("what comes in", () => {
  it("is greeted with the windows, and answered", () => {
    const { receive, shown } = make()
    assert.deepStrictEqual(shown(), [
      `SETTINGS 0004${words(streamWindow).toString("hex")}`,
      `WINDOW_UPDATE 0 +${connectionWindow - 65_535}`
    ])
    receive(conversation)
    assert.deepStrictEqual(shown(), ["SETTINGS ack", "PING 1 0000000100000002"])
  })

  it("means what it says", () => {
    const { events, output, receive } = make()
    receive(conversation)
    assert.deepStrictEqual(events, conversationEvents)
    assert.isFalse(output.isEnded)
  })

  it("means the same one byte at a time", () => {
    const { events, receive, shown, take } = make()
    take()
    for (const byte of conversation) receive(Buffer.of(byte))
    assert.deepStrictEqual(events, conversationEvents)
    assert.deepStrictEqual(shown(), ["SETTINGS ack", "PING 1 0000000100000002"])
  })

  it.prop(
    "means the same wherever it is cut",
    { places: Arbitrary.array(number(0, 1000)), early: Arbitrary.array(number(0, 60)) },
    ({ early, places }) => {
      const { events, receive, shown, take } = make()
      take()
      // What begins a conversation is short beside the data in it.
      for (const part of cut(conversation, [...places, ...early.map((each) => each / 2)])) receive(part)
      assert.deepStrictEqual(events, conversationEvents)
      assert.deepStrictEqual(shown(), ["SETTINGS ack", "PING 1 0000000100000002"])
    },
    { arbitrary: { runs: 300, seed: "http2" } }
  )

  it("is answered in one piece", () => {
    const { output, receive } = begun()
    const { writes } = output
    receive(frame("PING", 0, 0, words(1, 2)), frame("PING", 0, 0, words(3, 4)))
    assert.strictEqual(output.writes, writes + 1)
  })

  it.each([
    ["in one piece what is small", 1000, 1],
    ["piece by piece what is large", 65_500, 3]
  ] as const)("is answered together, %s", (_, size, pieces) => {
    const { output, receive, streams, take } = begun()
    receive(headers(1, undefined, true))
    take()
    const { writes } = output
    streams[0]?.together(() => {
      streams[0]?.sendHeaders(ok, false)
      streams[0]?.sendData([Buffer.alloc(size)])
      streams[0]?.sendHeaders(trailers, true)
      assert.strictEqual(output.writes, writes)
    })
    assert.strictEqual(output.writes, writes + pieces)
    assert.strictEqual(take().at(0)?.type, "HEADERS")
  })

  it("may be a view of a larger buffer", () => {
    const { events, receive, connection } = begun()
    receive(headers(1))
    connection.receive(new Uint8Array(Buffer.concat([Buffer.from("junk"), data(1, "view")]).subarray(4)))
    assert.deepStrictEqual(events, [`1 ${opened}`, "1 data view"])
  })

  it.each([
    ["an ack of a ping", frame("PING", flags.ack, 0, words(1, 2))],
    ["GOAWAY", frame("GOAWAY", 0, 0, words(0, 0))],
    ["a type of later times", frame(200, 0xff, 1, [1])],
    ["PRIORITY", frame("PRIORITY", 0, 9, [0, 0, 0, 0, 1])],
    ["a window of a stream that is over", windowUpdate(99, 1)],
    ["a reset of a stream that is over", frame("RST_STREAM", 0, 99, words(8))],
    ["an unknown setting", settings([200, 1]), "SETTINGS ack"],
    ["the largest window", settings([initialWindowSize, 2 ** 31 - 1]), "SETTINGS ack"]
  ])("goes on behind %s", (_, bytes, ...answer) => {
    const { events, output, receive, shown } = begun()
    receive(headers(1))
    receive(bytes)
    assert.deepStrictEqual(shown(), answer)
    receive(data(1, "x"))
    assert.deepStrictEqual(events, [`1 ${opened}`, "1 data x"])
    assert.isFalse(output.isEnded)
  })

  it("may go on for a stream that was answered before its end, which the client is told", () => {
    const { events, receive, shown, streams } = begun()
    receive(headers(1))
    streams[0]?.sendHeaders(ok, true)
    assert.deepStrictEqual(shown(), ["HEADERS 1 end :status=200", `RST_STREAM 1 code=${codes.noError}`])
    receive(data(1, "late"), headers(1, [["late", "too"]], true), frame("RST_STREAM", 0, 1, words(8)))
    assert.deepStrictEqual(events, [`1 ${opened}`])
    assert.deepStrictEqual(shown(), [])
    // The tables of both sides are still the same.
    receive(headers(3))
    assert.deepStrictEqual(events, [`1 ${opened}`, `2 ${opened}`])
  })

  it("may end a stream with the data that makes the server end it too", () => {
    const { events, receive, shown } = begun((stream, receiver) => ({
      ...receiver,
      data: () => stream.sendHeaders(ok, true)
    }))
    receive(headers(1), data(1, "x", true))
    assert.deepStrictEqual(events, [`1 ${opened}`])
    assert.strictEqual(shown()[0], "HEADERS 1 end :status=200")
  })
})

describe("what nobody may send", () => {
  const dynamic = frame("HEADERS", flags.endHeaders, 1, [0xbe])
  it.each([
    ["another protocol", [Buffer.from("GET / HTTP/1.1\r\n")], codes.protocolError, "no preface"],
    [
      "a preface that goes wrong at its end",
      [preface.subarray(0, 23), Buffer.from("x")],
      codes.protocolError,
      "no preface"
    ],
    ["an even stream", [headers(2)], codes.protocolError],
    ["another frame inside of a header block", [frame("HEADERS", 0, 3, ok), data(1, "x")], codes.protocolError],
    [
      "another stream inside of a header block",
      [frame("HEADERS", 0, 3, ok), frame("CONTINUATION", 4, 5, ok)],
      codes.protocolError
    ],
    ["a continuation of nothing", [frame("CONTINUATION", flags.endHeaders, 1)], codes.protocolError],
    ["a frame that is too long", [data(1, Buffer.alloc(16_385))], codes.frameSizeError],
    [
      "a frame that is too long, and has not come yet",
      [data(1, Buffer.alloc(16_385)).subarray(0, 9)],
      codes.frameSizeError
    ],
    ["settings that are cut", [frame("SETTINGS", 0, 0, [0, 4, 0, 0, 0])], codes.frameSizeError],
    ["a ping that is cut", [frame("PING", 0, 0, [1])], codes.frameSizeError],
    ["a window update that is cut", [frame("WINDOW_UPDATE", 0, 0, [1])], codes.frameSizeError],
    ["a window that grows by nothing", [windowUpdate(0, 0)], codes.protocolError],
    ["a stream's window that grows by nothing", [windowUpdate(1, 2 ** 31)], codes.protocolError],
    ["an initial window that is too large", [settings([initialWindowSize, 2 ** 31])], codes.flowControlError],
    ["data behind the end", [data(1, "", true), data(1, "")], codes.protocolError, "1 end"],
    ["headers behind the end", [data(1, "", true), headers(1, [], true)], codes.protocolError, "1 end"],
    ["headers amid the data", [headers(1, [["a", "b"]])], codes.protocolError],
    ["data without a stream", [data(3, "x")], codes.protocolError],
    ["data on the connection", [data(0, "x")], codes.protocolError],
    ["padding that is longer than its frame", [frame("DATA", flags.padded, 1, [2, 1])], codes.protocolError],
    ["padding without its length", [frame("DATA", flags.padded, 1)], codes.protocolError],
    [
      "headers that are shorter than their priority",
      [frame("HEADERS", flags.priority | flags.endHeaders, 3, [0, 0, 0, 0])],
      codes.protocolError
    ],
    ["a push", [frame("PUSH_PROMISE", flags.endHeaders, 1, words(2))], codes.protocolError],
    ["no HPACK", [dynamic], codes.compressionError]
  ])("ends the connection: %s", (_, bytes, code, ...before) => {
    const noPreface = before[0] === "no preface"
    const { events, output, receive, shown, take } = noPreface ? make() : begun()
    if (noPreface) take()
    else receive(headers(1))
    receive(...bytes)
    assert.deepStrictEqual(shown(), [goAway(noPreface ? 0 : 1, code)])
    assert.isTrue(output.isEnded)
    // Calls that are under way are cancelled, and nothing is heard any more.
    assert.deepStrictEqual(events, noPreface ? [] : [`1 ${opened}`, ...before, "1 cancel"])
    const heard = events.length
    receive(headers(3))
    assert.lengthOf(events, heard)
    assert.strictEqual(output.written.length, 0)
  })

  it("ends it behind what was right before, cut anywhere", () => {
    const bytes = Buffer.concat([headers(1), data(1, "x"), data(1, "y", true), data(1, "z")])
    for (let at = 0; at <= bytes.length; at++) {
      const { events, output, receive, shown } = begun()
      receive(bytes.subarray(0, at))
      receive(bytes.subarray(at))
      assert.deepStrictEqual(events, [`1 ${opened}`, "1 data x", "1 data y", "1 end", "1 cancel"])
      assert.deepStrictEqual(shown(), [goAway(1, codes.protocolError)])
      assert.isTrue(output.isEnded)
    }
  })

  it("is not what a failing receiver is, whose error is thrown", () => {
    const { connection, events, output, receive, shown } = begun((_, receiver) => ({
      ...receiver,
      data: () => {
        throw new Error("broken")
      }
    }))
    receive(headers(1))
    assert.throws(() => connection.receive(data(1, "x")), "broken")
    assert.deepStrictEqual(shown(), [goAway(1, codes.internalError)])
    assert.isTrue(output.isEnded)
    assert.deepStrictEqual(events, [`1 ${opened}`, "1 cancel"])
  })
})

/** Bytes that say where they belong. */
const pattern = (length: number): Buffer => Buffer.from(Uint8Array.from({ length }, (_, index) => index % 251))

/** Sends all chunks, one after another as the stream takes them, and then the end. */
const sendAll = (stream: Http2.Stream, chunks: ReadonlyArray<Uint8Array>, sent: (count: number) => void = () => {}) => {
  stream.sendHeaders(ok, false)
  const next = (index: number): void => {
    const chunk = chunks[index]
    if (chunk === undefined) return stream.sendHeaders(trailers, true)
    sent(index + 1)
    if (stream.sendData([chunk])) next(index + 1)
    else stream.onceWritable(() => next(index + 1))
  }
  next(0)
}

const dataOf = (frames: ReadonlyArray<Frame>, id: number): Buffer =>
  Buffer.concat(frames.filter((each) => each.type === "DATA" && each.id === id).map(({ payload }) => payload))

describe("what goes out", () => {
  it("is cut into frames that any client takes, also where it would take larger ones", () => {
    const { receive, streams, take } = begun()
    receive(settings([5, 2 ** 24 - 1]), headers(1, undefined, true))
    take()
    assert.isTrue(streams[0]?.sendData([pattern(40_000).subarray(0, 3), pattern(40_000).subarray(3)]))
    const frames = take()
    assert.deepStrictEqual(
      frames.map(({ payload, type }) => [type, payload.length]),
      [
        ["DATA", 16_384],
        ["DATA", 16_384],
        ["DATA", 7232]
      ]
    )
    assert.isTrue(dataOf(frames, 1).equals(pattern(40_000)))
  })

  it("has header blocks cut too", () => {
    const { receive, streams, take } = begun()
    receive(headers(1, undefined, true), headers(3, undefined, true), headers(5, undefined, true))
    const value = Array.from({ length: 33_000 }, (_, index) => String.fromCharCode(0x20 + (index % 90))).join("")
    const block = Hpack.encode([["large", value]])
    streams[0]?.sendHeaders(block, true)
    const frames = take()
    assert.deepStrictEqual(
      frames.map(({ flags: bits, id, payload, type }) => [type, id, bits, payload.length]),
      [
        ["HEADERS", 1, flags.endStream, 16_384],
        ["CONTINUATION", 1, 0, 16_384],
        ["CONTINUATION", 1, flags.endHeaders, block.length - 2 * 16_384]
      ]
    )
    assert.isTrue(Buffer.concat(frames.map(({ payload }) => payload)).equals(block))
    // One that just fits, and one that does not end the stream.
    streams[1]?.sendHeaders(block.subarray(0, 16_384), true)
    streams[2]?.sendHeaders(block.subarray(0, 16_385), false)
    assert.deepStrictEqual(
      take().map(({ flags: bits, id, payload, type }) => [type, id, bits, payload.length]),
      [
        ["HEADERS", 3, flags.endStream | flags.endHeaders, 16_384],
        ["HEADERS", 5, 0, 16_384],
        ["CONTINUATION", 5, flags.endHeaders, 1]
      ]
    )
  })

  it("waits for a client's larger windows, its trailers behind it", () => {
    const { receive, shown, streams, take } = begun()
    receive(settings([initialWindowSize, 10]), headers(1, undefined, true))
    take()
    const [stream] = streams
    assert.isFalse(stream?.sendData([Buffer.from("0123456789abcdefghijklm")]))
    stream?.sendHeaders(trailers, true)
    assert.deepStrictEqual(shown(), ["DATA 1 0123456789"])
    receive(windowUpdate(1, 3))
    assert.deepStrictEqual(shown(), ["DATA 1 abc"])
    // A smaller window is a debt.
    receive(settings([initialWindowSize, 5]))
    assert.deepStrictEqual(shown(), ["SETTINGS ack"])
    receive(windowUpdate(1, 6))
    assert.deepStrictEqual(shown(), ["DATA 1 d"])
    receive(settings([initialWindowSize, 7]))
    assert.deepStrictEqual(shown(), ["SETTINGS ack", "DATA 1 ef"])
    receive(windowUpdate(1, 2 ** 31 - 8))
    assert.deepStrictEqual(shown(), ["DATA 1 ghijklm", "HEADERS 1 end grpc-status=0"])
  })

  it("waits for the connection's window, which streams share", () => {
    const { receive, shown, streams, take } = begun()
    receive(settings([initialWindowSize, 1_000_000]), headers(1, undefined, true), headers(3, undefined, true))
    take()
    assert.isFalse(streams[0]?.sendData([pattern(65_530)]) === false)
    assert.isFalse(streams[1]?.sendData([Buffer.from("0123456789")]))
    streams[1]?.sendHeaders(trailers, true)
    assert.deepStrictEqual(shown().at(-1), "DATA 3 01234")
    receive(windowUpdate(3, 100))
    assert.deepStrictEqual(shown(), [])
    receive(windowUpdate(0, 3))
    assert.deepStrictEqual(shown(), ["DATA 3 567"])
    receive(windowUpdate(0, 3))
    assert.deepStrictEqual(shown(), ["DATA 3 89", "HEADERS 3 end grpc-status=0"])
  })

  it("is not made while the output is full", () => {
    const { connection, output, receive, shown, streams } = begun()
    receive(headers(1, undefined, true), headers(3, undefined, true))
    const sent: Array<number> = []
    output.hasRoom = false
    sendAll(streams[0]!, [Buffer.from("a"), Buffer.from("b"), Buffer.from("c")], (count) => sent.push(count))
    assert.deepStrictEqual(shown(), ["HEADERS 1 :status=200"])
    assert.deepStrictEqual(sent, [1])
    // Windows do not help against that.
    receive(windowUpdate(0, 5), windowUpdate(1, 5), settings([initialWindowSize, 70_000]))
    assert.deepStrictEqual(shown(), ["SETTINGS ack"])
    connection.writable()
    assert.deepStrictEqual(shown(), ["DATA 1 a"])
    assert.deepStrictEqual(sent, [1])
    connection.writable()
    assert.deepStrictEqual(shown(), ["DATA 1 b"])
    output.hasRoom = true
    connection.writable()
    assert.deepStrictEqual(shown(), ["DATA 1 c", "HEADERS 1 end grpc-status=0"])
    assert.deepStrictEqual(sent, [1, 2, 3])
  })

  it("may be empty, which nothing waits for", () => {
    const { receive, shown, streams } = begun()
    receive(headers(1, undefined, true))
    assert.isTrue(streams[0]?.sendData([Buffer.from("a"), Buffer.alloc(0)]))
    assert.isTrue(streams[0]?.sendData([Buffer.alloc(0), Buffer.from("b")]))
    assert.isTrue(streams[0]?.sendData([Buffer.alloc(0)]))
    assert.deepStrictEqual(shown(), ["DATA 1 a", "DATA 1 b"])
  })

  it("keeps its order where it is made though the output is full", () => {
    const { connection, output, receive, shown, streams } = begun()
    receive(headers(1, undefined, true))
    output.hasRoom = false
    const [stream] = streams
    stream?.sendHeaders(ok, false)
    stream?.sendData([Buffer.from("a")])
    stream?.sendData([Buffer.from("b")])
    stream?.sendHeaders(trailers, true)
    assert.deepStrictEqual(shown(), ["HEADERS 1 :status=200"])
    output.hasRoom = true
    connection.writable()
    assert.deepStrictEqual(shown(), ["DATA 1 ab", "HEADERS 1 end grpc-status=0"])
  })

  it("wakes a sender once", () => {
    const { connection, output, receive, streams } = begun()
    receive(headers(1, undefined, true))
    let woken = 0
    output.hasRoom = false
    assert.isFalse(streams[0]?.sendData([Buffer.from("a")]))
    streams[0]?.onceWritable(() => woken++)
    assert.strictEqual(woken, 0)
    connection.writable()
    connection.writable()
    assert.strictEqual(woken, 1)
  })

  it("wakes a sender that asks when there is room again, and none of a stream that is over", () => {
    const { connection, output, receive, streams, take } = begun()
    receive(headers(1, undefined, true))
    output.hasRoom = false
    const [stream] = streams
    assert.isFalse(stream?.sendData([Buffer.from("a")]))
    output.hasRoom = true
    connection.writable()
    let woken = 0
    stream?.onceWritable(() => woken++)
    assert.strictEqual(woken, 1)
    output.hasRoom = false
    assert.isFalse(stream?.sendData([Buffer.from("b")]))
    assert.isFalse(stream?.sendData([Buffer.from("c")]))
    output.hasRoom = true
    take()
    receive(frame("RST_STREAM", 0, 1, words(8)))
    connection.writable()
    stream?.onceWritable(() => woken++)
    assert.strictEqual(woken, 1)
    assert.deepStrictEqual(take(), [])
  })

  it("wakes a sender whose last bytes took the rest of the connection's window", () => {
    const { connection, output, receive, shown, streams, take } = begun()
    receive(settings([initialWindowSize, 1_000_000]), headers(1, undefined, true))
    take()
    output.hasRoom = false
    const [stream] = streams
    assert.isFalse(stream?.sendData([pattern(65_535)]))
    stream?.onceWritable(() => stream.sendHeaders(trailers, true))
    take()
    connection.writable()
    assert.deepStrictEqual(shown(), ["HEADERS 1 end grpc-status=0"])
  })

  it("stops where the client gives a stream up", () => {
    const { events, receive, shown, streams, take } = begun()
    receive(settings([initialWindowSize, 1]), headers(1, undefined, true))
    take()
    const [stream] = streams
    stream?.sendData([Buffer.from("abc")])
    assert.deepStrictEqual(shown(), ["DATA 1 a"])
    receive(frame("RST_STREAM", 0, 1, words(8)))
    assert.deepStrictEqual(events.at(-1), "1 cancel")
    receive(windowUpdate(1, 100))
    assert.isTrue(stream?.sendData([Buffer.from("d")]))
    stream?.sendHeaders(ok, false)
    stream?.sendHeaders(trailers, true)
    stream?.credit(streamWindow)
    assert.deepStrictEqual(shown(), [])
  })

  it.prop(
    "never exceeds the client's windows, and all of it comes once they are open",
    {
      first: number(0, 30_000),
      streams: Arbitrary.array(Arbitrary.array(number(0, 60_000)), { minLength: 1, maxLength: 4 }),
      steps: Arbitrary.array(Arbitrary.all({ what: number(0, 5), stream: number(0, 3), size: number(1, 50_000) }))
    },
    ({ first, steps, streams: sizes }) => {
      const bodies = sizes.map((chunks, stream) =>
        chunks.map((size, index) => Buffer.alloc(size, `${stream}.${index};`, "latin1"))
      )
      const rig = begun()
      const { connection, output, receive } = rig
      let initial = first
      receive(settings([initialWindowSize, initial]))
      let connectionRoom = 65_535
      const room = bodies.map(() => initial)
      const got: Array<Array<Buffer>> = bodies.map(() => [])
      const ended = new Set<number>()
      const look = () => {
        for (const each of rig.take()) {
          if (each.id === 0) continue
          const stream = (each.id - 1) / 2
          assert.isFalse(ended.has(stream), "sent behind the end")
          if ((each.flags & flags.endStream) !== 0) ended.add(stream)
          if (each.type !== "DATA") continue
          connectionRoom -= each.payload.length
          room[stream]! -= each.payload.length
          assert.isAtLeast(connectionRoom, 0, "more than the connection's window")
          assert.isAtLeast(room[stream]!, 0, "more than the stream's window")
          got[stream]!.push(each.payload)
        }
      }
      for (const [index, chunks] of bodies.entries()) {
        receive(headers(1 + 2 * index, undefined, true))
        const stream = rig.streams[index]!
        if (index % 2 === 0) {
          sendAll(stream, chunks)
        } else {
          // As a unary answer is sent: nobody waits.
          for (const chunk of chunks) stream.sendData([chunk])
          stream.sendHeaders(trailers, true)
        }
        look()
      }
      for (const { size, stream, what } of steps) {
        const known = stream % bodies.length
        if (what === 0) {
          output.hasRoom = false
        } else if (what === 1) {
          output.hasRoom = true
          connection.writable()
        } else if (what === 2) {
          connectionRoom += size
          receive(windowUpdate(0, size))
        } else if (what === 3) {
          for (const index of room.keys()) room[index]! += size - initial
          initial = size
          receive(settings([initialWindowSize, initial]))
        } else {
          room[known]! += size
          receive(windowUpdate(1 + 2 * known, size))
        }
        look()
      }
      output.hasRoom = true
      connection.writable()
      look()
      connectionRoom += 1_000_000
      receive(windowUpdate(0, 1_000_000))
      for (const index of room.keys()) {
        look()
        room[index]! += 1_000_000
        receive(windowUpdate(1 + 2 * index, 1_000_000))
      }
      look()
      for (const [index, chunks] of bodies.entries()) {
        assert.isTrue(Buffer.concat(got[index]!).equals(Buffer.concat(chunks)), `stream ${index} is not what was sent`)
      }
      assert.strictEqual(ended.size, bodies.length)
    },
    { arbitrary: { runs: 300, seed: "http2" } }
  )
})

describe("credit", () => {
  /** A client that honours windows, and sends as much as it may. */
  const client = (rig: ReturnType<typeof begun>, ids: ReadonlyArray<number>) => {
    let connectionRoom = connectionWindow
    const room = new Map(ids.map((id) => [id, streamWindow]))
    const look = () => {
      for (const { id, payload, type } of rig.take()) {
        if (type !== "WINDOW_UPDATE") continue
        const increment = payload.readUInt32BE(0)
        if (id === 0) connectionRoom += increment
        else room.set(id, room.get(id)! + increment)
        assert.isAtMost(connectionRoom, connectionWindow)
        assert.isAtMost(room.get(id) ?? 0, streamWindow)
      }
    }
    return {
      /** Sends a frame; false: there is no room for it. */
      send: (id: number, size: number, padding: number): boolean => {
        const bytes =
          padding === 0
            ? data(id, Buffer.alloc(size))
            : frame("DATA", flags.padded, id, padded(Buffer.alloc(size), padding))
        const length = bytes.length - 9
        look()
        if (length > connectionRoom || length > room.get(id)!) return false
        connectionRoom -= length
        room.set(id, room.get(id)! - length)
        rig.receive(bytes)
        return true
      },
      room: (id: number) => room.get(id)!
    }
  }

  const taking = () => begun((stream, receiver) => ({ ...receiver, data: (bytes) => stream.credit(bytes.length) }))

  it.prop(
    "lets a client that honours windows send any amount",
    {
      sizes: Arbitrary.array(Arbitrary.all({ size: number(0, 16_000), padding: number(0, 255) }), {
        minLength: 1,
        maxLength: 9
      })
    },
    ({ sizes }) => {
      const rig = taking()
      rig.receive(headers(1))
      const { send } = client(rig, [1])
      let sent = 0
      for (let count = 0; sent < 2 * connectionWindow && count < 3000; count++) {
        const { padding, size } = sizes[count % sizes.length]!
        assert.isTrue(send(1, size, padding), `no room after ${sent} bytes`)
        sent += size + padding
      }
    },
    { arbitrary: { runs: 10, seed: "http2" } }
  )

  it("does so for padding without data", () => {
    const rig = taking()
    rig.receive(headers(1))
    const { send } = client(rig, [1])
    for (let sent = 0; sent < 3 * streamWindow; sent += 256)
      assert.isTrue(send(1, 0, 255), `no room after ${sent} bytes`)
  })

  it("is what a stream waits for, and others do not", () => {
    const rig = begun()
    rig.receive(headers(1), headers(3))
    const { room, send } = client(rig, [1, 3])
    while (send(1, 16_384, 0));
    assert.strictEqual(room(1), 0)
    const [stream] = rig.streams
    stream?.credit(streamWindow / 2 - 1)
    assert.isFalse(send(1, 1, 0))
    stream?.credit(1)
    assert.isTrue(send(1, 16_384, 0))
    assert.strictEqual(room(1), streamWindow / 2 - 16_384)
  })

  it("is given for all streams together when half of it is used, whoever listens", () => {
    const { receive, shown, streams, take } = begun()
    receive(headers(1))
    streams[0]?.sendHeaders(ok, true)
    take()
    for (let count = 1; count < 512; count++) receive(data(1, Buffer.alloc(16_384)))
    assert.deepStrictEqual(shown(), [])
    receive(data(1, Buffer.alloc(16_384)))
    assert.deepStrictEqual(shown(), [`WINDOW_UPDATE 0 +${connectionWindow / 2}`])
  })

  it("is not sent to a client that has sent everything", () => {
    const { receive, shown, streams } = begun()
    receive(headers(1, undefined, true))
    streams[0]?.credit(streamWindow)
    assert.deepStrictEqual(shown(), [])
  })
})

describe("finish", () => {
  it("ends a connection without streams at once", () => {
    const { connection, output, shown } = begun()
    connection.finish()
    assert.deepStrictEqual(shown(), [goAway(0, codes.noError)])
    assert.isTrue(output.isEnded)
    connection.finish()
    connection.closed()
    connection.writable()
    assert.deepStrictEqual(shown(), [])
  })

  it("lets streams end, refuses new ones, and ends with the last", () => {
    const { connection, events, output, receive, shown, streams } = begun()
    receive(headers(1), headers(3))
    connection.finish()
    connection.finish()
    assert.deepStrictEqual(shown(), [goAway(3, codes.noError)])
    receive(headers(5, requestHeaders("/late"), true))
    assert.deepStrictEqual(shown(), [`RST_STREAM 5 code=${codes.refusedStream}`])
    streams[0]?.sendHeaders(ok, true)
    assert.isFalse(output.isEnded)
    receive(data(3, "more", true))
    assert.deepStrictEqual(events, [`1 ${opened}`, `2 ${opened}`, "2 data more", "2 end"])
    streams[1]?.sendHeaders(ok, true)
    assert.deepStrictEqual(shown(), [
      "HEADERS 1 end :status=200",
      `RST_STREAM 1 code=${codes.noError}`,
      "HEADERS 3 end :status=200"
    ])
    assert.isTrue(output.isEnded)
  })

  it("does not disturb others by a call that came too late, with its message", () => {
    const { connection, events, output, receive, shown } = begun()
    receive(headers(1))
    connection.finish()
    receive(headers(3), data(3, "x"), data(3, "y", true), headers(5), data(5, "x"), frame("RST_STREAM", 0, 5, words(8)))
    assert.deepStrictEqual(shown(), [
      goAway(1, codes.noError),
      `RST_STREAM 3 code=${codes.refusedStream}`,
      `RST_STREAM 5 code=${codes.refusedStream}`
    ])
    receive(data(1, "still", true))
    assert.deepStrictEqual(events, [`1 ${opened}`, "1 data still", "1 end"])
    assert.isFalse(output.isEnded)
  })

  it("ends with a stream that the client gives up", () => {
    const { connection, events, output, receive } = begun()
    receive(headers(1))
    connection.finish()
    receive(frame("RST_STREAM", 0, 1, words(8)))
    assert.deepStrictEqual(events, [`1 ${opened}`, "1 cancel"])
    assert.isTrue(output.isEnded)
  })

  it("may be called by the stream that is answered then", () => {
    const rig: ReturnType<typeof begun> = begun((stream, receiver) => ({
      ...receiver,
      end: () => {
        rig.connection.finish()
        stream.sendHeaders(ok, true)
      }
    }))
    rig.receive(headers(1, undefined, true))
    assert.deepStrictEqual(rig.shown(), [goAway(1, codes.noError), "HEADERS 1 end :status=200"])
    assert.isTrue(rig.output.isEnded)
  })

  it("waits for what the client's window keeps back", () => {
    const { connection, output, receive, shown, streams, take } = begun()
    receive(settings([initialWindowSize, 1]), headers(1, undefined, true))
    take()
    streams[0]?.sendData([Buffer.from("ab")])
    streams[0]?.sendHeaders(trailers, true)
    connection.finish()
    assert.isFalse(output.isEnded)
    receive(windowUpdate(1, 1))
    assert.deepStrictEqual(shown(), ["DATA 1 a", goAway(1, codes.noError), "DATA 1 b", "HEADERS 1 end grpc-status=0"])
    assert.isTrue(output.isEnded)
  })
})

describe("closed", () => {
  it("cancels every stream, and nothing is written any more", () => {
    const { connection, events, output, receive, shown, streams } = begun()
    receive(headers(1), headers(3, undefined, true))
    connection.closed()
    assert.deepStrictEqual(events, [`1 ${opened}`, `2 ${opened}`, "2 end", "1 cancel", "2 cancel"])
    streams[0]?.sendHeaders(ok, true)
    streams[1]?.sendData([Buffer.from("x")])
    receive(headers(5))
    connection.finish()
    connection.closed()
    assert.lengthOf(events, 5)
    assert.deepStrictEqual(shown(), [])
    assert.isFalse(output.isEnded)
  })
})
