import * as Fs from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { at } from "./Executable.ts"
import * as Objects from "./Objects.ts"
import type { Session } from "./World.ts"
import * as Worlds from "./World.ts"
import { annotation, plugin } from "./World.ts"

/** Seconds where nothing else runs; machines that are busy get their time. */
const patience = 300_000

const mebibyte = 1024 * 1024

const filler = 'ä\\"\\u0000 0123456789abcdef'.repeat(Math.ceil((32 * mebibyte) / 26))

/** JSON of an object of 32 MiB. */
const large = (beginning: string): string => `${beginning},"filler":"${filler}"}`

/** Resident memory of a process, in MiB. */
const resident = (pid: number): number =>
  (Number(Fs.readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1]) * 4096) / mebibyte

describe("an item of 32 MiB", () => {
  it.live(
    "goes both ways, changed and unchanged",
    () =>
      Effect.gen(function* () {
        const world = yield* Worlds.make({ objects: [Objects.backup("shop", "orders", "b", 0)] })
        yield* world.session(({ backup, client, restore }) =>
          Effect.gen(function* () {
            const pid = (yield* client).process.pid
            const spec = `"spec":{"plugins":[{"name":"${Objects.barmanCloud}"}]}`
            const item = large(`{"kind":"Cluster","metadata":{"name":"orders","namespace":"shop"},${spec}`)
            assert.isAbove(Buffer.byteLength(item), 32 * mebibyte)
            const { text } = yield* backup(plugin.clusterBackup, item)
            const annotations = `"annotations":{"${annotation.serverName}":"orders","${annotation.backupId}":"20261119T000000"}`
            // Not `strictEqual`, which would show the difference.
            const times = /,"velero-cnpg\/(?:stored-at|current-backup-ended-at)":"[^"]+"/g
            assert.strictEqual(text.slice(0, 1000).match(times)?.length, 2)
            assert.isTrue(
              text.replace(times, "") ===
                large(`{"kind":"Cluster","metadata":{"name":"orders","namespace":"shop",${annotations}},${spec}`)
            )

            // A restore carries an item twice.
            const secret = large('{"kind":"Secret","metadata":{"name":"x","namespace":"shop"}')
            assert.isTrue((yield* restore(plugin.secretRestore, secret)).text === secret)
            assert.strictEqual((yield* client).process.pid, pid)
          })
        )
      }),
    patience
  )
})

describe("10,000 items in one process", () => {
  const warmUp = 2000
  const all = 10_000

  /** One call for each of the things that a plugin does in a backup or restore. */
  const item = ({ backup, restore }: Session, index: number): Effect.Effect<unknown, Error> => {
    const name = `x-${index}`
    switch (index % 5) {
      case 0:
        return backup(plugin.ownedBackup, Objects.owned("v1", "Pod", "shop", name, "orders"))
      case 1:
        return restore(plugin.deploymentRestore, Objects.deployment("shop", name, ["wait-for-migration-job", "other"]))
      case 2:
        return restore(plugin.backupRestore, Objects.backup("shop", "orders", name, 0))
      case 3:
        return backup(plugin.clusterBackup, Objects.cluster("shop", "orders"))
      default:
        // A name must be a string.
        return Effect.exit(restore(plugin.deploymentRestore, `{"metadata":{"name":${index}}}`))
    }
  }

  it.live(
    "leave its memory where 2,000 had it",
    () =>
      Effect.gen(function* () {
        const world = yield* Worlds.make({
          objects: [Objects.cluster("shop", "orders"), Objects.backup("shop", "orders", "b", 0)]
        })
        const { after, before, kept } = yield* world.session((session) =>
          Effect.gen(function* () {
            const pid = (yield* session.client).process.pid
            const call = (from: number, to: number) =>
              Effect.forEach(
                Array.from({ length: to - from }, (_, index) => from + index),
                (index) => item(session, index),
                { concurrency: 8, discard: true }
              )
            yield* call(0, warmUp)
            const before = resident(pid)
            yield* call(warmUp, all)
            return { before, after: resident(pid), kept: (yield* session.client).process.pid === pid }
          })
        )
        assert.isTrue(kept)
        assert.isBelow(
          after,
          before * 1.3,
          `${before.toFixed()} MiB after ${warmUp}, ${after.toFixed()} MiB after ${all}`
        )
        // The Cluster and its Backups for the backup, the plugin configuration for the restore.
        assert.deepStrictEqual(
          world.cluster
            .requests()
            .map(({ path }) => path.split("/").at(-1))
            .toSorted(),
          ["backups", "configmaps", "configmaps", "orders", "store"]
        )
        assert.isAtLeast(world.logs().length, all / 2)
        assert.isTrue(world.logs().every((line) => at(line, "level") === "info"))
      }),
    patience
  )
})
