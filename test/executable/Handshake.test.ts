import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as grpc from "@grpc/grpc-js"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { generate } from "selfsigned"
import { HealthCheckResponse_ServingStatus, HealthDefinition } from "../../src/generated/grpc/health.ts"
import * as GoPlugin from "../../src/go-plugin/Client.ts"
import { notAPluginHost } from "../../src/go-plugin/Handshake.ts"
import { handshake } from "../../src/velero/Serve.ts"
import * as Wire from "../../src/velero/wire/Client.ts"
import * as VeleroHost from "../../src/testing/VeleroHost.ts"
import {
  announcement,
  at,
  connect,
  eventually,
  executable,
  hostVariables,
  launch,
  listPlugins,
  possible,
  run,
  sockets,
  temporaryDirectory
} from "./Executable.ts"
import * as Objects from "./Objects.ts"
import * as Worlds from "./World.ts"
import { plugin } from "./World.ts"

type Environment = Readonly<Record<string, string>>

const { pluginNames } = Worlds

/** The plugins that a host discovers with an environment. */
const discover = (env: Environment, args: ReadonlyArray<string> = []) =>
  Effect.map(VeleroHost.discover({ executable, env, args }), (plugins) => plugins.map(({ name }) => name).toSorted())

/** Objects of a text of JSON lines. */
const jsonLines = (text: string): ReadonlyArray<unknown> =>
  text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as unknown)

describe("without Velero's cookie", () => {
  it.live.each<{ readonly name: string; readonly env: Environment; readonly args?: ReadonlyArray<string> }>([
    { name: "no cookie", env: {} },
    { name: "an empty one", env: { VELERO_PLUGIN: "" } },
    { name: "another one", env: { ...hostVariables, VELERO_PLUGIN: "Hello" } },
    { name: "another one with the flags of Velero 1.12", env: {}, args: ["--log-level", "debug", "--features", "a"] },
    { name: "another one with the flags of Velero 1.18", env: {}, args: ["--features=a", "--log-level=debug"] },
    { name: "another one with a lone flag of Velero's", env: {}, args: ["--log-level", "debug"] }
  ])("says what it is on stderr and exits with 1: $name", ({ args = [], env }) =>
    Effect.gen(function* () {
      const { code, stderr, stdout } = yield* run({ args, env })
      assert.deepStrictEqual({ code, stdout }, { code: 1, stdout: "" })
      assert.isTrue(stderr.startsWith(notAPluginHost), stderr)
      for (const name of pluginNames) assert.include(stderr, `  ${name} (`)
      assert.include(stderr, "velero plugin add IMAGE")
      assert.include(stderr, `${executable} install DIR`)
      assert.include(stderr, `${executable} --help`)
    })
  )
})

