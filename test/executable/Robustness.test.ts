import { assert, describe, it } from "@effect/vitest"
import * as grpc from "@grpc/grpc-js"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { Status } from "../../src/generated/google-rpc/status.ts"
import { Stack } from "../../src/generated/velero/shared.ts"
import type { CallFailed } from "../../src/go-plugin/Client.ts"
import { at, eventually } from "./Executable.ts"
import * as Objects from "./Objects.ts"
import type { Session, World } from "./World.ts"
import * as Worlds from "./World.ts"
import { annotation, kind, overrideName, plugin } from "./World.ts"

const shop = [
  Objects.namespace("shop"),
  Objects.cluster("shop", "orders"),
  Objects.backup("shop", "orders", "backup", 3600)
]

const orders = Objects.cluster("shop", "orders")

const recorded = (name = "orders") => Objects.cluster("shop", name, { annotations: { [annotation.serverName]: name } })

const backupIdOf = (text: string): unknown => at(JSON.parse(text), "metadata", "annotations", annotation.backupId)

const serverNameOf = (text: string): unknown => at(JSON.parse(text), "spec", "plugins", 0, "parameters", "serverName")

/** Shows that the plugin works. */
const assertHealthy = ({ backup, restore }: Session) =>
  Effect.gen(function* () {
    assert.strictEqual(backupIdOf((yield* backup(plugin.clusterBackup, orders)).text), "20261119T010000")
    const deployment = yield* restore(
      plugin.deploymentRestore,
      Objects.deployment("shop", "web", ["wait-for-migration-job"])
    )
    assert.isUndefined(at(JSON.parse(deployment.text), "spec", "template", "spec", "initContainers"))
  })

const pidOf = ({ client }: Session) => Effect.map(client, ({ process }) => process.pid)

/** SIGKILL, and the end that it brings. */
const crash = ({ client }: Session) =>
  Effect.gen(function* () {
    const { process } = yield* client
    process.crash()
    yield* eventually("the end of the process", process.hasExited)
  })

describe("a crash", () => {
  it.live("between calls costs nothing: the next call starts the process again, as often as it takes", () =>
    Effect.gen(function* () {
      const world = yield* Worlds.make({ objects: shop })
      yield* world.session((session) =>
        Effect.gen(function* () {
          const pids = new Set<number>()
          for (let times = 0; times < 4; times++) {
            if (times > 0) yield* crash(session)
            yield* assertHealthy(session)
            pids.add(yield* pidOf(session))
          }
          assert.strictEqual(pids.size, 4)
        })
      )
    })
  )

  it.live("during a call costs that call", () =>
    Effect.gen(function* () {
      const world = yield* Worlds.make({ objects: shop })
      yield* world.session((session) =>
        Effect.gen(function* () {
          const heal = world.cluster.addFault({ answer: "hang" })
          const calls = yield* Effect.forkChild(Effect.flip(session.backup(plugin.clusterBackup, orders)))
          yield* eventually("the hanging request", () => world.cluster.requests().length > 0)
          yield* crash(session)
          const failure = yield* Fiber.join(calls)
          assert.strictEqual((failure as CallFailed).code, grpc.status.UNAVAILABLE)
          heal()
          yield* assertHealthy(session)
        })
      )
    })
  )

  it.live("does not change the server name that a Restore gave a Cluster", () =>
    Effect.gen(function* () {
      const world = yield* Worlds.make({ objects: [Objects.namespace("shop")] })
      yield* world.session((session) =>
        Effect.gen(function* () {
          const nameBy = (name: string) =>
            Effect.map(session.restore(plugin.clusterRestore, recorded(), { name }), ({ text }) => serverNameOf(text))
          const first = yield* nameBy("one")
          assert.match(String(first), /^orders-\d{8}-\d{6}$/)
          assert.strictEqual(yield* nameBy("one"), first, "in one process")
          yield* crash(session)
          assert.strictEqual(yield* nameBy("one"), first, "in the next process")
          yield* crash(session)
          const second = yield* nameBy("two")
          assert.notStrictEqual(second, first, "by another Restore")
          assert.strictEqual(
            at(world.cluster.get(kind.configMap, "shop", overrideName), "data", "orders.write_to_server_name"),
            second
          )
        })
      )
    })
  )
})

