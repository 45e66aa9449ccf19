import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/testing/TestClock"
import * as FileServer from "../../src/filesystem/FileServer.ts"
import { defaultKeyFile, keySource, objectStore, secretOf } from "../../src/filesystem/ObjectStore.ts"
import * as SignedUrl from "../../src/filesystem/SignedUrl.ts"
import * as SigningKeys from "../../src/filesystem/SigningKeys.ts"
import * as Memory from "../../src/kubernetes/Memory.ts"
import * as ObjectStores from "../../src/testing/ObjectStores.ts"
import * as World from "./World.ts"

const { bucket } = World
const plugin = "velero-filesystem/object-store"

const services = Layer.mergeAll(Memory.layer(), Logger.layer([]))

/** A location as Velero initializes it. */
const location = (config: Readonly<Record<string, string>> = {}) =>
  Effect.gen(function* () {
    const root = yield* World.directory
    const store = yield* objectStore.init(plugin, { root, bucket, prefix: "", ...config })
    return { root, store }
  })

const refused = (config: Readonly<Record<string, string>>) =>
  Effect.map(Effect.flip(objectStore.init(plugin, config)), ({ message }) => message)

describe("the location's config", () => {
  it.effect("needs a root, and takes what Velero adds", () =>
    Effect.gen(function* () {
      const { root } = yield* location({ caCert: "PEM", credentialsFile: "/c", prefix: "p" })
      assert.deepStrictEqual(Fs.readdirSync(root), [bucket])
      assert.include(yield* refused({ bucket }), `["root"]`)
    }).pipe(Effect.provide(services))
  )

  it.effect("with other keys is refused in Velero's words", () =>
    Effect.gen(function* () {
      assert.strictEqual(
        yield* refused({ root: "/r", rooot: "/r", bucket }),
        "config has invalid keys [rooot]; valid keys are [bucket caCert credentialsFile prefix publicUrl root signingKeyFile signingKeySecret]"
      )
    }).pipe(Effect.provide(services))
  )

  it.effect.each<readonly [string, Readonly<Record<string, string>>, string]>([
    ["a relative root", { root: "backups" }, "expected an absolute path"],
    ["a root with ..", { root: "/backups/../etc" }, "expected an absolute path"],
    ["an empty root", { root: "" }, "expected an absolute path"],
    ["a root that is not there", { root: "/no/such/root", bucket }, "the root /no/such/root does not exist"],
    ["a bucket that is none", { root: "/tmp", bucket: ".." }, 'the bucket ".." is refused'],
    ["another protocol", { root: "/r", publicUrl: "ftp://x" }, "expected an http or https URL"],
    ["a URL with a query", { root: "/r", publicUrl: "http://x/?a=b" }, "expected an http or https URL"],
    ["no URL at all", { root: "/r", publicUrl: "files:8090" }, "expected an http or https URL"],
    ["a relative key file", { root: "/r", signingKeyFile: "key" }, "expected an absolute path"],
    ["a name that no Secret has", { root: "/r", signingKeySecret: "Velero_Files" }, "expected the name of a Secret"],
    ["two keys", { root: "/r", signingKeyFile: "/k", signingKeySecret: "s" }, "Remove one of them"]
  ])("with %s is refused", ([, config, message]) =>
    Effect.gen(function* () {
      assert.include(yield* refused(config), message)
    }).pipe(Effect.provide(services))
  )

  it.effect("may end the root with a slash, and may be given twice", () =>
    Effect.gen(function* () {
      const root = yield* World.directory
      for (let times = 0; times < 2; times++) {
        const store = yield* objectStore.init(plugin, { root: `${root}/`, bucket })
        yield* store.putObject(bucket, "k", World.body("1"))
      }
    }).pipe(Effect.provide(services))
  )
})

describe("listings", () => {
  it.effect("have objects last first, and prefixes first first, as the AWS plugin has them", () =>
    Effect.gen(function* () {
      const { store } = yield* location()
      const keys = ["backups/b1/a.json", "backups/b1/b.gz", "backups/b2/a.json", "metadata/revision", "top"]
      for (const key of keys) yield* store.putObject(bucket, key, World.body(key))
      assert.deepStrictEqual(yield* store.listObjects(bucket, ""), keys.toReversed())
      assert.deepStrictEqual(yield* store.listObjects(bucket, "backups/b1/"), ["backups/b1/b.gz", "backups/b1/a.json"])
      assert.deepStrictEqual(yield* store.listObjects(bucket, "nothing"), [])
      assert.deepStrictEqual(yield* store.listCommonPrefixes(bucket, "/", ""), ["backups/", "metadata/"])
      assert.deepStrictEqual(yield* store.listCommonPrefixes(bucket, "/", "backups/"), ["backups/b1/", "backups/b2/"])
      // A directory without objects is no prefix.
      yield* store.deleteObject(bucket, "metadata/revision")
      assert.deepStrictEqual(yield* store.listCommonPrefixes(bucket, "/", ""), ["backups/"])
    }).pipe(Effect.provide(services))
  )
})

