import { assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { KubernetesError, KubernetesObject, Resource, Selection } from "../../src/kubernetes/Kubernetes.ts"
import { Forbidden, Kubernetes, NoCluster, Unavailable } from "../../src/kubernetes/Kubernetes.ts"
import * as Memory from "../../src/kubernetes/Memory.ts"
import * as PluginConfig from "../../src/velero/PluginConfig.ts"
import * as Fixtures from "./Fixtures.ts"

const plugin = "example.io/a"
const kind = "BackupItemAction"

const configMap = (
  name: string,
  data: Readonly<Record<string, string>> = {},
  labels: Readonly<Record<string, string>> = { [plugin]: kind }
) => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, namespace: "velero", labels: { "velero.io/plugin-config": "", ...labels } },
  data
})

interface List {
  readonly resource: Resource
  readonly selection: Selection
}

/** A cluster in memory that counts its lists, and asks `before` first. */
const cluster = (
  objects: ReadonlyArray<KubernetesObject>,
  before: Effect.Effect<unknown, KubernetesError> = Effect.void
) => {
  const lists: Array<List> = []
  const layer = Layer.effect(
    Kubernetes,
    Effect.gen(function* () {
      const memory = yield* Kubernetes
      return Kubernetes.of({
        get: () => Effect.die("nothing is got"),
        apply: () => Effect.die("nothing is applied"),
        delete: () => Effect.die("nothing is deleted"),
        fold: (resource, selection, initial, step) =>
          Effect.sync(() => lists.push({ resource, selection })).pipe(
            Effect.andThen(before),
            Effect.andThen(memory.fold(resource, selection, initial, step))
          )
      })
    })
  ).pipe(Layer.provide(Memory.layer(objects)))
  return { lists, layer }
}

const environment = (env: Readonly<Record<string, string>>) => ConfigProvider.layer(ConfigProvider.fromEnvRecord(env))

/** Runs a program with the configuration of such a cluster. */
const run = <A, E>(
  { layer }: { readonly layer: Layer.Layer<Kubernetes> },
  program: Effect.Effect<A, E, PluginConfig.PluginConfig>,
  env: Readonly<Record<string, string>> = {}
) => program.pipe(Effect.provide(PluginConfig.layer.pipe(Layer.provide(layer), Layer.provide(environment(env)))))

/** The name of the ConfigMap that configures a plugin. */
const nameOf = (owner: string, name = plugin, ofKind = kind) =>
  Effect.flatMap(PluginConfig.PluginConfig, (config) =>
    Effect.map(config.find(owner, name, ofKind), (found) => Option.getOrUndefined(found)?.metadata.name)
  )

