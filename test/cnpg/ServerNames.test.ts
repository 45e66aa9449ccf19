import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/testing/TestClock"
import type { Claim } from "../../src/cnpg/ServerNames.ts"
import * as ServerNames from "../../src/cnpg/ServerNames.ts"
import type { KubernetesObject } from "../../src/kubernetes/Kubernetes.ts"
import { archiver, barman, callsOf, cluster, itIs, makeWorld, refusal, type World } from "./World.ts"

const claim = (changes: Partial<Claim> = {}): Claim => ({
  restore: "uid-of-restore",
  namespace: "shop",
  cluster: "orders",
  taken: new Set(),
  earlier: undefined,
  ...changes
})

/** The service in a process of its own. */
const startService = (world: World = makeWorld([])) =>
  Effect.map(
    Layer.build(Layer.fresh(Layer.provide(ServerNames.layer, world.layer))),
    (context) =>
      (changes?: Partial<Claim>): Effect.Effect<ServerNames.Issued> =>
        Effect.provide(
          Effect.flatMap(ServerNames.ServerNames, (service) => service.issue(claim(changes))),
          context
        )
  )

const nine = "2026-11-19T09:30:58Z"

describe("the stamp", () => {
  it.for([
    ["1970-01-01T00:00:00Z", "19700101-000000"],
    ["2026-11-19T09:30:58.999Z", "20261119-093058"],
    ["2024-02-29T23:59:59Z", "20240229-235959"],
    ["2026-11-19T00:30:00+02:00", "20261118-223000"]
  ] as const)("of %s is %s, in UTC", ([time, expected]) => {
    assert.strictEqual(ServerNames.stamp(DateTime.toUtc(DateTime.makeUnsafe(time))), expected)
  })
})

describe("a name", () => {
  it.effect("of many Clusters of one name is found without going through those of the others", () =>
    Effect.gen(function* () {
      const issue = yield* startService()
      let looked = 0
      const taken = new (class extends Set<string> {
        override has(name: string) {
          looked++
          return super.has(name)
        }
      })()
      const claims = Array.from({ length: 200 }, (_, index) => ({ namespace: `shop-${index}`, taken }))
      const names = yield* Effect.forEach(claims, (each) => Effect.map(issue(each), ({ name }) => name))
      assert.strictEqual(new Set(names).size, claims.length)
      assert.isAtMost(looked, 2 * claims.length)
    })
  )

  it.effect("is the Cluster's, with the time of the clock in UTC", () =>
    Effect.gen(function* () {
      const issue = yield* startService()
      assert.strictEqual((yield* issue()).name, "orders-19700101-000000")
      yield* TestClock.adjust("1 hour")
      assert.strictEqual((yield* issue({ cluster: "audit" })).name, "audit-19700101-010000")
      yield* itIs(nine)
      assert.strictEqual((yield* issue({ cluster: "stock" })).name, "stock-20261119-093058")
    })
  )

  it.effect("is the same for the same Cluster of the same Restore, whenever it is asked for", () =>
    Effect.gen(function* () {
      const issue = yield* startService()
      yield* itIs(nine)
      const first = yield* issue()
      yield* TestClock.adjust("90 seconds")
      assert.deepStrictEqual(yield* issue(), first)
      assert.deepStrictEqual(yield* issue({ taken: new Set([first.name]) }), first)
    })
  )

  it.effect("is another one for another Restore, and for the Cluster of another namespace", () =>
    Effect.gen(function* () {
      const issue = yield* startService()
      yield* itIs(nine)
      assert.strictEqual((yield* issue()).name, "orders-20261119-093058")
      assert.strictEqual((yield* issue({ restore: "uid-of-another" })).name, "orders-20261119-093059")
      assert.strictEqual((yield* issue({ namespace: "shop-2" })).name, "orders-20261119-093100")
    })
  )

  it.effect("goes a second on, over minutes and years, past names that the caller knows", () =>
    Effect.gen(function* () {
      const issue = yield* startService()
      yield* itIs("2026-12-31T23:59:58Z")
      const taken = new Set(["orders-20261231-235958", "orders-20261231-235959", "orders-20270101-000000"])
      assert.strictEqual((yield* issue({ taken })).name, "orders-20270101-000001")
    })
  )

  it.effect("is none that a live Cluster writes to or reads from, whatever its namespace and its own name", () =>
    Effect.gen(function* () {
      const using = (name: string, spec: unknown): KubernetesObject => cluster(spec, { name, namespace: `of-${name}` })
      const world = makeWorld([
        using("orders", { plugins: [archiver({ barmanObjectName: "s", serverName: "orders-20261119-093058" })] }),
        using("copy", {
          externalClusters: [
            { name: "clusterBackup", plugin: { name: barman, parameters: { serverName: "orders-20261119-093059" } } },
            { name: "orders-20261119-093100", barmanObjectStore: {} }
          ]
        }),
        using("in-tree", { backup: { barmanObjectStore: { serverName: "orders-20261119-093101" } } }),
        using("orders-20261119-093102", { plugins: [{ name: barman }] }),
        // Nothing that a plugin can read of it, so nothing that it uses.
        using("broken", { plugins: "none" })
      ])
      const issue = yield* startService(world)
      yield* itIs(nine)
      assert.deepStrictEqual(yield* issue(), { name: "orders-20261119-093103", unchecked: undefined })
      assert.deepStrictEqual(callsOf(world), ["list clusters.postgresql.cnpg.io"])
    })
  )

  it.effect("asks for the live Clusters once in each Restore", () =>
    Effect.gen(function* () {
      const world = makeWorld([])
      const issue = yield* startService(world)
      yield* Effect.all([issue(), issue({ cluster: "audit" }), issue({ cluster: "stock" })], {
        concurrency: "unbounded"
      })
      assert.strictEqual(world.calls.length, 1)
      yield* world.put(
        cluster({ plugins: [archiver({ barmanObjectName: "s", serverName: "orders-19700101-000001" })] })
      )
      assert.strictEqual((yield* issue({ restore: "uid-of-another" })).name, "orders-19700101-000002")
      assert.strictEqual(world.calls.length, 2)
    })
  )

  it.effect("is given without the live Clusters where they cannot be listed, and says why", () =>
    Effect.gen(function* () {
      const world = makeWorld([], refusal.forbidden("list"))
      const issue = yield* startService(world)
      yield* itIs(nine)
      const { name, unchecked } = yield* issue({ taken: new Set(["orders-20261119-093058"]) })
      assert.strictEqual(name, "orders-20261119-093059")
      assert.strictEqual(unchecked?._tag, "Forbidden")
    })
  )
})

