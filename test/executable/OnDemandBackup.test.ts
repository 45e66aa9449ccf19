/** A backup that is made for a Velero backup, over processes as Velero starts them: one for the backup, one for each question. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { KubernetesObject } from "../../src/testing/ApiServer.ts"
import * as ApiServers from "../../src/testing/ApiServer.ts"
import { at } from "./Executable.ts"
import type { World } from "./World.ts"
import * as Worlds from "./World.ts"
import { bytesOf, example, kind, ownerOf, plugin } from "./World.ts"

const backups = ApiServers.resourceOfKind("postgresql.cnpg.io/v1", "Backup")

const owner = (phase = "InProgress") => {
  const spec = { name: "nightly", annotations: { "velero-cnpg/on-demand-backup": "true" } }
  return { ...ownerOf("Backup", spec), status: { phase } }
}

/** The CNPG Backups that were made for Velero backups. */
const made = ({ cluster }: World): ReadonlyArray<KubernetesObject> =>
  cluster.list(backups, "shop").filter(({ metadata }) => metadata.labels?.["velero-cnpg/velero-backup"] !== undefined)

const writes = ({ cluster }: World): ReadonlyArray<string> =>
  cluster
    .requests()
    .filter(({ method }) => method !== "GET")
    .map(({ method, path, status }) => `${method} ${path.replace(/velero-[0-9a-f]{12}/, "velero-…")} ${status}`)

const place = "/apis/postgresql.cnpg.io/v1/namespaces/shop/backups/orders-velero-…"

const begin = (objects: ReadonlyArray<KubernetesObject>, options: Worlds.Options = {}) =>
  Effect.gen(function* () {
    const world = yield* Worlds.make({ objects, ...options })
    const orders = JSON.stringify(world.cluster.get(kind.cluster, "shop", "orders"))
    const reply = yield* world.session(({ backup }) => backup(plugin.clusterBackup, orders, { backup: owner() }))
    return { world, orders, reply }
  })

/** In a process of its own. */
const progress = (world: World, operationID: string) =>
  world.session(({ client }) =>
    Effect.flatMap(client, ({ backupItemActionV2 }) =>
      Effect.map(
        backupItemActionV2.progress({ plugin: plugin.clusterBackup, operationID, backup: bytesOf(owner()) }),
        (reply) => reply.progress
      )
    )
  )

const report = (world: World, status: object) => {
  for (const object of made(world)) world.cluster.put({ ...object, status })
}

describe("a backup that is made for a Velero backup", () => {
  it.live("is followed by new processes, recorded at the end, and goes with the Velero backup", () =>
    Effect.gen(function* () {
      const { orders, reply, world } = yield* begin(yield* example("shop"))
      assert.lengthOf(made(world), 1)
      assert.deepStrictEqual(reply.postOperationItems, [
        { group: "postgresql.cnpg.io", resource: "clusters", namespace: "shop", name: "orders" }
      ])
      const first = yield* progress(world, reply.operationID)
      assert.deepStrictEqual([first?.completed, first?.err], [false, ""])
      assert.include(first?.description ?? "", "the operator has not looked at it yet")
      // Velero takes no time for 1970.
      assert.isAbove(Number(first?.started?.seconds ?? 0), 1_700_000_000)

      report(world, {
        phase: "completed",
        backupId: "20261120T030000",
        stoppedAt: "2026-11-20T03:00:00Z",
        endLSN: "0/6000138",
        pluginMetadata: { clusterUID: at(JSON.parse(orders), "metadata", "uid") }
      })
      const last = yield* progress(world, reply.operationID)
      assert.deepStrictEqual([last?.completed, last?.err], [true, ""])

      const stored = yield* world.session(({ backup }) =>
        backup(plugin.clusterBackup, orders, { backup: owner("Finalizing") })
      )
      assert.strictEqual(stored.operationID, "")
      const annotations = at(JSON.parse(stored.text), "metadata", "annotations")
      assert.strictEqual(at(annotations, "velero-cnpg/current-backup-id"), "20261120T030000")
      assert.strictEqual(at(annotations, "velero-cnpg/fresh-backup-id"), "20261120T030000")
      assert.strictEqual(at(annotations, "velero-cnpg/fresh-backup-end-lsn"), "0/6000138")

      const others = world.cluster.list(backups, "shop").length - 1
      yield* world.session(({ client }) =>
        Effect.flatMap(client, ({ deleteItemAction }) =>
          deleteItemAction.execute({ plugin: plugin.backupDelete, item: stored.item, backup: bytesOf(owner()) })
        )
      )
      assert.deepStrictEqual([made(world).length, world.cluster.list(backups, "shop").length], [0, others])
      assert.deepStrictEqual(writes(world), [`PATCH ${place} 201`, `DELETE ${place} 200`])
    })
  )

  it.live("fails with the operator's message, and is given up without a trace", () =>
    Effect.gen(function* () {
      const { reply, world } = yield* begin(yield* example("shop"))
      report(world, { phase: "failed", error: "exit status 4" })
      const failed = yield* progress(world, reply.operationID)
      assert.isTrue(failed?.completed)
      assert.match(failed?.err ?? "", /^CNPG Backup shop\/orders-velero-[0-9a-f]{12} has failed: exit status 4\. /)
      report(world, { phase: "pending" })
      yield* world.session(({ client }) =>
        Effect.flatMap(client, ({ backupItemActionV2 }) =>
          backupItemActionV2.cancel({
            plugin: plugin.clusterBackup,
            operationID: reply.operationID,
            backup: bytesOf(owner())
          })
        )
      )
      assert.deepStrictEqual(made(world), [])
    })
  )

  it.live("that is not allowed is an error of the operation, and the Cluster is stored", () =>
    Effect.gen(function* () {
      const { reply, world } = yield* begin(yield* example("shop"), {
        server: { authorize: ({ resource, verb }) => !(resource === "backups" && verb === "create") }
      })
      assert.strictEqual(
        at(JSON.parse(reply.text), "metadata", "annotations", "velero-cnpg/current-backup-id"),
        "20261119T020003"
      )
      const error = yield* Effect.flip(progress(world, reply.operationID))
      assert.include(error.message, "Grant the verbs create and patch on backups.postgresql.cnpg.io")
    })
  )
})