describe("the handshake line", () => {
  it.live("is six fields on one line, and all that is ever on stdout", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory()
      const copy = Path.join(directory, "stdout")
      const world = yield* Worlds.make({
        objects: yield* Worlds.example("shop"),
        args: ["--log-level", "trace"],
        env: { STDOUT: copy },
        // `exec` keeps the process id, `tee` a copy of what the host sees.
        wrapper: ["/bin/bash", "-c", `exec "$0" "$@" > >(/usr/bin/tee -a "$STDOUT")`]
      })
      const backedUp = yield* world.backup()
      world.disaster()
      yield* world.restore(backedUp)
      // Three processes: discovery, backup, restore.
      const text = yield* eventually("three handshakes", () => {
        const found = Fs.readFileSync(copy, "utf8")
        return found.split("\n").length > 3 && found
      })
      assert.match(text, new RegExp(`^(1\\|2\\|unix\\|${world.directory}/plugin[0-9a-f]{12}\\|grpc\\|\\n){3}$`))
    })
  )

  it.live.each<{ readonly versions: string | undefined; readonly announced: string }>([
    { versions: "2", announced: "2" },
    { versions: "1,2,3", announced: "2" },
    { versions: " 2 ", announced: "2" },
    { versions: "3,4", announced: "2" },
    { versions: "x", announced: "2" },
    { versions: "", announced: "2" },
    { versions: undefined, announced: "2" }
  ])("announces version $announced to a host with $versions", ({ announced, versions }) =>
    Effect.gen(function* () {
      const env = { VELERO_PLUGIN: "hello", ...(versions === undefined ? {} : { PLUGIN_PROTOCOL_VERSIONS: versions }) }
      assert.strictEqual((yield* announcement(yield* launch({ env })))[1], announced)
    })
  )

  it.live.each([{ asked: "true" }, { asked: "false" }])(
    "answers a host that asks for multiplexing ($asked) with a seventh field: no",
    ({ asked }) =>
      Effect.gen(function* () {
        const fields = yield* announcement(yield* launch({ env: { ...hostVariables, PLUGIN_MULTIPLEX_GRPC: asked } }))
        assert.deepStrictEqual(fields.slice(4), ["grpc", "", "false"])
      })
  )

  it.live("tells a host with a client certificate its own, and then speaks to that host alone", () =>
    Effect.gen(function* () {
      const host = yield* Effect.promise(() =>
        generate([{ name: "commonName", value: "localhost" }], { keyType: "ec", curve: "P-521" })
      )
      const started = yield* launch({ env: { ...hostVariables, PLUGIN_CLIENT_CERT: host.cert } })
      const [, , , address = "", , certificate = ""] = yield* announcement(started)
      assert.match(certificate, /^[A-Za-z0-9+/]{50,}$/)
      const pem = `-----BEGIN CERTIFICATE-----\n${Buffer.from(certificate, "base64").toString("base64")}\n-----END CERTIFICATE-----\n`
      const call = (credentials: grpc.ChannelCredentials) =>
        Effect.flatMap(connect(address, credentials, { "grpc.ssl_target_name_override": "localhost" }), listPlugins)
      const ca = Buffer.from(pem)
      assert.strictEqual(
        yield* call(grpc.credentials.createSsl(ca, Buffer.from(host.private), Buffer.from(host.cert))),
        pluginNames.length
      )
      assert.strictEqual(yield* call(grpc.credentials.createSsl(ca)), "UNAVAILABLE")
      assert.strictEqual(yield* call(grpc.credentials.createInsecure()), "UNAVAILABLE")
    })
  )
})

const isRoot = possible(process.getuid?.() === 0, "sockets of other groups: only root gives files away")

