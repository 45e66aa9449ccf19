/**
 * Rows, not only decisions: a database is filled, archived, lost with its namespace, and read again.
 *
 * **Real**: PostgreSQL, its WAL archiving and its recovery; Barman's commands; the S3 server with the archives; Cluster, ObjectStore,
 * Secret, CNPG Backup and the recovery Job on the API server, with the operator, the Barman Cloud plugin and Velero behind them.
 *
 * **Stands in**: no kubelet starts a pod. So the first life's PostgreSQL is started here, with what its Cluster says of the archive,
 * and the status of its CNPG Backup is written here, with the id that Barman gave. After the restore there are two ways:
 *
 * - `data-in-pod`: the recovery Job's own programs do it, CloudNativePG's `manager instance restore` with the Barman Cloud sidecar
 *   beside it, as the Job's template says and with the rights of the Cluster's service account. `Pod.ts` is their kubelet.
 * - `data`: Barman's commands do it, started here with what the Job leads to: the Cluster's name from the Job, everything else from
 *   that Cluster, its ObjectStore and Secret. It needs no rights on the machine.
 *
 * Either way nothing that the scenario knew before the restore goes into it. The instance that follows, which the operator gives
 * another pod, is PostgreSQL started here on the recovered files; it archives where the restored Cluster says.
 */
import * as Crypto from "node:crypto"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import { archived, createBackup, createCluster, createNamespace } from "../Cluster.ts"
import type { Archive, Instance } from "../Database.ts"
import * as Database from "../Database.ts"
import * as Namespace from "../Namespace.ts"
import type { ApplicationDatabase, ClusterSpec, Job, Saved, Strings } from "../Objects.ts"
import * as Objects from "../Objects.ts"
import * as Pod from "../Pod.ts"
import type { Processes } from "../Processes.ts"
import * as Recovery from "../Recovery.ts"
import type { Scenario } from "../Scenario.ts"
import { archiveBucket } from "../servers/ObjectStore.ts"
import type { StandError } from "../Stand.ts"
import { Stand } from "../Stand.ts"
import * as Velero from "../Velero.ts"
import * as Verify from "../Verify.ts"
import * as Shop from "./Shop.ts"

/** What the pod of a recovery Job is to do, and where its instance archives. */
interface Order {
  readonly application: ApplicationDatabase
  readonly backupId: string
  readonly source: Archive
  readonly destination: Archive
}

/** Files of a database, and the settings that bring it up. */
type Recovered = Pick<Instance, "directory" | "settings">

/** A way to do a recovery Job's work. */
type Way = (job: Saved<Job>, order: Order) => Effect.Effect<Recovered, StandError, Stand | Processes>

/** `server name/file` and SHA-256 of every object in the archives. */
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

export const archiverOf = ({ plugins }: ClusterSpec): Strings | undefined =>
  plugins?.find(({ isWALArchiver }) => isWALArchiver)?.parameters

export const insert = (instance: Instance, database: string, phase: string, count: number) =>
  Database.query(
    instance,
    `insert into lines (phase, content) select '${phase}', md5(i::text) from generate_series(1, ${count}) i`,
    database
  )

/** How many rows there are of each phase, and a digest of all. */
export const rowsOf = (instance: Instance, database: string) =>
  Effect.map(
    Database.query(
      instance,
      `select string_agg(n || ' ' || phase, ', ' order by phase), (select md5(string_agg(id || phase || content, ',' order by id)) from lines)
       from (select phase, count(*) n from lines group by phase) phases`,
      database
    ),
    (line) => {
      const [phases = "", digest = ""] = line.split("|")
      return { phases, digest }
    }
  )

/** A database with the application's table, which archives. */
export const create = Effect.fnUntraced(function* (
  name: string,
  archive: Archive,
  { database = "", owner = "" }: ApplicationDatabase
) {
  const directory = yield* Database.makeDirectory(name)
  yield* Database.initialise(directory)
  const instance: Instance = {
    name,
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
  return instance
})

/** The first life, up to its crash; yields the rows that it had, and the id of its base backup. */
const live = Effect.fnUntraced(function* (name: string, archive: Archive, application: ApplicationDatabase) {
  const { database = "" } = application
  const instance = yield* create(name, archive, application)
  yield* insert(instance, database, "before the base backup", 1000)
  const backupId = yield* Database.backUp(instance, archive)
  yield* insert(instance, database, "in WAL only", 500)
  yield* Database.switchWal(instance)
  return { backupId, rows: yield* rowsOf(instance, database) }
}, Effect.scoped)

/** Read from the Job, and from what it leads to. */
export const orderOf = Effect.fnUntraced(function* ({ spec }: Saved<Job>) {
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
  } satisfies Order
})

