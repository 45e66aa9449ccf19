/** The compiled executable: driven by Velero's own client packages, and by hand. */
import { spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { createInterface } from "node:readline"
import { assert, beforeAll, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as ApiServer from "../../src/testing/ApiServer.ts"
import * as Velero from "./Velero.ts"
import * as World from "./World.ts"

if (!Velero.hasGo) console.warn("skipped: the tests with Velero's own client packages need Go (https://go.dev/dl)")

const { bucket } = World
const name = "velero-filesystem/object-store"
const MiB = 1024 * 1024

/** A Velero with one location. */
const location = (config: Readonly<Record<string, string>> = {}, env: Readonly<Record<string, string>> = {}) =>
  Effect.gen(function* () {
    const root = yield* World.directory
    const { ask, crash } = yield* Velero.velero(env)
    const init = () => ask({ op: "objectStore.init", name, config: { root, bucket, prefix: "", ...config } })
    const initialized = yield* init()
    assert.isTrue(initialized.ok, initialized.error)
    const on = (op: string, request: Readonly<Record<string, unknown>> = {}) =>
      ask({ op: `objectStore.${op}`, name, bucket, ...request })
    /** Peak resident memory of the plugin's process, in MiB. */
    const peak = Effect.map(ask({ op: "processes" }), ({ result }) => {
      const [{ pid }] = result.processes as readonly [{ readonly pid: number }]
      return Number(/VmHWM:\s+(\d+)/.exec(Fs.readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024
    })
    return { ask, crash, init, on, peak, root }
  })

/** `serve-files` on a free port; it ends with its scope. */
const serveFiles = (root: string, flags: ReadonlyArray<string> = [], env: Readonly<Record<string, string>> = {}) =>
  Effect.gen(function* () {
    const lines: Array<string> = []
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(Velero.executable, ["serve-files", "--root", root, "--port", "0", "--host", "127.0.0.1", ...flags], {
          env,
          stdio: ["ignore", "pipe", "inherit"]
        })
      ),
      (process) => Effect.sync(() => process.kill("SIGKILL"))
    )
    const port = yield* Effect.callback<number>((resume) => {
      createInterface({ input: child.stdout }).on("line", (line) => {
        lines.push(line)
        const found = /on port (\d+)/.exec(line)
        if (found !== null) resume(Effect.succeed(Number(found[1])))
      })
    })
    const stop = Effect.callback<number | null>((resume) => {
      child.once("exit", (code) => resume(Effect.succeed(code)))
      child.kill("SIGTERM")
    })
    return { url: `http://127.0.0.1:${port}`, lines, stop }
  })

const get = (url: string) => Effect.promise(() => fetch(url))

describe.runIf(Velero.hasGo)("Velero's own client packages", () => {
  beforeAll(() => Velero.build(), 30 * 60_000)

  it.live("discover two plugins", () =>
    Effect.gen(function* () {
      const { ask } = yield* Velero.velero()
      const { result } = yield* ask({ op: "list" })
      assert.deepStrictEqual(
        result.plugins.map(({ kind, name: plugin }: Record<string, string>) => [kind, plugin]),
        [
          ["ObjectStore", name],
          ["VolumeSnapshotter", "velero-filesystem/volume-snapshotter"]
        ]
      )
    })
  )

  it.live("store, list, read and delete", () =>
    Effect.gen(function* () {
      const { on, root } = yield* location()
      const keys = ["backups/b1/velero-backup.json", "backups/b1/b1.tar.gz", "backups/b2/velero-backup.json"]
      const sums = new Map<string, string>()
      for (const [index, key] of keys.entries()) {
        const put = yield* on("putObject", { key, size: 16 * 1024 * index + 1 })
        assert.isTrue(put.ok, put.error)
        sums.set(key, put.result.sha256)
      }
      for (const [key, sum] of sums) {
        assert.strictEqual((yield* on("getObject", { key })).result.sha256, sum)
        assert.isTrue((yield* on("objectExists", { key })).result.exists)
        assert.isTrue(Fs.existsSync(Path.join(root, bucket, key)))
      }
      assert.isFalse((yield* on("objectExists", { key: "backups/b3" })).result.exists)
      const prefixes = yield* on("listCommonPrefixes", { prefix: "backups/", delimiter: "/" })
      assert.deepStrictEqual(prefixes.result.prefixes, ["backups/b1/", "backups/b2/"])
      const listed = yield* on("listObjects", { prefix: "backups/b1/" })
      assert.deepStrictEqual(listed.result.keys, [keys[0], keys[1]])
      for (const key of keys) assert.isTrue((yield* on("deleteObject", { key })).ok)
      assert.isTrue((yield* on("deleteObject", { key: keys[0] })).ok)
      assert.deepStrictEqual(World.tree(Path.join(root, bucket)), [])
      const gone = yield* on("getObject", { key: keys[0] })
      assert.deepStrictEqual([gone.ok, gone.code], [false, "Unknown"])
      assert.include(gone.error, `bucket ${bucket} has no object "backups/b1/velero-backup.json"`)
    })
  )

  it.live("get the reason, however much they were still sending", () =>
    Effect.gen(function* () {
      const { on } = yield* location()
      const refused = yield* on("putObject", { key: "../../etc/passwd", size: 8 * MiB })
      assert.isFalse(refused.ok)
      assert.include(refused.error, 'the object key "../../etc/passwd" is refused: it has a component ..')
      const other = yield* on("putObject", { bucket: "other", key: "k", size: 8 * MiB })
      assert.include(other.error, "the bucket other does not exist")
      // Their client sends nothing at all of an empty body, not even its name.
      assert.match((yield* on("putObject", { key: "empty" })).error ?? "", /EOF/)
    })
  )

  it.live("are told which keys of a location are wrong, and that a root is not there", () =>
    Effect.gen(function* () {
      const { ask } = yield* Velero.velero()
      const unknown = yield* ask({ op: "objectStore.init", name, config: { path: "/x", bucket, prefix: "" } })
      assert.include(unknown.error, "config has invalid keys [path]; valid keys are [bucket caCert")
      const absent = yield* ask({ op: "objectStore.init", name, config: { root: "/no/such", bucket, prefix: "" } })
      assert.include(absent.error, "the root /no/such does not exist. Mount the volume there")
    })
  )

  it.live(
    "stream 512 MiB in and out in bounded memory",
    () =>
      Effect.gen(function* () {
        const { on, peak } = yield* location()
        yield* on("putObject", { key: "small", size: 64 * MiB })
        yield* on("getObject", { key: "small" })
        const before = yield* peak
        const put = yield* on("putObject", { key: "large", size: 512 * MiB })
        assert.isTrue(put.ok, put.error)
        const read = yield* on("getObject", { key: "large" })
        assert.strictEqual(read.result.sha256, put.result.sha256)
        const after = yield* peak
        yield* Effect.logInfo(
          `peak of the plugin: ${before.toFixed(0)} MiB after 64 MiB, ${after.toFixed(0)} MiB after 512 MiB`
        )
        assert.isBelow(after, 256)
        assert.isBelow(after - before, 64)
      }),
    300_000
  )

  it.live("leave downloads unfinished, and the plugin still ends in time", () =>
    Effect.gen(function* () {
      const { ask, on } = yield* location()
      yield* on("putObject", { key: "large", size: 64 * MiB })
      for (let times = 0; times < 3; times++) {
        assert.strictEqual((yield* on("getObject", { key: "large", stopAfter: 1000 })).result.size, 1000)
      }
      assert.isTrue((yield* on("objectExists", { key: "large" })).result.exists)
      const cleaned = yield* ask({ op: "manager.cleanup", waitLog: "plugin process exited" })
      assert.strictEqual(cleaned.logs?.find(({ message }) => message === "plugin process exited")?.level, "info")
      assert.isBelow(cleaned.result.cleanupMs, 2000)
    })
  )

  it.live("kill the plugin in the middle of an upload, and find neither half of it nor its left-overs", () =>
    Effect.gen(function* () {
      const { ask, on, root } = yield* location()
      yield* on("putObject", { key: "k", size: 10 })
      const both = yield* ask({
        op: "concurrent",
        requests: [
          { op: "objectStore.putObject", name, bucket, key: "k", size: 2048 * MiB },
          { op: "kill", delayMs: 300 }
        ]
      })
      const [put] = both.result.results as ReadonlyArray<Velero.Answer>
      assert.isFalse(put?.ok)
      assert.strictEqual(World.uploads(root).length, 1)
      // The host starts the plugin again, and initializes it as before.
      assert.strictEqual((yield* on("getObject", { key: "k" })).result.size, 10)
      assert.deepStrictEqual((yield* on("listObjects")).result.keys, ["k"])
      assert.deepStrictEqual(World.uploads(root), [])
    })
  )

  it.live("die in the middle of an upload, and leave no half of it", () =>
    Effect.gen(function* () {
      const { ask, crash, on, root } = yield* location()
      yield* on("putObject", { key: "k", size: 10 })
      const { result } = yield* ask({ op: "processes" })
      const [{ pid }] = result.processes as readonly [{ readonly pid: number }]
      yield* Effect.addFinalizer(() => Effect.sync(() => process.kill(pid, "SIGKILL")))
      yield* Effect.forkChild(on("putObject", { key: "k", size: 4096 * MiB }))
      const isUploading = Effect.sync(() => World.uploads(root).length === 1)
      yield* Effect.repeat(isUploading, { until: (is) => is })
      yield* crash
      // The plugin outlives its host, and notices that the connection is gone.
      yield* Effect.repeat(isUploading, { until: (is) => !is })
      assert.strictEqual(Fs.statSync(Path.join(root, bucket, "k")).size, 10)
    })
  )

  it.live("cannot tell it that their source broke: what came is stored", () =>
    Effect.gen(function* () {
      const { on } = yield* location()
      const put = yield* on("putObject", { key: "k", size: 10 * MiB, failAfter: 5 * MiB })
      assert.include(put.error, "the body's reader failed")
      // Documented: an upload whose source breaks ends like one that is complete, only that nobody waits for its answer.
      const exists = Effect.map(on("objectExists", { key: "k" }), ({ result }) => result.exists as boolean)
      yield* Effect.repeat(exists, { until: (is) => is })
      assert.strictEqual((yield* on("getObject", { key: "k" })).result.size, 5 * MiB)
    })
  )

  it.live("lead a backup and a restore through their lives: upload, sync, logs, describe, download, deletion", () =>
    Effect.gen(function* () {
      const root = yield* World.directory
      const { url } = yield* serveFiles(root)
      assert.strictEqual(yield* Velero.lifeOfABackup(name, { root, publicUrl: url }), "")
      assert.deepStrictEqual(World.tree(Path.join(root, bucket)), [])
    })
  )

  it.live("get URLs that serve-files takes, with the key in the root", () =>
    Effect.gen(function* () {
      const root = yield* World.directory
      const { lines, stop, url } = yield* serveFiles(root)
      const { on } = yield* location({ root, publicUrl: url })
      yield* on("putObject", { key: "backups/b1/b1-logs.gz", size: 3 * MiB })
      const signed = yield* on("createSignedURL", { key: "backups/b1/b1-logs.gz", ttlMs: 600_000 })
      const answer = yield* get(signed.result.url)
      assert.strictEqual(answer.status, 200)
      assert.strictEqual((yield* Effect.promise(() => answer.arrayBuffer())).byteLength, 3 * MiB)
      const expired = yield* on("createSignedURL", { key: "backups/b1/b1-logs.gz", ttlMs: -1000 })
      assert.strictEqual((yield* get(expired.result.url)).status, 403)
      assert.strictEqual((yield* get(signed.result.url.replace("signature=", "signature=A"))).status, 404)
      assert.strictEqual((yield* get(`${url}/healthz`)).status, 200)
      assert.strictEqual(yield* stop, 0)
      assert.isFalse(lines.some((line) => line.includes("signature=")))
      assert.isTrue(lines.every((line) => typeof JSON.parse(line).message === "string"))
    })
  )

  it.live("get URLs that serve-files takes, with the key in a Secret that is rotated", () =>
    Effect.gen(function* () {
      const cluster = yield* ApiServer.make({ createNamespaces: true })
      cluster.put({ apiVersion: "v1", kind: "Namespace", metadata: { name: "velero" } })
      const directory = yield* World.directory
      const env = { KUBECONFIG: Path.join(directory, "kubeconfig"), VELERO_NAMESPACE: "velero" }
      Fs.writeFileSync(env.KUBECONFIG, cluster.kubeconfig)
      const { url } = yield* serveFiles(directory, ["--signing-key-secret", "velero-files"], env)
      const { on } = yield* location({ root: directory, publicUrl: url, signingKeySecret: "velero-files" }, env)
      yield* on("putObject", { key: "k", size: 10 })
      const signed = () =>
        Effect.map(on("createSignedURL", { key: "k", ttlMs: 600_000 }), ({ result }) => result.url as string)
      const first = yield* signed()
      assert.strictEqual((yield* get(first)).status, 200)
      const rotated = yield* Effect.callback<number | null>((resume) => {
        const flags = ["rotate-signing-key", "--root", directory, "--signing-key-secret", "velero-files"]
        spawn(Velero.executable, flags, { env, stdio: "ignore" }).once("exit", (code) => resume(Effect.succeed(code)))
      })
      assert.strictEqual(rotated, 0)
      const second = yield* signed()
      assert.notStrictEqual(new URL(second).searchParams.get("signature"), new URL(first).searchParams.get("signature"))
      // The server looks again for a signature that it does not know, at most once a second.
      const status = Effect.map(get(second), (answer) => answer.status)
      assert.strictEqual(yield* Effect.repeat(status, { until: (code) => code === 200 }), 200)
      assert.strictEqual((yield* get(first)).status, 200)
    })
  )

  it.live("snapshot and restore a volume", () =>
    Effect.gen(function* () {
      const hostRoot = yield* World.directory
      const root = yield* World.directory
      Fs.mkdirSync(Path.join(hostRoot, "data"))
      Fs.writeFileSync(Path.join(hostRoot, "data", "file"), "content")
      const { ask } = yield* Velero.velero()
      const on = (op: string, request: Readonly<Record<string, unknown>>) =>
        ask({ op: `volumeSnapshotter.${op}`, name: "velero-filesystem/volume-snapshotter", ...request })
      const initialized = yield* on("init", { config: { root, hostRoot, node: "n1" } })
      assert.isTrue(initialized.ok, initialized.error)
      const pv = {
        apiVersion: "v1",
        kind: "PersistentVolume",
        metadata: { name: "pv-1" },
        spec: { hostPath: { path: "/data" }, capacity: { storage: "1Gi" } }
      }
      const { volumeID } = (yield* on("getVolumeID", { pv })).result
      assert.strictEqual(volumeID, "hostPath:/data")
      assert.deepStrictEqual((yield* on("getVolumeInfo", { volumeID })).result, { volumeType: "hostPath", iops: null })
      const { snapshotID } = (yield* on("createSnapshot", { volumeID, tags: { "velero.io/pv": "pv-1" } })).result
      const created = yield* on("createVolumeFromSnapshot", { snapshotID, volumeType: "hostPath", volumeAZ: "" })
      assert.isTrue(created.ok, created.error)
      const { item } = (yield* on("setVolumeID", { pv, volumeID: created.result.volumeID })).result
      assert.strictEqual(`hostPath:${item.spec.hostPath.path}`, created.result.volumeID)
      assert.deepStrictEqual(item.spec.capacity, pv.spec.capacity)
      assert.strictEqual(Fs.readFileSync(Path.join(hostRoot, item.spec.hostPath.path, "file"), "utf8"), "content")
      for (let times = 0; times < 2; times++) assert.isTrue((yield* on("deleteSnapshot", { snapshotID })).ok)
    })
  )
})

describe("the command line", () => {
  const run = (...args: ReadonlyArray<string>) =>
    Effect.callback<{ readonly code: number | null; readonly stderr: string }>((resume) => {
      const child = spawn(Velero.executable, args, { env: {}, stdio: ["ignore", "ignore", "pipe"] })
      let stderr = ""
      child.stderr.on("data", (part: Buffer) => (stderr += part.toString()))
      child.once("close", (code) => resume(Effect.succeed({ code, stderr })))
    })

  it.live.each<readonly [ReadonlyArray<string>, string]>([
    [["serve-files", "--root", "backups"], "expected an absolute path"],
    [["rotate-signing-key", "--root", "/no/such/root"], "cannot be read or made"],
    [["serve-files", "--root", "/tmp", "--signing-key-file", "/k", "--signing-key-secret", "s"], "Remove one of them"],
    [["serve-files"], "root"]
  ])("says what is wrong with %j", ([args, message]) =>
    Effect.gen(function* () {
      const { code, stderr } = yield* run(...args)
      assert.strictEqual(code, 1)
      assert.include(stderr, message)
    })
  )
})
