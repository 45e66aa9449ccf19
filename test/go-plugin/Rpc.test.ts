import type * as grpc from "@grpc/grpc-js"
import { assert, describe, it } from "@effect/vitest"
import * as Path from "node:path"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Stream from "effect/Stream"
import { GRPCBrokerDefinition } from "../../src/generated/go-plugin/broker.ts"
import { GRPCStdioDefinition } from "../../src/generated/go-plugin/stdio.ts"
import { HealthCheckRequest, HealthCheckResponse, HealthDefinition } from "../../src/generated/grpc/health.ts"
import * as Log from "../../src/go-plugin/Log.ts"
import { accept } from "../../src/grpc/Call.ts"
import { listen } from "../../src/grpc/Listener.ts"
import * as Rpc from "../../src/go-plugin/Rpc.ts"
import * as Status from "../../src/go-plugin/Status.ts"
import * as Host from "./Host.ts"
import { grpcMethod } from "./Host.ts"

const bytes: Rpc.Codec<Uint8Array> = { encode: (message) => ({ finish: () => message }), decode: (message) => message }

// What unary calls do is in Server.test.ts.
describe("grpcMethod", () => {
  it("turns messages into bytes and back", () => {
    const method = grpcMethod(HealthDefinition.fullName, HealthDefinition.methods.check)
    assert.strictEqual(method.path, "/grpc.health.v1.Health/Check")
    const request = { service: "größe" }
    const serialized = method.requestSerialize(request)
    assert.isTrue(Buffer.isBuffer(serialized))
    assert.deepStrictEqual(Uint8Array.from(serialized), HealthCheckRequest.encode(request).finish())
    assert.deepStrictEqual(method.requestDeserialize(serialized), request)
    const answer = method.responseSerialize({ status: 1 })
    assert.deepStrictEqual(Uint8Array.from(answer), HealthCheckResponse.encode({ status: 1 }).finish())
    assert.deepStrictEqual(method.responseDeserialize(answer), { status: 1 })
  })

  it("serializes just the message, not the memory around it", () => {
    const method = { name: "M", requestType: bytes, requestStream: false, responseType: bytes, responseStream: false }
    const part = Uint8Array.from([1, 2, 3, 4]).subarray(1, 3)
    assert.deepStrictEqual([...grpcMethod("S", method).requestSerialize(part)], [2, 3])
  })

  it.each([
    ["both ways", GRPCBrokerDefinition.fullName, GRPCBrokerDefinition.methods.startStream, [true, true]],
    ["one way", GRPCStdioDefinition.fullName, GRPCStdioDefinition.methods.streamStdio, [false, true]],
    ["not at all", HealthDefinition.fullName, HealthDefinition.methods.check, [false, false]]
  ] as const)("says that a method streams %s", (_, name, method, streams) => {
    const { requestStream, responseStream } = grpcMethod<never, never>(name, method as never)
    assert.deepStrictEqual([requestStream, responseStream], [...streams])
  })
})

const Streams = {
  fullName: "test.Streams",
  methods: {
    ping: { name: "Ping", requestType: bytes, requestStream: false, responseType: bytes, responseStream: false },
    upload: { name: "Upload", requestType: bytes, requestStream: true, responseType: bytes, responseStream: false },
    download: { name: "Download", requestType: bytes, requestStream: false, responseType: bytes, responseStream: true },
    both: { name: "Both", requestType: bytes, requestStream: true, responseType: bytes, responseStream: true }
  }
} as const
type Handlers = Rpc.Handlers<typeof Streams, never>

class Refused extends Data.TaggedError("Refused")<{ readonly message: string }> {}
const refused = new Refused({ message: "no space" })

/** Serves streams, and connects to them. */
const connected = (handlers: Partial<Handlers>) =>
  Effect.gen(function* () {
    const path = Path.join(yield* Host.directory, "socket")
    const runtime = ManagedRuntime.make(Log.layer({ write: () => {}, level: "Fatal" }))
    yield* Effect.addFinalizer(() => runtime.disposeEffect)
    const service = Rpc.service<typeof Streams, never>(Streams, {
      ping: Effect.succeed,
      upload: () => Effect.die("unused"),
      download: () => Effect.die("unused"),
      both: () => Effect.die("unused"),
      ...handlers
    })
    yield* Effect.acquireRelease(
      Effect.promise(() => listen(path, undefined, accept(Rpc.finder([Rpc.install(service, runtime, () => [])])))),
      ({ abort }) => Effect.sync(abort)
    )
    return yield* Host.connect(path)
  })

const ping = (client: grpc.Client) => Host.call(client, Streams, Streams.methods.ping, Buffer.from("ping"))

