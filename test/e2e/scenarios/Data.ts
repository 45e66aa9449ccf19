/**
 * Rows, not only decisions: a database is filled, archived, lost with its namespace, and read again.
 *
 * **Real**: PostgreSQL, its WAL archiving and its recovery; Barman's commands; the S3 server with the archives; Cluster, ObjectStore,
 * Secret, CNPG Backup and the recovery Job on the API server, with the operator, the Barman Cloud plugin and Velero behind them.
 *
 * **Stands in**: no kubelet starts a pod. So the first life's PostgreSQL is started here, with what its Cluster says of the archive,
 * and the status of its CNPG Backup is written here, with the id that Barman gave. The recovery Job's pod is `recover`: it takes the
 * Cluster's name from the Job, and everything else from that Cluster, its ObjectStore and Secret, as `manager instance restore` does.
 * Nothing that the scenario knew before the restore goes into it.
 */
import * as Crypto from "node:crypto"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import { archived, createBackup, createCluster, createNamespace } from "../Cluster.ts"
import type { Archive, Instance } from "../Database.ts"
import * as Database from "../Database.ts"
import * as Namespace from "../Namespace.ts"
import type { ClusterSpec, Job, Saved } from "../Objects.ts"
import * as Objects from "../Objects.ts"
import * as Recovery from "../Recovery.ts"
import type { Scenario } from "../Scenario.ts"
import { archiveBucket } from "../servers/ObjectStore.ts"
import { Stand } from "../Stand.ts"
import * as Velero from "../Velero.ts"
import * as Verify from "../Verify.ts"
import * as Shop from "./Shop.ts"

const place = { namespace: "data", name: Shop.cluster }
const serverName = "orders-v1"

/** `archive's server name/file` and SHA-256 of every object in the archives. */
const archivedObjects = Effect.gen(function* () {
  const s3 = yield* (yield* Stand).s3
  const folder = Path.join(s3.folder(archiveBucket), "postgres")
  const files = Fs.readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  return new Map(
    files.map((entry) => {
      const path = Path.join(entry.parentPath, entry.name)
      return [Path.relative(folder, path), Crypto.hash("sha256", Fs.readFileSync(path), "hex")]
    })
  )
})

const archiverOf = ({ plugins }: ClusterSpec) => plugins?.find(({ isWALArchiver }) => isWALArchiver)?.parameters

const insert = (instance: Instance, phase: string, count: number) =>
  Database.query(
    instance,
    `insert into lines (phase, content) select '${phase}', md5(i::text) from generate_series(1, ${count}) i`,
    Shop.cluster
  )

/** How many rows there are of each phase, and a digest of all. */
const rows = (instance: Instance, database: string) =>
  Effect.map(
    Database.query(
      instance,
      `select (select string_agg(n || ' ' || phase, ', ' order by phase) from (select phase, count(*) n from lines group by phase) s),
              (select md5(string_agg(id || phase || content, ',' order by id)) from lines)`,
      database
    ),
    (line) => {
      const [phases = "", digest = ""] = line.split("|")
      return { phases, digest }
    }
  )

/** The first life, from its first row to its last; it ends in the middle of it. Yields what was there, and Barman's backup ids. */
const live = Effect.fnUntraced(function* (
  archive: Archive,
  { database = "", owner = "" }: Objects.ApplicationDatabase
) {
  const directory = yield* Database.makeDirectory("postgres-first")
  yield* Database.initialise(directory)
  const instance: Instance = {
    name: "postgres-first",
    directory,
    credentials: archive.credentials,
    settings: { archive_command: yield* Database.archiveCommand(archive) }
  }
  yield* Database.start(instance)
  yield* Database.query(instance, `create role ${owner}`)
  yield* Database.query(instance, `create database ${database} owner ${owner}`)
  yield* Database.query(
    instance,
    "create table lines (id bigint generated always as identity primary key, phase text, content text)",
    database
  )
  yield* insert(instance, "before the base backup", 1000)
  const backups = yield* Database.backUp(instance, archive)
  yield* insert(instance, "in WAL only", 500)
  yield* Database.switchWal(instance)
  return { backups, written: yield* rows(instance, database) }
}, Effect.scoped)

