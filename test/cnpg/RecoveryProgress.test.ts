import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Operation from "../../src/cnpg/RecoveryOperation.ts"
import { operations } from "../../src/cnpg/RecoveryProgress.ts"
import type { KubernetesObject } from "../../src/kubernetes/Kubernetes.ts"
import { Rejected } from "../../src/kubernetes/Kubernetes.ts"
import * as Actions from "../../src/testing/Actions.ts"
import { archiver, callsOf, cluster, itIs, makeWorld, type Refuse, refusal, restoreOf, type Tree } from "./World.ts"

const destination = "orders-20261119-093000"
const started = DateTime.makeUnsafe("2026-11-19T09:30:00Z")
const restore = restoreOf("restore")

const idOf = (changes: Partial<Operation.RecoveryOperation> = {}): string =>
  Operation.id({
    from: "object-store",
    namespace: "shop",
    cluster: "orders",
    destination,
    started,
    limit: Duration.minutes(30),
    ...changes
  })

const healthy = "Cluster in healthy state"
const becoming = "Waiting for the instances to become active"
const unrecoverable = "Cluster is unrecoverable and needs manual intervention"

const condition = (type: string, status: "True" | "False", message = "", time = "2026-11-19T09:30:10Z"): Tree => ({
  type,
  status,
  reason: type,
  message,
  lastTransitionTime: time
})
const archives = condition("ContinuousArchiving", "True", "Continuous archiving is working")

/** The Cluster as the restore made it, with what the operator says of it. */
const orders = (status: Tree = {}, { metadata = {}, spec = {} }: { metadata?: Tree; spec?: Tree } = {}) => ({
  ...cluster(
    {
      instances: 3,
      bootstrap: { recovery: { source: "clusterBackup", recoveryTarget: { backupID: "20261119T020003" } } },
      externalClusters: [
        { name: "clusterBackup", plugin: archiver({ barmanObjectName: "old-store", serverName: "orders-v1" }) }
      ],
      plugins: [archiver({ barmanObjectName: "orders-store", serverName: destination })],
      ...spec
    },
    { creationTimestamp: "2026-11-19T09:30:01Z", ...metadata }
  ),
  status
})

/** The operator has begun with the first instance. */
const begun = {
  phase: "Setting up primary",
  phaseReason: "Creating primary instance orders-1",
  targetPrimary: "orders-1",
  targetPrimaryTimestamp: "2026-11-19T09:30:04.000000Z"
}
const primary = { ...begun, currentPrimary: "orders-1", currentPrimaryTimestamp: "2026-11-19T09:40:00.000000Z" }
const up = { ...primary, phase: healthy, phaseReason: "", readyInstances: 3, conditions: [archives] }

const job = (status: Tree, name = "orders-1-full-recovery"): KubernetesObject => ({
  apiVersion: "batch/v1",
  kind: "Job",
  metadata: {
    name,
    namespace: "shop",
    labels: { "cnpg.io/cluster": "orders" },
    creationTimestamp: "2026-11-19T09:30:04Z"
  },
  status: { startTime: "2026-11-19T09:30:04Z", ...status }
})

const pod = (status: Tree, name = "orders-1-full-recovery-x"): KubernetesObject => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: {
    name,
    namespace: "shop",
    labels: { "cnpg.io/cluster": "orders" },
    creationTimestamp: "2026-11-19T09:30:05Z"
  },
  status
})

const store = (name: string): KubernetesObject => ({
  apiVersion: "barmancloud.cnpg.io/v1",
  kind: "ObjectStore",
  metadata: { name, namespace: "shop" }
})
const stores = [store("old-store"), store("orders-store")]

/** Asks as a new process of Velero's would, so long after the beginning. */
const after = (
  duration: Duration.Input,
  objects: ReadonlyArray<KubernetesObject>,
  { id = idOf(), refuse }: { readonly id?: string; readonly refuse?: Refuse } = {}
) =>
  Effect.gen(function* () {
    const now = DateTime.addDuration(started, duration)
    yield* itIs(DateTime.formatIso(now))
    const world = makeWorld(objects, refuse)
    const progress = yield* Effect.provide(operations.progress({ plugin: "p", operationId: id, restore }), world.layer)
    // Without them Velero's server would show 1970, or crash.
    assert.deepStrictEqual(progress.started, started)
    assert.strictEqual(DateTime.formatIso(progress.updated ?? started), DateTime.formatIso(now))
    return { ...progress, calls: callsOf(world) }
  })