/** A stream of requests, and its answer as text. */
const upload = (client: grpc.Client) => {
  const types = grpcMethod(Streams.fullName, Streams.methods.upload)
  const answered = Deferred.makeUnsafe<string, grpc.ServiceError>()
  const call = client.makeClientStreamRequest(
    types.path,
    types.requestSerialize,
    types.responseDeserialize,
    (error, answer) =>
      Deferred.doneUnsafe(answered, error === null ? Effect.succeed(String(answer)) : Effect.fail(error))
  )
  const answer = Effect.onInterrupt(Deferred.await(answered), () => Effect.sync(() => call.cancel()))
  return { call, answer }
}

/** Sends all messages, and waits for the answer. */
const uploadAll = (client: grpc.Client, all: ReadonlyArray<Uint8Array>) =>
  Effect.suspend(() => {
    const { answer, call } = upload(client)
    for (const message of all) call.write(message)
    call.end()
    return answer
  })

/** A stream of answers, and what came of it until its end or its error. */
const download = (client: grpc.Client) => {
  const types = grpcMethod(Streams.fullName, Streams.methods.download)
  const call = client.makeServerStreamRequest(
    types.path,
    types.requestSerialize,
    types.responseDeserialize,
    Buffer.of()
  )
  const received: Array<string> = []
  const all = Effect.callback<void, grpc.ServiceError>((resume) => {
    call.on("data", (message: Uint8Array) => received.push(String(message)))
    call.on("error", (error: grpc.ServiceError) => resume(Effect.fail(error)))
    call.on("end", () => resume(Effect.void))
    call.resume()
    return Effect.sync(() => call.cancel())
  })
  return { call, received, all }
}

const texts = (requests: AsyncIterable<ReadonlyArray<Uint8Array>>) =>
  Stream.fromAsyncIterable(requests, () => refused).pipe(Stream.flatMap(Stream.fromIterable), Stream.map(String))
const joined = (requests: AsyncIterable<ReadonlyArray<Uint8Array>>) =>
  Effect.map(Stream.runCollect(texts(requests)), (all) => Buffer.from(all.join(",")))
const messages = (...all: ReadonlyArray<string>) => all.map((text) => Buffer.from(text))

describe("a stream of requests", () => {
  it.live("is read in order, to its end", () =>
    Effect.gen(function* () {
      const client = yield* connected({ upload: joined })
      assert.strictEqual(yield* uploadAll(client, messages("a", "b", "c")), "a,b,c")
      assert.strictEqual(yield* uploadAll(client, []), "")
    })
  )

  it.live.each<readonly [how: string, end: Effect.Effect<Uint8Array, Refused>, outcome: string]>([
    ["fails", Effect.fail(refused), "2 no space"],
    ["succeeds", Effect.succeed(Buffer.from("enough")), "enough"]
  ])("is read to its end before it is answered, though its handler %s earlier", ([, end, outcome]) =>
    Effect.gen(function* () {
      const left = yield* Deferred.make<void>()
      const client = yield* connected({
        upload: (requests) =>
          Stream.runHead(texts(requests)).pipe(Effect.andThen(Deferred.succeed(left, undefined)), Effect.andThen(end))
      })
      const { answer, call } = upload(client)
      const fiber = yield* Effect.forkChild(
        Effect.match(answer, { onSuccess: (text) => text, onFailure: ({ code, details }) => `${code} ${details}` })
      )
      // More than any buffer on the way takes unread.
      const chunk = Buffer.alloc(16 * 1024)
      for (let times = 0; times < 500; times++) call.write(chunk)
      yield* Deferred.await(left)
      for (let times = 0; times < 20; times++) yield* ping(client)
      // Velero's client, told of an error while it sends, would report `EOF` instead.
      assert.strictEqual(fiber.pollUnsafe(), undefined)
      call.end()
      assert.strictEqual(yield* Fiber.join(fiber), outcome)
    })
  )

  it.live("that the client cancels interrupts its handler", () =>
    Effect.gen(function* () {
      const started = yield* Deferred.make<void>()
      const ended = yield* Deferred.make<void>()
      const client = yield* connected({
        upload: (requests) =>
          texts(requests).pipe(
            Stream.runForEach(() => Deferred.succeed(started, undefined)),
            Effect.andThen(Effect.never),
            Effect.ensuring(Deferred.succeed(ended, undefined))
          )
      })
      const { answer, call } = upload(client)
      call.write(Buffer.from("a"))
      const fiber = yield* Effect.forkChild(answer)
      yield* Deferred.await(started)
      yield* Fiber.interrupt(fiber)
      yield* Deferred.await(ended)
      yield* ping(client)
    })
  )

  it.live("that the client cancels has no end for who reads on", () =>
    Effect.gen(function* () {
      const read = yield* Deferred.make<string>()
      const started = yield* Deferred.make<void>()
      const client = yield* connected({
        // What must not be interrupted half way, such as a commit, must not take half of an upload for the whole either.
        upload: (requests) =>
          texts(requests).pipe(
            Stream.tap(() => Deferred.succeed(started, undefined)),
            Stream.runDrain,
            Effect.match({ onSuccess: () => "whole", onFailure: () => "broken off" }),
            Effect.tap((outcome) => Deferred.succeed(read, outcome)),
            Effect.as(Buffer.from("")),
            Effect.uninterruptible
          )
      })
      const { answer, call } = upload(client)
      const fiber = yield* Effect.forkChild(answer)
      call.write(Buffer.from("a"))
      yield* Deferred.await(started)
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(yield* Deferred.await(read), "broken off")
      yield* ping(client)
    })
  )
})

