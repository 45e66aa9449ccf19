import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import {
  at,
  eventually,
  executable,
  type Finished,
  launch,
  possible,
  repository,
  run,
  temporaryDirectory
} from "./Executable.ts"
import * as Manifests from "../../src/kubernetes/Manifests.ts"
import * as ApiServer from "../../src/testing/ApiServer.ts"
import { entryOf } from "../../src/testing/VeleroHost.ts"
import * as Tarballs from "../cli/Tarballs.ts"
import * as Objects from "./Objects.ts"
import { annotation, plugin, sourceIn } from "./World.ts"

const shop = "examples/shop.yaml"
const legacy = "examples/legacy.yaml"

/** Processes that have a text in their environment. */
const processesWith = (text: string): ReadonlyArray<string> =>
  Fs.readdirSync("/proc").filter((pid) => {
    if (!/^\d+$/.test(pid)) return false
    try {
      return Fs.readFileSync(`/proc/${pid}/environ`, "latin1").includes(text)
    } catch {
      // It has ended, or is another user's.
      return false
    }
  })

interface PreviewOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  readonly stdin?: string | Uint8Array
}

/** Runs `preview`, in a temporary directory of its own that must be empty afterwards, without a process left. */
const preview = (args: ReadonlyArray<string>, { env, ...options }: PreviewOptions = {}): Effect.Effect<Finished> =>
  Effect.scoped(
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory()
      const finished = yield* run({ args: ["preview", ...args], env: { ...env, TMPDIR: directory }, ...options })
      assert.deepStrictEqual(Fs.readdirSync(directory), [])
      assert.deepStrictEqual(processesWith(directory), [])
      return finished
    })
  )

const json = (args: ReadonlyArray<string>, options?: PreviewOptions) =>
  Effect.map(preview([...args, "--output", "json"], options), (finished) => {
    assert.strictEqual(finished.code, 0, finished.stderr)
    return JSON.parse(finished.stdout) as unknown
  })

interface Item {
  readonly kind: string
  readonly name: string
  readonly namespace: string
  readonly outcome: string
  readonly after: unknown
}

const itemsOf = (shown: unknown, part: "backup" | "restore"): ReadonlyArray<Item> =>
  at(shown, part, "items") as ReadonlyArray<Item>

const find = (shown: unknown, part: "backup" | "restore", kind: string, name: string): Item => {
  const found = itemsOf(shown, part).find((item) => item.kind === kind && item.name === name)
  assert.isDefined(found, `${kind} ${name}`)
  return found as Item
}

const count = (items: ReadonlyArray<Item>): Readonly<Record<string, number>> =>
  items.reduce<Record<string, number>>(
    (counted, { outcome }) => ({ ...counted, [outcome]: (counted[outcome] ?? 0) + 1 }),
    {}
  )

/** A file with manifests. */
const written = (directory: string, name: string, text: string): string => {
  const file = Path.join(directory, name)
  Fs.writeFileSync(file, text)
  return file
}

const deployment = (name: string) => JSON.stringify(Objects.deployment("shop", name, ["wait-for-migration-job"]))

describe("preview as text", () => {
  it.live("of shop.yaml shows what is recorded, changed, left out, kept and written", () =>
    Effect.gen(function* () {
      const { code, stderr, stdout } = yield* preview([shop])
      assert.deepStrictEqual([code, stderr], [0, ""])
      for (const line of [
        "Backup: 38 objects, 14 recorded with more than it has",
        "    +    velero-cnpg/serverName: orders-v1",
        "    +    velero-cnpg/current-backup-id: 20261119T020003",
        "Restore in place, after the objects were lost: 2 changed, 24 left out, 12 as they were",
        "  Cluster shop/orders",
        "    -        serverName: orders-v1",
        "    because the operator would run it again",
        "  ConfigMap shop/cnpg-velero-override",
        "Log of the backup",
        "Log of the restore"
      ]) {
        assert.include(stdout.split("\n"), line)
      }
      assert.match(stdout, /^ {4}\+ {8}serverName: orders-20\d{6}-\d{6}$/m)
      assert.match(stdout, /^ {6}read_from_server_name: orders-v1$/m)
      assert.notInclude(stdout, "\u001b")
      // Which the API server of the preview has made up.
      assert.notMatch(stdout, /^ {5}\s+(resourceVersion|generation|creationTimestamp|uid):/m)
    })
  )

  it.live("of legacy.yaml warns of the Cluster without a Backup", () =>
    Effect.gen(function* () {
      const { code, stderr, stdout } = yield* preview([legacy])
      assert.deepStrictEqual([code, stderr], [0, ""])
      assert.match(stdout, /^ {2}warn {2}Cluster billing\/ledger-eu: recorded server name ledger-eu, but/m)
      assert.match(stdout, /^ {2}info {2}Cluster billing\/reports has no archive/m)
    })
  )

  it.live("of a namespace beside itself names both", () =>
    Effect.gen(function* () {
      const { code, stdout } = yield* preview([shop, "--map-namespace", "shop=shop2"])
      assert.strictEqual(code, 0)
      assert.include(stdout, "Restore shop into shop2, beside the living one: 4 changed, 24 left out, 9 as they were")
      assert.include(stdout, "  Secret shop2/orders-app, shop2/orders-superuser\n")
      assert.include(stdout, "    +  uri: <hidden, changed>\n")
      assert.include(stdout, "  ConfigMap shop2/cnpg-velero-override\n")
    })
  )
})

