import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as grpc from "@grpc/grpc-js"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Call from "../../src/grpc/Call.ts"
import type { Header } from "../../src/grpc/Hpack.ts"
import * as Hpack from "../../src/grpc/Hpack.ts"
import * as Listeners from "../../src/grpc/Listener.ts"
import { number, requestHeaders } from "./Frames.ts"

const prefixed = (message: Uint8Array | string, flag = 0): Buffer => {
  const body = Buffer.from(message)
  const head = Buffer.alloc(5)
  head[0] = flag
  head.writeUInt32BE(body.length, 1)
  return Buffer.concat([head, body])
}

/** A stream without a connection, and what was done with it. */
const makeStream = (headers: ReadonlyArray<Header> = requestHeaders("/")) => {
  const sent: Array<string> = []
  const state = { credited: 0, hasRoom: true, listener: () => {} }
  const decode = Hpack.makeDecoder()
  return {
    sent,
    state,
    stream: {
      headers,
      sendHeaders: (block: Uint8Array, isLast: boolean) => {
        const all = decode(block).map(([name, value]) => `${name}=${value}`)
        sent.push(`${isLast ? "last" : "head"} ${all.join(" ")}`)
      },
      sendData: (parts: ReadonlyArray<Uint8Array>) => {
        sent.push(`data ${Buffer.concat(parts).toString("latin1")}`)
        return state.hasRoom
      },
      onceWritable: (listener: () => void) => {
        state.listener = listener
      },
      together: (work: () => void) => {
        sent.push("(")
        work()
        sent.push(")")
      },
      credit: (bytes: number) => {
        state.credited += bytes
      }
    }
  }
}

type Change = (receiver: Call.Receiver, call: Call.Call) => Call.Receiver

/** A handler that notes what it is told. */
const makeHandle = (change: Change = (receiver) => receiver) => {
  const events: Array<string> = []
  const calls: Array<Call.Call> = []
  const handle: Call.Handle = (each) => {
    calls.push(each)
    return change(
      {
        message: (bytes) => events.push(`message ${Buffer.from(bytes).toString("latin1")}`),
        isFull: () => false,
        end: () => events.push("end"),
        cancel: () => events.push("cancel")
      },
      each
    )
  }
  return { events, calls, handle }
}

/** One call of such a handler. */
const call = (change?: Change) => {
  const rig = makeStream()
  const { calls, events, handle } = makeHandle(change)
  const receiver = Call.accept(() => handle)(rig.stream)
  return { ...rig, events, receiver, call: calls[0]! }
}

const ok: Call.Status = { code: 0, message: "" }
const head = ":status=200 content-type=application/grpc"

