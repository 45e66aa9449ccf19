/** A Restore waits for the recovered Cluster, says in Velero's own words how far it is, and ends as the Cluster does. */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import type { Place } from "../Cluster.ts"
import { archiver, bringUp, createNamespace, fail, timestamp } from "../Cluster.ts"
import * as Namespace from "../Namespace.ts"
import * as Objects from "../Objects.ts"
import { until, untilTrue } from "../Poll.ts"
import * as Recovery from "../Recovery.ts"
import type { Scenario } from "../Scenario.ts"
import { Stand, veleroNamespace } from "../Stand.ts"
import * as Velero from "../Velero.ts"
import * as Verify from "../Verify.ts"
import * as Shop from "./Shop.ts"

const waiting = (limit: string) => ({ "velero-cnpg/wait-for-recovery": limit })

/** Waits until Velero describes the restore so; yields what it says of the operations. */
const said = Effect.fnUntraced(function* (restore: string, words: string | RegExp) {
  const description = yield* until(
    `velero restore describe --details says ${String(words)}`,
    "60 seconds",
    Effect.flatMap(Velero.describeRestore(restore), (text) => {
      const operations = text.slice(Math.max(text.indexOf("Restore Item Operations:"), 0))
      const isSaid = typeof words === "string" ? operations.includes(words) : words.test(operations)
      return isSaid ? Effect.succeed(operations) : Effect.fail({ message: operations })
    }),
    "500 millis"
  )
  return description
})

const phaseOf = (restore: string) =>
  Stand.use(({ api }) =>
    Effect.map(api.get(Objects.veleroRestores, veleroNamespace, restore), ({ status }) => status?.phase)
  )

/** Backs the shop up, loses it, and begins to restore it. */
const lose = Effect.fnUntraced(function* (namespace: string, limit: string) {
  yield* Shop.create(namespace)
  const backup = yield* Velero.backUp([namespace])
  yield* Namespace.remove(namespace)
  return yield* Velero.beginAnnotated(backup, waiting(limit))
})

/** The operator looks away from now on, so that what instances report can be written. */
const pause = ({ name, namespace }: Place) =>
  Stand.use(({ api }) =>
    api.patch(Objects.clusters, namespace, name, {
      metadata: { annotations: { "cnpg.io/reconciliationLoop": "disabled" } }
    })
  )

const report = Effect.fnUntraced(function* (place: Place, status: object) {
  const { api } = yield* Stand
  yield* api.patch(Objects.clusters, place.namespace, place.name, { status }, "status")
})

/** The conditions that there are, and what the instance manager says of the archive. */
const archiving = Effect.fnUntraced(function* ({ name, namespace }: Place, isWorking: boolean) {
  const { api } = yield* Stand
  const { status } = yield* api.get(Objects.clusters, namespace, name)
  const others = (status?.conditions ?? []).filter(({ type }) => type !== "ContinuousArchiving")
  const condition = {
    type: "ContinuousArchiving",
    status: isWorking ? "True" : "False",
    reason: isWorking ? "ContinuousArchivingSuccess" : "ContinuousArchivingFailing",
    message: isWorking ? "Continuous archiving is working" : "unexpected failure invoking barman-cloud-wal-archive",
    lastTransitionTime: timestamp(yield* DateTime.now)
  }
  yield* report({ name, namespace }, { conditions: [...others, condition] })
})

export const comesUp: Scenario = {
  name: "wait-until-up",
  expected: "the Restore waits and tells how far the recovery is; Completed when the Cluster is up and archives",
  core: true,
  run: Effect.gen(function* () {
    const place = { namespace: "wait-up", name: Shop.cluster }
    const restore = yield* lose(place.namespace, "10m")
    yield* Recovery.recoveryJob(place)
    const destination = yield* Recovery.destinationOf(place)
    const first = yield* said(
      restore,
      `recovering from backup ${Shop.source.backupId} of server name ${Shop.source.serverName}: Job orders-1-full-recovery waits for its Pod`
    )
    yield* Verify.that(
      "the id of the operation is readable",
      first.includes(`recover wait-up/orders as ${destination} since `),
      first
    )
    yield* Verify.equal("the Restore's phase meanwhile", yield* phaseOf(restore), "WaitingForPluginOperations")
    yield* bringUp(place)
    yield* said(restore, /recovering from backup \S+ of server name orders-v1: (?!Job)/)
    yield* pause(place)
    const primary = { currentPrimary: "orders-1", currentPrimaryTimestamp: timestamp(yield* DateTime.now) }
    yield* report(place, { ...primary, readyInstances: 0, phase: "Waiting for the instances to become active" })
    yield* said(restore, "0 of 1 instances ready; Waiting for the instances to become active")
    yield* report(place, { readyInstances: 1, phase: "Cluster in healthy state", phaseReason: "" })
    const ready = yield* said(restore, `1 of 1 instances ready; waiting for the first WAL under ${destination}`)
    yield* Verify.that("Velero counts the instances", /Progress:\s+1 of 1 complete \(instances\)/.test(ready), ready)
    yield* archiving(place, false)
    yield* said(restore, `archiving under ${destination} fails: unexpected failure invoking barman-cloud-wal-archive`)
    yield* Verify.equal("the Restore's phase at last", yield* phaseOf(restore), "WaitingForPluginOperations")
    yield* archiving(place, true)
    const ended = yield* Velero.restoreEnd(restore)
    yield* Verify.equal("the Velero restore", Velero.outcome(ended), "Completed")
    const last = yield* said(restore, `1 of 1 instances ready, archives under ${destination}`)
    yield* Verify.that("the operation is completed", /Phase:\s+Completed/.test(last), last)
    return `waits through Job, instance and archive; then Completed: ${destination}`
  })
}

