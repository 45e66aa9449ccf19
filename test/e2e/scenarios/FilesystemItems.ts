/**
 * A backup of many items in the filesystem pack's object store: ConfigMaps of all sizes, back as they were.
 *
 * This is about what Velero itself stores. The data of volumes, which its node agent copies file by file ("file-system backups"), is
 * not: Kopia writes to S3, Azure, GCS or a directory by itself and asks no object store plugin, and its pods would need a kubelet.
 */
import * as Crypto from "node:crypto"
import * as Effect from "effect/Effect"
import * as Namespace from "../Namespace.ts"
import * as Objects from "../Objects.ts"
import type { Scenario } from "../Scenario.ts"
import { Stand } from "../Stand.ts"
import * as Velero from "../Velero.ts"
import * as Verify from "../Verify.ts"

const namespace = "many-files"
const count = 200

/** Up to 100 kB each, which no compression makes smaller: 10 MB in all. */
const items = Array.from({ length: count }, (_, index) => ({
  name: `item-${index}`,
  data: { content: Crypto.randomBytes(375 * index).toString("base64") }
}))

export const filesystemItems: Scenario = {
  name: "filesystem-200-items",
  expected: `a backup of ${count} items has all of them, and a restore brings them back as they were`,
  packs: ["filesystem"],
  run: Effect.gen(function* () {
    const { api } = yield* Stand
    yield* api.apply(Objects.namespaces, { metadata: { name: namespace } })
    yield* Effect.forEach(
      items,
      ({ data, name }) => api.apply(Objects.configMaps, { metadata: { namespace, name }, data }),
      { concurrency: 8, discard: true }
    )
    const backup = yield* Velero.backUp([namespace])
    yield* Verify.equal("the Velero backup", Velero.outcome(backup), "Completed")
    const contents = yield* Velero.download(backup)
    const differ = (find: (name: string) => string | undefined) =>
      items.filter(({ data, name }) => find(name) !== data.content).map(({ name }) => name)
    yield* Verify.equal(
      "the items that the backup lacks",
      differ((name) => contents.find(Objects.configMaps, name, namespace)?.data?.["content"]),
      []
    )
    yield* Namespace.remove(namespace)
    const restore = yield* Velero.restore(backup)
    yield* Verify.equal("the Velero restore", Velero.outcome(restore), "Completed")
    const restored = new Map(
      (yield* api.list(Objects.configMaps, namespace)).map(({ data, metadata }) => [metadata.name, data?.["content"]])
    )
    yield* Verify.equal(
      "the items that the restore lacks",
      differ((name) => restored.get(name)),
      []
    )
    yield* Velero.remove(backup)
    return `${count} items of ${Math.round(items.reduce((sum, { data }) => sum + data.content.length, 0) / 1e6)} MB stored and restored`
  })
}