describe("preview as JSON", () => {
  it.live("of shop.yaml has every item, and all of the ConfigMap", () =>
    Effect.gen(function* () {
      const shown = yield* json([shop])
      assert.strictEqual(itemsOf(shown, "backup").length, 38)
      assert.deepStrictEqual(count(itemsOf(shown, "restore")), { created: 13, exists: 1, skipped: 24 })
      assert.deepStrictEqual(sourceIn(find(shown, "backup", "Cluster", "orders").after), {
        [annotation.serverName]: "orders-v1",
        [annotation.backupId]: "20261119T020003"
      })
      const cluster = find(shown, "restore", "Cluster", "orders").after
      assert.strictEqual(
        at(shown, "written", 0, "data", "write_to_server_name"),
        at(cluster, "spec", "plugins", 0, "parameters", "serverName")
      )
      assert.strictEqual((at(shown, "written") as ReadonlyArray<unknown>).length, 1)
      assert.deepStrictEqual(
        (at(shown, "clusters", 0, "backups") as ReadonlyArray<{ name: string; isUsable: boolean }>).flatMap(
          ({ isUsable, name }) => (isUsable ? [name] : [])
        ),
        ["orders-daily-20261117100512", "orders-daily-20261118020000", "orders-daily-20261119020000"]
      )
      for (const part of ["backup", "restore"]) {
        for (const line of at(shown, part, "logs") as ReadonlyArray<unknown>) {
          assert.strictEqual(at(line, "level"), "info", JSON.stringify(line))
        }
      }
    })
  )

  it.live.each([
    ["backup", { backupID: "20261119T020003", targetImmediate: true }],
    ["2026-11-19T04:00:00+01:00 timeline:2", { targetTime: "2026-11-19T03:00:00Z", targetTLI: "2" }],
    ["name:before migration", { backupID: "20261119T020003", targetName: "before migration" }]
  ] as const)("shows where the recovery ends: %s", ([target, expected]) =>
    Effect.gen(function* () {
      const shown = yield* json([shop, "--annotate-restore", `velero-cnpg/recovery-target=${target}`])
      const cluster = find(shown, "restore", "Cluster", "orders").after
      assert.deepStrictEqual(at(cluster, "spec", "bootstrap", "recovery", "recoveryTarget"), expected)
    })
  )

  it.live("shows the window that a target lies outside of", () =>
    Effect.gen(function* () {
      const tooEarly = "velero-cnpg/recovery-target=2026-11-17T10:00:00Z"
      const { code, stdout } = yield* preview([shop, "--annotate-restore", tooEarly])
      assert.strictEqual(code, 1)
      assert.include(stdout, "the recovery window of server name orders-v1 begins at 2026-11-17T10:06:47Z")
    })
  )

  it.live("of legacy.yaml keeps what has its data on volumes only", () =>
    Effect.gen(function* () {
      const shown = yield* json([legacy])
      assert.deepStrictEqual(count(itemsOf(shown, "restore")), { created: 7, exists: 1, skipped: 3 })
      assert.strictEqual(find(shown, "restore", "PersistentVolumeClaim", "reports-1").outcome, "created")
      assert.strictEqual(find(shown, "restore", "PersistentVolumeClaim", "invoices-1").outcome, "skipped")
    })
  )

  it.live("follows the Restore's annotation", () =>
    Effect.gen(function* () {
      const shown = yield* json([legacy, "--annotate-restore", `${annotation.recoverFrom}=volumes`])
      assert.strictEqual(find(shown, "restore", "PersistentVolumeClaim", "invoices-1").outcome, "created")
    })
  )

  it.live("is whole even where its reader is slow", () =>
    Effect.gen(function* () {
      const { stdout } = yield* run({
        command: "/bin/sh",
        args: ["-c", `"$0" preview ${shop} -o json | (sleep 1; cat)`, executable],
        env: { PATH: "/usr/bin:/bin" }
      })
      assert.isAbove(stdout.length, 100_000)
      assert.strictEqual(itemsOf(JSON.parse(stdout), "backup").length, 38)
    })
  )
})

