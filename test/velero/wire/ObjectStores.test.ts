import { assert, describe, it } from "@effect/vitest"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { ObjectStoreDefinition as Definition } from "../../../src/generated/velero/object_store.ts"
import { GRPCControllerDefinition } from "../../../src/generated/go-plugin/controller.ts"
import * as ObjectStore from "../../../src/velero/ObjectStore.ts"
import * as Plugin from "../../../src/velero/Plugin.ts"
import * as GoPlugin from "../../go-plugin/Host.ts"
import * as Host from "./Host.ts"

const plugin = "example.io/store"
const chunk = 16 * 1024
const unknown = 2

class Refused extends Data.TaggedError("Refused")<{ readonly message: string }> {}

const unused = () => Effect.die("not this one")

/** A store of which a test writes only what it is about. */
const served = (change: Partial<ObjectStore.Operations<never>> = {}, did: Array<string> = []) =>
  Effect.gen(function* () {
    const store = ObjectStore.make({
      config: Schema.Struct({
        root: Schema.String,
        bucket: Schema.optionalKey(Schema.String),
        speed: Schema.optionalKey(Schema.Literals(["slow", "fast"]))
      }),
      init: ({ bucket, root }) =>
        Effect.gen(function* () {
          if (root === "gone") return yield* new Refused({ message: "no such root" })
          if (root === "loud") yield* Effect.logInfo("hear")
          yield* Effect.acquireRelease(
            Effect.sync(() => did.push(`open ${bucket} ${root}`)),
            () => Effect.sync(() => did.push(`close ${bucket} ${root}`))
          )
          return {
            putObject: unused,
            objectExists: unused,
            getObject: () => Stream.die("not this one"),
            listCommonPrefixes: unused,
            listObjects: (asked: string, prefix: string) => Effect.succeed([asked, prefix, root]),
            deleteObject: unused,
            createSignedURL: unused,
            ...change
          }
        })
    })
    const running = yield* Host.serve([Plugin.objectStore(plugin, () => Promise.resolve(store))])
    const { client } = running
    const unary = <Request, Response>(
      method: Parameters<typeof running.call<Request, Response>>[1],
      request: NoInfer<Request>
    ) => running.call(Definition.fullName, method, request)
    const init = (config: Readonly<Record<string, string>> = { root: "/r", bucket: "b" }) =>
      unary(Definition.methods.init, { plugin, config: { ...config } })
    const list = (bucket = "b") => unary(Definition.methods.listObjects, { plugin, bucket, prefix: "p/" })
    return {
      ...running,
      unary,
      init,
      list,
      settle: Host.settle(list()),
      upload: () => Host.upload(client, Definition, Definition.methods.putObject),
      download: (key: string) =>
        Host.download(client, Definition, Definition.methods.getObject, { plugin, bucket: "b", key })
    }
  })

const part = (body: Uint8Array, key = "k") => ({ plugin, bucket: "b", key, body: Buffer.from(body) })

/** Bytes whose place can be told. */
const numbered = (index: number): Uint8Array => {
  const bytes = new Uint8Array(chunk)
  new DataView(bytes.buffer).setUint32(0, index)
  return bytes
}

