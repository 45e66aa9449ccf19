/**
 * A real PostgreSQL that archives with Barman, as in an instance's pod but without the pod: Debian's server, PyPI's
 * `barman-cloud-*`, and the command lines that CloudNativePG's instance manager and its Barman Cloud plugin put together.
 *
 * It listens on a socket in its own folder, which nobody else can open.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Build from "./Build.ts"
import * as Components from "./Components.ts"
import { type Place, timestamp } from "./Cluster.ts"
import type { StoreConfiguration, Strings } from "./Objects.ts"
import * as Objects from "./Objects.ts"
import * as Packages from "./Packages.ts"
import { untilTrue } from "./Poll.ts"
import { Processes, unprivilegedUser } from "./Processes.ts"
import { Stand } from "./Stand.ts"

/** What the programs come from. */
export const components = [Components.postgresql, Components.barman]

/** A server name in a store, and what opens it. */
export interface Archive {
  readonly serverName: string
  /** `s3://bucket/path` */
  readonly destination: string
  readonly endpoint: string
  readonly credentials: Strings
}

/** A database's folder, and what it is run with. */
export interface Instance {
  /** Also the name of its log. */
  readonly name: string
  /** `pgdata` and the socket lie in it. */
  readonly directory: string
  /** Of Barman's commands that PostgreSQL runs. */
  readonly credentials: Strings
  /** In addition to `postgresql.conf`. */
  readonly settings: Strings
}

/**
 * The programs, where PostgreSQL may run them. It refuses to run as root, and whoever it runs as instead cannot reach root's cache:
 * then they are copied.
 */
export const programs = Effect.gen(function* () {
  const processes = yield* Processes
  const built = yield* Effect.forEach(components, Build.build)
  // Barman puts sockets below TMPDIR, whose paths may have 107 characters and have 102 in /tmp.
  const home = Path.join(processes.directory, "pg")
  if (!Fs.existsSync(home)) {
    Fs.mkdirSync(Path.join(home, "tmp"), { recursive: true })
    if (unprivilegedUser !== undefined) {
      for (const { component, directory } of built) {
        yield* processes.run("cp", ["--archive", directory, Path.join(home, component.name)])
      }
      yield* processes.run("chmod", ["--recursive", "a+rX", home])
      for (const path of [home, Path.join(home, "tmp")]) Fs.chownSync(path, unprivilegedUser.uid, unprivilegedUser.gid)
    }
  }
  const [postgresql = "", barman = ""] = built.map(({ component, directory }) =>
    unprivilegedUser === undefined ? directory : Path.join(home, component.name)
  )
  return {
    /** Theirs who run them. */
    home,
    /** The interpreter that Barman runs with. */
    python: Path.join(barman, "python"),
    postgres: (command: string) => Path.join(postgresql, "bin", command),
    barman: (command: string, args: ReadonlyArray<string>) => [
      Path.join(barman, "python"),
      Path.join(barman, "bin", command),
      ...args
    ],
    /** What lets them run by their names, anywhere. */
    postgresEnv: {
      PATH: `${Path.join(postgresql, "bin")}:/usr/bin:/bin`,
      LD_LIBRARY_PATH: Packages.libraryPath(postgresql)
    },
    barmanEnv: { PATH: `${Path.join(barman, "bin")}:/usr/bin:/bin`, PYTHONPATH: Path.join(barman, "packages") }
  }
})

/** The environment of everything that runs here. */
const environment = Effect.map(programs, ({ barmanEnv, home, postgresEnv }) => ({
  ...postgresEnv,
  ...barmanEnv,
  HOME: home,
  TMPDIR: Path.join(home, "tmp"),
  LC_ALL: "C.UTF-8"
}))

const run = Effect.fnUntraced(function* (words: ReadonlyArray<string>, credentials: Strings = {}) {
  const processes = yield* Processes
  const { home } = yield* programs
  const env = { ...(yield* environment), ...credentials }
  const [command = "", ...args] = words
  return yield* processes.run(command, args, { env, cwd: home, unprivileged: true })
})