describe("discovery", () => {
  const owned =
    "persistentvolumeclaims pods services jobs.batch endpoints endpointslices.discovery.k8s.io poddisruptionbudgets.policy leases.coordination.k8s.io"
  const referring =
    "clusters.postgresql.cnpg.io objectstores.barmancloud.cnpg.io poolers.postgresql.cnpg.io databaseroles.postgresql.cnpg.io"
  const offered = [
    ["BackupItemActionV2", plugin.clusterBackup, "clusters.postgresql.cnpg.io", ""],
    ["BackupItemActionV2", plugin.ownedBackup, owned, "cnpg.io/cluster"],
    ["BackupItemActionV2", plugin.contentsBackup, referring, ""],
    ["DeleteItemAction", plugin.backupDelete, "clusters.postgresql.cnpg.io", ""],
    ["ItemBlockAction", plugin.itemBlock, referring, ""],
    ["RestoreItemActionV2", plugin.contentsRestore, referring, ""],
    ["RestoreItemActionV2", plugin.clusterRestore, "clusters.postgresql.cnpg.io", ""],
    ["RestoreItemActionV2", plugin.deploymentRestore, "deployments", ""],
    ["RestoreItemActionV2", plugin.ownedRestore, owned, "cnpg.io/cluster"],
    ["RestoreItemActionV2", plugin.secretRestore, "secrets", ""],
    [
      "RestoreItemActionV2",
      plugin.poolerRestore,
      "deployments.apps services roles.rbac.authorization.k8s.io rolebindings.rbac.authorization.k8s.io serviceaccounts",
      ""
    ],
    ["RestoreItemActionV2", plugin.poolerPodRestore, "replicasets.apps pods", "cnpg.io/poolerName"],
    ["RestoreItemActionV2", plugin.backupRestore, "backups.postgresql.cnpg.io", ""],
    [
      "RestoreItemActionV2",
      plugin.declarativeRestore,
      "databases.postgresql.cnpg.io publications.postgresql.cnpg.io subscriptions.postgresql.cnpg.io databaseroles.postgresql.cnpg.io",
      ""
    ]
  ] as const

  it.live("lists kinds, names and the file to start, in the order in which they act", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(
        yield* VeleroHost.discover({ executable, env: {} }),
        offered.map(([kind, name]) => ({ command: executable, kind, name }))
      )
    })
  )

  it.live("leaves item blocks out where Velero is older than they are, and would end", () =>
    Effect.gen(function* () {
      for (const args of [
        ["--log-level", "info"],
        ["--log-level", "info", "--features", "EnableCSI"]
      ]) {
        assert.deepStrictEqual(
          yield* discover({}, args),
          pluginNames.filter((name) => name !== plugin.itemBlock)
        )
      }
    })
  )

  it.live("names a file that can be started where it was started through a link", () =>
    Effect.gen(function* () {
      const link = Path.join(yield* temporaryDirectory(), "plugin")
      Fs.symlinkSync(executable, link)
      const [first] = yield* VeleroHost.discover({ executable: link, env: {} })
      assert.strictEqual(Fs.realpathSync(first?.command ?? ""), Fs.realpathSync(executable))
    })
  )

  it.live("is followed by selectors", () =>
    Effect.gen(function* () {
      const world = yield* Worlds.make()
      yield* world.session(({ client }) =>
        Effect.gen(function* () {
          const { backupItemActionV2, deleteItemAction, itemBlockAction, restoreItemActionV2 } = yield* client
          const kinds = {
            BackupItemActionV2: backupItemActionV2,
            DeleteItemAction: deleteItemAction,
            ItemBlockAction: itemBlockAction,
            RestoreItemActionV2: restoreItemActionV2
          }
          for (const [kind, name, resources, selector] of offered) {
            const { ResourceSelector } = yield* kinds[kind].appliesTo({ plugin: name })
            assert.deepStrictEqual(ResourceSelector, {
              includedNamespaces: [],
              excludedNamespaces: [],
              includedResources: resources.split(" "),
              excludedResources: [],
              selector
            })
          }
        })
      )
      assert.deepStrictEqual(world.cluster.requests(), [])
    })
  )
})