/** What the pod of a recovery Job is to do: read from the Job, and from what it leads to. */
const orderOf = Effect.fnUntraced(function* ({ spec }: Saved<Job>) {
  const { api } = yield* Stand
  const env = spec.template.spec.containers[0]?.env ?? []
  const variable = (wanted: string) => env.find(({ name }) => name === wanted)?.value ?? ""
  const namespace = variable("NAMESPACE")
  const cluster = yield* api.get(Objects.clusters, namespace, variable("CLUSTER_NAME"))
  const recovery = cluster.spec.bootstrap?.recovery
  const external = cluster.spec.externalClusters?.find(({ name }) => name === recovery?.source)
  return {
    application: { database: recovery?.database ?? "", owner: recovery?.owner ?? "" },
    backupId: recovery?.recoveryTarget?.backupID ?? "",
    source: yield* Database.archiveOf({ namespace }, external?.plugin?.parameters),
    destination: yield* Database.archiveOf({ namespace }, archiverOf(cluster.spec))
  }
})

/** The second life, as far as its first archived WAL segment. Yields what it found, and that segment. */
const recover = Effect.fnUntraced(function* ({
  application: { database },
  backupId,
  destination,
  source
}: Effect.Success<ReturnType<typeof orderOf>>) {
  yield* Database.checkEmpty(destination)
  const directory = yield* Database.makeDirectory("postgres-second")
  yield* Database.restore(directory, source, backupId)
  const instance: Instance = {
    name: "postgres-second",
    directory,
    credentials: destination.credentials,
    settings: {
      restore_command: yield* Database.restoreCommand(source),
      recovery_target_action: "promote",
      archive_command: yield* Database.archiveCommand(destination)
    }
  }
  yield* Database.start(instance)
  const found = yield* rows(instance, database)
  const owner = yield* Database.query(
    instance,
    `select pg_get_userbyid(datdba) from pg_database where datname = '${database}'`
  )
  yield* insert(instance, "in the second life", 100)
  return { found, owner, segment: yield* Database.switchWal(instance) }
}, Effect.scoped)

export const data: Scenario = {
  name: "data",
  expected:
    "every row is back, also those that only WAL had; new WAL goes under the new name; the old archive stays as it was",
  needs: Database.components,
  run: Effect.gen(function* () {
    yield* createNamespace(place.namespace)
    const cluster = yield* createCluster(place, archived(place.name, serverName))
    const archive = yield* Database.archiveOf(place, archiverOf(cluster.spec))
    const { backups, written } = yield* live(archive, cluster.spec.bootstrap?.initdb ?? {})
    const [backupId = ""] = backups
    yield* createBackup(cluster, { name: "orders-newest", backupId })
    const backup = yield* Velero.backUp([place.namespace])
    yield* Verify.equal("the Velero backup", Velero.outcome(backup), "Completed")
    yield* Namespace.remove(place.namespace)
    const before = yield* archivedObjects

    const restore = yield* Velero.restore(backup)
    yield* Verify.equal("the Velero restore", Velero.outcome(restore), "Completed")
    const order = yield* orderOf(yield* Recovery.recoveryJob(place))
    const { found, owner, segment } = yield* recover(order)
    yield* Verify.equal("what the database holds", found, written)
    yield* Verify.equal("the application database's owner", owner, order.application.owner)
    // The pod has done its work; the operator goes on.
    const destination = yield* Recovery.verify(place, Shop.sourceOf(place.name, serverName, backupId))

    const after = yield* archivedObjects
    const changed = Namespace.differences(before, after)
    yield* Verify.that(
      "the old archive has objects",
      [...before.keys()].some((key) => key.startsWith(`${serverName}/`))
    )
    yield* Verify.equal(
      "the objects that changed or came, other than WAL of the new server name",
      changed.filter((key) => !key.startsWith(`${destination}/wals/`)),
      []
    )
    yield* Verify.that(
      `the new archive has segment ${segment}`,
      changed.some((key) => key.startsWith(`${destination}/wals/`) && Path.basename(key) === segment),
      changed.join(", ")
    )
    return `${found.phases}, from ${serverName} and backup ${backupId}; ${changed.length} new objects under ${destination}, ${before.size} old ones unchanged`
  })
}