describe("preview of a backup that is made for the occasion", () => {
  const asked = ["--annotate-backup", "velero-cnpg/on-demand-backup=true"]

  it.live("shows what is made and waited for, and then recorded and recovered from", () =>
    Effect.gen(function* () {
      const target = ["--annotate-restore", "velero-cnpg/recovery-target=velero-backup"]
      const shown = yield* json([shop, ...asked, ...target])
      const [operation, ...others] = at(shown, "backup", "operations") as ReadonlyArray<Record<string, string | null>>
      assert.deepStrictEqual(others, [])
      assert.strictEqual(operation?.["name"], "orders")
      assert.match(operation?.["waitsFor"] ?? "", /is created; the operator has not looked at it yet/)
      assert.match(operation?.["done"] ?? "", /is completed: id 20\d{6}T\d{6}/)
      assert.isNull(operation?.["error"])

      const made = at(shown, "backup", "written") as ReadonlyArray<Record<string, unknown>>
      assert.deepStrictEqual(
        made.map(({ kind }) => kind),
        ["Backup"]
      )
      assert.isUndefined(made[0]?.["status"])

      const annotations = at(find(shown, "backup", "Cluster", "orders").after, "metadata", "annotations")
      const id = at(annotations, "velero-cnpg/fresh-backup-id")
      assert.match(String(id), /^20\d{6}T\d{6}$/)
      assert.strictEqual(at(annotations, annotation.backupId), id)
      assert.deepStrictEqual(
        at(find(shown, "restore", "Cluster", "orders").after, "spec", "bootstrap", "recovery", "recoveryTarget"),
        { backupID: id, targetImmediate: true }
      )
      // What was made is not in the backup, and is lost with the rest.
      assert.strictEqual(itemsOf(shown, "backup").length, 38)
    })
  )

  it.live("says so to people, and on the page", () =>
    Effect.gen(function* () {
      const { code, stdout } = yield* preview([shop, ...asked])
      assert.strictEqual(code, 0)
      assert.match(
        stdout,
        /^Waited for, until the backup is completed\n\n {2}Cluster shop\/orders\n {4}waits: CNPG Backup .*\n {4}then, as is assumed here: CNPG Backup .* is completed/m
      )
      assert.match(stdout, /^Written to the cluster by the plugin, at the backup\n\n {2}Backup shop\/orders-velero-/m)
      const page = yield* preview([shop, ...asked, "-o", "html"])
      assert.match(page.stdout, /<li class="info">Velero waits for the operation: CNPG Backup shop\/orders-velero-/)
      assert.match(page.stdout, /once the operator is done, here assumed: CNPG Backup shop\/orders-velero-/)
    })
  )

  it.live("has those that wait for others come to their turn", () =>
    Effect.gen(function* () {
      const one = ["--annotate-backup", "velero-cnpg/on-demand-backup-parallel=1"]
      const shown = yield* json([shop, legacy, ...asked, ...one])
      const operations = at(shown, "backup", "operations") as ReadonlyArray<{ name: string; done: string | null }>
      assert.deepStrictEqual(operations.map(({ name }) => name).toSorted(), ["invoices", "ledger-eu", "orders"])
      for (const { done } of operations) assert.match(done ?? "", /is completed/)
      assert.lengthOf(at(shown, "backup", "written") as ReadonlyArray<unknown>, 3)
    })
  )

  it.live("is none without being asked for", () =>
    Effect.gen(function* () {
      const shown = yield* json([shop])
      assert.deepStrictEqual([at(shown, "backup", "operations"), at(shown, "backup", "written")], [[], []])
    })
  )
})

describe("preview as a page", () => {
  it.live("is whole by itself, and says what, when and by which version", () =>
    Effect.gen(function* () {
      const { code, stderr, stdout } = yield* preview([shop, "-o", "html", "--map-namespace", "shop=shop2"])
      assert.deepStrictEqual([code, stderr], [0, ""])
      assert.match(stdout, /^<!doctype html>\s+<html lang="en">.*<\/html>\n$/s)
      assert.notMatch(stdout, /<script|<link|<img|src=|href=|url\(/)
      assert.match(stdout, /What Velero and its plugins would do with the manifests of examples\/shop\.yaml\./)
      assert.match(stdout, /<dt>Made<\/dt>\s*<dd>20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC<\/dd>/)
      assert.match(stdout, /<dt>By<\/dt>\s*<dd>velero-plugin-cnpg \d+\.\d+\.\d+\S*<\/dd>/)
      assert.include(stdout, "Cluster shop/orders recovers as shop2/orders")
      assert.match(
        stdout,
        /<li class="info">Cluster shop\/orders recovers in namespace shop2 from server name orders-v1, /
      )
      assert.match(stdout, /<li class="info">Cluster shop\/orders: recorded server name orders-v1 and backup 2026/)
      assert.include(stdout, "<svg")
      assert.include(stdout, "ends at the end of the archive")
    })
  )

  it.live("shows what failed, and exits with 1", () =>
    Effect.gen(function* () {
      const wrong = ["--annotate-restore", `${annotation.recoverFrom}=<b>tape</b>`]
      const { code, stdout } = yield* preview([shop, "--output", "html", ...wrong])
      assert.strictEqual(code, 1)
      assert.include(stdout, "An action failed on 14 items; the Cluster does not recover from an archive")
      assert.include(stdout, "&lt;b&gt;tape&lt;/b&gt;")
      assert.notInclude(stdout, "<b>tape")
    })
  )
})

describe("preview, where its reader goes away early,", () => {
  it.live("ends, and leaves nothing behind", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory()
      const { code, stdout } = yield* run({
        command: "/bin/sh",
        args: ["-c", `"$0" preview ${shop} -o json | head -1`, executable],
        env: { PATH: "/usr/bin:/bin", TMPDIR: directory }
      })
      assert.deepStrictEqual([code, stdout], [0, "{\n"])
      assert.deepStrictEqual(processesWith(directory), [])
      assert.deepStrictEqual(Fs.readdirSync(directory), [])
    })
  )
})