describe("uploads", () => {
  it.live("bring every byte to the store, under the name of the first chunk", () =>
    Effect.gen(function* () {
      const got: Array<readonly [string, string, string]> = []
      const { init, upload } = yield* served({
        putObject: (bucket, key, body) =>
          Effect.map(Stream.runCollect(body), (parts) => {
            got.push([bucket, key, Buffer.concat(parts).toString()])
          })
      })
      yield* init()
      const { answer, finish, write } = upload()
      yield* write(part(Buffer.from("one,"), "a/b"))
      yield* write(part(Buffer.from("two,"), "ignored"))
      yield* write(part(Buffer.from("three")))
      yield* finish
      assert.strictEqual(yield* answer, "ok")
      assert.deepStrictEqual(got, [["b", "a/b", "one,two,three"]])
    })
  )

  it.live("wait for a slow store, and take up where it goes on", () =>
    Effect.gen(function* () {
      const chunks = 4096
      const go = yield* Deferred.make<void>()
      const received: Array<number> = []
      const { init, settle, upload } = yield* served({
        putObject: (_, __, body) =>
          Stream.runForEach(body, (bytes) =>
            Effect.andThen(
              Effect.sync(() => received.push(new DataView(bytes.buffer, bytes.byteOffset).getUint32(0))),
              received.length > 1 ? Deferred.await(go) : Effect.void
            )
          )
      })
      yield* init()
      const { answer, finish, write } = upload()
      let sent = 0
      const sending = yield* Effect.forkChild(
        Effect.forEach(
          Array.from({ length: chunks }, (_, index) => index),
          (index) => Effect.tap(write(part(numbered(index))), () => Effect.sync(() => sent++)),
          { discard: true }
        )
      )
      yield* settle
      const stoppedAt = sent
      // What is between the two: flow control windows and queues.
      assert.isBelow(stoppedAt * chunk, 2 * 1024 * 1024)
      yield* settle
      assert.strictEqual(sent, stoppedAt)
      yield* Deferred.succeed(go, undefined)
      yield* Fiber.join(sending)
      yield* finish
      assert.strictEqual(yield* answer, "ok")
      assert.deepStrictEqual(
        received,
        Array.from({ length: chunks }, (_, index) => index)
      )
    })
  )

  it.live.each<readonly [string, Partial<ObjectStore.Operations<never>>]>([
    ["at once", { putObject: () => Effect.fail(new Refused({ message: "disk full" })) }],
    [
      "after the first chunk",
      {
        putObject: (_, __, body) => Stream.runForEach(body, () => Effect.fail(new Refused({ message: "disk full" })))
      }
    ],
    [
      "half way",
      {
        putObject: (_, __, body) =>
          Stream.runForEach(Stream.drop(body, 100), () => Effect.fail(new Refused({ message: "disk full" })))
      }
    ]
  ])("that fail %s are read to their end, so that Velero gets the message", ([, change]) =>
    Effect.gen(function* () {
      const { init, upload } = yield* served(change)
      yield* init()
      const { answer, finish, write } = upload()
      // Far more than any window holds.
      for (let index = 0; index < 1000; index++) yield* write(part(numbered(index)))
      yield* finish
      assert.deepStrictEqual(yield* answer, { code: unknown, detail: "disk full" })
    })
  )

  it.live.each<readonly [string, string, string]>([
    ["a store that nobody registered", "example.io/other", "plugin: example.io/other was not found"],
    ["a store before Init", plugin, `${plugin} was called before it was initialized`]
  ])("to %s are read to their end too", ([, name, message]) =>
    Effect.gen(function* () {
      const { upload } = yield* served()
      const { answer, finish, write } = upload()
      for (let index = 0; index < 1000; index++) yield* write({ ...part(numbered(index)), plugin: name })
      yield* finish
      const failed = yield* answer
      assert.strictEqual(failed === "ok" ? 0 : failed.code, unknown)
      assert.include(failed === "ok" ? "" : failed.detail, message)
    })
  )

  it.live("that a store does not read to the end succeed if it says so", () =>
    Effect.gen(function* () {
      const { init, upload } = yield* served({ putObject: () => Effect.void })
      yield* init()
      const { answer, finish, write } = upload()
      for (let index = 0; index < 1000; index++) yield* write(part(numbered(index)))
      yield* finish
      assert.strictEqual(yield* answer, "ok")
    })
  )

  it.live("of one empty chunk are an empty object", () =>
    Effect.gen(function* () {
      const parts: Array<Uint8Array> = []
      const { init, upload } = yield* served({
        putObject: (_, __, body) => Stream.runForEach(body, (bytes) => Effect.sync(() => parts.push(bytes)))
      })
      yield* init()
      const { answer, finish, write } = upload()
      yield* write(part(new Uint8Array()))
      yield* finish
      assert.strictEqual(yield* answer, "ok")
      assert.deepStrictEqual(parts, [])
    })
  )

  it.live("without a chunk name nothing, and fail as Velero's own plugins do", () =>
    Effect.gen(function* () {
      const { init, upload } = yield* served()
      yield* init()
      const { answer, finish } = upload()
      yield* finish
      const failed = yield* answer
      assert.strictEqual(failed === "ok" ? 0 : failed.code, unknown)
      assert.match(failed === "ok" ? "" : failed.detail, /^EOF/)
    })
  )

  it.live("that Velero gives up interrupt the store", () =>
    Effect.gen(function* () {
      const started = yield* Deferred.make<void>()
      const interrupted = yield* Deferred.make<void>()
      const { init, list, upload } = yield* served({
        putObject: (_, __, body) =>
          Stream.runForEach(body, () => Deferred.succeed(started, undefined)).pipe(
            Effect.onInterrupt(() => Deferred.succeed(interrupted, undefined))
          )
      })
      yield* init()
      const { answer, cancel, write } = upload()
      yield* write(part(numbered(0)))
      yield* Deferred.await(started)
      yield* cancel
      yield* Deferred.await(interrupted)
      assert.notStrictEqual(yield* answer, "ok")
      assert.deepStrictEqual((yield* list()).keys, ["b", "p/", "/r"])
    })
  )

  it.live("whose connection breaks are not taken for whole ones", () =>
    Effect.gen(function* () {
      const started = yield* Deferred.make<void>()
      const ended = yield* Deferred.make<string>()
      const { address, init, log, settle } = yield* served({
        putObject: (_, __, body) =>
          Stream.runForEach(body, () => Deferred.succeed(started, undefined)).pipe(
            Effect.onExit((exit) => Deferred.succeed(ended, exit._tag))
          )
      })
      yield* init()
      const way = yield* Host.breakable(address)
      const client = yield* GoPlugin.connect(way.address)
      const { answer, write } = Host.upload(client, Definition, Definition.methods.putObject)
      yield* write(part(numbered(0)))
      yield* Deferred.await(started)
      yield* way.cut
      assert.notStrictEqual(yield* answer, "ok")
      assert.strictEqual(yield* Deferred.await(ended), "Failure")
      yield* settle
      assert.notInclude(log.join(""), '"@level":"error"')
    })
  )

  it.live("that die of a defect are Aborted, without the defect's text", () =>
    Effect.gen(function* () {
      const { init, log, upload } = yield* served({ putObject: () => Effect.die(new Error("secret")) })
      yield* init()
      const { answer, finish, write } = upload()
      for (let index = 0; index < 1000; index++) yield* write(part(numbered(index)))
      yield* finish
      const failed = yield* answer
      assert.strictEqual(failed === "ok" ? 0 : failed.code, 10)
      assert.notInclude(failed === "ok" ? "" : failed.detail, "secret")
      assert.include(log.join(""), "secret")
    })
  )
})

