import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as Buckets from "../../src/example/Buckets.ts"
import { store } from "../../src/example/CustomObjectStore.ts"
import * as ObjectStores from "../../src/testing/ObjectStores.ts"
import type { Operations } from "../../src/velero/ObjectStore.ts"
import * as Fixtures from "../velero/Fixtures.ts"

const plugin = "example.com/custom-object-store"

/** Uses a store in a process of its own, and tells what it logged. */
const using = <A, E>(
  use: (operations: Operations<Buckets.Buckets>) => Effect.Effect<A, E, Buckets.Buckets>,
  config: Readonly<Record<string, string>> = { bucket: "b", prefix: "p" }
) => {
  const log = Fixtures.makeLog()
  return Effect.flatMap(store.init(plugin, config), use).pipe(
    Effect.scoped,
    Effect.provide(Layer.merge(Layer.fresh(Buckets.layer), log.layer)),
    Effect.map((answer) => ({ answer, messages: log.lines.map((line) => line["@message"]) }))
  )
}

const bytes = (...texts: ReadonlyArray<string>) => Stream.fromIterable(texts.map(Fixtures.bytesOf))
const textOf = <E, R>(object: Stream.Stream<Uint8Array, E, R>) =>
  Effect.map(Stream.runCollect(object), (chunks) => Buffer.concat(chunks).toString())

describe("an object", () => {
  it.effect.each([
    ["of several chunks", ["he", "llo", " world"]],
    ["of one", ["hello"]],
    ["of nothing", []]
  ] as const)("comes back as it was put: %s", ([, chunks]) =>
    Effect.gen(function* () {
      const { answer } = yield* using(({ getObject, objectExists, putObject }) =>
        Effect.gen(function* () {
          const before = yield* objectExists("b", "p/backups/one/log")
          yield* putObject("b", "p/backups/one/log", bytes(...chunks))
          const after = yield* objectExists("b", "p/backups/one/log")
          return [before, after, yield* textOf(getObject("b", "p/backups/one/log"))]
        })
      )
      assert.deepStrictEqual(answer, [false, true, chunks.join("")])
    })
  )

  it.effect("is replaced by one of the same key, and is another in another bucket", () =>
    Effect.gen(function* () {
      const { answer } = yield* using(({ getObject, objectExists, putObject }) =>
        Effect.gen(function* () {
          yield* putObject("b", "key", bytes("one"))
          yield* putObject("b", "key", bytes("two"))
          return [yield* textOf(getObject("b", "key")), yield* objectExists("c", "key")]
        })
      )
      assert.deepStrictEqual(answer, ["two", false])
    })
  )

  it.effect("is not there before its last byte, nor where its upload was given up", () =>
    Effect.gen(function* () {
      const { answer } = yield* using(({ objectExists, putObject }) =>
        Effect.gen(function* () {
          const upload = yield* Effect.forkChild(
            putObject("b", "key", Stream.concat(bytes("half"), Stream.fromEffect(Effect.never)))
          )
          yield* Effect.yieldNow
          const during = yield* objectExists("b", "key")
          yield* Fiber.interrupt(upload)
          return [during, yield* objectExists("b", "key")]
        })
      )
      assert.deepStrictEqual(answer, [false, false])
    })
  )

  it.effect("that does not exist cannot be read, but deleted", () =>
    Effect.gen(function* () {
      const { answer } = yield* using(({ deleteObject, getObject }) =>
        Effect.gen(function* () {
          yield* deleteObject("b", "key")
          return (yield* Effect.flip(Stream.runDrain(getObject("b", "key")))).message
        })
      )
      assert.strictEqual(answer, "there is no object b/key")
    })
  )

  it.effect("survives another Init of its bucket, as Velero makes one for each location", () =>
    Effect.gen(function* () {
      const log = Fixtures.makeLog()
      const object = yield* Effect.gen(function* () {
        const first = yield* store.init(plugin, { bucket: "b", prefix: "" })
        yield* first.putObject("b", "key", bytes("kept"))
        const second = yield* store.init(plugin, { bucket: "b", prefix: "other" })
        return yield* textOf(second.getObject("b", "key"))
      }).pipe(Effect.scoped, Effect.provide(Layer.merge(Layer.fresh(Buckets.layer), log.layer)))
      assert.strictEqual(object, "kept")
    })
  )
})