describe("preview reads", () => {
  it.live("standard input", () =>
    Effect.gen(function* () {
      const shown = yield* json(["-"], { stdin: Fs.readFileSync(Path.join(repository, legacy), "utf8") })
      assert.strictEqual(itemsOf(shown, "backup").length, 11)
    })
  )

  it.live("several files of all kinds: YAML with many documents, JSON, a List, a List within it", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory()
      const list = (kind: string, ...items: ReadonlyArray<string>) =>
        `{"apiVersion":"v1","kind":"${kind}","items":[${items.join()}]}`
      const shown = yield* json([
        written(directory, "a.yaml", `# nothing\n---\n---\n${deployment("one")}\n---\n${deployment("two")}\n`),
        written(directory, "b.json", deployment("three")),
        written(directory, "c.json", list("List", deployment("four"), list("DeploymentList", deployment("five")))),
        Path.join(repository, legacy)
      ])
      const names = itemsOf(shown, "backup").map(({ name }) => name)
      for (const name of ["one", "two", "three", "four", "five", "invoices"]) assert.include(names, name)
    })
  )

  it.live("the configuration of the plugins, which is not part of the backup", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory()
      const config = Objects.pluginConfig("c", plugin.deploymentRestore, { initContainers: "other" })
      const shown = yield* json([
        written(directory, "config.json", JSON.stringify(config)),
        written(directory, "d.json", deployment("one"))
      ])
      assert.deepStrictEqual(
        itemsOf(shown, "restore").map(({ name }) => name),
        ["one"]
      )
      assert.strictEqual(
        at(find(shown, "restore", "Deployment", "one").after, "spec", "template", "spec", "initContainers", 0, "name"),
        "wait-for-migration-job"
      )
    })
  )

  it.live.each<{ readonly name: string; readonly text: string | undefined; readonly says: RegExp }>([
    { name: "a missing file", text: undefined, says: /^velero-plugin-cnpg: \S+file\.yaml: .*no such file/ },
    { name: "broken YAML", text: "kind: [a\nb: c", says: /^velero-plugin-cnpg: \S+file\.yaml: .*at line \d/ },
    { name: "a scalar", text: "hello", says: /file\.yaml: .*not a Kubernetes object/ },
    { name: "no kind", text: "metadata: {name: x}", says: /file\.yaml: .*has no apiVersion or no kind/ },
    { name: "no name", text: "apiVersion: v1\nkind: Pod", says: /file\.yaml: .*Pod without metadata\.name/ }
  ])("nothing else, and says why: $name", ({ says, text }) =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory()
      const file = text === undefined ? Path.join(directory, "file.yaml") : written(directory, "file.yaml", text)
      const { code, stderr, stdout } = yield* preview([file])
      assert.deepStrictEqual([code, stdout], [1, ""])
      assert.match(stderr.trimEnd(), new RegExp(says.source, "s"))
    })
  )
})