describe("downloads", () => {
  /** A store with one endless object, and how much of it was asked for. */
  const endless = (length = Number.POSITIVE_INFINITY) =>
    Effect.gen(function* () {
      const seen = { made: 0, closed: yield* Deferred.make<void>() }
      const store = yield* served({
        getObject: () =>
          Stream.unfold(0, (index) =>
            Effect.sync(() => {
              if (index >= length) return
              seen.made++
              return [numbered(index), index + 1] as const
            })
          ).pipe(Stream.ensuring(Deferred.succeed(seen.closed, undefined)))
      })
      yield* store.init()
      return { ...store, seen }
    })

  it.live("come in Velero's chunks, none of them empty, and byte for byte", () =>
    Effect.gen(function* () {
      const object = Buffer.from(Array.from({ length: 3 * chunk + 5 }, (_, index) => index % 251))
      const { download, init } = yield* served({
        getObject: () => Stream.make(object.subarray(0, 10), new Uint8Array(), object.subarray(10), new Uint8Array())
      })
      yield* init()
      const { next } = download("k")
      const parts: Array<Uint8Array> = []
      for (let message = yield* next; message !== undefined; message = yield* next) parts.push(message.data)
      assert.isTrue(parts.every(({ length }) => length > 0 && length <= chunk))
      assert.isTrue(Buffer.concat(parts).equals(object))
    })
  )

  it.live("of an empty object end at once", () =>
    Effect.gen(function* () {
      const { download, init } = yield* served({ getObject: () => Stream.empty })
      yield* init()
      assert.isUndefined(yield* download("k").next)
    })
  )

  it.live("wait for a slow reader, and lose nothing", () =>
    Effect.gen(function* () {
      const chunks = 4096
      const { download, seen, settle } = yield* endless(chunks)
      const { next } = download("k")
      yield* next
      yield* settle
      const stoppedAt = seen.made
      assert.isBelow(stoppedAt * chunk, 2 * 1024 * 1024)
      yield* settle
      assert.strictEqual(seen.made, stoppedAt)
      for (let index = 1; index < chunks; index++) {
        const message = yield* next
        assert.strictEqual(Buffer.from(message?.data ?? []).readUInt32BE(0), index)
      }
      assert.isUndefined(yield* next)
      yield* Deferred.await(seen.closed)
    })
  )

  it.live("that fail half way end with the message, behind what was there", () =>
    Effect.gen(function* () {
      const { download, init } = yield* served({
        getObject: () =>
          Stream.concat(Stream.make(numbered(0)), Stream.fail(new Refused({ message: "the disk is broken" })))
      })
      yield* init()
      const { next } = download("k")
      assert.strictEqual((yield* next)?.data.length, chunk)
      assert.deepStrictEqual(yield* Effect.flip(next), { code: unknown, detail: "the disk is broken" })
    })
  )

  it.live("that Velero cancels close the object", () =>
    Effect.gen(function* () {
      const { download, seen } = yield* endless()
      const { cancel, next } = download("k")
      yield* next
      yield* cancel
      yield* Deferred.await(seen.closed)
    })
  )

  it.live("that Velero abandons without a word do not stand in the way of other calls, or of the end", () =>
    Effect.gen(function* () {
      const { call, download, end, list, seen } = yield* endless()
      for (let index = 0; index < 5; index++) yield* download("k").next
      assert.deepStrictEqual((yield* list()).keys, ["b", "p/", "/r"])
      yield* call(GRPCControllerDefinition.fullName, GRPCControllerDefinition.methods.shutdown, {})
      yield* end
      yield* Deferred.await(seen.closed)
    })
  )
})