describe("concurrent calls", () => {
  it.live("run side by side in one process, and each gets its own answer", () =>
    Effect.gen(function* () {
      const names = Array.from({ length: 50 }, (_, index) => `db-${index}`)
      const world = yield* Worlds.make({
        objects: names.flatMap((name, index) => [
          Objects.namespace(name),
          Objects.cluster(name, name),
          Objects.backup(name, name, "b", index)
        ])
      })
      // One after the other these would take 25 seconds.
      world.cluster.addFault({ path: /\/backups$/, answer: { delayMs: 500 } })
      yield* world.session((session) =>
        Effect.gen(function* () {
          const pid = yield* pidOf(session)
          const [duration, replies] = yield* Effect.timed(
            Effect.forEach(names, (name) => session.backup(plugin.clusterBackup, Objects.cluster(name, name)), {
              concurrency: "unbounded"
            })
          )
          for (const [index, { text }] of replies.entries()) {
            const annotations = at(JSON.parse(text), "metadata", "annotations")
            assert.strictEqual(at(annotations, annotation.serverName), `db-${index}`)
            assert.strictEqual(at(annotations, annotation.backupId), `20261119T0000${String(index).padStart(2, "0")}`)
          }
          assert.isBelow(Duration.toSeconds(duration), 10)
          assert.strictEqual(yield* pidOf(session), pid)
        })
      )
    })
  )

  it.live("ask for one Cluster's Backups once", () =>
    Effect.gen(function* () {
      const world = yield* Worlds.make({ objects: shop })
      const pods = Array.from({ length: 20 }, (_, index) =>
        Objects.owned("v1", "Pod", "shop", `orders-${index}`, "orders")
      )
      yield* world.session(({ backup }) =>
        Effect.forEach(pods, (pod) => backup(plugin.ownedBackup, pod), { concurrency: "unbounded" })
      )
      assert.deepStrictEqual(
        world.cluster.requests().map(({ path }) => path),
        [
          "/api/v1/namespaces/velero/configmaps",
          "/apis/postgresql.cnpg.io/v1/namespaces/shop/clusters/orders",
          "/apis/postgresql.cnpg.io/v1/namespaces/shop/backups",
          "/apis/barmancloud.cnpg.io/v1/namespaces/shop/objectstores/store"
        ]
      )
    })
  )
})

describe("a cancelled call", () => {
  it.live.each([{ action: "backup" as const }, { action: "restore" as const }])(
    "of a $action takes its request to the API server along, and leaves the process healthy",
    ({ action }) =>
      Effect.gen(function* () {
        const world = yield* Worlds.make({ objects: shop })
        yield* world.session((session) =>
          Effect.gen(function* () {
            const pid = yield* pidOf(session)
            const heal = world.cluster.addFault({ answer: "hang" })
            const call = yield* Effect.forkChild(
              action === "backup"
                ? Effect.asVoid(session.backup(plugin.clusterBackup, orders))
                : Effect.asVoid(session.restore(plugin.clusterRestore, recorded()))
            )
            yield* eventually("the hanging request", () => world.cluster.requests().length > 0)
            assert.isAbove(world.cluster.connections(), 0)
            yield* Fiber.interrupt(call)
            yield* eventually("the end of its connection", () => world.cluster.connections() === 0)
            heal()
            assert.isUndefined(world.cluster.get(kind.configMap, "shop", overrideName))
            // The same Cluster of the same Backup or Restore: what was cancelled is not remembered.
            yield* assertHealthy(session)
            world.cluster.remove(kind.cluster, "shop", "orders")
            const restored = yield* session.restore(plugin.clusterRestore, recorded())
            assert.match(String(serverNameOf(restored.text)), /^orders-/)
            assert.strictEqual(yield* pidOf(session), pid)
          })
        )
      })
  )

  it.live("that others wait for, too, is not cancelled for them", () =>
    Effect.gen(function* () {
      const world = yield* Worlds.make({ objects: shop, args: ["--log-level", "debug"] })
      yield* world.session(({ backup }) =>
        Effect.gen(function* () {
          const pod = (name: string) => Objects.owned("v1", "Pod", "shop", name, "orders")
          world.cluster.addFault({ path: /\/backups$/, answer: { delayMs: 1000 } })
          const fetching = (name: string) =>
            eventually(`the fetch step of ${name}`, () =>
              world.logs().some(({ fields, message }) => message === "fetch" && fields["name"] === name)
            )
          const first = yield* Effect.forkChild(backup(plugin.ownedBackup, pod("a")))
          yield* fetching("a")
          const second = yield* Effect.forkChild(backup(plugin.ownedBackup, pod("b")))
          yield* fetching("b")
          yield* Fiber.interrupt(first)
          assert.strictEqual(backupIdOf((yield* Fiber.join(second)).text), "20261119T010000")
        })
      )
    })
  )
})