describe("messages of a client", () => {
  it.prop(
    "are put together wherever they are cut, and credited once each",
    {
      sizes: Arbitrary.array(
        Arbitrary.flatMap(number(0, 3), (which) => number(0, [0, 10, 20_000, 300 * 1024][which] ?? 0))
      ),
      // Frames of a few bytes at first, then larger ones.
      cuts: Arbitrary.array(
        Arbitrary.flatMap(number(0, 2), (which) => number(1, [7, 1000, 16_384][which] ?? 1)),
        { minLength: 1, maxLength: 20 }
      )
    },
    ({ cuts, sizes }) => {
      const messages = sizes.map((size, index) => Buffer.alloc(size, `${index}.${size};`))
      const bytes = Buffer.concat(messages.map((message) => prefixed(message)))
      const received: Array<Buffer> = []
      const { events, receiver, state } = call((each) => ({
        ...each,
        message: (message) => received.push(Buffer.from(message))
      }))
      for (let at = 0, index = 0; at < bytes.length; index++) {
        const length = cuts[index] ?? 16_384
        receiver.data(bytes.subarray(at, at + length))
        at += length
      }
      receiver.end()
      assert.deepStrictEqual(
        received.map(({ length }) => length),
        sizes
      )
      assert.isTrue(Buffer.concat(received).equals(Buffer.concat(messages)))
      assert.strictEqual(state.credited, bytes.length)
      assert.deepStrictEqual(events, ["end"])
    },
    { arbitrary: { runs: 200, seed: "call" } }
  )

  it("are handed on as they came, without a copy", () => {
    const received: Array<Uint8Array> = []
    const { receiver } = call((each) => ({ ...each, message: (message) => received.push(message) }))
    const bytes = prefixed("whole")
    receiver.data(bytes)
    bytes.write("H", 6)
    assert.strictEqual(String(received[0]), "wHole")
  })

  it("may be views of a larger buffer", () => {
    const { events, receiver } = call()
    receiver.data(new Uint8Array(Buffer.concat([Buffer.from("junk"), prefixed("a")])).subarray(4))
    assert.deepStrictEqual(events, ["message a"])
  })

  it.each([
    [
      "compressed",
      [prefixed("a"), prefixed("b", 1), prefixed("c")],
      "a compressed message came, and no compression was offered"
    ],
    ["cut in its front", [prefixed("a"), prefixed("b").subarray(0, 3)], "the client ended inside of a message"],
    ["cut in its body", [prefixed("a"), prefixed("b").subarray(0, 5)], "the client ended inside of a message"]
  ])("end the call where one is %s", (_, parts, problem) => {
    const { call: made, events, receiver, sent, state } = call()
    for (const part of parts) receiver.data(part)
    receiver.end()
    const last = `last ${head} grpc-status=13 grpc-message=${problem}`
    assert.deepStrictEqual(sent, [last])
    assert.deepStrictEqual(events, ["message a", "cancel"])
    assert.strictEqual(state.credited, Buffer.concat(parts).length)
    // The handler ends too, and nobody hears of it.
    made.end({ code: 1, message: "interrupted" })
    receiver.data(prefixed("late"))
    receiver.end()
    assert.deepStrictEqual(sent, [last])
    assert.lengthOf(events, 2)
  })

  it.each([
    ["an error", new Error("no protobuf"), "no protobuf"],
    ["something else", "no message", "no message"]
  ])(
    "end the call where the handler throws %s over one, which says why before the handler can end",
    (_, thrown, text) => {
      const { receiver, sent } = call((each, made) => ({
        ...each,
        message: () => {
          throw thrown
        },
        cancel: () => made.end({ code: 1, message: "interrupted" })
      }))
      receiver.data(Buffer.concat([prefixed("a"), prefixed("b")]))
      receiver.data(prefixed("c"))
      receiver.end()
      assert.deepStrictEqual(sent, [`last ${head} grpc-status=13 grpc-message=a message cannot be read: ${text}`])
    }
  )

  it("are credited, and not heard, when the call is over", () => {
    const { call: made, events, receiver, state } = call()
    made.end(ok)
    receiver.data(Buffer.from("anything"))
    receiver.end()
    assert.deepStrictEqual(events, [])
    assert.strictEqual(state.credited, 8)
  })

  it("wait for a receiver that is full, until it resumes", () => {
    let isFull = false
    const { call: made, receiver, state } = call((each) => ({ ...each, isFull: () => isFull }))
    receiver.data(prefixed("a"))
    assert.strictEqual(state.credited, 6)
    isFull = true
    receiver.data(prefixed("b"))
    receiver.data(prefixed("cd"))
    assert.strictEqual(state.credited, 6)
    isFull = false
    made.resume()
    assert.strictEqual(state.credited, 19)
    made.resume()
    receiver.data(prefixed("e"))
    assert.strictEqual(state.credited, 25)
  })
})

describe("the end of a call", () => {
  it("is one block where nothing was written", () => {
    const { call: made, sent } = call()
    made.end(ok)
    assert.deepStrictEqual(sent, [`last ${head} grpc-status=0`])
  })

  it("comes behind the messages, which have one head", () => {
    const { call: made, sent, state } = call()
    assert.isTrue(made.write(Buffer.from("a")))
    state.hasRoom = false
    assert.isFalse(made.write(Buffer.from("bc"), Buffer.from(""), Buffer.from("d")))
    let woken = 0
    made.onceWritable(() => woken++)
    state.listener()
    assert.strictEqual(woken, 1)
    made.end(ok)
    assert.deepStrictEqual(sent, [
      `head ${head}`,
      `data \0\0\0\0\u{1}a`,
      `data \0\0\0\0\u{2}bc\0\0\0\0\0\0\0\0\0\u{1}d`,
      "last grpc-status=0"
    ])
  })

  it("says what failed, with details, in base64 without padding", () => {
    const { call: made, sent } = call()
    made.write(Buffer.alloc(0))
    made.end({ code: 5, message: "50% größer", details: Buffer.from([0xff, 0xfe]) })
    assert.deepStrictEqual(sent, [
      `head ${head}`,
      "data \0\0\0\0\0",
      "last grpc-status=5 grpc-message=50%25 gr%C3%B6%C3%9Fer grpc-status-details-bin=//4"
    ])
  })

  it("is the first one", () => {
    const { call: made, sent } = call()
    made.end(ok)
    made.end({ code: 2, message: "again" })
    assert.lengthOf(sent, 1)
  })

  it("may come before messages that cannot be read", () => {
    const { events, receiver, sent } = call((each, made) => ({ ...each, message: () => made.end(ok) }))
    receiver.data(Buffer.concat([prefixed("a"), prefixed("b", 1)]))
    assert.deepStrictEqual(sent, [`last ${head} grpc-status=0`])
    assert.deepStrictEqual(events, [])
  })

  it("may be the client's", () => {
    const { call: made, events, receiver, sent } = call()
    receiver.cancel()
    assert.deepStrictEqual(events, ["cancel"])
    made.end(ok)
    receiver.data(prefixed("a", 1))
    receiver.end()
    assert.deepStrictEqual(sent, [])
    assert.lengthOf(events, 1)
  })

  it("may come before the handler has returned", () => {
    const { events, receiver, sent } = call((each, made) => {
      made.end(ok)
      return each
    })
    receiver.data(prefixed("a"))
    receiver.end()
    assert.deepStrictEqual(sent, [`last ${head} grpc-status=0`])
    assert.deepStrictEqual(events, [])
  })
})

