import type * as grpc from "@grpc/grpc-js"
import { assert, describe, it } from "@effect/vitest"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { BackupItemActionDefinition as BackupV1 } from "../../src/generated/velero/backup_item_action_v1.ts"
import { BackupItemActionDefinition as BackupV2 } from "../../src/generated/velero/backup_item_action_v2.ts"
import { PluginListerDefinition } from "../../src/generated/velero/plugin_lister.ts"
import { RestoreItemActionDefinition as RestoreV1 } from "../../src/generated/velero/restore_item_action_v1.ts"
import { RestoreItemActionDefinition as RestoreV2 } from "../../src/generated/velero/restore_item_action_v2.ts"
import { Stack } from "../../src/generated/velero/shared.ts"
import type { Environment } from "../../src/go-plugin/Handshake.ts"
import * as Status from "../../src/go-plugin/Status.ts"
import type { Kubernetes } from "../../src/kubernetes/Kubernetes.ts"
import * as Memory from "../../src/kubernetes/Memory.ts"
import * as Action from "../../src/velero/Action.ts"
import * as BackupItemAction from "../../src/velero/BackupItemAction.ts"
import type { Item } from "../../src/velero/Item.ts"
import * as Plugin from "../../src/velero/Plugin.ts"
import * as RestoreItemAction from "../../src/velero/RestoreItemAction.ts"
import * as Serve from "../../src/velero/Serve.ts"
import * as Host from "../go-plugin/Host.ts"
import * as Fixtures from "./Fixtures.ts"

class Refused extends Data.TaggedError("Refused")<{ readonly message: string }> {}

const name = "example.io/note"
const steps = {
  selector: { includedResources: ["pods"] },
  config: Schema.Struct({ note: Schema.String.pipe(Schema.withDecodingDefaultKey(Effect.succeed("seen"))) }),
  decode: Schema.Struct({ kind: Schema.String }),
  fetch: ({ kind }: { readonly kind: string }, { config }: Action.Request<{ readonly note: string }>) =>
    kind === "Secret" ? Effect.fail(new Refused({ message: "no secrets" })) : Effect.succeed(config.note),
  transform: (_: object, note: string) => Result.succeed(note),
  encode: (item: Item, note: string) => ({ item, notes: [Action.info(note)] })
}
const plugins = [
  Plugin.backupItemAction(name, () => Promise.resolve(BackupItemAction.make(steps))),
  Plugin.backupItemActionV2(name, () => Promise.resolve(BackupItemAction.make(steps))),
  Plugin.restoreItemAction(name, () => Promise.resolve(RestoreItemAction.make(steps))),
  Plugin.restoreItemActionV2(name, () => Promise.resolve(RestoreItemAction.make(steps)))
]

interface Options {
  readonly plugins?: ReadonlyArray<Plugin.Plugin<never>>
  readonly services?: Layer.Layer<Kubernetes>
  readonly args?: ReadonlyArray<string>
  readonly env?: Environment
}

const start = (options: Options = {}) =>
  Effect.gen(function* () {
    const lines: Array<Fixtures.LogLine> = []
    const running = yield* Host.start(options.env ?? {}, (host) =>
      Serve.serve(options.plugins ?? plugins, options.services ?? Memory.layer(), {
        ...host,
        command: "/plugins/velero-plugin-test",
        args: options.args ?? [],
        writeLog: (line) => lines.push(JSON.parse(line) as Fixtures.LogLine)
      })
    )
    return { ...running, lines, client: yield* Host.connect(running.address) }
  })

const backup = Fixtures.bytesOf('{"metadata":{"name":"nightly","namespace":"velero","uid":"u"}}')
const item = Fixtures.bytesOf(Fixtures.podText)
const listPlugins = (client: grpc.Client) =>
  Host.call(client, PluginListerDefinition, PluginListerDefinition.methods.listPlugins, {})
const execute = (client: grpc.Client, change: Uint8Array = item) =>
  Host.call(client, BackupV1, BackupV1.methods.execute, { plugin: name, item: change, backup })

describe("isStartedByVelero", () => {
  it("knows Velero's cookie", () => {
    assert.isTrue(Serve.isStartedByVelero({ VELERO_PLUGIN: "hello" }))
    assert.isFalse(Serve.isStartedByVelero({ VELERO_PLUGIN: "" }))
    assert.isFalse(Serve.isStartedByVelero({}))
  })
})