/** One of Barman's commands on an archive. */
const barman = Effect.fnUntraced(function* (
  command: string,
  options: ReadonlyArray<string>,
  archive: Archive,
  ...rest: ReadonlyArray<string>
) {
  const words = (yield* programs).barman(command, [...options, ...address(archive), ...rest])
  return yield* run(words, archive.credentials)
})

const address = ({ destination, endpoint, serverName }: Archive): ReadonlyArray<string> => [
  "--cloud-provider=aws-s3",
  `--endpoint-url=${endpoint}`,
  destination,
  serverName
]

/** The same for PostgreSQL, which runs it in a shell. */
const setting = (words: ReadonlyArray<string>): string => words.map((word) => `'${word}'`).join(" ")

/** PostgreSQL's setting that archives. */
export const archiveCommand = (archive: Archive) =>
  Effect.map(programs, ({ barman: words }) =>
    setting(words("barman-cloud-wal-archive", [...address(archive), "%p"])).replace("'%p'", "%p")
  )

/** PostgreSQL's setting that fetches from an archive. */
export const restoreCommand = (archive: Archive) =>
  Effect.map(programs, ({ barman: words }) =>
    setting(words("barman-cloud-wal-restore", [...address(archive), "%f", "%p"]))
      .replace("'%f'", "%f")
      .replace("'%p'", "%p")
  )

/** The archive that an ObjectStore of a namespace and its Secret lead to. */
export const archiveOf = Effect.fnUntraced(function* (
  { namespace }: Pick<Place, "namespace">,
  parameters: Strings | undefined
) {
  const { api } = yield* Stand
  const store = yield* api.get(Objects.objectStores, namespace, parameters?.["barmanObjectName"] ?? "")
  const { destinationPath, endpointURL = "", s3Credentials }: StoreConfiguration = store.spec.configuration
  const secretValue = Effect.fnUntraced(function* (reference: Objects.SecretKey | undefined) {
    const { data } = yield* api.get(Objects.secrets, namespace, reference?.name ?? "")
    return Buffer.from(data?.[reference?.key ?? ""] ?? "", "base64").toString("utf8")
  })
  return {
    serverName: parameters?.["serverName"] ?? "",
    destination: destinationPath,
    endpoint: endpointURL,
    credentials: {
      AWS_ACCESS_KEY_ID: yield* secretValue(s3Credentials?.accessKeyId),
      AWS_SECRET_ACCESS_KEY: yield* secretValue(s3Credentials?.secretAccessKey)
    }
  } satisfies Archive
})

/** Each look is a process. */
const pollInterval = "500 millis"

/** A segment costs Barman some seconds of a processor, which may be busy with other things. */
const deadline = "2 minutes"

const pgdata = ({ directory }: Pick<Instance, "directory">): string => Path.join(directory, "pgdata")

/** A folder for an instance. */
export const makeDirectory = Effect.fnUntraced(function* (name: string) {
  const directory = Path.join((yield* programs).home, name)
  Fs.mkdirSync(directory)
  if (unprivilegedUser !== undefined) Fs.chownSync(directory, unprivilegedUser.uid, unprivilegedUser.gid)
  return directory
})

/** Makes a folder theirs who run PostgreSQL here. */
export const takeOver = Effect.fnUntraced(function* (directory: string) {
  if (unprivilegedUser === undefined) return
  const { gid, uid } = unprivilegedUser
  const { run: runAsRoot } = yield* Processes
  yield* runAsRoot("chown", ["--recursive", `${uid}:${gid}`, directory])
})

/** `15.20` */
export const version = Effect.gen(function* () {
  const { postgres } = yield* programs
  return /\d+(\.\d+)+/.exec(yield* run([postgres("postgres"), "--version"]))?.[0] ?? ""
})

/** An empty database, as PostgreSQL makes it. */
export const initialise = Effect.fnUntraced(function* (directory: string) {
  const { postgres } = yield* programs
  const options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
  yield* run([postgres("initdb"), `--pgdata=${pgdata({ directory })}`, ...options])
})