const theCluster = "get clusters.postgresql.cnpg.io shop/orders"
const theJobs = "list jobs.batch shop"
const thePods = "list pods shop"

type Seen = Effect.Success<ReturnType<typeof after>>

const assertWaiting = ({ completed, description, error }: Seen, says: string) => {
  assert.strictEqual(description, says)
  assert.isUndefined(error)
  assert.isFalse(completed)
}

const assertFailed = ({ completed, description, error }: Seen, says: string) => {
  assert.strictEqual(error, says)
  assert.strictEqual(description, says)
  assert.isTrue(completed)
}

const assertUp = ({ calls, completed, description, error }: Seen, says: string) => {
  assert.isUndefined(error)
  assert.strictEqual(description, says)
  assert.isTrue(completed)
  assert.deepStrictEqual(calls, [theCluster])
}

const fromBackup = "recovering from backup 20261119T020003 of server name orders-v1"

describe("a Cluster that comes up", () => {
  it.effect("is waited for until the operator begins; its ObjectStores are looked for", () =>
    Effect.gen(function* () {
      const seen = yield* after("10 seconds", [orders(), ...stores])
      assertWaiting(seen, `${fromBackup}: the operator has not begun`)
      assert.deepStrictEqual(seen.calls, [
        theCluster,
        "get objectstores.barmancloud.cnpg.io shop/old-store",
        "get objectstores.barmancloud.cnpg.io shop/orders-store"
      ])
      assert.deepInclude(seen, { done: 0n, total: 3n, units: "instances" })
    })
  )

  it.effect.each([
    [{}, "waits for its Pod"],
    [{ active: 1, ready: 1 }, "runs"],
    [{ active: 1, ready: 1, failed: 1 }, "runs, 1 attempt has failed"],
    [{ active: 1, ready: 0, failed: 2 }, "waits for its Pod, 2 attempts have failed"]
  ] as const)("tells of its recovery Job: %j", ([status, words]) =>
    Effect.gen(function* () {
      const seen = yield* after("1 minute", [orders(begun), job(status)])
      assertWaiting(seen, `${fromBackup}: Job orders-1-full-recovery ${words}`)
      assert.deepStrictEqual(seen.calls, [theCluster, theJobs])
    })
  )

  it.effect.each([
    [
      { bootstrap: { recovery: { source: "clusterBackup" } } },
      "recovering from the newest backup of server name orders-v1"
    ],
    [
      {
        bootstrap: {
          recovery: { recoveryTarget: { backupID: "20261119T020003", targetTime: "2026-11-19 09:00:00+00" } }
        }
      },
      `${fromBackup}, targetTime 2026-11-19 09:00:00+00`
    ],
    [
      {
        plugins: null,
        backup: { barmanObjectStore: { serverName: destination } },
        externalClusters: [{ name: "clusterBackup", barmanObjectStore: { serverName: "orders-v1" } }]
      },
      fromBackup
    ]
  ] as const)("tells what it recovers from: %j", ([spec, words]) =>
    Effect.gen(function* () {
      const seen = yield* after("1 minute", [orders(begun, { spec }), job({ ready: 1 })])
      assertWaiting(seen, `${words}: Job orders-1-full-recovery runs`)
    })
  )

  it.effect("is not said to recover where it starts on its volumes", () =>
    Effect.gen(function* () {
      const id = idOf({ from: "volumes" })
      const spec = { bootstrap: { initdb: { database: "orders" } } }
      const seen = yield* after("1 minute", [orders({ ...begun, phase: becoming, phaseReason: "" }, { spec })], { id })
      assertWaiting(seen, `starting on its volumes: ${becoming}`)
    })
  )

  it.effect("tells of its instances, and of the Job that makes the next one", () =>
    Effect.gen(function* () {
      const objects = [orders({ ...primary, phase: becoming, phaseReason: "Some\n  are not.", readyInstances: 1 })]
      const seen = yield* after("11 minutes", objects)
      assertWaiting(seen, `1 of 3 instances ready; ${becoming}: Some are not.`)
      assert.deepInclude(seen, { done: 1n, total: 3n, units: "instances" })
      const done = job({ conditions: [condition("Complete", "True")] })
      const joining = job({ ready: 1 }, "orders-2-join")
      assertWaiting(
        yield* after("11 minutes", [...objects, done, joining]),
        "1 of 3 instances ready; Job orders-2-join runs"
      )
    })
  )

  it.effect("has to archive, too", () =>
    Effect.gen(function* () {
      assertWaiting(
        yield* after("11 minutes", [orders({ ...up, conditions: [condition("Ready", "True")] })]),
        `3 of 3 instances ready; waiting for the first WAL under ${destination}`
      )
      const failing = condition("ContinuousArchiving", "False", "Expected empty archive")
      assertWaiting(
        yield* after("11 minutes", [orders({ ...up, conditions: [failing] })]),
        `3 of 3 instances ready; archiving under ${destination} fails: Expected empty archive`
      )
    })
  )

  it.effect("is up with all of it, which takes one request", () =>
    Effect.gen(function* () {
      const seen = yield* after("2 hours", [orders(up)])
      assertUp(seen, `3 of 3 instances ready, archives under ${destination}`)
      assert.deepInclude(seen, { done: 3n, total: 3n })
    })
  )

  it.effect.each([
    ["a replica, whose source may be silent", { spec: { replica: { enabled: true, source: "x" } } }],
    ["one that is told not to archive", { metadata: { annotations: { "cnpg.io/skipWalArchiving": "enabled" } } }]
  ] as const)("is up without WAL: %s", ([, changes]) =>
    Effect.gen(function* () {
      assertUp(yield* after("1 hour", [orders({ ...up, conditions: [] }, changes)]), "3 of 3 instances ready")
    })
  )

  it.effect("has been up when it is hibernated", () =>
    Effect.gen(function* () {
      const conditions = [archives, condition("cnpg.io/hibernation", "True")]
      assertUp(
        yield* after("1 hour", [orders({ ...up, readyInstances: 0, conditions })]),
        "has been healthy, and is hibernated now"
      )
    })
  )

  it.effect.each(["Creating a new replica", "Upgrading cluster", "Switchover in progress", ""])(
    "is not up in phase %j, with all instances ready",
    (phase) =>
      Effect.gen(function* () {
        assert.isFalse((yield* after("11 minutes", [orders({ ...up, phase })])).completed)
      })
  )
})