describe("preview of a backup's tarball", () => {
  /** What a backup of manifests would store, as Velero would; the values of Secrets are not hidden there. */
  const stored = (file: string, change: (object: unknown) => unknown = (object) => object) =>
    Effect.gen(function* () {
      const originals = yield* Manifests.load([Path.join(repository, file)])
      const objects = itemsOf(yield* json([file]), "backup").map(({ after, kind, name }) =>
        change(kind === "Secret" ? originals.find((it) => it.kind === kind && it.metadata?.name === name) : after)
      )
      return yield* Effect.promise(() => Tarballs.backup(objects.map((object) => entryOf(JSON.stringify(object)))))
    })

  const inFile = (bytes: Buffer) =>
    Effect.map(temporaryDirectory(), (directory) => {
      const file = Path.join(directory, "whatever")
      Fs.writeFileSync(file, bytes)
      return file
    })

  it.live("shows what a restore of the manifests would, under whatever name it has", () =>
    Effect.gen(function* () {
      const file = yield* inFile(yield* stored(shop))
      const shown = yield* json([file])
      assert.deepStrictEqual(itemsOf(shown, "backup"), [])
      // But for a volume that is no Cluster's, which no plugin is called for. Of the Namespace nothing lives.
      assert.deepStrictEqual(count(itemsOf(shown, "restore")), { created: 13, skipped: 24 })
      assert.deepStrictEqual(at(shown, "tarball", "others"), { persistentvolumeclaims: 1 })
      assert.deepStrictEqual(at(shown, "tarball", "items"), 38)
      assert.deepStrictEqual(at(shown, "clusters", 0, "recovery", "serverName"), "orders-v1")
      const { code, stdout } = yield* preview([file])
      assert.strictEqual(code, 0)
      assert.include(stdout, "Restore in place: 2 changed, 24 left out, 11 as they were\n")
      assert.match(stdout, /^Backup: 38 items in \S+whatever, 1 of them for no plugin to look at$/m)
      assert.match(
        stdout,
        /^ {2}info {2}Cluster shop\/orders: \S+ records server name orders-v1 and backup 20261119T020003, which ended at 2026-11-19T02:01:41Z; stored at 20\S+Z$/m
      )
      assert.notInclude(stdout, "Log of the backup")
    })
  )

  it.live("reads it from standard input, and restores into another namespace", () =>
    Effect.gen(function* () {
      const { code, stderr, stdout } = yield* preview(["-", "--map-namespace", "shop=shop2"], {
        stdin: yield* stored(shop)
      })
      assert.deepStrictEqual([code, stderr], [0, ""])
      assert.include(stdout, "Backup: 38 items in standard input, 1 of them")
      assert.include(stdout, "Restore shop into shop2: 4 changed, 24 left out, 8 as they were")
      assert.include(stdout, "  ConfigMap shop2/cnpg-velero-override\n")
    })
  )

  it.live("restores on top of what manifests beside it say is there", () =>
    Effect.gen(function* () {
      const shown = yield* json([yield* inFile(yield* stored(shop)), shop])
      assert.strictEqual(find(shown, "restore", "Cluster", "orders").outcome, "exists")
      assert.deepStrictEqual(at(shown, "written"), [])
    })
  )

  it.live("says so where the backup was made without the plugin", () =>
    Effect.gen(function* () {
      const bytes = yield* stored(shop, (object) => {
        const { annotations: _, ...metadata } = at(object, "metadata") as Record<string, unknown>
        return { ...(object as object), metadata }
      })
      const { code, stdout } = yield* preview([yield* inFile(bytes)])
      assert.strictEqual(code, 0)
      assert.match(
        stdout,
        /^ {2}warn {2}Cluster shop\/orders: \S+ records nothing: it was made without the plugin replicated\.com\/cnpg-backup-plugin\./m
      )
    })
  )

  it.live("refuses one without Clusters, and says which namespaces it has", () =>
    Effect.gen(function* () {
      const deployments = [entryOf(deployment("one")), entryOf(deployment("two"))]
      const file = yield* inFile(yield* Effect.promise(() => Tarballs.backup(deployments)))
      const { code, stderr, stdout } = yield* preview([file])
      assert.deepStrictEqual([code, stdout], [1, ""])
      assert.strictEqual(
        stderr,
        `velero-plugin-cnpg: ${file}: of its 2 items (with namespace shop) none is one of CloudNativePG's Clusters. Name a backup of a namespace that has some, made with clusters.postgresql.cnpg.io among its resources\n`
      )
    })
  )

  it.live(
    "never holds it whole",
    () =>
      Effect.gen(function* () {
        const megabytes = 600
        const event = JSON.stringify({ kind: "Event", metadata: { name: "a" }, message: "x".repeat(2 ** 20) })
        const cluster = entryOf(JSON.stringify(Objects.cluster("shop", "orders")))
        const bytes = yield* Effect.promise(() =>
          Tarballs.tar([
            Tarballs.version,
            [Tarballs.pathsOf(cluster)[0] ?? "", cluster.text],
            ...Array.from(
              { length: megabytes },
              (_, index) => [`resources/events/cluster/${index}.json`, event] as const
            )
          ])
        )
        const started = yield* launch({ args: ["preview", yield* inFile(bytes)] })
        let most = 0
        const watch = Effect.sync(() => {
          try {
            const [, kilobytes] = /VmHWM:\s+(\d+)/.exec(Fs.readFileSync(`/proc/${started.pid}/status`, "utf8")) ?? []
            most = Math.max(most, Number(kilobytes ?? 0) / 1024)
          } catch {
            // It has ended.
          }
        })
        const { code } = yield* Effect.raceFirst(
          started.exited,
          Effect.forever(Effect.andThen(watch, Effect.sleep("20 millis")))
        )
        assert.deepStrictEqual([code, started.stderr()], [0, ""])
        assert.include(started.stdout(), `Backup: ${megabytes + 1} items`)
        assert.isAbove(most, 0)
        assert.isBelow(most, megabytes * 0.7)
      }),
    60_000
  )

  it.live("refuses two, and one that is cut off", () =>
    Effect.gen(function* () {
      const bytes = yield* stored(shop)
      const file = yield* inFile(bytes)
      const two = yield* preview([file, file])
      assert.deepStrictEqual([two.code, two.stdout], [1, ""])
      assert.match(two.stderr, /A restore is of one backup: name one of them\n$/)
      const half = yield* preview([yield* inFile(bytes.subarray(0, bytes.length / 2))])
      assert.deepStrictEqual([half.code, half.stdout], [1, ""])
      assert.match(
        half.stderr,
        /is damaged or cut off \(gzip: .*\)\. Download it again: velero backup download NAME\n$/
      )
    })
  )
})