/** Starts the server and waits until it takes writes: a recovery is then over. It ends, as in a crash, with the scope. */
export const start = Effect.fnUntraced(function* (instance: Instance) {
  const processes = yield* Processes
  const { home, postgres } = yield* programs
  const env = { ...(yield* environment), ...instance.credentials }
  const access = Path.join(instance.directory, "pg_hba.conf")
  Fs.writeFileSync(access, "local all all trust\n", { mode: 0o644 })
  Fs.chmodSync(access, 0o644)
  const settings = {
    listen_addresses: "",
    unix_socket_directories: instance.directory,
    fsync: "off",
    archive_mode: "on",
    // Those of an instance in a pod lead to files of the pod.
    hba_file: access,
    ssl: "off",
    logging_collector: "off",
    ...instance.settings
  }
  yield* processes.start(
    instance.name,
    postgres("postgres"),
    ["-D", pgdata(instance), ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`])],
    // Its immediate shutdown, after which nothing of it stays in the system's shared memory.
    { env, cwd: home, unprivileged: true, endSignal: "SIGQUIT" }
  )
  yield* Effect.raceFirst(
    untilTrue(
      `PostgreSQL ${instance.name} takes writes`,
      deadline,
      Effect.map(query(instance, "select pg_is_in_recovery()"), (answer) => answer === "f"),
      pollInterval
    ),
    processes.broken
  )
})

/** One value. */
export const query = Effect.fnUntraced(function* ({ directory }: Instance, sql: string, database = "postgres") {
  const { postgres } = yield* programs
  const options = ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]
  const connection = [`--host=${directory}`, "--username=postgres", `--dbname=${database}`]
  const answer = yield* run([postgres("psql"), ...options, ...connection, `--command=${sql}`])
  return answer.trim()
})

/** Ends the current WAL segment and waits until it is archived; yields its name. */
export const switchWal = Effect.fnUntraced(function* (instance: Instance) {
  const segment = yield* query(instance, "select pg_walfile_name(pg_switch_wal())")
  yield* untilTrue(
    `PostgreSQL ${instance.name} has archived ${segment}`,
    deadline,
    Effect.map(
      query(instance, "select coalesce(last_archived_wal, '') from pg_stat_archiver"),
      (last) => last >= segment
    ),
    pollInterval
  )
  return segment
})

/** A base backup, as Barman notes it. */
export interface BaseBackup {
  readonly id: string
  /** As Kubernetes writes it. */
  readonly endedAt: string
  readonly endLsn: string
}

/** Makes a base backup. */
export const makeBackup = Effect.fnUntraced(function* ({ directory }: Instance, archive: Archive) {
  yield* barman("barman-cloud-backup", ["--immediate-checkpoint", `--host=${directory}`, "--user=postgres"], archive)
  const list = JSON.parse(yield* barman("barman-cloud-backup-list", ["--format=json"], archive)) as {
    readonly backups_list: ReadonlyArray<{
      readonly backup_id: string
      readonly end_time_iso: string
      readonly end_xlog: string
    }>
  }
  const newest = list.backups_list.at(-1)
  return {
    id: newest?.backup_id ?? "",
    endedAt: newest === undefined ? "" : timestamp(DateTime.toUtc(DateTime.makeUnsafe(newest.end_time_iso))),
    endLsn: newest?.end_xlog ?? ""
  } satisfies BaseBackup
})

/** A base backup; yields the id that Barman gave it. */
export const backUp = (instance: Instance, archive: Archive) =>
  Effect.map(makeBackup(instance, archive), ({ id }) => id)

/** What the instance manager checks before it archives: that nobody else has archived there. */
export const checkEmpty = (archive: Archive) => barman("barman-cloud-check-wal-archive", [], archive)

/** Fetches a base backup, and says that it is to be recovered. */
export const restore = Effect.fnUntraced(function* (directory: string, archive: Archive, backupId: string) {
  yield* barman("barman-cloud-restore", [], archive, backupId, pgdata({ directory }))
  yield* run(["touch", Path.join(pgdata({ directory }), "recovery.signal")])
})