describe("a Cluster that cannot come up", () => {
  it.effect.each([unrecoverable, "Invalid cluster definition"])(
    "fails at once in phase %j, in the operator's words",
    (phase) =>
      Effect.gen(function* () {
        const phaseReason = "Instance creation failed for the following jobs: orders-1-full-recovery."
        const seen = yield* after("5 seconds", [orders({ ...begun, phase, phaseReason })])
        assertFailed(seen, `Cluster shop/orders: the operator says: ${phase}: ${phaseReason}`)
        assert.deepStrictEqual(seen.calls, [theCluster])
      })
  )

  it.effect("fails at once when its recovery Job has failed, whatever the operator says", () =>
    Effect.gen(function* () {
      const failed = condition("Failed", "True", "Job has reached the specified backoff limit")
      assertFailed(
        yield* after("5 seconds", [orders(begun), job({ failed: 7, conditions: [failed] })]),
        "Cluster shop/orders: Job orders-1-full-recovery failed: Job has reached the specified backoff limit. Its log may tell why: kubectl logs -n shop job/orders-1-full-recovery --all-containers"
      )
    })
  )

  const unknownPlugin = {
    phase: "Cluster cannot proceed to reconciliation due to an unknown plugin being required",
    phaseReason: "Unknown plugin: 'x'"
  }

  it.effect.each([
    ["an unknown plugin", orders(unknownPlugin), `the operator says: ${unknownPlugin.phase}: Unknown plugin: 'x'`],
    [
      "objects that it cannot make",
      orders({ phase: "Unable to create required cluster objects", phaseReason: "refusing to reconcile service" }),
      "the operator says: Unable to create required cluster objects: refusing to reconcile service"
    ],
    [
      "its own pause",
      orders({}, { metadata: { annotations: { "cnpg.io/reconciliationLoop": "disabled" } } }),
      "its annotation cnpg.io/reconciliationLoop tells the operator to leave it alone"
    ]
  ] as const)("has a minute to be cured of %s", ([, object, problem]) =>
    Effect.gen(function* () {
      assertWaiting(yield* after("59 seconds", [object, ...stores]), problem)
      assertFailed(yield* after("60 seconds", [object, ...stores]), `Cluster shop/orders: ${problem}`)
    })
  )

  it.effect("names the ObjectStores that are not there", () =>
    Effect.gen(function* () {
      const problem = "there is no ObjectStore old-store, orders-store in its namespace"
      assertWaiting(yield* after("59 seconds", [orders()]), problem)
      assertFailed(yield* after("60 seconds", [orders()]), `Cluster shop/orders: ${problem}`)
      assertFailed(
        yield* after("60 seconds", [orders(), store("old-store")]),
        "Cluster shop/orders: there is no ObjectStore orders-store in its namespace"
      )
    })
  )

  it.effect("is not given up for a plugin's trouble once its recovery was begun", () =>
    Effect.gen(function* () {
      assertWaiting(
        yield* after("20 minutes", [orders({ ...begun, ...unknownPlugin }), job({ ready: 1 })]),
        `${fromBackup}: Job orders-1-full-recovery runs`
      )
    })
  )
})