describe("serve", () => {
  it.live("announces Velero's protocol version", () =>
    Effect.gen(function* () {
      const { fields } = yield* start({ env: { PLUGIN_PROTOCOL_VERSIONS: "2" } })
      assert.strictEqual(fields[1], "2")
    })
  )

  it.live("lists plugins without the services that they need", () =>
    Effect.gen(function* () {
      const { client } = yield* start({ services: Layer.unwrap(Effect.die("not yet")) })
      const { plugins: listed } = yield* listPlugins(client)
      assert.deepStrictEqual(
        listed,
        plugins.map(({ kind }) => ({ command: "/plugins/velero-plugin-test", kind, name }))
      )
    })
  )

  it.live("makes the services at the first call, once, and lets go of them at the end", () =>
    Effect.gen(function* () {
      const did: Array<string> = []
      const services = Layer.effectDiscard(
        Effect.acquireRelease(
          Effect.sync(() => did.push("made")),
          () => Effect.sync(() => did.push("let go"))
        )
      ).pipe(Layer.provideMerge(Memory.layer()))
      const { client, end } = yield* start({ services })
      yield* listPlugins(client)
      assert.deepStrictEqual(did, [])
      yield* Effect.all([execute(client), execute(client)], { concurrency: "unbounded" })
      assert.deepStrictEqual(did, ["made"])
      yield* Host.shutdown(client)
      yield* end
      assert.deepStrictEqual(did, ["made", "let go"])
    })
  )

  it.live("answers every kind, an unchanged item byte for byte", () =>
    Effect.gen(function* () {
      const { client } = yield* start()
      const request = { plugin: name, item, backup, itemFromBackup: item, restore: backup }
      const answers = [
        yield* Host.call(client, BackupV1, BackupV1.methods.execute, request),
        yield* Host.call(client, BackupV2, BackupV2.methods.execute, request),
        yield* Host.call(client, RestoreV1, RestoreV1.methods.execute, request),
        yield* Host.call(client, RestoreV2, RestoreV2.methods.execute, request)
      ]
      for (const answer of answers) assert.strictEqual(Fixtures.textOf(answer.item), Fixtures.podText)
      const { ResourceSelector: selector } = yield* Host.call(client, BackupV1, BackupV1.methods.appliesTo, {
        plugin: name
      })
      assert.deepStrictEqual(selector?.includedResources, ["pods"])
    })
  )

  it.live("logs at the level that Velero asks for", () =>
    Effect.gen(function* () {
      const levelsOf = (args: ReadonlyArray<string>, env: Environment = {}) =>
        Effect.gen(function* () {
          const { client, lines } = yield* start({ args, env })
          yield* execute(client)
          return new Set(lines.map((line) => line["@level"]))
        })
      assert.deepStrictEqual(yield* levelsOf([]), new Set(["info"]))
      assert.deepStrictEqual(yield* levelsOf(["--log-level", "error"]), new Set())
      assert.deepStrictEqual(yield* levelsOf(["--log-level=debug", "--features", "x"]), new Set(["debug", "info"]))
      assert.deepStrictEqual(yield* levelsOf([], { LOG_LEVEL: "debug" }), new Set(["debug", "info"]))
    })
  )

  it.live("hands actions the configuration from the cluster", () =>
    Effect.gen(function* () {
      const labels = { "velero.io/plugin-config": "", [name]: "BackupItemAction" }
      const services = Memory.layer([
        {
          apiVersion: "v1",
          kind: "ConfigMap",
          metadata: { name: "settings", namespace: "velero", labels },
          data: { note: "from the cluster" }
        }
      ])
      const { client, lines } = yield* start({ services })
      yield* execute(client)
      assert.deepStrictEqual(lines, [
        {
          "@level": "info",
          "@message": "from the cluster",
          "@logSourceSetBy": "plugin",
          logSource: `${name}:report`,
          backup: "velero/nightly",
          resource: "Pod",
          namespace: "shop",
          name: "web"
        }
      ])
    })
  )

  it.live("answers a failure with its message and the stack that Velero logs", () =>
    Effect.gen(function* () {
      const { client } = yield* start()
      const error = yield* Effect.flip(execute(client, Fixtures.jsonBytes({ kind: "Secret" })))
      assert.deepStrictEqual([error.code, error.detail], [Status.code.unknown, "no secrets"])
      const { code, details } = Host.statusOf(error)
      assert.strictEqual(code, Status.code.unknown)
      assert.strictEqual(details[0]?.typeUrl, "type.googleapis.com/generated.Stack")
      const { frames } = Stack.decode(details[0]?.value ?? new Uint8Array())
      assert.match(frames[0]?.file ?? "", /Serve\.test\.ts$/)
    })
  )

  it.live("answers calls with ABORTED where the services cannot be made, and lives on", () =>
    Effect.gen(function* () {
      const { client } = yield* start({ services: Layer.unwrap(Effect.die("a bug")) })
      assert.strictEqual((yield* Effect.flip(execute(client))).code, Status.code.aborted)
      assert.strictEqual((yield* listPlugins(client)).plugins.length, 4)
    })
  )

  it.live("refuses plugins that Velero would refuse, before the handshake", () =>
    Effect.gen(function* () {
      const [first] = plugins
      const error = yield* Effect.flip(start({ plugins: first === undefined ? [] : [first, first] }))
      assert.strictEqual(
        error.message,
        `these plugins cannot be served: BackupItemAction ${name}: plugin name ${name} already exists`
      )
    })
  )
})