describe("the other methods", () => {
  it.live("hand their arguments over in Velero's meaning", () =>
    Effect.gen(function* () {
      const asked: Array<ReadonlyArray<unknown>> = []
      const recording =
        <A>(name: string, answer: A) =>
        (...args: ReadonlyArray<unknown>) =>
          Effect.sync(() => {
            asked.push([name, ...args])
            return answer
          })
      const { init, unary } = yield* served({
        objectExists: recording("exists", true),
        listCommonPrefixes: recording("prefixes", ["a/b/", "a/c/"]),
        listObjects: recording("list", ["a/b/1"]),
        deleteObject: recording("delete", undefined),
        createSignedURL: (bucket, key, ttl) => recording("sign", "http://x")(bucket, key, Duration.toMillis(ttl))
      })
      yield* init()
      const of = { plugin, bucket: "b", key: "k" }
      const { methods } = Definition
      assert.deepStrictEqual(yield* unary(methods.objectExists, of), { exists: true })
      const prefixes = yield* unary(methods.listCommonPrefixes, { plugin, bucket: "b", delimiter: "/", prefix: "a/" })
      assert.deepStrictEqual(prefixes, { prefixes: ["a/b/", "a/c/"] })
      assert.deepStrictEqual(yield* unary(methods.listObjects, { plugin, bucket: "b", prefix: "a/" }), {
        keys: ["a/b/1"]
      })
      assert.deepStrictEqual(yield* unary(methods.deleteObject, of), {})
      // Ten minutes, in Go's nanoseconds.
      const { url } = yield* unary(methods.createSignedURL, { ...of, ttl: 600_000_000_000n })
      assert.strictEqual(url, "http://x")
      assert.deepStrictEqual(asked, [
        ["exists", "b", "k"],
        ["prefixes", "b", "/", "a/"],
        ["list", "b", "a/"],
        ["delete", "b", "k"],
        ["sign", "b", "k", 600_000]
      ])
    })
  )

  it.live("fail with the store's own message", () =>
    Effect.gen(function* () {
      const { init, unary } = yield* served({
        objectExists: () => Effect.fail(new Refused({ message: "no access" }))
      })
      yield* init()
      const error = yield* Effect.flip(unary(Definition.methods.objectExists, { plugin, bucket: "b", key: "k" }))
      assert.deepStrictEqual([error.code, error.message], [unknown, "no access"])
    })
  )
})