describe("a Cluster on which nothing happens", () => {
  const nothing = "Cluster shop/orders: nothing has happened for 30m (velero-cnpg/wait-for-recovery); last seen:"

  it.effect("is given up after the limit, with what was seen last", () =>
    Effect.gen(function* () {
      const objects = [orders(), ...stores]
      // The Cluster was created a second after the operation.
      assertWaiting(yield* after("30 minutes", objects), `${fromBackup}: the operator has not begun`)
      assertFailed(yield* after("1801 seconds", objects), `${nothing} ${fromBackup}: the operator has not begun`)
    })
  )

  it.effect("is waited for while a Pod of a Job runs, or one that failed is made again", () =>
    Effect.gen(function* () {
      for (const status of [{ ready: 1 }, { failed: 1 }]) {
        assert.isFalse((yield* after("10 hours", [orders(begun), job(status)])).completed)
      }
      const over = job({ ready: 1, conditions: [condition("Complete", "True")] })
      assert.isTrue((yield* after("10 hours", [orders(begun), over])).completed)
    })
  )

  it.effect.each([
    ["a new primary", orders(primary), []],
    ["a condition", orders({ ...begun, conditions: [condition("Ready", "False", "", "2026-11-19T09:40:00Z")] }), []],
    ["a Job", orders(begun), [job({ completionTime: "2026-11-19T09:40:00Z" })]],
    [
      "a Pod's condition",
      orders(begun),
      [pod({ conditions: [condition("Ready", "False", "", "2026-11-19T09:40:00Z")] })]
    ],
    [
      "a container that starts",
      orders(begun),
      [pod({ containerStatuses: [{ name: "a", state: { running: { startedAt: "2026-11-19T09:40:00Z" } } }] })]
    ]
  ] as const)("has another half an hour after each event: %s", ([, object, around]) =>
    Effect.gen(function* () {
      assert.isFalse((yield* after("2399 seconds", [object, ...around])).completed)
      assert.isTrue((yield* after("40 minutes", [object, ...around])).completed)
    })
  )

  it.effect("does not get longer by a clock that is ahead", () =>
    Effect.gen(function* () {
      const metadata = { creationTimestamp: "2027-11-19T09:30:01Z" }
      assert.isTrue((yield* after("30 minutes", [orders({}, { metadata }), ...stores])).completed)
    })
  )

  it.effect.each([
    [
      { phase: "Pending", conditions: [condition("PodScheduled", "False", "0/3 nodes are available: no volumes.")] },
      "Pod orders-1-full-recovery-x is not scheduled: 0/3 nodes are available: no volumes."
    ],
    [
      {
        phase: "Pending",
        initContainerStatuses: [
          { name: "bootstrap", state: { waiting: { reason: "ImagePullBackOff", message: "no such\nimage" } } }
        ],
        containerStatuses: [{ name: "full-recovery", state: { waiting: { reason: "PodInitializing" } } }]
      },
      "Pod orders-1-full-recovery-x, container bootstrap: ImagePullBackOff no such image"
    ],
    [
      {
        phase: "Pending",
        initContainerStatuses: [{ name: "bootstrap", state: { running: { startedAt: "2026-11-19T09:30:09Z" } } }],
        containerStatuses: [{ name: "full-recovery", state: { waiting: { reason: "PodInitializing" } } }]
      },
      "Pod orders-1-full-recovery-x is Pending"
    ]
  ] as const)("tells why its Pod does not run, before it is given up: %j", ([status, problem]) =>
    Effect.gen(function* () {
      const seen = yield* after("2 hours", [orders(begun), job({ active: 1 }), pod(status)])
      assertFailed(seen, `${nothing} ${fromBackup}: Job orders-1-full-recovery waits for its Pod; ${problem}`)
      assert.deepStrictEqual(seen.calls, [theCluster, theJobs, thePods])
    })
  )
})