/** What the Job's programs do, in the same order; PostgreSQL recovers when it is started. */
const withBarman: Way = Effect.fnUntraced(function* ({ metadata }, { backupId, destination, source }) {
  yield* Database.checkEmpty(destination)
  const directory = yield* Database.makeDirectory(metadata.uid)
  yield* Database.restore(directory, source, backupId)
  const settings = {
    restore_command: yield* Database.restoreCommand(source),
    recovery_target_action: "promote"
  }
  return { directory, settings }
})

/** The Job's programs themselves; PostgreSQL has recovered when they end. */
export const inPod: Way = Effect.fnUntraced(function* (job) {
  const { home } = yield* Database.programs
  const folder = Path.join(home, job.metadata.uid)
  const volume = yield* Effect.scoped(Pod.run(job, folder))
  yield* Database.takeOver(folder)
  return { directory: volume("pgdata"), settings: {} }
})

/** The second life, as far as its first WAL segment. Yields the rows that it began with, and that segment. */
const liveOn = Effect.fnUntraced(function* (
  name: string,
  { directory, settings }: Recovered,
  { application: { database = "" }, destination }: Order
) {
  const instance: Instance = {
    name,
    directory,
    credentials: destination.credentials,
    settings: { ...settings, archive_command: yield* Database.archiveCommand(destination) }
  }
  yield* Database.start(instance)
  const rows = yield* rowsOf(instance, database)
  const owner = yield* Database.query(
    instance,
    `select pg_get_userbyid(datdba) from pg_database where datname = '${database}'`
  )
  yield* insert(instance, database, "in the second life", 100)
  return { rows, owner, segment: yield* Database.switchWal(instance) }
}, Effect.scoped)

const scenario = (name: string, expected: string, way: Way): Scenario => ({
  name,
  expected,
  needs: Database.components,
  run: Effect.gen(function* () {
    const place = { namespace: name, name: Shop.cluster }
    const serverName = `${name}-v1`
    yield* createNamespace(place.namespace)
    const cluster = yield* createCluster(place, {
      ...archived(place.name, serverName),
      imageName: `ghcr.io/cloudnative-pg/postgresql:${yield* Database.version}`
    })
    const archive = yield* Database.archiveOf(place, archiverOf(cluster.spec))
    const before = yield* live(`${name}-first-life`, archive, cluster.spec.bootstrap?.initdb ?? {})
    yield* createBackup(cluster, { name: "orders-newest", backupId: before.backupId })
    const backup = yield* Velero.backUp([place.namespace])
    yield* Verify.equal("the Velero backup", Velero.outcome(backup), "Completed")
    yield* Namespace.remove(place.namespace)
    const objects = yield* archivedObjects
    yield* Verify.that(
      "the old archive has objects",
      [...objects.keys()].some((key) => key.startsWith(`${serverName}/wals/`))
    )

    const restore = yield* Velero.restore(backup)
    yield* Verify.equal("the Velero restore", Velero.outcome(restore), "Completed")
    const job = yield* Recovery.recoveryJob(place)
    const order = yield* orderOf(job)
    const after = yield* liveOn(`${name}-second-life`, yield* way(job, order), order)
    // The pod has done its work; the operator goes on.
    const destination = yield* Recovery.verify(place, Shop.sourceOf(place.name, serverName, before.backupId))

    yield* Verify.equal("what the database holds", after.rows, before.rows)
    yield* Verify.equal("the application database's owner", after.owner, `${Shop.cluster}_owner`)
    const changed = Namespace.differences(objects, yield* archivedObjects)
    yield* Verify.equal(
      "the objects that came, went or changed, other than WAL of the new server name",
      changed.filter((key) => !key.startsWith(`${destination}/wals/`)),
      []
    )
    yield* Verify.that(
      `WAL segment ${after.segment} is archived under the new server name`,
      changed.some((key) => key.startsWith(`${destination}/wals/`) && Path.basename(key) === after.segment),
      changed.join(", ")
    )
    return `${after.rows.phases}: from ${serverName}, backup ${before.backupId}; ${changed.length} new objects under ${destination}, ${objects.size} older ones unchanged`
  })
})

export const data = scenario(
  "data",
  "every row is back, also those that only WAL had; new WAL goes under the new name; the old archive stays as it was",
  withBarman
)

export const dataInPod = scenario(
  "data-in-pod",
  "the same, when the operator's own programs do the recovery that its Job asks for",
  inPod
)