describe("find", () => {
  it.effect("lists the ConfigMaps of Velero's namespace once for a Backup or Restore, for all plugins", () =>
    Effect.gen(function* () {
      const memory = cluster([configMap("a"), configMap("b", {}, { "example.io/b": "RestoreItemAction" })])
      const names = yield* run(
        memory,
        Effect.all([
          nameOf("owner-1"),
          nameOf("owner-1"),
          nameOf("owner-1", "example.io/b", "RestoreItemAction"),
          nameOf("owner-1", "example.io/c")
        ])
      )
      assert.deepStrictEqual(names, ["a", "a", "b", undefined])
      assert.strictEqual(memory.lists.length, 1)
      const [{ resource, selection } = {}] = memory.lists
      assert.strictEqual(resource?.resource, "configmaps")
      assert.deepStrictEqual(selection, { namespace: "velero", labelSelector: "velero.io/plugin-config" })
    })
  )

  it.effect("looks in the namespace that VELERO_NAMESPACE names", () =>
    Effect.gen(function* () {
      const memory = cluster([configMap("a")])
      assert.strictEqual(yield* run(memory, nameOf("owner-1"), { VELERO_NAMESPACE: "backups" }), undefined)
      assert.strictEqual(memory.lists[0]?.selection.namespace, "backups")
    })
  )

  it.effect("remembers that there is none", () =>
    Effect.gen(function* () {
      const memory = cluster([])
      yield* run(memory, Effect.repeat(nameOf("owner-1"), { times: 4 }))
      assert.strictEqual(memory.lists.length, 1)
    })
  )

  it.effect("lists again for another owner", () =>
    Effect.gen(function* () {
      const memory = cluster([configMap("a")])
      yield* run(
        memory,
        Effect.forEach(["owner-1", "owner-2", "owner-2", "owner-1"], (owner) => nameOf(owner))
      )
      assert.strictEqual(memory.lists.length, 2)
    })
  )

  it.effect("lists once for calls that come at the same time", () =>
    Effect.gen(function* () {
      const latch = yield* Latch.make()
      const memory = cluster([configMap("a")], latch.await)
      yield* run(
        memory,
        Effect.gen(function* () {
          const calls = yield* Effect.forkChild(
            Effect.all(
              Array.from({ length: 20 }, () => nameOf("owner-1")),
              { concurrency: "unbounded" }
            )
          )
          yield* Effect.yieldNow
          yield* latch.open
          assert.deepStrictEqual(new Set(yield* Fiber.join(calls)), new Set(["a"]))
        })
      )
      assert.strictEqual(memory.lists.length, 1)
    })
  )

  it.effect("does not hold others up where a call is cancelled while it lists", () =>
    Effect.gen(function* () {
      const latch = yield* Latch.make()
      const memory = cluster([configMap("a")], latch.await)
      yield* run(
        memory,
        Effect.gen(function* () {
          const cancelled = yield* Effect.forkChild(nameOf("owner-1"))
          yield* Effect.yieldNow
          yield* Fiber.interrupt(cancelled)
          yield* latch.open
          assert.strictEqual(yield* nameOf("owner-1"), "a")
        })
      )
      assert.strictEqual(memory.lists.length, 2)
    })
  )

  it.effect("accepts the label of a kind with its version and without", () =>
    Effect.gen(function* () {
      const table: ReadonlyArray<readonly [label: string, kind: string, isFound: boolean]> = [
        ["BackupItemAction", "BackupItemAction", true],
        ["BackupItemAction", "BackupItemActionV2", true],
        ["BackupItemActionV2", "BackupItemActionV2", true],
        ["BackupItemActionV2", "BackupItemAction", false],
        ["RestoreItemAction", "RestoreItemActionV2", true],
        ["RestoreItemAction", "BackupItemAction", false],
        ["", "BackupItemAction", false]
      ]
      for (const [label, asked, isFound] of table) {
        const found = yield* run(cluster([configMap("a", {}, { [plugin]: label })]), nameOf("owner-1", plugin, asked))
        assert.strictEqual(found, isFound ? "a" : undefined, `${label} for ${asked}`)
      }
    })
  )

  it.effect("refuses two for one plugin, in Velero's words", () =>
    Effect.gen(function* () {
      const memory = cluster([configMap("a"), configMap("b"), configMap("c", {}, { "example.io/c": kind })])
      const error = yield* run(memory, Effect.flip(nameOf("owner-1")))
      assert.strictEqual(
        error.message,
        `found more than one ConfigMap matching label selector "velero.io/plugin-config,${plugin}=${kind}": [a b]. Delete all but one`
      )
      assert.strictEqual(yield* run(memory, nameOf("owner-1", "example.io/c")), "c")
    })
  )

  it.effect("passes over objects that are no ConfigMaps with text", () =>
    Effect.gen(function* () {
      const { metadata } = configMap("a")
      const memory = cluster([
        { apiVersion: "v1", kind: "ConfigMap", metadata: { ...metadata, name: "numbers" }, data: { a: 1 } },
        { apiVersion: "v1", kind: "ConfigMap", metadata: { ...metadata, name: "nothing" }, data: null }
      ])
      assert.strictEqual(yield* run(memory, nameOf("owner-1")), "nothing")
    })
  )

  it.effect("finds nothing where ConfigMaps cannot be read, and says so once for each owner", () =>
    Effect.gen(function* () {
      const errors = [
        new Forbidden({ verb: "list", what: "configmaps velero", resource: "configmaps", detail: "no rule" }),
        new NoCluster({ detail: "no service account" }),
        new Unavailable({ what: "configmaps velero", detail: "timeout" })
      ]
      for (const error of errors) {
        const log = Fixtures.makeLog()
        const memory = cluster([configMap("a")], Effect.fail(error))
        const owners = ["owner-1", "owner-1", "owner-1", "owner-2"]
        const names = yield* Effect.provide(
          run(
            memory,
            Effect.forEach(owners, (owner) => nameOf(owner), { concurrency: "unbounded" })
          ),
          log.layer
        )
        assert.deepStrictEqual(new Set(names), new Set([undefined]))
        const line = `plugin configuration cannot be read, the defaults apply: ${error.message}`
        assert.deepStrictEqual(
          log.lines.map((written) => [written["@level"], written["@message"]]),
          [
            ["warn", line],
            ["warn", line]
          ]
        )
      }
    })
  )

  it.effect("asks the cluster nothing before the first call", () =>
    Effect.gen(function* () {
      const memory = cluster([], Effect.die("not yet"))
      yield* run(memory, PluginConfig.PluginConfig)
      assert.deepStrictEqual(memory.lists, [])
    })
  )
})