describe("preview of a living cluster", () => {
  /** A cluster with these objects, and the kubeconfig of it, beside a context that leads nowhere. */
  const living = (objects: ReadonlyArray<unknown>, options: ApiServer.Options = {}) =>
    Effect.gen(function* () {
      const server = yield* ApiServer.make({
        ...options,
        objects: objects as ReadonlyArray<ApiServer.KubernetesObject>
      })
      const config = JSON.parse(server.kubeconfig) as Record<"clusters" | "contexts", ReadonlyArray<unknown>>
      const directory = yield* temporaryDirectory()
      const kubeconfig = written(
        directory,
        "config",
        JSON.stringify({
          ...config,
          clusters: [...config.clusters, { name: "nowhere", cluster: { server: "http://127.0.0.1:9" } }],
          contexts: [...config.contexts, { name: "nowhere", context: { cluster: "nowhere", user: "in-process" } }]
        })
      )
      return { server, flags: ["--kubeconfig", kubeconfig] }
    })

  const objectsOf = (file: string) => Manifests.load([Path.join(repository, file)])

  it.live("shows what its manifests would, and calls no verb but get and list", () =>
    Effect.gen(function* () {
      const objects = yield* objectsOf(shop)
      const { flags, server } = yield* living(objects)
      const before = JSON.stringify(server.all())
      const shown = yield* json([...flags, "--context", "in-process"])
      // But for a volume that is no Cluster's, which no plugin is called for.
      assert.deepStrictEqual(count(itemsOf(shown, "restore")), { created: 12, exists: 1, skipped: 24 })
      const paths = server.requests().map(({ path }) => path)
      assert.deepStrictEqual(paths.toSorted(), [...new Set(paths)].toSorted(), "nothing is asked for twice")
      assert.strictEqual(at(shown, "cluster", "name"), "context in-process")
      assert.deepStrictEqual(at(shown, "cluster", "namespaces"), ["shop"])
      assert.deepStrictEqual(at(shown, "clusters", 0, "recovery", "serverName"), "orders-v1")

      const { stdout } = yield* preview([...flags, "--map-namespace", "shop=shop2", "-n", "shop"])
      assert.include(stdout, "Cluster: the current context, namespace shop\n")
      assert.include(stdout, "Restore shop into shop2, beside the living one: 4 changed, 24 left out, 8 as they were\n")
      yield* preview([...flags, "--annotate-restore", `${annotation.recoverFrom}=tape`])
      yield* preview([...flags, "--annotate-backup", "velero-cnpg/on-demand-backup=true"])

      const requests = server.requests()
      assert.isAbove(requests.length, 60)
      assert.deepStrictEqual([...new Set(requests.map(({ method }) => method))], ["GET"])
      assert.strictEqual(JSON.stringify(server.all()), before)
    })
  )

  it.live("backs up the Clusters of one namespace, and keeps clear of all others", () =>
    Effect.gen(function* () {
      const other = Objects.cluster("elsewhere", "other")
      const { flags } = yield* living([...(yield* objectsOf(shop)), other, Objects.deployment("elsewhere", "web", [])])
      const one = yield* json([...flags, "--namespace", "shop"])
      assert.deepStrictEqual([...new Set(itemsOf(one, "backup").map(({ namespace }) => namespace))].toSorted(), [
        "",
        "shop"
      ])
      const all = yield* json([...flags])
      assert.deepStrictEqual(at(all, "cluster", "namespaces"), ["elsewhere", "shop"])
      assert.deepStrictEqual(find(all, "restore", "Cluster", "other").outcome, "created")
      assert.deepStrictEqual(find(all, "restore", "Deployment", "web").outcome, "created")
    })
  )

  it.live("plays by the plugins' configuration in Velero's namespace, wherever that is", () =>
    Effect.gen(function* () {
      const config = Objects.pluginConfig("c", plugin.deploymentRestore, { initContainers: "other" })
      const { flags } = yield* living([
        Objects.cluster("shop", "orders"),
        Objects.deployment("shop", "web", ["wait-for-migration-job"]),
        { ...config, metadata: { ...config.metadata, namespace: "backups" } }
      ])
      const changed = (args: ReadonlyArray<string>) =>
        Effect.map(json([...flags, ...args]), (shown) => at(find(shown, "restore", "Deployment", "web"), "changed"))
      assert.strictEqual(yield* changed([]), true)
      assert.strictEqual(yield* changed(["--velero-namespace", "backups"]), false)
    })
  )

  it.live("goes on where it may not read a kind, and says so", () =>
    Effect.gen(function* () {
      const { flags } = yield* living(yield* objectsOf(shop), {
        authorize: ({ namespace, resource }) =>
          !["secrets", "namespaces"].includes(resource) && (resource !== "clusters" || !!namespace)
      })
      const { code, stderr, stdout } = yield* preview([...flags, "-n", "shop"])
      assert.deepStrictEqual([code, stderr], [0, ""])
      assert.match(
        stdout,
        /^ {2}warn {2}not looked at: may not list secrets shop \(.*\)\. Run this as somebody who may$/m
      )
      assert.include(stdout, "  Cluster shop/orders\n")
      const all = yield* preview([...flags])
      assert.deepStrictEqual([all.code, all.stdout], [1, ""])
      assert.match(all.stderr, /may not list clusters\.postgresql\.cnpg\.io .*Run this as somebody who may\n$/)
    })
  )

  it.live("restores a tarball into it, on top of what lives", () =>
    Effect.gen(function* () {
      const { flags, server } = yield* living(yield* objectsOf(shop))
      const stored = itemsOf(yield* json([shop]), "backup").map(({ after }) => entryOf(JSON.stringify(after)))
      const file = written(yield* temporaryDirectory(), "t", "")
      Fs.writeFileSync(file, yield* Effect.promise(() => Tarballs.backup(stored)))
      const { code, stdout } = yield* preview([file, ...flags])
      assert.strictEqual(code, 0)
      assert.match(
        stdout,
        /^Restore into the cluster as it is: 0 changed, 24 left out, 1 as they were, 12 not restored since they live$/m
      )
      assert.match(stdout, /^Not restored by Velero, since they live\n {2}.*Cluster shop\/orders/m)
      assert.notInclude(stdout, "Written to the cluster")
      const beside = yield* preview([file, ...flags, "--map-namespace", "shop=shop2"])
      assert.include(beside.stdout, "  ConfigMap shop2/cnpg-velero-override\n")
      assert.deepStrictEqual([...new Set(server.requests().map(({ method }) => method))], ["GET"])
    })
  )

  it.live.each([
    {
      name: "an unknown context",
      args: ["--context", "production"],
      says: /there is no context production; there are in-process, nowhere\./
    },
    {
      name: "a cluster that does not answer",
      args: ["--context", "nowhere"],
      says: /cannot be reached: .*ECONNREFUSED/
    },
    {
      name: "a namespace without Clusters",
      args: ["-n", "velero"],
      says: /none of CloudNativePG's Clusters in namespace velero, but in shop: choose with --namespace and --context/
    },
    { name: "manifests besides", args: [shop], says: /name manifests or a cluster, not both/ }
  ])("fails with what to do: $name", ({ args, says }) =>
    Effect.gen(function* () {
      const { flags } = yield* living([Objects.cluster("shop", "orders")])
      const { code, stderr, stdout } = yield* preview([...flags, ...args], {
        env: { KUBERNETES_CALL_TIMEOUT: "1 second" }
      })
      assert.deepStrictEqual([code, stdout], [1, ""])
      assert.match(stderr, says)
    })
  )

  it.live("fails where there are none at all", () =>
    Effect.gen(function* () {
      const { flags } = yield* living([])
      const { code, stderr } = yield* preview(flags)
      assert.strictEqual(code, 1)
      assert.match(stderr, /there are none of CloudNativePG's Clusters in the cluster: choose another with --context/)
    })
  )
})

describe("preview hides", () => {
  const secret = {
    apiVersion: "v1",
    kind: "Secret",
    metadata: {
      name: "app",
      namespace: "shop",
      labels: { "cnpg.io/cluster": "orders", "cnpg.io/userType": "app" },
      annotations: {
        "kubectl.kubernetes.io/last-applied-configuration": `{"data":{"password":"${Buffer.from("hunter2").toString("base64")}"}}`
      }
    },
    data: {
      password: Buffer.from("hunter2").toString("base64"),
      uri: Buffer.from("postgresql://app:hunter2@orders-rw.shop:5432/app").toString("base64")
    },
    stringData: { token: "hunter2" }
  }

  it.live.each([
    { name: "text", args: [] },
    { name: "text, mapped", args: ["--map-namespace", "shop=shop2"] },
    { name: "JSON", args: ["-o", "json"] },
    { name: "JSON, mapped", args: ["-o", "json", "--map-namespace", "shop=shop2"] },
    { name: "a page", args: ["-o", "html"] },
    { name: "a page, mapped", args: ["-o", "html", "--map-namespace", "shop=shop2"] }
  ])("every value of every Secret: $name", ({ args }) =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory()
      const file = written(directory, "secret.json", JSON.stringify(secret))
      const { code, stderr, stdout } = yield* preview([file, shop, ...args])
      assert.strictEqual(code, 0, stderr)
      const values = [
        ...Object.values(secret.data),
        "hunter2",
        // All data of shop.yaml's Secrets that is long enough to be told from other text.
        ...[...Fs.readFileSync(Path.join(repository, shop), "utf8").matchAll(/^ {2}[\w.-]+: ([A-Za-z0-9+/=]{16,})$/gm)]
          .map(([, value = ""]) => value)
          .filter((value) => !value.includes("."))
      ]
      assert.isAbove(values.length, 15)
      for (const value of values) {
        assert.notInclude(stdout, value)
        const text = Buffer.from(value, "base64").toString("utf8")
        if (/fake/i.test(text)) assert.notInclude(stdout, text)
      }
      const isText = args.length === 0 || args.includes("html")
      assert.include(stdout, isText ? "orders-store-s3" : "<hidden")
    })
  )
})