describe("the name of a process that ended", () => {
  it.effect("is given again", () =>
    Effect.gen(function* () {
      const issue = yield* startService()
      yield* itIs(nine)
      const earlier = "orders-20261119-090000"
      assert.strictEqual((yield* issue({ earlier, taken: new Set([earlier]) })).name, earlier)
      assert.strictEqual((yield* issue({ earlier: "orders-20261119-000000" })).name, earlier)
    })
  )

  it.effect("is not free for anybody else", () =>
    Effect.gen(function* () {
      const issue = yield* startService()
      yield* itIs(nine)
      const earlier = "orders-20261119-093058"
      assert.strictEqual((yield* issue({ earlier })).name, earlier)
      assert.strictEqual((yield* issue({ namespace: "shop-2" })).name, "orders-20261119-093059")
    })
  )

  it.effect("is not given again when somebody else has got it since", () =>
    Effect.gen(function* () {
      const earlier = "orders-20261119-093058"
      const issue = yield* startService()
      yield* itIs(nine)
      assert.strictEqual((yield* issue({ namespace: "shop-2" })).name, earlier)
      assert.strictEqual((yield* issue({ earlier })).name, "orders-20261119-093059")

      const live = cluster(
        { plugins: [archiver({ barmanObjectName: "s", serverName: earlier })] },
        { namespace: "other" }
      )
      const beside = yield* startService(makeWorld([live]))
      assert.strictEqual((yield* beside({ earlier })).name, "orders-20261119-093059")
    })
  )
})

describe("many names at one instant", () => {
  it.effect("are all different", () =>
    Effect.gen(function* () {
      const issue = yield* startService()
      yield* itIs(nine)
      const issued = yield* Effect.forEach(
        Array.from({ length: 500 }, (_, index) => index),
        (index) => issue({ namespace: `shop-${index}` }),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(new Set(issued.map(({ name }) => name)).size, 500)
      for (const { name } of issued) assert.match(name, /^orders-20261119-(09|10|11)[0-5]\d[0-5]\d$/)
    })
  )
})
