/** Velero follows a recovered Cluster from a new process every ten seconds: what each of them is told, and asks for. */
import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Objects from "./Objects.ts"
import * as Worlds from "./World.ts"
import { annotation, plugin } from "./World.ts"

const namespace = Objects.namespace("shop")

/** The Cluster as a backup has it. */
const recorded = (name: string) => ({
  ...Objects.cluster("shop", name),
  metadata: { name, namespace: "shop", annotations: { [annotation.serverName]: name } },
  spec: {
    instances: 1,
    plugins: [
      { name: Objects.barmanCloud, isWALArchiver: true, parameters: { barmanObjectName: "store", serverName: name } }
    ]
  }
})

const restoration = (annotations: Readonly<Record<string, string>> = {}) =>
  Worlds.bytesOf(Worlds.ownerOf("Restore", { name: "restore", annotations }))

/** Asks in a process of its own. */
const progress = (world: Worlds.World, operationID: string) =>
  world.session(({ client }) =>
    Effect.flatMap(client, ({ restoreItemActionV2 }) =>
      Effect.map(
        restoreItemActionV2.progress({ plugin: plugin.clusterRestore, operationID, restore: restoration() }),
        (reply) => reply.progress
      )
    )
  )

const up = {
  phase: "Cluster in healthy state",
  readyInstances: 1,
  targetPrimary: "orders-1",
  currentPrimary: "orders-1",
  conditions: [
    {
      type: "ContinuousArchiving",
      status: "True",
      reason: "x",
      message: "",
      lastTransitionTime: "2026-11-19T09:30:00Z"
    }
  ]
}

describe("a restored Cluster", () => {
  it.live("is followed through processes that share nothing but the operation's id", () =>
    Effect.gen(function* () {
      const world = yield* Worlds.make({ objects: [namespace] })
      const before = yield* DateTime.now
      const { operationID, text } = yield* world.session(({ restore }) =>
        restore(plugin.clusterRestore, recorded("orders"))
      )
      assert.match(operationID, /^recover shop\/orders as orders-\d{8}-\d{6} since \S+ within 30m$/)
      const item = JSON.parse(text)
      const requests = () => world.cluster.requests().map(({ method, path }) => `${method} ${path}`)
      const cluster = "GET /apis/postgresql.cnpg.io/v1/namespaces/shop/clusters/orders"

      const asked = (status: object | undefined) =>
        Effect.gen(function* () {
          if (status !== undefined) world.cluster.put({ ...item, status })
          const count = requests().length
          const answer = yield* progress(world, operationID)
          // Both times are there: without them Velero would show 1970.
          assert.isAtLeast(Number(answer?.started?.seconds), Math.floor(DateTime.toEpochMillis(before) / 1000))
          assert.isAtLeast(Number(answer?.updated?.seconds), Number(answer?.started?.seconds))
          return { answer, requests: requests().slice(count) }
        })

      const absent = yield* asked(undefined)
      assert.isTrue(absent.answer?.completed)
      assert.match(absent.answer?.err ?? "", /^Cluster shop\/orders is not there/)
      assert.deepStrictEqual(absent.requests, [cluster])

      const new_ = yield* asked({})
      assert.deepInclude(new_.answer, {
        completed: false,
        err: "",
        description: "there is no ObjectStore store in its namespace",
        nCompleted: 0n,
        nTotal: 1n,
        operationUnits: "instances"
      })
      assert.deepStrictEqual(new_.requests, [
        cluster,
        "GET /apis/barmancloud.cnpg.io/v1/namespaces/shop/objectstores/store"
      ])

      const begun = yield* asked({ phase: "Setting up primary", targetPrimary: "orders-1" })
      assert.deepInclude(begun.answer, {
        completed: false,
        description: "recovering from the newest backup of server name orders: Setting up primary"
      })
      assert.deepStrictEqual(begun.requests, [cluster, "GET /apis/batch/v1/namespaces/shop/jobs"])

      const last = yield* asked(up)
      assert.deepInclude(last.answer, { completed: true, err: "", nCompleted: 1n, nTotal: 1n })
      assert.match(last.answer?.description ?? "", /^1 of 1 instances ready, archives under orders-\d{8}-\d{6}$/)
      assert.deepStrictEqual(last.requests, [cluster])
    })
  )

  it.live("is one of many that are followed at once, each by its own id", () =>
    Effect.gen(function* () {
      const names = ["a", "b", "c"]
      const world = yield* Worlds.make({ objects: [namespace] })
      const ids = yield* world.session(({ restore }) =>
        Effect.forEach(names, (name) =>
          Effect.map(restore(plugin.clusterRestore, recorded(name)), ({ operationID, text }) => {
            world.cluster.put({ ...JSON.parse(text), status: name === "b" ? up : {} })
            return operationID
          })
        )
      )
      assert.strictEqual(new Set(ids).size, names.length)
      const answers = yield* world.session(({ client }) =>
        Effect.flatMap(client, ({ restoreItemActionV2 }) =>
          Effect.forEach(
            ids,
            (operationID) =>
              restoreItemActionV2.progress({ plugin: plugin.clusterRestore, operationID, restore: restoration() }),
            { concurrency: "unbounded" }
          )
        )
      )
      assert.deepStrictEqual(
        answers.map(({ progress: answer }) => answer?.completed),
        [false, true, false]
      )
    })
  )

  it.live("is not followed where the Restore says 0", () =>
    Effect.gen(function* () {
      const world = yield* Worlds.make({ objects: [namespace] })
      const reply = yield* world.session(({ restore }) =>
        restore(plugin.clusterRestore, recorded("orders"), {
          restore: restoration({ "velero-cnpg/wait-for-recovery": "0" })
        })
      )
      assert.strictEqual(reply.operationID, "")
    })
  )

  it.live("is left alone when Velero gives up, and an id of somebody else's is refused in its words", () =>
    Effect.gen(function* () {
      const world = yield* Worlds.make({ objects: [namespace] })
      const operationID = "recover shop/orders as orders-20261119-093000 since 2026-11-19T09:30:00.000Z within 30m"
      const call = (id: string) =>
        world.session(({ client }) =>
          Effect.flatMap(client, ({ restoreItemActionV2 }) =>
            restoreItemActionV2.cancel({ plugin: plugin.clusterRestore, operationID: id, restore: restoration() })
          )
        )
      yield* call(operationID)
      assert.deepStrictEqual(world.cluster.requests(), [])
      const line = world.logs().find(({ message }) => message.includes("is not waited for any longer"))
      assert.strictEqual(line?.fields["logSource"], `${plugin.clusterRestore}:cancel`)
      for (const ask of [call, (id: string) => progress(world, id)]) {
        const error = yield* Effect.flip(Effect.asVoid(ask("copy-1") as ReturnType<typeof call>))
        assert.strictEqual(error.message, "operation ID copy-1 is invalid")
      }
    })
  )
})