/** What an action was called with, and what must be in its failure; `undefined`: it may also answer with the item as it came. */
interface Malformed {
  readonly name: string
  readonly item: string | Uint8Array
  readonly says?: RegExp
}

const notAnObject = /^the item is not a Kubernetes object in JSON: /

const malformed: ReadonlyArray<Malformed> = [
  { name: "nothing", item: new Uint8Array(), says: notAnObject },
  { name: "half an object", item: '{"kind":"Cluster","metadata":{"name":"s3cret', says: notAnObject },
  { name: "two objects", item: "{}{}", says: notAnObject },
  { name: "YAML", item: "kind: Cluster", says: notAnObject },
  { name: "an array", item: '[{"metadata":{"name":"s3cret"}}]', says: notAnObject },
  { name: "null", item: "null", says: notAnObject },
  { name: "a number", item: "5", says: notAnObject },
  { name: "a string", item: '"s3cret"', says: notAnObject },
  { name: "no UTF-8", item: Uint8Array.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), says: notAnObject },
  { name: "nesting without end", item: `${'{"a":'.repeat(1_000_000)}1${"}".repeat(1_000_000)}`, says: /./ },
  {
    name: "an empty object",
    item: "{}",
    says: /cannot read item .*(kind|metadata).*Correct the object, or exclude it$/
  },
  {
    name: "no metadata",
    item: '{"apiVersion":"postgresql.cnpg.io/v1","kind":"Cluster"}',
    says: /cannot read Cluster\.postgresql\.cnpg\.io .*metadata.*Correct the object, or exclude it$/
  },
  {
    name: "no name",
    item: '{"kind":"Pod","metadata":{"namespace":"shop"}}',
    says: /cannot read Pod shop\/: .*name.*Correct the object, or exclude it$/
  },
  {
    name: "metadata of another type",
    item: '{"kind":"Pod","metadata":"s3cret"}',
    says: /cannot read Pod : .*metadata.*Correct the object, or exclude it$/
  },
  {
    name: "labels of another type",
    item: '{"kind":"Pod","metadata":{"name":"x","namespace":"shop","labels":["s3cret"]}}',
    says: /cannot read Pod shop\/x: .*labels.*Correct the object, or exclude it$/
  },
  {
    name: "a label that is a number",
    item: '{"kind":"Pod","metadata":{"name":"x","namespace":"shop","labels":{"cnpg.io/cluster":7}}}',
    says: /cannot read Pod shop\/x: .*labels.*Correct the object, or exclude it$/
  },
  {
    name: "annotations of another type",
    item: '{"kind":"Pod","metadata":{"name":"x","namespace":"shop","annotations":"s3cret"}}',
    says: /cannot read Pod shop\/x: .*annotations.*Correct the object, or exclude it$/
  },
  { name: "a spec of another type", item: '{"kind":"Pod","metadata":{"name":"x","namespace":"shop"},"spec":["a"]}' },
  { name: "data of another type", item: '{"kind":"Secret","metadata":{"name":"x","namespace":"shop"},"data":"a"}' },
  { name: "another kind", item: '{"apiVersion":"v1","kind":"Node","metadata":{"name":"x"},"spec":{"taints":[]}}' },
  { name: "no kind", item: '{"metadata":{"name":"x","namespace":"shop"},"spec":{}}' },
  {
    name: "keys of JavaScript's",
    item: '{"kind":"Pod","metadata":{"name":"x","namespace":"__proto__","labels":{"__proto__":"a","constructor":"b"}},"__proto__":{"kind":"Cluster"}}'
  }
]