describe("a stream of answers", () => {
  it.live("has the messages in order, also empty ones, and ends with the handler", () =>
    Effect.gen(function* () {
      const client = yield* connected({
        download: (_, write) => Effect.andThen(write(messages("a", "", "b")), write(messages("c", "")))
      })
      const { all, received } = download(client)
      yield* all
      assert.deepStrictEqual(received, ["a", "", "b", "c", ""])
    })
  )

  it.live.each<readonly [how: string, end: Effect.Effect<never, Refused>, code: number, message: string]>([
    ["fails", Effect.fail(refused), Status.code.unknown, "no space"],
    ["dies", Effect.die("a bug"), Status.code.aborted, Status.defectMessage]
  ])("has what was written before the handler %s", ([, end, code, message]) =>
    Effect.gen(function* () {
      const client = yield* connected({ download: (_, write) => Effect.andThen(write([Buffer.from("a")]), end) })
      const { all, received } = download(client)
      const error = yield* Effect.flip(all)
      assert.deepStrictEqual([error.code, error.details], [code, message])
      assert.deepStrictEqual(received, ["a"])
      const [details] = error.metadata.get("grpc-status-details-bin")
      assert.instanceOf(details, Uint8Array)
      yield* ping(client)
    })
  )

  it.live("waits for a client that does not read", () =>
    Effect.gen(function* () {
      const chunk = Buffer.alloc(16 * 1024, "x")
      const total = 2000
      let written = 0
      const client = yield* connected({
        download: (_, write) =>
          Effect.forEach(
            Array.from({ length: total }, () => chunk),
            (message) => Effect.andThen(write([message]), () => Effect.sync(() => written++)),
            { discard: true }
          )
      })
      const { all, call, received } = download(client)
      call.pause()
      const hasBegun = () => written > 0
      while (!hasBegun()) yield* ping(client)
      // Time enough for all the rest, were nobody waited for.
      for (let times = 0; times < 50; times++) yield* ping(client)
      assert.isBelow(written, total)
      yield* all
      assert.strictEqual(received.length, total)
    })
  )

  it.live("that the client cancels interrupts its handler", () =>
    Effect.gen(function* () {
      const ended = yield* Deferred.make<void>()
      const client = yield* connected({
        download: (_, write) =>
          write([Buffer.from("a")]).pipe(
            Effect.andThen(Effect.never),
            Effect.ensuring(Deferred.succeed(ended, undefined))
          )
      })
      const { all, received } = download(client)
      const call = yield* Effect.forkChild(all)
      while (received.length === 0) yield* ping(client)
      yield* Fiber.interrupt(call)
      yield* Deferred.await(ended)
    })
  )
})

describe("streams both ways", () => {
  it.live("answer while they are read", () =>
    Effect.gen(function* () {
      const client = yield* connected({
        both: (requests, write) => Stream.runForEach(texts(requests), (text) => write([Buffer.from(`${text}!`)]))
      })
      const types = grpcMethod(Streams.fullName, Streams.methods.both)
      const received: Array<string> = []
      yield* Effect.callback<void>((resume) => {
        const call = client.makeBidiStreamRequest(types.path, types.requestSerialize, types.responseDeserialize)
        call.on("data", (message: Uint8Array) => {
          received.push(String(message))
          if (received.length < 3) call.write(Buffer.from(String(received.length)))
          else call.end()
        })
        call.on("end", () => resume(Effect.void))
        call.write(Buffer.from("0"))
      })
      assert.deepStrictEqual(received, ["0!", "1!", "2!"])
    })
  )
})