describe("preview fails", () => {
  it.live("with 1 where an action failed, and still shows everything", () =>
    Effect.gen(function* () {
      const wrong = ["--annotate-restore", `${annotation.recoverFrom}=tape`]
      const text = yield* preview([shop, ...wrong])
      assert.strictEqual(text.code, 1)
      assert.include(text.stdout, `! not restored: annotation ${annotation.recoverFrom} on Restore preview is "tape"`)
      assert.strictEqual(text.stderr, "velero-plugin-cnpg: an action failed on an item; see the lines marked with !\n")

      const asJson = yield* preview([shop, ...wrong, "-o", "json"])
      assert.strictEqual(asJson.code, 1)
      assert.match(
        String(at(find(JSON.parse(asJson.stdout), "restore", "Cluster", "orders"), "error")),
        /object-store or volumes/
      )
    })
  )

  it.live.each([
    { name: "no file", args: [] },
    { name: "an unknown flag", args: [shop, "--nope"] },
    { name: "an unknown output", args: [shop, "-o", "yaml"] },
    { name: "a mapping without a target", args: [shop, "--map-namespace", "shop"] }
  ])("with 1 and the help where it is called wrongly: $name", ({ args }) =>
    Effect.gen(function* () {
      const { code, stderr, stdout } = yield* preview(args)
      assert.strictEqual(code, 1)
      assert.include(stdout + stderr, "velero-plugin-cnpg preview")
    })
  )

  it.live.each([{ signal: "SIGINT" as const }, { signal: "SIGTERM" as const }])(
    "and leaves nothing behind where it is ended by $signal",
    ({ signal }) =>
      Effect.gen(function* () {
        const directory = yield* temporaryDirectory()
        const started = yield* launch({ args: ["preview", shop], env: { TMPDIR: directory } })
        // A kubeconfig, and the socket of the plugin's process.
        yield* eventually("its files", () => Fs.readdirSync(directory).length > 1)
        started.send(signal)
        const { code } = yield* started.exited
        assert.deepStrictEqual([code, started.stdout()], [1, ""])
        assert.strictEqual(
          started.stderr(),
          `velero-plugin-cnpg: ended by ${signal} before there was something to show\n`
        )
        assert.deepStrictEqual(processesWith(directory), [])
        assert.deepStrictEqual(Fs.readdirSync(directory), [])
      })
  )
})