describe("init", () => {
  it.live("takes the keys that Velero adds, and refuses others with Velero's own text", () =>
    Effect.gen(function* () {
      const { init } = yield* served()
      yield* init({ root: "/r", bucket: "b", prefix: "", caCert: "PEM", credentialsFile: "/c" })
      const error = yield* Effect.flip(init({ root: "/r", bucket: "b", rooot: "x", another: "y" }))
      assert.strictEqual(
        error.message,
        "config has invalid keys [another rooot]; valid keys are [bucket caCert credentialsFile prefix root speed]"
      )
    })
  )

  it.live("explains values that the store's schema refuses, all of them", () =>
    Effect.gen(function* () {
      const { init } = yield* served()
      const error = yield* Effect.flip(init({ bucket: "b", speed: "warp" }))
      assert.include(error.message, `the config of ${plugin} is wrong`)
      assert.include(error.message, `["root"]`)
      assert.include(error.message, `["speed"]`)
      assert.notInclude(error.message, "warp")
    })
  )

  it.live("keeps locations apart by their buckets", () =>
    Effect.gen(function* () {
      const did: Array<string> = []
      const { init, list } = yield* served({}, did)
      yield* init({ root: "/one", bucket: "b1" })
      yield* init({ root: "/two", bucket: "b2" })
      assert.deepStrictEqual((yield* list("b1")).keys, ["b1", "p/", "/one"])
      assert.deepStrictEqual((yield* list("b2")).keys, ["b2", "p/", "/two"])
      assert.deepStrictEqual(did, ["open b1 /one", "open b2 /two"])
    })
  )

  it.live("again for a bucket closes what was there, and a failure does not", () =>
    Effect.gen(function* () {
      const did: Array<string> = []
      const { init, list } = yield* served({}, did)
      yield* init({ root: "/one", bucket: "b" })
      const error = yield* Effect.flip(init({ root: "gone", bucket: "b" }))
      assert.strictEqual(error.message, "no such root")
      assert.deepStrictEqual((yield* list()).keys[2], "/one")
      yield* init({ root: "/two", bucket: "b" })
      assert.deepStrictEqual((yield* list()).keys[2], "/two")
      assert.deepStrictEqual(did, ["open b /one", "open b /two", "close b /one"])
    })
  )

  it.live("again for a bucket lets calls end that use what was there", () =>
    Effect.gen(function* () {
      const did: Array<string> = []
      const started = yield* Deferred.make<void>()
      const go = yield* Deferred.make<void>()
      const { init, unary } = yield* served(
        {
          objectExists: () =>
            Deferred.succeed(started, undefined).pipe(
              Effect.andThen(Deferred.await(go)),
              Effect.andThen(Effect.sync(() => did.push("used"))),
              Effect.as(true)
            )
        },
        did
      )
      yield* init({ root: "/one", bucket: "b" })
      const using = yield* Effect.forkChild(unary(Definition.methods.objectExists, { plugin, bucket: "b", key: "k" }))
      yield* Deferred.await(started)
      yield* init({ root: "/two", bucket: "b" })
      yield* Deferred.succeed(go, undefined)
      yield* Fiber.join(using)
      yield* Host.settle(init({ root: "/two", bucket: "other" }))
      assert.isBelow(did.indexOf("used"), did.indexOf("close b /one"))
    })
  )

  it.live("has to come before any call", () =>
    Effect.gen(function* () {
      const { download, list } = yield* served()
      const message = `${plugin} was called before it was initialized`
      assert.strictEqual((yield* Effect.flip(list())).message, message)
      const failed = yield* Effect.flip(download("k").next)
      assert.deepStrictEqual(failed, { code: unknown, detail: message })
    })
  )

  it.live("of a plugin that is not there says so", () =>
    Effect.gen(function* () {
      const { unary } = yield* served()
      const error = yield* Effect.flip(unary(Definition.methods.init, { plugin: "example.io/other", config: {} }))
      assert.include(error.message, "plugin: example.io/other was not found or has an invalid name format")
      assert.isTrue(Option.isSome(Option.fromNullishOr(error.code)))
    })
  )

  it.live("ends with the process what it began", () =>
    Effect.gen(function* () {
      const did: Array<string> = []
      const { call, end, init } = yield* served({}, did)
      yield* init({ root: "/one", bucket: "b" })
      yield* call(GRPCControllerDefinition.fullName, GRPCControllerDefinition.methods.shutdown, {})
      yield* end
      assert.deepStrictEqual(did, ["open b /one"])
    })
  )
})