/** The `google.rpc.Status` of the trailer says what the status says; Velero's host takes a difference for an error of its own. */
const assertDetailsAgree = ({ code, detail, details }: CallFailed): void => {
  assert.isDefined(details)
  const status = Status.decode(details ?? new Uint8Array())
  assert.deepStrictEqual([status.code, status.message], [code, detail])
  for (const { typeUrl, value } of status.details) {
    assert.strictEqual(typeUrl, "type.googleapis.com/generated.Stack")
    assert.isAbove(Stack.decode(value).frames.length, 0)
  }
}

const assertFailed = (failure: CallFailed, says: RegExp): void => {
  assert.strictEqual(failure.code, grpc.status.UNKNOWN, failure.message)
  assert.match(failure.message, says)
  assert.notInclude(failure.message, "s3cret")
  assert.notInclude(failure.message, "\n")
  assertDetailsAgree(failure)
}

describe("what cannot be read", () => {
  const actions: ReadonlyArray<
    readonly [name: string, execute: (world: Session) => Session["backup"] | Session["restore"]]
  > = [
    ...Worlds.backupPlugins.map((name) => [name, ({ backup }: Session) => backup] as const),
    ...Worlds.restorePlugins.map((name) => [name, ({ restore }: Session) => restore] as const)
  ]

  it.live.each(actions.map(([name, execute]) => ({ name, execute })))(
    "fails with a sentence, and the process lives on: $name",
    ({ execute, name }) =>
      Effect.gen(function* () {
        const world = yield* Worlds.make({ objects: shop })
        yield* world.session((session) =>
          Effect.gen(function* () {
            const pid = yield* pidOf(session)
            for (const { item, says } of malformed) {
              const reply = yield* Effect.result(
                execute(session)(name, item) as Effect.Effect<{ readonly text: string }, CallFailed>
              )
              if (reply._tag === "Failure") assertFailed(reply.failure, says ?? /Correct the object, or exclude it$/)
              else {
                assert.isUndefined(says, `${name} took ${String(item).slice(0, 100)}`)
                assert.strictEqual(reply.success.text, item)
              }
            }
            yield* assertHealthy(session)
            assert.strictEqual(yield* pidOf(session), pid)
          })
        )
      })
  )

  it.live("may be the Backup, the Restore, or the item as it was backed up", () =>
    Effect.gen(function* () {
      const world = yield* Worlds.make({ objects: shop })
      yield* world.session((session) =>
        Effect.gen(function* () {
          const { backup, restore } = session
          for (const owner of ["", "{", "[]", '"s3cret"', '{"metadata":[]}', '{"metadata":{"name":5}}']) {
            assertFailed(
              (yield* Effect.flip(backup(plugin.clusterBackup, orders, { backup: owner }))) as CallFailed,
              /^the Velero Backup that came with the call cannot be read: /
            )
            assertFailed(
              (yield* Effect.flip(restore(plugin.clusterRestore, recorded(), { restore: owner }))) as CallFailed,
              /^the Velero Restore that came with the call cannot be read: /
            )
          }
          for (const itemFromBackup of ["", "{", "[]"]) {
            assertFailed(
              (yield* Effect.flip(restore(plugin.poolerRestore, orders, { itemFromBackup }))) as CallFailed,
              notAnObject
            )
          }
          yield* assertHealthy(session)
        })
      )
    })
  )
})

