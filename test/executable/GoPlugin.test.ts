/**
 * A backup that the Go plugin made, whose names and annotations are kept here: `go-plugin-backup.json` is what its executable made of
 * `examples/shop.yaml`, called as Velero calls it. Besides the two annotations on the Cluster it stores everything as it was; the newest
 * Backup happens to be one of a volume snapshot, and its name is what it records as the id.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { KubernetesObject } from "../../src/testing/ApiServer.ts"
import type { BackedUp, Restored } from "../../src/testing/VeleroHost.ts"
import * as VeleroHost from "../../src/testing/VeleroHost.ts"
import { at } from "./Executable.ts"
import * as Worlds from "./World.ts"
import { annotation, kind, overrideName, warnings } from "./World.ts"

const objects = JSON.parse(
  Fs.readFileSync(Path.join(import.meta.dirname, "go-plugin-backup.json"), "utf8")
) as ReadonlyArray<KubernetesObject>

const backedUp: ReadonlyArray<BackedUp> = objects.map((object) => {
  const entry = VeleroHost.entryOf(JSON.stringify(object))
  return { before: entry, after: entry, actions: [], error: undefined, operations: [] }
})

const ownersOf = ({ metadata }: KubernetesObject): ReadonlyArray<string> =>
  ((metadata as { readonly ownerReferences?: ReadonlyArray<{ readonly kind: string }> }).ownerReferences ?? []).map(
    ({ kind }) => kind
  )

/** What the operator builds for a Cluster or a Pooler, but for Secrets; and Backups, which it would run again. */
const rebuilt = objects
  .filter((object) => object.kind !== "Secret")
  .filter(
    (object) =>
      ["Cluster", "Pooler", "Service"].some((owner) => ownersOf(object).includes(owner)) ||
      ["Endpoints", "Backup"].includes(object.kind)
  )
  .map(({ kind, metadata }) => `${kind} ${metadata.name}`)
  .toSorted()

const skipped = (restored: ReadonlyArray<Restored>): ReadonlyArray<string> =>
  restored
    .filter(({ outcome }) => outcome === "skipped")
    .map(({ before }) => `${before.kind} ${before.name}`)
    .toSorted()

const rebuild = { "velero-cnpg/rebuild-unmarked": "true" }

describe("a backup of the Go plugin", () => {
  it("has the two annotations, and nothing on what the Cluster owns", () => {
    const annotated = objects.filter(({ metadata }) =>
      JSON.stringify(metadata.annotations ?? {}).includes("velero-cnpg/")
    )
    assert.deepStrictEqual(
      annotated.map(({ kind, metadata }) => [kind, metadata.annotations]),
      [["Cluster", { [annotation.serverName]: "orders-v1", [annotation.backupId]: "orders-snapshot" }]]
    )
  })

  it.live.each([{ mapped: false }, { mapped: true }])(
    "restores so that the Cluster recovers, where the Restore asks for what is not marked: mapped $mapped",
    ({ mapped }) =>
      Effect.gen(function* () {
        const namespace = mapped ? "shop-restored" : "shop"
        const world = yield* Worlds.make()
        const restored = yield* world.restore(backedUp, {
          annotations: rebuild,
          namespaceMapping: mapped ? { shop: namespace } : {}
        })
        assert.deepStrictEqual(
          restored.flatMap(({ error }) => error ?? []),
          []
        )
        assert.deepStrictEqual(skipped(restored), rebuilt)
        const cluster = world.cluster.get(kind.cluster, namespace, "orders")
        const destination = String(at(cluster, "spec", "plugins", 0, "parameters", "serverName"))
        assert.match(destination, /^orders-20\d{6}-\d{6}$/)
        // Without the id, which the archive does not have: the newest base backup.
        assert.deepStrictEqual(at(cluster, "spec", "bootstrap"), {
          recovery: { source: "clusterBackup", database: "orders", owner: "orders_owner" }
        })
        assert.deepStrictEqual(at(cluster, "spec", "externalClusters", 0, "plugin", "parameters"), {
          barmanObjectName: "orders-store",
          serverName: "orders-v1"
        })
        const override = world.cluster.get(kind.configMap, namespace, overrideName)
        // The two keys that charts written for the Go plugin read.
        assert.strictEqual(at(override, "data", "write_to_server_name"), destination)
        assert.strictEqual(at(override, "data", "read_from_server_name"), "orders-v1")
        const [warning, ...more] = warnings(world)
        assert.include(warning, "orders-snapshot")
        assert.deepStrictEqual(more, [])
        for (const secret of ["orders-app", "orders-superuser"]) {
          assert.isDefined(world.cluster.get(kind.secret, namespace, secret), secret)
        }
      })
  )

  it.live("does not lose a volume unless the Restore asks for it", () =>
    Effect.gen(function* () {
      const world = yield* Worlds.make()
      const restored = yield* world.restore(backedUp)
      assert.deepStrictEqual(
        skipped(restored).filter((item) => item.startsWith("PersistentVolumeClaim")),
        []
      )
    })
  )
})