describe("log lines", () => {
  it.live("tell which plugin speaks, and what it was asked", () =>
    Effect.gen(function* () {
      const said =
        <A>(answer: A) =>
        () =>
          Effect.as(Effect.logInfo("hear"), answer)
      const { download, init, log, unary, upload } = yield* served({
        // In the effect itself, and in the streams on both sides of it.
        putObject: (_, __, body) => Stream.runForEach(body, said(undefined)),
        getObject: () => Stream.fromEffect(said(numbered(1))()),
        objectExists: said(true),
        listCommonPrefixes: said([]),
        listObjects: said([]),
        deleteObject: said(undefined),
        createSignedURL: said("http://a")
      })
      const { methods } = Definition
      yield* init({ root: "loud", bucket: "b" })
      const { answer, finish, write } = upload()
      yield* write(part(numbered(0)))
      yield* finish
      assert.strictEqual(yield* answer, "ok")
      yield* unary(methods.objectExists, { plugin, bucket: "b", key: "k" })
      const downloading = download("k")
      while ((yield* downloading.next) !== undefined);
      yield* unary(methods.listCommonPrefixes, { plugin, bucket: "b", delimiter: "/", prefix: "" })
      yield* unary(methods.listObjects, { plugin, bucket: "b", prefix: "" })
      yield* unary(methods.deleteObject, { plugin, bucket: "b", key: "k" })
      yield* unary(methods.createSignedURL, { plugin, bucket: "b", key: "k", ttl: 1n })
      assert.deepStrictEqual(Host.logSources(log), [
        `${plugin}:init`,
        `${plugin}:putObject`,
        `${plugin}:objectExists`,
        `${plugin}:getObject`,
        `${plugin}:listCommonPrefixes`,
        `${plugin}:listObjects`,
        `${plugin}:deleteObject`,
        `${plugin}:createSignedURL`
      ])
    })
  )
})