describe("what is no call of a method", () => {
  it.each([
    [
      "GET",
      [
        [":method", "GET"],
        [":path", "/"],
        ["content-type", "application/grpc"]
      ]
    ],
    [
      "another content",
      [
        [":method", "POST"],
        [":path", "/"],
        ["content-type", "application/json"]
      ]
    ],
    [
      "no content",
      [
        [":method", "POST"],
        [":path", "/"]
      ]
    ]
  ] satisfies ReadonlyArray<readonly [string, ReadonlyArray<Header>]>)("is refused by HTTP: %s", (_, headers) => {
    const { sent, stream } = makeStream(headers)
    const receiver = Call.accept(() => assert.fail("it is not looked for"))(stream)
    receiver.data(Buffer.from("ignored"))
    receiver.end()
    receiver.cancel()
    assert.deepStrictEqual(sent, ["last :status=415"])
  })

  it.each(["application/grpc", "application/grpc+proto"])("is not %s", (type) => {
    const { sent, stream } = makeStream([...requestHeaders("/a.B/C").slice(0, 3), ["content-type", type]])
    const paths: Array<string> = []
    const receiver = Call.accept((path) => {
      paths.push(path)
      return undefined
    })(stream)
    receiver.data(Buffer.from("ignored"))
    receiver.end()
    receiver.cancel()
    assert.deepStrictEqual(paths, ["/a.B/C"])
    assert.deepStrictEqual(sent, [`last ${head} grpc-status=12 grpc-message=the plugin has no such method`])
  })
})

describe("the answer of a unary call", () => {
  it("leaves together with the end", () => {
    const { call: answered, sent } = call()
    answered.answer(Buffer.from("yes"))
    answered.end({ code: 2, message: "too late" })
    assert.deepStrictEqual(sent, [
      "(",
      `head ${head}`,
      "data \u0000\u0000\u0000\u0000\u0003yes",
      "last grpc-status=0",
      ")"
    ])
  })
})

/** A call whose handler is known when the test says so. */
const deferred = (change?: Change) => {
  const loading = Promise.withResolvers<Call.Handle | undefined>()
  const rig = makeStream()
  const { calls, events, handle } = makeHandle(change)
  const receiver = Call.accept(() => Call.deferred(() => loading.promise))(rig.stream)
  /** What is settled is passed on in microtasks. */
  const settled = () => new Promise<void>((resolve) => setImmediate(resolve))
  return {
    ...rig,
    receiver,
    events,
    calls,
    load: () => {
      loading.resolve(handle)
      return settled()
    },
    find: () => {
      loading.resolve(undefined)
      return settled()
    },
    fail: (cause: unknown) => {
      loading.reject(cause)
      return settled()
    }
  }
}

