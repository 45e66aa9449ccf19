/**
 * Where a recovery ends, in rows: a database is filled in phases, with base backups and a Velero backup between them, and recovered
 * to each kind of target. What is real and what stands in: as in `data-in-pod`, so the operator's own programs choose the base
 * backup, write PostgreSQL's settings and run the recovery. What they are told stands in the Cluster that Velero has restored.
 */
import * as Effect from "effect/Effect"
import { archived, createBackup, createCluster, createNamespace, storeName } from "../Cluster.ts"
import type { Instance } from "../Database.ts"
import * as Database from "../Database.ts"
import * as Namespace from "../Namespace.ts"
import type { RecoveryTarget, Saved, VeleroBackup } from "../Objects.ts"
import * as Objects from "../Objects.ts"
import * as Recovery from "../Recovery.ts"
import type { Scenario } from "../Scenario.ts"
import { Stand } from "../Stand.ts"
import * as Velero from "../Velero.ts"
import * as Verify from "../Verify.ts"
import * as Data from "./Data.ts"
import * as Shop from "./Shop.ts"

const annotation = "velero-cnpg/recovery-target"

/** By the clock that commits are stamped with; RFC 3339, microseconds. */
const timeIn = (instance: Instance) =>
  Database.query(instance, `select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`)

/** Rows of a phase; yields the id of the transaction that wrote them. */
const insert = (instance: Instance, phase: string) =>
  Database.query(
    instance,
    `insert into lines (phase, content) values ('${phase}', md5('${phase}')); select pg_current_xact_id()`,
    Shop.cluster
  )

/** The phases that rows are of, in their order. */
const phasesIn = (instance: Instance) =>
  Effect.map(Database.query(instance, "select string_agg(phase, ' ' order by id) from lines", Shop.cluster), (line) =>
    line.split(" ")
  )

/** Restores into a namespace of its own; yields the namespace, and what the Cluster there is told. */
const restoreTo = Effect.fnUntraced(function* (backup: Saved<VeleroBackup>, from: string, to: string, target: string) {
  const { api } = yield* Stand
  const restore = yield* Velero.restoreAnnotated(backup, { [annotation]: target }, { [from]: to })
  yield* Verify.equal(`the Velero restore to ${target}`, Velero.outcome(restore), "Completed")
  const { spec } = yield* api.get(Objects.clusters, to, Shop.cluster)
  return spec.bootstrap?.recovery?.recoveryTarget
})

/** Does the work of the recovery Job in a namespace; yields the phases that the database then has. */
const recover = Effect.fnUntraced(function* (namespace: string) {
  const job = yield* Recovery.recoveryJob({ namespace, name: Shop.cluster })
  const order = yield* Data.orderOf(job)
  const recovered = yield* Data.inPod(job, order)
  const instance: Instance = {
    ...recovered,
    name: `${namespace}-recovered`,
    credentials: {},
    settings: { ...recovered.settings, archive_command: "/bin/true" }
  }
  yield* Database.start(instance)
  return yield* phasesIn(instance)
}, Effect.scoped)

/** A target, what the operator is to be told, and the last phase whose rows are to be there. */
interface Case {
  readonly target: string
  readonly told: RecoveryTarget
  readonly last: string
}

const place = { namespace: "targets", name: Shop.cluster }
const serverName = "targets-v1"