describe("the socket", () => {
  it.live.each<{ readonly name: string; readonly under: string }>([
    { name: "a plain path", under: "" },
    { name: "spaces and letters of all kinds", under: "a b/ä%20 é#1?x=y&日本" },
    { name: "colons", under: "c:/d:e" }
  ])("lies in TMPDIR and can be used: $name", ({ under }) =>
    Effect.gen(function* () {
      const directory = Path.join(yield* temporaryDirectory(), under)
      Fs.mkdirSync(directory, { recursive: true })
      const started = yield* launch({ env: { ...hostVariables, TMPDIR: directory } })
      const [, , , address = ""] = yield* announcement(started)
      assert.strictEqual(Path.dirname(address), directory)
      assert.deepStrictEqual(sockets(directory), [Path.basename(address)])
      assert.deepStrictEqual(yield* discover({ TMPDIR: directory }), pluginNames)
    })
  )

  it.live.each<{ readonly name: string; readonly make: (directory: string) => string }>([
    { name: "that does not exist", make: (directory) => Path.join(directory, "missing") },
    {
      name: "that is a file",
      make: (directory) => {
        Fs.writeFileSync(Path.join(directory, "file"), "")
        return Path.join(directory, "file")
      }
    },
    {
      name: "that is too long",
      make: (directory) => {
        const long = Path.join(directory, "x".repeat(100))
        Fs.mkdirSync(long)
        return long
      }
    },
    { name: "that is empty", make: () => "" }
  ])("lies in /tmp where TMPDIR names a directory $name", ({ make }) =>
    Effect.gen(function* () {
      const directory = make(yield* temporaryDirectory())
      const started = yield* launch({ env: { ...hostVariables, TMPDIR: directory } })
      const [, , , address = ""] = yield* announcement(started)
      assert.strictEqual(Path.dirname(address), "/tmp")
    })
  )

  it.live("lies in PLUGIN_UNIX_SOCKET_DIR where the host names one", () =>
    Effect.gen(function* () {
      const [directory, other] = [yield* temporaryDirectory(), yield* temporaryDirectory()]
      const env = { ...hostVariables, PLUGIN_UNIX_SOCKET_DIR: directory, TMPDIR: other }
      const [, , , address = ""] = yield* announcement(yield* launch({ env }))
      assert.strictEqual(Path.dirname(address), directory)
      assert.deepStrictEqual(sockets(other), [])
    })
  )

  it.live("has a path of 107 bytes at most, and uses them all", () =>
    Effect.gen(function* () {
      const root = yield* temporaryDirectory()
      // A slash and the name of a socket: 19 bytes.
      const directory = Path.join(root, "x".repeat(107 - 19 - root.length - 1))
      Fs.mkdirSync(directory)
      const env = { ...hostVariables, PLUGIN_UNIX_SOCKET_DIR: directory }
      const [, , , address = ""] = yield* announcement(yield* launch({ env }))
      assert.strictEqual(Buffer.byteLength(address), 107)
      assert.deepStrictEqual(yield* discover({ PLUGIN_UNIX_SOCKET_DIR: directory }), pluginNames)

      Fs.mkdirSync(`${directory}x`)
      const refused = yield* run({ env: { ...env, PLUGIN_UNIX_SOCKET_DIR: `${directory}x` } })
      assert.deepStrictEqual([refused.code, refused.stdout], [1, ""])
      assert.include(refused.stderr, "the socket's path would have 108 bytes, 107 are possible")
    })
  )

  it.live.each<{ readonly name: string; readonly env: (directory: string) => Environment; readonly says: RegExp }>([
    {
      name: "a wished directory that does not exist",
      env: (directory) => ({ PLUGIN_UNIX_SOCKET_DIR: `${directory}/missing`, TMPDIR: directory }),
      says: /missing: not a directory that this user can write.*Remedy: set PLUGIN_UNIX_SOCKET_DIR/
    },
    {
      name: "a group that does not exist",
      env: (directory) => ({ TMPDIR: directory, PLUGIN_UNIX_SOCKET_GROUP: "nobody-knows-it" }),
      says: /PLUGIN_UNIX_SOCKET_GROUP=nobody-knows-it: there is no group nobody-knows-it/
    }
  ])("is refused in one line at level error, with nothing left behind: $name", ({ env, says }) =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory()
      const { code, stderr, stdout } = yield* run({ env: { ...hostVariables, ...env(directory) } })
      assert.deepStrictEqual([code, stdout], [1, ""])
      const [line, ...more] = jsonLines(stderr)
      assert.strictEqual(more.length, 0, stderr)
      assert.strictEqual(at(line, "@level"), "error")
      assert.match(`${String(at(line, "@message"))} ${String(at(line, "error"))}`, says)
      assert.deepStrictEqual(Fs.readdirSync(directory), [])
    })
  )

  for (const { gid, group } of [
    { group: "65532", gid: 65532 },
    { group: "daemon", gid: 1 }
  ]) {
    it.live.skipIf(!isRoot)(`belongs to PLUGIN_UNIX_SOCKET_GROUP ${group} with mode 0660`, () =>
      Effect.gen(function* () {
        const directory = yield* temporaryDirectory()
        const env = { ...hostVariables, TMPDIR: directory, PLUGIN_UNIX_SOCKET_GROUP: group }
        const [, , , address = ""] = yield* announcement(yield* launch({ env }))
        const { gid: actual, mode } = Fs.statSync(address)
        assert.deepStrictEqual([actual, (mode & 0o777).toString(8)], [gid, "660"])
      })
    )
  }
})

describe("the health service", () => {
  it.live("says that the plugin serves", () =>
    Effect.gen(function* () {
      const [, , , address = ""] = yield* announcement(yield* launch({ env: hostVariables }))
      const { call } = yield* connect(address)
      const check = (service: string) => call(HealthDefinition.fullName, HealthDefinition.methods.check, { service })
      assert.strictEqual((yield* check("plugin")).status, HealthCheckResponse_ServingStatus.SERVING)
      assert.strictEqual((yield* check("other")).status, HealthCheckResponse_ServingStatus.SERVICE_UNKNOWN)
    })
  )
})

