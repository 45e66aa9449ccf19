import { execFileSync, spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { notAPluginHost } from "../../src/go-plugin/Handshake.ts"
import * as VeleroHost from "../../src/testing/VeleroHost.ts"
import {
  announcement,
  at,
  eventually,
  executable,
  hostVariables,
  launch,
  possible,
  run,
  temporaryDirectory
} from "./Executable.ts"
import * as Objects from "./Objects.ts"
import * as Worlds from "./World.ts"
import { annotation, plugin, warnings } from "./World.ts"

const { pluginNames } = Worlds

const names = (options: Omit<VeleroHost.Options, "executable"> & { readonly executable?: string }) =>
  Effect.map(VeleroHost.discover({ executable, ...options }), (plugins) => plugins.map(({ name }) => name).toSorted())

describe("arguments", () => {
  const deployment = Objects.deployment("shop", "web", [])

  it.live.each<{
    readonly host: string
    readonly args: ReadonlyArray<string>
    readonly env?: Readonly<Record<string, string>>
    readonly isDebug: boolean
  }>([
    { host: "a host that passes none", args: [], isDebug: false },
    { host: "Velero 1.12", args: ["--log-level", "debug", "--features", "EnableCSI"], isDebug: true },
    {
      host: "Velero 1.15",
      args: ["--features=EnableCSI", "--uploader-type=kopia", "--log-level=debug"],
      isDebug: true
    },
    { host: "Velero 1.15 without a level", args: ["--features=EnableCSI", "--uploader-type=kopia"], isDebug: false },
    { host: "a host with logrus' longest level", args: ["--log-level=warning"], isDebug: false },
    { host: "a host with an unknown level", args: ["--log-level=loud"], isDebug: false },
    { host: "a host that stops in the middle", args: ["--log-level"], isDebug: false },
    { host: "a host with words of ours", args: ["preview", "--help", "--version", "-"], isDebug: false },
    { host: "a host with words of the runtime's", args: ["-e", "1", "--inspect", "--print", "run"], isDebug: false },
    { host: "garbage", args: ["--", "-", "", "--=", "-🙂", "--log-level=", "\u0001"], isDebug: false },
    { host: "LOG_LEVEL=debug", args: [], env: { LOG_LEVEL: "debug" }, isDebug: true },
    { host: "LOG_LEVEL and a flag", args: ["--log-level=info"], env: { LOG_LEVEL: "debug" }, isDebug: false }
  ])("are taken as they come: $host", ({ args, env = {}, isDebug }) =>
    Effect.gen(function* () {
      const world = yield* Worlds.make({ args, env })
      yield* world.session(({ restore }) => restore(plugin.deploymentRestore, deployment))
      assert.strictEqual(
        world.logs().some(({ level }) => level === "debug"),
        isDebug
      )
    })
  )

  it.live("decide how much is logged", () =>
    Effect.gen(function* () {
      const levels = yield* Effect.forEach(["trace", "debug", "info", "warning", "error", "fatal"], (level) =>
        Effect.scoped(
          Effect.gen(function* () {
            const world = yield* Worlds.make({ args: ["--log-level", level], objects: [Objects.cluster("a", "b")] })
            // One debug line for each step, an info line for the Backup, a warning for the Cluster without Backups.
            yield* world.session(({ backup, restore }) =>
              Effect.andThen(
                backup(plugin.clusterBackup, Objects.cluster("a", "b")),
                restore(plugin.backupRestore, Objects.backup("a", "b", "c", 0))
              )
            )
            return [...new Set(world.logs().map((line) => line.level))].toSorted()
          })
        )
      )
      assert.deepStrictEqual(levels, [
        ["debug", "info", "warn"],
        ["debug", "info", "warn"],
        ["info", "warn"],
        ["warn"],
        [],
        []
      ])
    })
  )
})

describe("what lies around", () => {
  it.live("changes nothing: .env, bunfig.toml, tsconfig.json, package.json, NODE_OPTIONS", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory()
      const write = (name: string, text: string) => Fs.writeFileSync(Path.join(directory, name), text)
      write("evil.js", `console.log("evil"); process.exit(3)`)
      write(".env", "VELERO_PLUGIN=hello\nLOG_LEVEL=trace\nTMPDIR=/nowhere\n")
      write("bunfig.toml", `preload = ["./evil.js"]\n`)
      write("package.json", `{"type":"commonjs","imports":{"#x":"./evil.js"}}`)
      write("tsconfig.json", `{"compilerOptions":{"paths":{"effect/*":["./evil.js"]}}}`)
      const env = { NODE_OPTIONS: `--require ${Path.join(directory, "evil.js")}` }

      const alone = yield* run({ cwd: directory, env })
      assert.deepStrictEqual([alone.code, alone.stdout], [1, ""])
      assert.isTrue(alone.stderr.startsWith(notAPluginHost))

      const served = yield* launch({ cwd: directory, env: { ...env, ...hostVariables } })
      yield* announcement(served)
      served.send("SIGTERM")
      assert.deepStrictEqual(yield* served.exited, { code: 0, signal: null })
      assert.match(served.stdout(), /^1\|2\|unix\|\/tmp\/plugin[0-9a-f]+\|grpc\|\n$/)
      assert.strictEqual(served.stderr(), "")
    })
  )

  it.live("need not be there: it starts with an empty environment", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* names({ env: {} }), pluginNames)
    })
  )
})