export const recoveryTargets: Scenario = {
  name: "recovery-targets",
  expected: "each target gives exactly the rows that it should; one that cannot be reached fails as documented",
  needs: Database.components,
  run: Effect.gen(function* () {
    const { api, velero } = yield* Stand
    yield* createNamespace(place.namespace)
    const cluster = yield* createCluster(place, {
      ...archived(place.name, serverName),
      imageName: `ghcr.io/cloudnative-pg/postgresql:${yield* Database.version}`
    })
    const archive = yield* Database.archiveOf(place, Data.archiverOf(cluster.spec))

    const life = yield* Effect.scoped(
      Effect.gen(function* () {
        const instance = yield* Data.create("targets-first-life", archive, cluster.spec.bootstrap?.initdb ?? {})
        yield* insert(instance, "base")
        const base = yield* Database.makeBackup(instance, archive)
        yield* createBackup(cluster, { name: "orders-newest", backupId: base.id, stoppedAt: base.endedAt })
        // Its sidecar would do so.
        yield* api.patch(
          Objects.objectStores,
          place.namespace,
          storeName,
          { status: { serverRecoveryWindow: { [serverName]: { firstRecoverabilityPoint: base.endedAt } } } },
          "status"
        )
        yield* insert(instance, "name")
        yield* Database.query(instance, "select pg_create_restore_point('before the migration')")
        const xid = yield* insert(instance, "xid")
        yield* insert(instance, "lsn")
        const lsn = yield* Database.query(instance, "select pg_current_wal_lsn()")
        yield* insert(instance, "time")
        const time = yield* timeIn(instance)
        yield* insert(instance, "velero")
        const backup = yield* Velero.backUp([place.namespace])
        yield* Verify.equal("the Velero backup", Velero.outcome(backup), "Completed")
        yield* insert(instance, "later")
        const second = yield* Database.makeBackup(instance, archive)
        yield* insert(instance, "second")
        const late = yield* timeIn(instance)
        yield* insert(instance, "latest")
        const never = yield* timeIn(instance)
        yield* Database.switchWal(instance)
        return { backup, base, late, lsn, never, phases: yield* phasesIn(instance), second, time, xid }
      })
    )
    const { backup, base, late, lsn, never, phases, second, time, xid } = life
    const stored = (yield* Velero.download(backup)).find(Objects.clusters, place.name, place.namespace)
    const storedAt = stored?.metadata.annotations?.["velero-cnpg/stored-at"] ?? ""
    // Only what the backup recorded is left.
    yield* Namespace.remove(place.namespace)

    const backupID = base.id
    const cases: ReadonlyArray<Case> = [
      { target: "latest", told: { backupID }, last: "latest" },
      { target: "backup", told: { backupID, targetImmediate: true }, last: "base" },
      { target: "velero-backup", told: { backupID, targetTime: storedAt }, last: "velero" },
      { target: `${time} timeline:1`, told: { targetTime: time, targetTLI: "1" }, last: "time" },
      { target: late, told: { targetTime: late }, last: "second" },
      { target: `lsn:${lsn}`, told: { targetLSN: lsn }, last: "lsn" },
      { target: `xid:${xid}`, told: { backupID, targetXID: xid }, last: "xid" },
      {
        target: "name:before the migration timeline:latest",
        told: { backupID, targetName: "before the migration", targetTLI: "latest" },
        last: "name"
      }
    ]
    for (const [index, { last, target, told }] of cases.entries()) {
      const namespace = `${place.namespace}-${index}`
      const seen = yield* restoreTo(backup, place.namespace, namespace, target)
      yield* Verify.equal(`what the operator is told of ${target}`, seen, told)
      const found = yield* Verify.attempt(recover(namespace))
      yield* Verify.equal(`the rows of ${target}`, found, phases.slice(0, phases.indexOf(last) + 1))
      yield* Namespace.remove(namespace)
    }

    // Reached by no transaction; an LSN that the first base backup does not end before.
    const unreachable = [
      [never, "recovery ended before configured recovery target was reached"],
      [`lsn:${base.endLsn}`, "no target backup found"]
    ] as const
    for (const [index, [target, reason]] of unreachable.entries()) {
      const namespace = `${place.namespace}-never-${index}`
      yield* restoreTo(backup, place.namespace, namespace, target)
      const failure = yield* Effect.map(Effect.flip(recover(namespace)), ({ message }) => message).pipe(
        Effect.orElseSucceed(() => "it recovers")
      )
      yield* Verify.that(`the recovery to ${target} fails: ${reason}`, failure.includes(reason), failure)
      yield* Namespace.remove(namespace)
    }

    const early = "2026-01-01T00:00:00Z"
    const refused = yield* Velero.restoreAnnotated(backup, { [annotation]: early })
    yield* Verify.equal("the Velero restore to a time before the window", refused.status?.phase, "PartiallyFailed")
    const log = yield* velero("restore", "logs", refused.metadata.name)
    yield* Verify.that("its log names the window", log.includes(`${serverName} begins at ${base.endedAt}`), log)
    const none = yield* api.find(Objects.clusters, place.namespace, place.name)
    yield* Verify.that("there is no Cluster", none === undefined)

    return `${cases.length} targets, rows to the phase: ${cases.map(({ last }) => last).join(", ")}; base backups ${base.id} and ${second.id}; three that cannot be reached fail`
  })
}