export const recoveryFails: Scenario = {
  name: "wait-recovery-fails",
  expected: "the recovery Job fails: the Restore ends PartiallyFailed at once, with the operator's own message",
  core: true,
  run: Effect.gen(function* () {
    const place = { namespace: "wait-fails", name: Shop.cluster }
    const restore = yield* lose(place.namespace, "10m")
    const job = yield* Recovery.recoveryJob(place)
    yield* fail(job)
    const ended = yield* Velero.restoreEnd(restore)
    yield* Verify.equal("the Velero restore", Velero.outcome(ended), "PartiallyFailed, 1 errors")
    const description = yield* said(restore, /Operation Error:.*orders-1-full-recovery/)
    return description.match(/Operation Error:\s+(.*)/)?.[1] ?? description
  })
}

export const neverBegins: Scenario = {
  name: "wait-nothing-happens",
  expected:
    "no Pod of the recovery runs: the Restore ends PartiallyFailed after its limit, and says what was last seen",
  run: Effect.gen(function* () {
    const place = { namespace: "wait-nothing", name: Shop.cluster }
    const restore = yield* lose(place.namespace, "10s")
    yield* Recovery.recoveryJob(place)
    const ended = yield* Velero.restoreEnd(restore)
    yield* Verify.equal("the Velero restore", Velero.outcome(ended), "PartiallyFailed, 1 errors")
    const description = yield* said(
      restore,
      /nothing has happened for 10s .*last seen: recovering from .*: Job orders-1-full-recovery waits for its Pod; Pod orders-1-full-recovery-\w+ is Pending/
    )
    // Nothing is undone.
    yield* Recovery.recoveryJob(place)
    return description.match(/Operation Error:\s+(.*)/)?.[1] ?? description
  })
}

/** Two namespaces of one backup, in each of which the operator cannot begin for another reason. */
export const cannotRecover: Scenario = {
  name: "wait-cannot-begin",
  expected:
    "an unknown plugin, an ObjectStore that is not there: both Clusters are followed at once, and fail by name after a minute",
  run: Effect.gen(function* () {
    const { api } = yield* Stand
    const namespaces = ["wait-plugin", "wait-store"] as const
    for (const namespace of namespaces) {
      yield* createNamespace(namespace)
      yield* Shop.createArchived({ namespace, name: Shop.cluster }, Shop.source)
    }
    yield* api.patch(Objects.clusters, namespaces[0], Shop.cluster, {
      spec: { plugins: [archiver("orders-v1"), { name: "unknown.example.com" }] }
    })
    yield* api.remove(Objects.objectStores, namespaces[1], "orders-store")
    const backup = yield* Velero.backUp(namespaces)
    for (const namespace of namespaces) yield* Namespace.remove(namespace)
    const restore = yield* Velero.beginAnnotated(backup, waiting("10m"))
    yield* said(restore, "Unknown plugin: 'unknown.example.com'")
    const ended = yield* Velero.restoreEnd(restore)
    yield* Verify.equal("the Velero restore", Velero.outcome(ended), "PartiallyFailed, 2 errors")
    const description = yield* said(
      restore,
      /Operation Error:.*wait-plugin\/orders.*Unknown plugin: 'unknown.example.com'/
    )
    yield* Verify.that(
      "it names the ObjectStore",
      /Operation Error:.*wait-store\/orders: there is no ObjectStore orders-store in its namespace/.test(description),
      description
    )
    return [...description.matchAll(/Operation Error:\s+(.*)/g)].map(([, error]) => error).join("; ")
  })
}

export const stoppedLife: Scenario = {
  name: "stopped-before",
  expected: "a Cluster that was hibernated and fenced recovers without either, and the log says so",
  core: true,
  run: Effect.gen(function* () {
    const { api, velero } = yield* Stand
    const place = { namespace: "stopped", name: Shop.cluster }
    yield* Shop.create(place.namespace)
    const annotations = { "cnpg.io/hibernation": "on", "cnpg.io/fencedInstances": '["*"]' }
    yield* api.patch(Objects.clusters, place.namespace, place.name, { metadata: { annotations } })
    const backup = yield* Velero.backUp([place.namespace])
    yield* Namespace.remove(place.namespace)
    const restore = yield* Velero.restore(backup)
    yield* Verify.equal("the Velero restore", Velero.outcome(restore), "Completed")
    yield* Recovery.verify(place, Shop.source)
    const { metadata } = yield* api.get(Objects.clusters, place.namespace, place.name)
    for (const [key, value] of Object.entries(annotations)) {
      yield* Verify.equal(`annotation ${key}`, metadata.annotations?.[key], undefined)
      const logs = yield* velero("restore", "logs", restore.metadata.name)
      const line = `its annotation ${key} ${JSON.stringify(value)} is removed`
      // Logs are printed with quotes escaped.
      yield* Verify.that(
        `the log says: ${line}`,
        logs.replaceAll("\\", "").includes(line.replaceAll("\\", "")),
        logs.slice(-3000)
      )
    }
    yield* untilTrue(
      "the operator says nothing of hibernation",
      "20 seconds",
      Effect.map(api.get(Objects.clusters, place.namespace, place.name), ({ status }) =>
        (status?.conditions ?? []).every(({ type }) => type !== "cnpg.io/hibernation")
      )
    )
    return "recovers, and is neither hibernated nor fenced"
  })
}