describe("a Cluster that is not what was restored", () => {
  it.effect("fails where it is not there", () =>
    Effect.gen(function* () {
      const seen = yield* after("5 seconds", [])
      assertFailed(
        seen,
        "Cluster shop/orders is not there: Velero could not create it (the restore's errors and warnings say why), or somebody has deleted it"
      )
      assert.deepStrictEqual(seen.calls, [theCluster])
    })
  )

  it.effect.each([
    [
      "is being deleted",
      orders(up, { metadata: { deletionTimestamp: "2026-11-19T09:31:00Z" } }),
      "it is being deleted"
    ],
    [
      "has another server name",
      orders(up, { spec: { plugins: [archiver({ barmanObjectName: "orders-store", serverName: "orders-v1" })] } }),
      `it archives under orders-v1 instead of ${destination}: somebody has replaced or changed it`
    ],
    [
      "does not archive",
      orders(up, { spec: { plugins: null } }),
      "it does not archive any more: somebody has replaced or changed it"
    ]
  ] as const)("fails where it %s, as healthy as it may be", ([, object, problem]) =>
    Effect.gen(function* () {
      assertFailed(yield* after("5 seconds", [object]), `Cluster shop/orders: ${problem}`)
    })
  )

  it.effect("fails where it is no Cluster at all", () =>
    Effect.gen(function* () {
      const seen = yield* after("5 seconds", [{ ...orders(), status: { phase: 1 } }])
      assert.match(seen.error ?? "", /cannot be read/)
    })
  )
})

describe("an API server", () => {
  it.effect.each(["1 minute", "3 hours"] as const)("that cannot be reached after %s is asked again", (time) =>
    Effect.gen(function* () {
      const seen = yield* after(time, [orders(up)], { refuse: refusal.unavailable() })
      assert.isFalse(seen.completed)
      assert.isUndefined(seen.error)
      assert.match(seen.description ?? "", /^Cluster shop\/orders cannot be looked at: .*cannot be reached/)
    })
  )

  it.effect("that forbids to look ends the operation, with the right that is missing", () =>
    Effect.gen(function* () {
      const world = makeWorld([orders(up)], refusal.forbidden("get", "clusters.postgresql.cnpg.io"))
      const error = yield* Effect.flip(
        Effect.provide(operations.progress({ plugin: "p", operationId: idOf(), restore }), world.layer)
      )
      assert.match(error.message, /Grant the verb get on clusters.postgresql.cnpg.io/)
    })
  )

  it.effect.each([
    ["jobs.batch", begun, "Setting up primary: Creating primary instance orders-1"],
    ["objectstores.barmancloud.cnpg.io", {}, "the operator has not begun"]
  ] as const)("that forbids to look at %s leaves the Cluster's own words", ([resource, status, words]) =>
    Effect.gen(function* () {
      for (const refuse of [refusal.forbidden(undefined, resource), refusal.unavailable(undefined, resource)]) {
        assertWaiting(
          yield* after("2 minutes", [orders(status), job({ ready: 1 })], { refuse }),
          `${fromBackup}: ${words}`
        )
      }
    })
  )

  it.effect("that refuses to show Pods does not keep the limit from ending", () =>
    Effect.gen(function* () {
      const refuse: Refuse = ({ resource, verb }) =>
        resource === "pods" ? new Rejected({ verb, what: resource, status: 400, detail: "no" }) : undefined
      const seen = yield* after("2 hours", [orders(begun), job({})], { refuse })
      assert.match(seen.error ?? "", /Job orders-1-full-recovery waits for its Pod$/)
    })
  )
})

describe("an operation that Velero gives up", () => {
  it.effect("leaves the Cluster alone, and says so", () =>
    Effect.gen(function* () {
      const world = makeWorld([orders(begun)])
      const { lines } = yield* Actions.run(
        Effect.provide(operations.cancel({ plugin: "p", operationId: idOf(), restore }), world.layer)
      )
      assert.deepStrictEqual(world.calls, [])
      assert.deepStrictEqual(lines, [
        ["info", "Cluster shop/orders is not waited for any longer; nothing is done to it"]
      ])
    })
  )

  it.effect("is none of ours by its id", () =>
    Effect.gen(function* () {
      for (const ask of [operations.progress, operations.cancel]) {
        const error = yield* Effect.flip(
          Effect.provide(
            Effect.asVoid(ask({ plugin: "p", operationId: "x", restore }) as ReturnType<typeof operations.cancel>),
            makeWorld([]).layer
          )
        )
        assert.strictEqual(error.message, "operation ID x is invalid")
      }
    })
  )
})