describe("signed URLs", () => {
  it.effect("need a publicUrl", () =>
    Effect.gen(function* () {
      const { store } = yield* location()
      const error = yield* Effect.flip(store.createSignedURL(bucket, "k", Duration.minutes(10)))
      assert.include(error.message, "the location has no publicUrl")
    }).pipe(Effect.provide(services))
  )

  it.effect("need a key that the store would take", () =>
    Effect.gen(function* () {
      const { root, store } = yield* location({ publicUrl: "http://files" })
      const error = yield* Effect.flip(store.createSignedURL(bucket, "../k", Duration.minutes(10)))
      assert.include(error.message, 'the object key "../k" is refused')
      assert.isFalse(Fs.existsSync(defaultKeyFile(root)))
    }).pipe(Effect.provide(services))
  )

  it.effect("last as long as they were asked to, and not a second less", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(1_800_000_000_001)
      const { root, store } = yield* location({ publicUrl: "http://files/base/" })
      const url = new URL(yield* store.createSignedURL(bucket, "backups/b1/b1.tar.gz", Duration.minutes(10)))
      assert.strictEqual(url.origin + url.pathname, `http://files/base/${bucket}/backups/b1/b1.tar.gz`)
      assert.strictEqual(url.searchParams.get("expires"), "1800000601")
      const keys = yield* SigningKeys.file(defaultKeyFile(root)).readOrMake
      const claim = Option.getOrThrow(SignedUrl.parse(url.pathname.replace("/base", "") + url.search))
      assert.isTrue(SignedUrl.isSigned(Redacted.value(keys), claim.grant, claim.signature))
    }).pipe(Effect.provide(services))
  )

  it.live.each([
    ["in the root", () => ({})],
    ["in a file", (directory: string) => ({ signingKeyFile: Path.join(directory, "key") })]
  ] as const)("are what serve-files takes, with a key %s that either of them made", ([, change]) =>
    Effect.gen(function* () {
      const directory = yield* World.directory
      const keys = change(directory)
      const { root, store } = yield* location({ publicUrl: "http://127.0.0.1", ...keys })
      yield* store.putObject(bucket, "backups/b1/b1-logs.gz", World.body("a log"))
      const { port } = yield* FileServer.serve({
        root,
        keys: yield* keySource({ root, ...keys }),
        port: 0,
        host: "127.0.0.1"
      })
      const url = new URL(yield* store.createSignedURL(bucket, "backups/b1/b1-logs.gz", Duration.minutes(10)))
      url.port = String(port)
      const answer = yield* Effect.promise(() => fetch(url))
      assert.strictEqual(answer.status, 200)
      assert.strictEqual(yield* Effect.promise(() => answer.text()), "a log")
      url.searchParams.set("expires", String(Number(url.searchParams.get("expires")) + 1))
      assert.strictEqual((yield* Effect.promise(() => fetch(url))).status, 403)
    }).pipe(Effect.provide(services))
  )
})

describe("a Secret", () => {
  it("is Velero's neighbour, unless the reference says where it is", () => {
    assert.deepStrictEqual(secretOf("keys", "velero"), { namespace: "velero", name: "keys" })
    assert.deepStrictEqual(secretOf("other/keys", "velero"), { namespace: "other", name: "keys" })
  })

  it.effect("is looked for in Velero's own namespace", () =>
    Effect.gen(function* () {
      const env = ConfigProvider.layer(ConfigProvider.fromEnvRecord({ VELERO_NAMESPACE: "backup-system" }))
      const source = yield* Effect.provide(keySource({ root: "/r", signingKeySecret: "keys" }), env)
      assert.strictEqual(source.where, "secret backup-system/keys")
    }).pipe(Effect.provide(services))
  )
})

describe("against a plain map", () => {
  it.live.prop(
    "any sequence of Velero's calls has the same outcome",
    { calls: ObjectStores.calls },
    ({ calls }) =>
      Effect.flatMap(location(), ({ store }) => ObjectStores.compare(store, bucket, calls)).pipe(
        Effect.scoped,
        Effect.provide(services)
      ),
    { arbitrary: { runs: 50 }, timeout: 300_000 }
  )
})