describe("calls that no plugin is for", () => {
  it.live("name the plugin that they meant", () =>
    Effect.gen(function* () {
      const world = yield* Worlds.make({ objects: shop })
      yield* world.session((session) =>
        Effect.gen(function* () {
          const velero = yield* session.client
          const bytes = Worlds.bytesOf(orders)
          const backup = Worlds.bytesOf(Worlds.ownerOf("Backup", { name: "backup" }))
          const restore = Worlds.bytesOf(Worlds.ownerOf("Restore", { name: "restore" }))
          const operation = { operationID: "x", additionalItems: [] }
          for (const name of ["", "x", "example.io/none", "toString", `replicated.com/${"x".repeat(5000)}`]) {
            const request = { plugin: name, item: bytes, itemFromBackup: bytes, backup, restore, ...operation }
            const services = [
              velero.backupItemAction,
              velero.backupItemActionV2,
              velero.restoreItemAction,
              velero.restoreItemActionV2
            ] as ReadonlyArray<Readonly<Record<string, (it: object) => Effect.Effect<object, CallFailed>>>>
            for (const call of services.flatMap((service) => Object.values(service))) {
              assertFailed(
                yield* Effect.flip(call(request)),
                /^(Backup|Restore)ItemAction(V2)? plugin: .* (was not found or has an invalid name format|…)$/
              )
            }
          }
          // The name of one kind is not one of another.
          assertFailed(
            yield* Effect.flip(velero.backupItemAction.execute({ plugin: plugin.clusterBackup, item: bytes, backup })),
            /^BackupItemAction plugin: replicated\.com\/cnpg-backup-plugin was not found/
          )
          assertFailed(
            yield* Effect.flip(velero.restoreItemActionV2.appliesTo({ plugin: plugin.clusterBackup })),
            /^RestoreItemActionV2 plugin: replicated\.com\/cnpg-backup-plugin was not found/
          )
          yield* assertHealthy(session)
        })
      )
    })
  )

  it.live("about operations, which no action here has, say so", () =>
    Effect.gen(function* () {
      const world = yield* Worlds.make({ objects: shop })
      yield* world.session((session) =>
        Effect.gen(function* () {
          const { backupItemActionV2, restoreItemActionV2 } = yield* session.client
          const backup = {
            plugin: plugin.clusterBackup,
            operationID: "op-1",
            backup: Worlds.bytesOf(Worlds.ownerOf("Backup", { name: "backup" }))
          }
          const restore = {
            plugin: plugin.clusterRestore,
            operationID: "op-1",
            restore: Worlds.bytesOf(Worlds.ownerOf("Restore", { name: "restore" }))
          }
          for (const call of [
            Effect.asVoid(backupItemActionV2.progress(backup)),
            Effect.asVoid(backupItemActionV2.cancel(backup)),
            Effect.asVoid(restoreItemActionV2.progress(restore)),
            Effect.asVoid(restoreItemActionV2.cancel(restore))
          ]) {
            assertFailed(yield* Effect.flip(call), /operation ID op-1 is invalid/)
          }
          const { ready } = yield* restoreItemActionV2.areAdditionalItemsReady({ ...restore, additionalItems: [] })
          assert.isTrue(ready)
        })
      )
    })
  )
})

describe("log lines", () => {
  it.live("stay below the host's 64 KiB", () =>
    Effect.gen(function* () {
      const serverName = "ä".repeat(100_000)
      const world = yield* Worlds.make({ objects: shop, args: ["--log-level", "debug"] })
      yield* world.session(({ backup }) =>
        backup(plugin.clusterBackup, Objects.cluster("shop", "orders", { serverName }))
      )
      const lengths = world
        .logs()
        .map(({ fields, message }) => Buffer.byteLength(JSON.stringify({ ...fields, "@message": message })))
      assert.isAbove(Math.max(...lengths), 1000)
      assert.isBelow(Math.max(...lengths), 64 * 1024)
      assert.isTrue(world.logs().some(({ message }) => message.includes("[cut]")))
    })
  )

  it.live("name the backup or restore, the action and the item", () =>
    Effect.gen(function* () {
      const world = yield* Worlds.make({ objects: shop })
      yield* world.session(({ backup, restore }) =>
        Effect.andThen(
          backup(plugin.clusterBackup, orders, { name: "nightly" }),
          restore(plugin.backupRestore, Objects.backup("shop", "orders", "b", 0), { name: "again" })
        )
      )
      const shown = ({ logs }: World) =>
        logs().map(({ fields: { backup, logSource, name, namespace, resource, restore }, level }) => ({
          level,
          owner: backup ?? restore,
          logSource,
          item: [resource, namespace, name].join(" ")
        }))
      assert.deepStrictEqual(shown(world), [
        {
          level: "info",
          owner: "velero/nightly",
          logSource: `${plugin.clusterBackup}:report`,
          item: "Cluster.postgresql.cnpg.io shop orders"
        },
        {
          level: "info",
          owner: "velero/again",
          logSource: `${plugin.backupRestore}:report`,
          item: "Backup.postgresql.cnpg.io shop b"
        }
      ])
    })
  )
})