describe("deferred", () => {
  it("passes on what came before, in order, and then what comes", async () => {
    const { calls, events, load, receiver, sent, state } = deferred()
    receiver.data(prefixed("a"))
    receiver.data(prefixed("b"))
    assert.deepStrictEqual(events, [])
    assert.strictEqual(state.credited, 0)
    await load()
    assert.deepStrictEqual(events, ["message a", "message b"])
    assert.strictEqual(state.credited, 12)
    receiver.data(prefixed("c"))
    receiver.end()
    assert.deepStrictEqual(events, ["message a", "message b", "message c", "end"])
    assert.strictEqual(state.credited, 18)
    calls[0]?.end(ok)
    assert.deepStrictEqual(sent, [`last ${head} grpc-status=0`])
  })

  it("passes on an end that came before", async () => {
    const { events, load, receiver } = deferred()
    receiver.data(prefixed("a"))
    receiver.end()
    await load()
    assert.deepStrictEqual(events, ["message a", "end"])
  })

  it("leaves the client waiting for a receiver that is full", async () => {
    let isFull = true
    const { calls, load, receiver, state } = deferred((each) => ({ ...each, isFull: () => isFull }))
    receiver.data(prefixed("a"))
    await load()
    receiver.data(prefixed("b"))
    assert.strictEqual(state.credited, 0)
    isFull = false
    calls[0]?.resume()
    assert.strictEqual(state.credited, 12)
  })

  it("tells the handler of a client that was gone before", async () => {
    const { events, load, receiver, sent } = deferred((each, made) => ({
      ...each,
      cancel: () => {
        each.cancel()
        made.end({ code: 1, message: "interrupted" })
      }
    }))
    receiver.data(prefixed("a"))
    receiver.cancel()
    await load()
    assert.deepStrictEqual(events, ["message a", "cancel"])
    assert.deepStrictEqual(sent, [])
  })

  it("says that there is no such method", async () => {
    const { find, receiver, sent, state } = deferred()
    receiver.data(prefixed("a"))
    await find()
    receiver.data(prefixed("b"))
    receiver.end()
    assert.deepStrictEqual(sent, [`last ${head} grpc-status=12 grpc-message=the plugin has no such method`])
    assert.strictEqual(state.credited, 12)
  })

  it("says why it could not be loaded", async () => {
    const { fail, receiver, sent } = deferred()
    receiver.end()
    await fail(new Error("no module"))
    receiver.cancel()
    assert.deepStrictEqual(sent, [`last ${head} grpc-status=13 grpc-message=it could not be loaded: Error: no module`])
  })

  it("ends the call where a message that came before cannot be read", async () => {
    const { events, load, receiver, sent } = deferred((each, made) => ({
      ...each,
      message: () => {
        throw new Error("no protobuf")
      },
      cancel: () => {
        each.cancel()
        made.end({ code: 1, message: "interrupted" })
      }
    }))
    receiver.data(prefixed("a"))
    receiver.end()
    await load()
    assert.deepStrictEqual(sent, [`last ${head} grpc-status=13 grpc-message=a message cannot be read: no protobuf`])
    assert.deepStrictEqual(events, ["cancel"])
  })
})

describe("a status, as grpc-js reads it", () => {
  const directory = Fs.mkdtempSync(Path.join(Os.tmpdir(), "call-"))
  let status: Call.Status = ok
  let writesFirst = false
  let listener: Listeners.Listener
  let client: grpc.Client

  beforeAll(async () => {
    const path = Path.join(directory, "socket")
    const find: Call.Find = () => (made) => ({
      message: () => {},
      isFull: () => false,
      end: () => {
        if (writesFirst) made.write(Buffer.from("x"))
        made.end(status)
      },
      cancel: () => {}
    })
    listener = await Listeners.listen(path, undefined, Call.accept(find))
    client = new grpc.Client(`unix:${path}`, grpc.credentials.createInsecure())
  })
  afterAll(() => {
    client.close()
    listener.abort()
    Fs.rmSync(directory, { recursive: true })
  })

  const ask = Effect.callback<grpc.ServiceError | null>((resume) => {
    const same = (bytes: Buffer) => bytes
    client.makeUnaryRequest("/a.B/C", same, same, Buffer.from("request"), (error) => resume(Effect.succeed(error)))
  })

  const unicode = Arbitrary.map(
    Arbitrary.array(
      Arbitrary.flatMap(number(0, 3), (which) =>
        which === 0
          ? number(0, 0x7f)
          : which === 1
            ? number(0x80, 0xd7ff)
            : which === 2
              ? number(0xe000, 0x10ffff)
              : Arbitrary.map(number(0, 2), (index) => " %\n".charCodeAt(index))
      )
    ),
    (points) => String.fromCodePoint(...points)
  )

  it.effect.prop(
    "has any text for a message, and any bytes for details",
    { message: unicode, bytes: Arbitrary.array(number(0, 255)), code: number(1, 16), first: number(0, 1) },
    ({ bytes, code, first, message }) =>
      Effect.gen(function* () {
        status = { code, message, details: Uint8Array.from(bytes) }
        writesFirst = first === 1
        const error = yield* ask
        assert.strictEqual(error?.code, code)
        assert.strictEqual(error?.details, message)
        assert.deepStrictEqual(
          error?.metadata.get("grpc-status-details-bin").map((each) => [...Buffer.from(each)]),
          [bytes]
        )
      }),
    { arbitrary: { runs: 300, seed: "call" } }
  )

  it.effect("has a replacement for half of a character", () =>
    Effect.gen(function* () {
      status = { code: 2, message: "a\ud800b" }
      assert.strictEqual((yield* ask)?.details, "a\ufffdb")
    })
  )
})