const canMount = possible(
  process.platform === "linux" &&
    process.getuid?.() === 0 &&
    spawnSync("unshare", ["-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).status === 0,
  "containers: making a mount namespace takes Linux, root and CAP_SYS_ADMIN"
)

/** A command that runs a script in a mount namespace and becomes the executable as an ordinary user. */
const unshared = (script: string): ReadonlyArray<string> => [
  "/usr/bin/unshare",
  "-m",
  "/bin/sh",
  "-c",
  `set -e; PATH=/usr/sbin:/usr/bin:/sbin:/bin; ${script}; exec setpriv --reuid 65532 --regid 65532 --clear-groups "$0" "$@"`
]

const readOnlyRoot = "mount --bind /tmp /tmp; mount -o remount,ro,bind /"

describe.skipIf(!canMount)("a container", () => {
  it.live("with a read-only root and uid 65532 is enough for a backup and a restore", () =>
    Effect.gen(function* () {
      const world = yield* Worlds.make({
        objects: yield* Worlds.example("shop"),
        wrapper: unshared(readOnlyRoot)
      })
      const backedUp = yield* world.backup()
      assert.deepStrictEqual(
        backedUp.flatMap(({ error }) => error ?? []),
        []
      )
      world.disaster()
      const restored = yield* world.restore(backedUp)
      assert.deepStrictEqual(
        restored.flatMap(({ error }) => error ?? []),
        []
      )
      assert.deepStrictEqual(warnings(world), [])
    })
  )

  it.live("really is read-only and another user's in these tests", () =>
    Effect.gen(function* () {
      const [command = "", ...args] = unshared(readOnlyRoot)
      const probe = yield* run({
        command,
        args: [...args, "/bin/sh", "-c", `id -u; touch ${Path.dirname(executable)}/x ${process.cwd()}/x 2>&1; echo $?`]
      })
      assert.match(probe.stdout, /^65532\n(.*(Read-only file system|Permission denied)\n)+1\n$/)
    })
  )

  it.live("with nothing but libc6, /proc, /dev/null and /dev/urandom is enough", () =>
    Effect.gen(function* () {
      // The loader and the libraries that `ldd` names are those of libc6.
      const libraries = [...execFileSync("ldd", [executable], { encoding: "utf8" }).matchAll(/(\/\S+) \(/g)].map(
        ([, path = ""]) => path
      )
      for (const library of libraries) assert.match(Path.basename(library), /^(lib(c|m|dl|pthread)\.so\.|ld-linux)/)
      const root = yield* temporaryDirectory("/var/tmp")
      for (const directory of ["proc", "dev", "tmp", "plugins"]) Fs.mkdirSync(Path.join(root, directory))
      for (const file of ["dev/null", "dev/urandom", "plugins/velero-plugin-cnpg"]) {
        Fs.writeFileSync(Path.join(root, file), "")
      }
      for (const library of libraries) {
        Fs.mkdirSync(Path.join(root, Path.dirname(library)), { recursive: true })
        Fs.copyFileSync(Fs.realpathSync(library), Path.join(root, library))
      }
      const world = yield* Worlds.make({
        objects: yield* Worlds.example("legacy"),
        wrapper: [
          "/usr/bin/unshare",
          "-m",
          "/bin/sh",
          "-c",
          [
            `set -e; PATH=/usr/sbin:/usr/bin:/sbin:/bin; root=${root}`,
            "mount --bind $root $root; mount --rbind /proc $root/proc; mount --bind /tmp $root/tmp",
            "for i in null urandom; do mount --bind /dev/$i $root/dev/$i; done",
            'mount --bind "$0" $root/plugins/velero-plugin-cnpg; mount -o remount,ro,bind $root',
            'exec chroot --userspec=65532:65532 --groups= $root /plugins/velero-plugin-cnpg "$@"'
          ].join("; ")
        ]
      })
      const backedUp = yield* world.backup()
      world.disaster()
      const restored = yield* world.restore(backedUp)
      assert.deepStrictEqual(
        [...backedUp, ...restored].flatMap(({ error }) => error ?? []),
        []
      )
    })
  )

  /** No directory that the plugin could write of its own accord. */
  const nothingWritable = "mount --bind /tmp /tmp; mount -o remount,ro,bind /tmp"

  it.live("without a directory to write is told what to mount", () =>
    Effect.gen(function* () {
      const [command = "", ...args] = unshared(nothingWritable)
      const refused = yield* run({ command, args: [...args, executable], env: hostVariables })
      assert.deepStrictEqual([refused.code, refused.stdout], [1, ""])
      assert.include(refused.stderr, "/tmp: not a directory that this user can write")
      assert.include(refused.stderr, "Remedy: mount an emptyDir at /tmp, or set TMPDIR to")
      assert.strictEqual(at(JSON.parse(refused.stderr), "@level"), "error")
    })
  )

  it.live("without a writable /tmp makes do with Velero's scratch directory", () =>
    Effect.gen(function* () {
      const scratch = yield* temporaryDirectory("/var/tmp")
      const [command = "", ...args] = unshared(nothingWritable)
      const env = { VELERO_SCRATCH_DIR: scratch }
      assert.deepStrictEqual(yield* names({ executable: command, args: [...args, executable], env }), pluginNames)
    })
  )

  it.live("has a service account, whose token may rotate", () =>
    Effect.gen(function* () {
      const account = yield* temporaryDirectory()
      const world = yield* Worlds.make({
        objects: [
          Objects.namespace("shop"),
          Objects.cluster("shop", "orders"),
          Objects.backup("shop", "orders", "b", 0)
        ],
        env: { KUBECONFIG: undefined, KUBERNETES_SERVICE_HOST: "127.0.0.1" },
        wrapper: unshared(
          `mount -t tmpfs tmpfs /run; mkdir -p /run/secrets/kubernetes.io; ln -s ${account} /run/secrets/kubernetes.io/serviceaccount; export KUBERNETES_SERVICE_PORT=$(cat ${account}/port)`
        ),
        prepare: ({ ca, token, url }) => {
          Fs.writeFileSync(Path.join(account, "port"), new URL(url).port)
          Fs.writeFileSync(Path.join(account, "token"), token)
          Fs.writeFileSync(Path.join(account, "ca.crt"), ca ?? "")
        }
      })
      const idOf = (text: string) => at(JSON.parse(text), "metadata", "annotations", annotation.backupId)
      yield* world.session(({ backup }) =>
        Effect.gen(function* () {
          const item = Objects.cluster("shop", "orders")
          assert.strictEqual(idOf((yield* backup(plugin.clusterBackup, item, { name: "one" })).text), "20261119T000000")
          world.cluster.setTokens(["another"])
          Fs.writeFileSync(Path.join(account, "token"), "another")
          assert.strictEqual(idOf((yield* backup(plugin.clusterBackup, item, { name: "two" })).text), "20261119T000000")
        })
      )
      assert.deepStrictEqual(warnings(world), [])
    })
  )
})

describe("without a cluster", () => {
  const cluster = Objects.cluster("shop", "orders", { annotations: { [annotation.backupId]: "of an earlier life" } })

  it.live.each<{
    readonly name: string
    readonly kubeconfig: (directory: string) => string | undefined
    readonly says: RegExp
  }>([
    { name: "none is configured", kubeconfig: () => undefined, says: /no Kubernetes cluster is configured/ },
    { name: "the kubeconfig is missing", kubeconfig: (directory) => Path.join(directory, "missing"), says: /missing/ },
    { name: "the kubeconfig is a directory", kubeconfig: (directory) => directory, says: /directory|EISDIR/ },
    {
      name: "the kubeconfig is empty",
      kubeconfig: (directory) => written(directory, ""),
      says: /no Kubernetes cluster is configured/
    },
    {
      name: "the kubeconfig is garbage",
      kubeconfig: (directory) => written(directory, "{{{ \u0000"),
      says: /no Kubernetes cluster is configured/
    },
    {
      name: "the kubeconfig points to a dead port",
      kubeconfig: (directory) => written(directory, deadPort),
      says: /(does not answer|cannot be reached).*ECONNREFUSED/
    }
  ])("it serves all the same, and records what it can: $name", ({ kubeconfig, says }) =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory()
      const file = kubeconfig(directory)
      const world = yield* Worlds.make({ env: { KUBECONFIG: file, KUBERNETES_CALL_TIMEOUT: "1 second" } })
      yield* world.session(({ backup, client, restore }) =>
        Effect.gen(function* () {
          const velero = yield* client
          for (const name of Worlds.backupPlugins) yield* velero.backupItemActionV2.appliesTo({ plugin: name })
          for (const name of Worlds.restorePlugins) yield* velero.restoreItemActionV2.appliesTo({ plugin: name })
          assert.deepStrictEqual(world.logs(), [])

          // Actions that need no cluster.
          const pod = Objects.owned("v1", "Pod", "shop", "orders-1", "orders")
          assert.isFalse((yield* restore(plugin.poolerRestore, pod)).skipRestore)
          assert.strictEqual((yield* restore(plugin.secretRestore, pod)).text, JSON.stringify(pod))
          assert.deepStrictEqual(world.logs(), [])

          // Those whose configuration cannot be read: the defaults apply, and one line says so, once for all.
          assert.strictEqual((yield* restore(plugin.ownedRestore, pod)).text, JSON.stringify(pod))
          const deployment = Objects.deployment("shop", "web", ["wait-for-migration-job", "other"])
          const changed = yield* restore(plugin.deploymentRestore, deployment)
          assert.strictEqual(changed.text, JSON.stringify(Objects.deployment("shop", "web", ["other"])))
          assert.isTrue((yield* restore(plugin.backupRestore, Objects.backup("shop", "orders", "b", 0))).skipRestore)
          yield* eventually("the warning", () => warnings(world).length > 0)
          assert.strictEqual(warnings(world).length, 1)
          assert.match(warnings(world)[0] ?? "", /^plugin configuration cannot be read, the defaults apply: /)

          const stored = JSON.parse((yield* backup(plugin.clusterBackup, cluster)).text) as unknown
          assert.deepStrictEqual(Worlds.sourceIn(stored), { [annotation.serverName]: "orders" })
          // The Backup has a configuration of its own.
          yield* eventually("the warnings of the backup", () => warnings(world).length > 2)
          assert.strictEqual(warnings(world).length, 3)
          assert.match(
            warnings(world)[2] ?? "",
            /^Cluster shop\/orders: recorded server name orders, but no backup id: /
          )
          assert.match(warnings(world)[2] ?? "", says)
        })
      )
    })
  )

  it.live("a restore of a recorded Cluster fails, and the process goes on", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory()
      const env = { KUBECONFIG: Path.join(directory, "missing"), KUBERNETES_CALL_TIMEOUT: "1 second" }
      const world = yield* Worlds.make({ env })
      yield* world.session(({ restore }) =>
        Effect.gen(function* () {
          const recorded = Objects.cluster("shop", "orders", { annotations: { [annotation.serverName]: "orders" } })
          const failure = yield* Effect.flip(restore(plugin.clusterRestore, recorded))
          assert.match(failure.message, /no Kubernetes cluster is configured.*set KUBECONFIG/)
          const unrecorded = Objects.cluster("shop", "orders")
          assert.strictEqual((yield* restore(plugin.clusterRestore, unrecorded)).text, JSON.stringify(unrecorded))
        })
      )
    })
  )
})

const written = (directory: string, text: string): string => {
  const file = Path.join(directory, "config")
  Fs.writeFileSync(file, text)
  return file
}

/** Nobody listens on port 1. */
const deadPort = JSON.stringify({
  apiVersion: "v1",
  kind: "Config",
  clusters: [{ name: "c", cluster: { server: "https://127.0.0.1:1" } }],
  users: [{ name: "u", user: { token: "t" } }],
  contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
  "current-context": "x"
})