describe("reader", () => {
  const schema = Schema.Struct({
    mode: Schema.Literals(["fast", "safe"]).pipe(Schema.withDecodingDefaultKey(Effect.succeed("fast" as const))),
    count: Schema.NumberFromString.pipe(
      Schema.check(Schema.isInt()),
      Schema.withDecodingDefaultKey(Effect.succeed("3"))
    )
  })
  const read = (configMaps: ReadonlyArray<KubernetesObject>) =>
    run(cluster(configMaps), PluginConfig.reader(schema)({ plugin, kind, owner: "owner-1" }))

  it.effect.each<readonly [name: string, configMaps: ReadonlyArray<KubernetesObject>, config: typeof schema.Type]>([
    ["no ConfigMap", [], { mode: "fast", count: 3 }],
    ["an empty ConfigMap", [configMap("a")], { mode: "fast", count: 3 }],
    ["some keys", [configMap("a", { mode: "safe" })], { mode: "safe", count: 3 }],
    ["all keys", [configMap("a", { mode: "safe", count: "5" })], { mode: "safe", count: 5 }]
  ])("reads %s, with defaults for the rest", ([, configMaps, config]) =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* read(configMaps), config)
    })
  )

  it.effect.each<readonly [name: string, data: Readonly<Record<string, string>>, detail: ReadonlyArray<string>]>([
    ["a wrong value", { mode: "s3cret" }, [`Expected "fast" | "safe" at ["mode"]`]],
    ["an unknown key", { mood: "safe" }, [`at ["mood"]`]],
    ["several mistakes", { mode: "x", mood: "y", count: "z" }, [`["mode"]`, `["mood"]`, `["count"]`]]
  ])("refuses %s: it names the ConfigMap, the plugin, each key and what to do", ([, data, details]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(read([configMap("settings", data)]))
      assert.strictEqual(error._tag, "InvalidPluginConfig")
      const { message } = error
      assert.isTrue(message.startsWith(`ConfigMap velero/settings configures ${plugin} wrongly: `), message)
      for (const detail of details) assert.include(message, detail)
      assert.isTrue(
        message.endsWith(". Correct that key of its data, or delete the ConfigMap to use the defaults"),
        message
      )
      assert.notInclude(message, "\n")
      assert.notInclude(message, "s3cret")
    })
  )

  it.effect("has the defaults where ConfigMaps cannot be read", () =>
    Effect.gen(function* () {
      const unreadable = cluster([configMap("a", { mode: "safe" })], Effect.fail(new NoCluster({ detail: "none" })))
      const log = Fixtures.makeLog()
      const reading = Effect.replicateEffect(PluginConfig.reader(schema)({ plugin, kind, owner: "owner-1" }), 3)
      const configs = yield* Effect.provide(run(unreadable, reading), log.layer)
      for (const config of configs) assert.deepStrictEqual(config, { mode: "fast", count: 3 })
      assert.strictEqual(log.lines.length, 1)
    })
  )

  it.effect("refuses two ConfigMaps", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(read([configMap("a"), configMap("b")]))
      assert.strictEqual(error._tag, "AmbiguousPluginConfig")
    })
  )

  it.effect("looks nothing up without a schema", () =>
    Effect.gen(function* () {
      const memory = cluster([configMap("a")])
      const config = yield* run(memory, PluginConfig.reader(undefined)({ plugin, kind, owner: "owner-1" }))
      assert.strictEqual(config, undefined)
      assert.deepStrictEqual(memory.lists, [])
    })
  )
})

describe("layerTest", () => {
  it.effect("finds what it was given, as the cluster's does", () =>
    Effect.gen(function* () {
      const layer = PluginConfig.layerTest([configMap("a"), configMap("b", {}, { "example.io/b": kind })])
      assert.strictEqual(yield* Effect.provide(nameOf("any"), layer), "a")
      assert.strictEqual(yield* Effect.provide(nameOf("any", "example.io/c"), PluginConfig.layerTest()), undefined)
      const twice = PluginConfig.layerTest([configMap("a"), configMap("b")])
      assert.strictEqual((yield* Effect.flip(Effect.provide(nameOf("any"), twice)))._tag, "AmbiguousPluginConfig")
    })
  )
})