describe("preview's colours", () => {
  const hasScript = possible(
    spawnSync("script", ["--version"]).status === 0,
    "colours on a terminal: util-linux's script is not here"
  )

  /** Output under a pseudo terminal. */
  const onTerminal = (env: Readonly<Record<string, string>>) =>
    run({
      command: "script",
      args: ["-qec", `"${executable}" preview ${legacy}`, "/dev/null"],
      env: { PATH: process.env["PATH"] ?? "/usr/bin", TERM: "xterm-256color", SHELL: "/bin/sh", ...env }
    })

  it.live.skipIf(!hasScript)("are on a terminal", () =>
    Effect.gen(function* () {
      const { code, stdout } = yield* onTerminal({})
      assert.strictEqual(code, 0)
      assert.include(stdout, "\u001b[1mBackup: 11 objects")
      assert.include(stdout, "\u001b[32m+    velero-cnpg/serverName: invoices\u001b[39m")
      assert.include(stdout, "\u001b[33mwarn \u001b[39m")
    })
  )

  it.live.skipIf(!hasScript)("are not on a terminal with NO_COLOR", () =>
    Effect.gen(function* () {
      const { code, stdout } = yield* onTerminal({ NO_COLOR: "1" })
      assert.strictEqual(code, 0)
      assert.include(stdout, "Backup: 11 objects")
      assert.notInclude(stdout, "\u001b")
    })
  )

  it.live("are not in a pipe, whatever the environment says of terminals", () =>
    Effect.gen(function* () {
      const { stdout } = yield* preview([legacy], { env: { TERM: "xterm-256color", COLORTERM: "truecolor" } })
      assert.notInclude(stdout, "\u001b")
    })
  )
})