describe("the end", () => {
  /** Starts a plugin in its own scope, to be ended by the test. */
  const started = (env: Environment) =>
    Effect.gen(function* () {
      const scope = yield* Scope.fork(yield* Effect.scope)
      const client = yield* Scope.provide(GoPlugin.start({ command: executable, env, handshake }), scope)
      return { client, shutDown: Scope.close(scope, Exit.void) }
    })

  it.live("comes with Shutdown: exit 0 without a kill, and no socket", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory()
      const { client, shutDown } = yield* started({ TMPDIR: directory })
      assert.strictEqual(sockets(directory).length, 1)
      yield* shutDown
      assert.deepStrictEqual(yield* client.exited, { code: 0, signal: null })
      assert.deepStrictEqual(Fs.readdirSync(directory), [])
    })
  )

  it.live("comes with SIGTERM: exit 0, and no socket", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory()
      const plugin = yield* launch({ env: { ...hostVariables, TMPDIR: directory } })
      yield* announcement(plugin)
      plugin.send("SIGTERM")
      assert.deepStrictEqual(yield* plugin.exited, { code: 0, signal: null })
      assert.deepStrictEqual(Fs.readdirSync(directory), [])
      assert.strictEqual(plugin.stderr(), "")
    })
  )

  it.live("does not come with SIGINT, which the whole process group of a host gets", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory()
      const { client, shutDown } = yield* started({ TMPDIR: directory })
      for (let times = 0; times < 3; times++) {
        process.kill(client.pid, "SIGINT")
        assert.strictEqual(yield* listPlugins(client), pluginNames.length)
      }
      assert.isFalse(client.hasExited())
      yield* shutDown
      assert.deepStrictEqual(yield* client.exited, { code: 0, signal: null })
    })
  )

  it.live.each([{ by: "Shutdown" as const }, { by: "SIGTERM" as const }])(
    "comes within the host's two seconds where a call hangs: $by",
    ({ by }) =>
      Effect.gen(function* () {
        const world = yield* Worlds.make({ objects: [Objects.cluster("shop", "orders")] })
        world.cluster.addFault({ answer: "hang" })
        const { client, shutDown } = yield* started(world.options.env)
        yield* Effect.forkChild(
          Effect.exit(
            Wire.make(client).backupItemActionV2.execute({
              plugin: plugin.clusterBackup,
              item: Worlds.bytesOf(Objects.cluster("shop", "orders")),
              backup: Worlds.bytesOf(Worlds.ownerOf("Backup", { name: "backup" }))
            })
          )
        )
        yield* eventually("the hanging request", () => world.cluster.requests().length > 0)
        const [duration, exit] = yield* Effect.timed(
          Effect.gen(function* () {
            if (by === "Shutdown") yield* shutDown
            else process.kill(client.pid, "SIGTERM")
            return yield* client.exited
          })
        )
        assert.deepStrictEqual(exit, { code: 0, signal: null })
        assert.isBelow(Duration.toMillis(duration), 1900)
        assert.deepStrictEqual(sockets(world.directory), [])
      })
  )

  it.live("does not come with a host that no longer reads the log", () =>
    Effect.gen(function* () {
      const started = yield* launch({ env: hostVariables, args: ["--log-level", "trace"] })
      const [, , , address = ""] = yield* announcement(started)
      const { restoreItemActionV2 } = Wire.make(yield* connect(address))
      const skip = restoreItemActionV2.execute({
        plugin: plugin.poolerRestore,
        item: Worlds.bytesOf(Objects.deployment("shop", "web", [])),
        itemFromBackup: Worlds.bytesOf(Objects.deployment("shop", "web", [])),
        restore: Worlds.bytesOf(Worlds.ownerOf("Restore", { name: "restore" }))
      })
      yield* skip
      yield* eventually("a log line", () => started.stderr() !== "")
      started.closeStderr()
      for (let times = 0; times < 3; times++) yield* skip
      started.send("SIGTERM")
      assert.deepStrictEqual(yield* started.exited, { code: 0, signal: null })
    })
  )
})
