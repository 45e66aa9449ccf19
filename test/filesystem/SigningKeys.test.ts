import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as References from "effect/References"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as SigningKeys from "../../src/filesystem/SigningKeys.ts"
import * as Kubernetes from "../../src/kubernetes/ApiServer.ts"
import { Kubernetes as Service } from "../../src/kubernetes/Kubernetes.ts"
import * as ApiServer from "../../src/testing/ApiServer.ts"
import * as World from "./World.ts"

const quiet = Effect.provideService(References.MinimumLogLevel, "Warn")

const hexes = (keys: SigningKeys.SigningKeys): ReadonlyArray<string> =>
  Redacted.value(keys).map((key) => Buffer.from(key).toString("hex"))

const line = (byte: number, length = 32): string => Buffer.alloc(length, byte).toString("base64")
const hex = (byte: number, length = 32): string => Buffer.alloc(length, byte).toString("hex")

describe("the format", () => {
  it.each<readonly [string, ReadonlyArray<string>]>([
    [line(1), [hex(1)]],
    [`${line(1)}\n${line(2)}\n`, [hex(1), hex(2)]],
    [`# made in November\n\n  ${line(1)}\r\n`, [hex(1)]],
    // base64url without padding, and longer keys.
    [Buffer.alloc(64, 0xff).toString("base64url"), [hex(0xff, 64)]]
  ])("is one key a line: %j", (text, expected) =>
    assert.deepStrictEqual(hexes(Result.getOrThrow(SigningKeys.parse(text))), expected)
  )

  it.each([
    ["", "it holds no key"],
    ["# nothing\n", "it holds no key"],
    ["not base64!", "key 1 is not base64"],
    [`${line(1)}\n${line(2, 31)}`, "key 2 has 31 bytes only"]
  ])("refuses %j, and does not quote it", (text, detail) =>
    assert.deepStrictEqual(SigningKeys.parse(text), Result.fail(detail))
  )

  it("is not printed by accident", () => {
    const keys = Result.getOrThrow(SigningKeys.parse(line(1)))
    assert.strictEqual(`${String(keys)} ${JSON.stringify(keys)}`, '<redacted> "<redacted>"')
  })
})

/** The same for every place that a key may be in. */
const places: ReadonlyArray<
  readonly [
    name: string,
    make: Effect.Effect<
      {
        readonly source: SigningKeys.Source
        readonly text: () => string | undefined
        readonly set: (text: string) => void
      },
      never,
      Scope.Scope
    >
  ]
> = [
  [
    "a file",
    Effect.gen(function* () {
      const directory = yield* World.directory
      const path = Path.join(directory, "signing-key")
      return {
        source: SigningKeys.file(path),
        text: () => (Fs.existsSync(path) ? Fs.readFileSync(path, "utf8") : undefined),
        set: (text) => Fs.writeFileSync(path, text)
      }
    })
  ],
  [
    "a secret",
    Effect.gen(function* () {
      const cluster = yield* Effect.orDie(ApiServer.make({ createNamespaces: true }))
      cluster.put({ apiVersion: "v1", kind: "Namespace", metadata: { name: "velero" } })
      const directory = yield* World.directory
      const kubeconfig = Path.join(directory, "kubeconfig")
      Fs.writeFileSync(kubeconfig, cluster.kubeconfig)
      const env = ConfigProvider.layer(ConfigProvider.fromEnvRecord({ KUBECONFIG: kubeconfig }))
      const kubernetes = yield* Effect.provide(Service, Kubernetes.layer.pipe(Layer.provide(env)))
      const resource = ApiServer.resourceOfKind("v1", "Secret")
      return {
        source: SigningKeys.secret(kubernetes, "velero", "velero-files"),
        text: () => {
          const secret = cluster.get(resource, "velero", "velero-files")
          const value = (secret?.["data"] as Record<string, string> | undefined)?.["signing-key"]
          return value === undefined ? undefined : Buffer.from(value, "base64").toString("utf8")
        },
        set: (text) =>
          cluster.put({
            apiVersion: "v1",
            kind: "Secret",
            metadata: { name: "velero-files", namespace: "velero" },
            data: { "signing-key": Buffer.from(text).toString("base64") }
          })
      }
    })
  ]
]