describe("a listing", () => {
  const keys = ["p/backups/two/log", "p/backups/one/log", "p/backups/one/meta", "p/restores/r/log", "p/top", "q/x"]

  const listing = using(({ deleteObject, listCommonPrefixes, listObjects, putObject }) =>
    Effect.gen(function* () {
      yield* Effect.forEach(keys, (key) => putObject("b", key, bytes("x")))
      const answers = {
        root: yield* listCommonPrefixes("b", "/", "p/"),
        backups: yield* listCommonPrefixes("b", "/", "p/backups/"),
        inside: yield* listCommonPrefixes("b", "/", "p/backups/one/"),
        half: yield* listCommonPrefixes("b", "/", "p/ba"),
        none: yield* listCommonPrefixes("b", "", "p/"),
        word: yield* listCommonPrefixes("b", "ups/", "p/"),
        objects: yield* listObjects("b", "p/backups/"),
        everything: yield* listObjects("b", ""),
        elsewhere: yield* listObjects("c", "")
      }
      yield* deleteObject("b", "p/backups/two/log")
      return { ...answers, afterDeletion: yield* listCommonPrefixes("b", "/", "p/backups/") }
    })
  )

  it.effect("has the prefixes up to and with the delimiter, and keys however deep", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual((yield* listing).answer, {
        root: ["p/backups/", "p/restores/"],
        backups: ["p/backups/one/", "p/backups/two/"],
        inside: [],
        half: ["p/backups/"],
        none: [],
        word: ["p/backups/"],
        objects: ["p/backups/one/log", "p/backups/one/meta", "p/backups/two/log"],
        everything: keys.toSorted(),
        elsewhere: [],
        afterDeletion: ["p/backups/one/"]
      })
    })
  )
})

describe("the log", () => {
  it.effect("has document 003's line for each call", () =>
    Effect.gen(function* () {
      const { answer, messages } = yield* using((operations) =>
        Effect.gen(function* () {
          yield* operations.putObject("b", "k", bytes("x"))
          yield* Stream.runDrain(operations.getObject("b", "k"))
          yield* operations.listCommonPrefixes("b", "/", "")
          yield* operations.listObjects("b", "")
          yield* operations.deleteObject("b", "k")
          yield* operations.objectExists("b", "k")
          return yield* Effect.flip(operations.createSignedURL("b", "k", Duration.minutes(10)))
        })
      )
      assert.deepStrictEqual(messages, [
        "Initializing custom object store",
        "Uploading object: b/k",
        "Downloading object: b/k",
        "Listing prefixes in bucket: b",
        "Listing objects in bucket: b",
        "Deleting object: b/k",
        "Checking if object exists: b/k",
        "Creating signed URL for: b/k"
      ])
      assert.strictEqual(answer.message, "cannot make a signed URL for b/k: objects in memory have no address")
    })
  )
})

describe("the configuration", () => {
  it.effect("has no keys but Velero's own", () =>
    Effect.gen(function* () {
      yield* using(() => Effect.void, { bucket: "b", prefix: "", caCert: "", credentialsFile: "" })
      const error = yield* Effect.flip(using(() => Effect.void, { bucket: "b", region: "r" }))
      assert.strictEqual(
        error.message,
        "config has invalid keys [region]; valid keys are [bucket caCert credentialsFile prefix]"
      )
    })
  )
})

describe("against a plain map", () => {
  it.effect.prop("any sequence of calls has the same outcome", { calls: ObjectStores.calls }, ({ calls }) =>
    using((operations) => ObjectStores.compare(operations, "b", calls))
  )
})
