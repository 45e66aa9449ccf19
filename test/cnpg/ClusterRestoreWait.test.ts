/** What the restore action asks Velero to follow, and what it takes off a Cluster that would not come up by itself. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { action } from "../../src/cnpg/ClusterRestore.ts"
import {
  archiver,
  at,
  cluster,
  itIs,
  makeWorld,
  namespace,
  pluginConfig,
  recorded,
  restoreOf,
  start,
  startProcess,
  type Tree
} from "./World.ts"

const now = itIs("2026-11-19T09:30:00Z")
const destination = "orders-20261119-093000"
const wait = "velero-cnpg/wait-for-recovery"

const orders = (annotations: Tree = {}) => recorded({ plugins: [archiver()] }, annotations)

const outcomeOf = Effect.fnUntraced(function* (
  item: ReturnType<typeof cluster>,
  restore = restoreOf("restore"),
  data?: Readonly<Record<string, string>>
) {
  yield* now
  const world = makeWorld([namespace("shop"), namespace("shop-2")])
  const process = yield* startProcess(
    world,
    data === undefined ? [] : [pluginConfig(data, "replicated.com/cnpg-restore-plugin")]
  )
  return yield* process.restore(action, item, restore)
})

const followed = (words: string) => `${words} as ${destination} since 2026-11-19T09:30:00.000Z within`

describe("a Restore", () => {
  it.effect("waits half an hour for a Cluster that recovers, where it lands, and says so", () =>
    Effect.gen(function* () {
      const { lines, operationId } = yield* outcomeOf(orders(), restoreOf("moved", { shop: "shop-2" }))
      assert.strictEqual(operationId, `${followed("recover shop-2/orders")} 30m`)
      assert.include(
        lines.at(-1)?.message ?? "",
        "the restore waits until it is up, and gives up when nothing has happened for 30m"
      )
    })
  )

  it.effect("waits for a Cluster that starts on its volumes, too", () =>
    Effect.gen(function* () {
      const restore = restoreOf("volumes", {}, { "velero-cnpg/recover-from": "volumes" })
      const { operationId } = yield* outcomeOf(orders(), restore)
      assert.strictEqual(operationId, `${followed("start shop/orders")} 30m`)
    })
  )

  it.effect.each([
    ["its annotation", { [wait]: "5m" }, { [wait]: "1h" }, { waitForRecovery: "2h" }, "5m"],
    ["the Cluster's annotation", {}, { [wait]: "1h" }, { waitForRecovery: "2h" }, "1h"],
    ["the plugin's ConfigMap", {}, {}, { waitForRecovery: "2h" }, "2h"]
  ] as const)("waits as long as %s says", ([, ofRestore, ofCluster, data, limit]) =>
    Effect.gen(function* () {
      const { operationId } = yield* outcomeOf(orders(ofCluster), restoreOf("restore", {}, ofRestore), data)
      assert.strictEqual(operationId, `${followed("recover shop/orders")} ${limit}`)
    })
  )

  it.effect("does not wait where it is told so, and says nothing of it", () =>
    Effect.gen(function* () {
      const { lines, operationId } = yield* outcomeOf(orders(), restoreOf("restore", {}, { [wait]: "0" }))
      assert.isUndefined(operationId)
      assert.isTrue(lines.every(({ message }) => !message.includes("waits")))
    })
  )

  it.effect("does not wait for a Cluster without a record, nor for one that lives", () =>
    Effect.gen(function* () {
      const bare = cluster({ plugins: [archiver()] })
      assert.isUndefined((yield* outcomeOf(bare)).operationId)
      const { process } = yield* start([namespace("shop"), bare])
      assert.isUndefined((yield* process.restore(action, orders())).operationId)
    })
  )

  it.effect("is not made with a limit that means nothing; nothing is written", () =>
    Effect.gen(function* () {
      const { process, world } = yield* start([namespace("shop")])
      const restore = restoreOf("restore", {}, { [wait]: "soon" })
      const error = yield* Effect.flip(process.restore(action, orders(), restore))
      assert.strictEqual(
        error.message,
        `annotation ${wait} on Restore restore is "soon"; it can be 0 or a duration such as 30m, 90s or 1h30m. Correct it and restore again`
      )
      assert.deepStrictEqual(world.configMaps(), [])
    })
  )
})

describe("hibernation and fences of the old life", () => {
  const hibernation = { "cnpg.io/hibernation": "on" }
  const fences = { "cnpg.io/fencedInstances": '["*"]' }
  const annotationsOf = ({ tree }: { readonly tree: Tree }) => at(tree, "metadata", "annotations") as Tree

  it.effect("are taken off a Cluster that recovers, each with a line in the log", () =>
    Effect.gen(function* () {
      const outcome = yield* outcomeOf(orders({ ...hibernation, ...fences, "example.com/mine": "x" }))
      assert.deepStrictEqual(annotationsOf(outcome), {
        "velero-cnpg/serverName": "orders-v1",
        "velero-cnpg/current-backup-id": "20261119T020003",
        "example.com/mine": "x"
      })
      const messages = outcome.lines.filter(({ level }) => level === "Info").map(({ message }) => message)
      for (const words of [
        'its annotation cnpg.io/hibernation "on" is removed, or the operator would stop',
        'its annotation cnpg.io/fencedInstances "[\\"*\\"]" is removed, or PostgreSQL would not be started'
      ]) {
        assert.strictEqual(messages.filter((message) => message.includes(words)).length, 1, words)
      }
    })
  )

  it.effect("stay where they say nothing", () =>
    Effect.gen(function* () {
      const outcome = yield* outcomeOf(orders({ "cnpg.io/hibernation": "off", "cnpg.io/fencedInstances": "" }))
      assert.deepInclude(annotationsOf(outcome), { "cnpg.io/hibernation": "off", "cnpg.io/fencedInstances": "" })
      assert.strictEqual(outcome.lines.length, 1)
    })
  )

  it.effect(
    "stay on a Cluster that starts on its volumes and on one without a record; one that lives does not get them",
    () =>
      Effect.gen(function* () {
        const stopped = { ...hibernation, ...fences }
        const volumes = restoreOf("volumes", {}, { "velero-cnpg/recover-from": "volumes" })
        assert.deepInclude(annotationsOf(yield* outcomeOf(orders(stopped), volumes)), stopped)
        assert.deepInclude(annotationsOf(yield* outcomeOf(cluster({}, { annotations: stopped }))), stopped)
        const { process } = yield* start([namespace("shop"), cluster({ plugins: [archiver()] })])
        assert.doesNotHaveAnyKeys(annotationsOf(yield* process.restore(action, orders(stopped))), Object.keys(stopped))
      })
  )
})