describe.each(places)("a key in %s", (_, make) => {
  it.live("is made when somebody needs it, and stays", () =>
    Effect.gen(function* () {
      const { source, text } = yield* make
      assert.deepStrictEqual(yield* source.read, Option.none())
      assert.isUndefined(text())
      const keys = hexes(yield* quiet(source.readOrMake))
      assert.strictEqual(keys.length, 1)
      assert.strictEqual(keys[0]?.length, 64)
      assert.deepStrictEqual(hexes(yield* source.readOrMake), keys)
      assert.deepStrictEqual(hexes(Option.getOrThrow(yield* source.read)), keys)
    })
  )

  it.live("is made once, however many come first", () =>
    Effect.gen(function* () {
      const { source } = yield* make
      const found = yield* quiet(
        Effect.forEach(Array.from({ length: 12 }), () => Effect.map(source.readOrMake, hexes), {
          concurrency: "unbounded"
        })
      )
      assert.strictEqual(new Set(found.flat()).size, 1)
    })
  )

  it.live("is rotated with an overlap of one", () =>
    Effect.gen(function* () {
      const { source } = yield* make
      const first = hexes(yield* quiet(source.readOrMake))[0]
      yield* source.rotate
      const [second, ...before] = hexes(yield* source.readOrMake)
      assert.notStrictEqual(second, first)
      assert.deepStrictEqual(before, [first])
      yield* source.rotate
      const [third, ...rest] = hexes(yield* source.readOrMake)
      assert.notInclude([first, second], third)
      assert.deepStrictEqual(rest, [second])
    })
  )

  it.live("may be made by a rotation", () =>
    Effect.gen(function* () {
      const { source } = yield* make
      yield* source.rotate
      assert.strictEqual(hexes(Option.getOrThrow(yield* source.read)).length, 1)
    })
  )

  it.live("may come from a person, and is not replaced", () =>
    Effect.gen(function* () {
      const { set, source, text } = yield* make
      set(line(7))
      assert.deepStrictEqual(hexes(yield* source.readOrMake), [hex(7)])
      assert.strictEqual(text(), line(7))
    })
  )

  it.live("that is none is an error that does not quote it, and is kept", () =>
    Effect.gen(function* () {
      const { set, source, text } = yield* make
      set("correct horse battery staple")
      for (const attempt of [source.read, source.readOrMake, source.rotate]) {
        const error = yield* Effect.flip(attempt)
        assert.strictEqual(error._tag, "InvalidSigningKey")
        assert.include(error.message, source.where)
        assert.include(error.message, "openssl rand -base64 32")
        assert.notInclude(error.message, "horse")
      }
      assert.strictEqual(text(), "correct horse battery staple")
    })
  )
})

describe("a key file", () => {
  it.live("is for its user and group, and leaves nothing beside it", () =>
    Effect.gen(function* () {
      const directory = yield* World.directory
      const path = Path.join(directory, "key")
      yield* quiet(
        Effect.forEach(Array.from({ length: 8 }), () => SigningKeys.file(path).readOrMake, { concurrency: "unbounded" })
      )
      assert.deepStrictEqual(Fs.readdirSync(directory), ["key"])
      assert.strictEqual(Fs.statSync(path).mode & 0o137, 0)
    })
  )

  it.live("in a directory that is not there cannot be made", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(SigningKeys.file("/no/such/directory/key").readOrMake)
      assert.strictEqual(error._tag, "NoSigningKey")
      assert.include(error.message, "/no/such/directory/key")
      assert.include(error.message, "Put one there")
    })
  )

  it.live("may be a link, as in a mounted Secret", () =>
    Effect.gen(function* () {
      const directory = yield* World.directory
      Fs.mkdirSync(Path.join(directory, "..data"))
      Fs.writeFileSync(Path.join(directory, "..data", "signing-key"), line(3))
      Fs.symlinkSync("..data/signing-key", Path.join(directory, "signing-key"))
      assert.deepStrictEqual(hexes(yield* SigningKeys.file(Path.join(directory, "signing-key")).readOrMake), [hex(3)])
    })
  )
})
