/** Volumes that are full, read-only, forbidden or not there: errors that say so, and nothing half done. */
import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Objects from "../../src/filesystem/Objects.ts"
import type { Operation, Outcome } from "./Driver.ts"
import * as World from "./World.ts"

const driver = Path.join(Path.dirname(fileURLToPath(import.meta.url)), "Driver.ts")
const { bucket } = World

const canMount =
  process.getuid?.() === 0 && spawnSync("unshare", ["-m", "mount", "-t", "tmpfs", "none", "/mnt"]).status === 0
if (!canMount) console.warn("skipped: the tests of full and read-only volumes need root and the right to mount")

const canBecomeNobody =
  process.getuid?.() === 0 && spawnSync("setpriv", ["--reuid=65534", "--clear-groups", "true"]).status === 0
if (!canBecomeNobody) console.warn("skipped: the test of forbidden directories needs root and setpriv")

/** Runs a shell script, in a mount namespace of its own, that calls `drive ROOT OPERATIONS`. */
const drive = (directory: string, script: string, operations: Readonly<Record<string, ReadonlyArray<Operation>>>) => {
  const run = spawnSync(
    "unshare",
    ["-m", "sh", "-c", `set -e; drive() { "$BUN" "$DRIVER" "$@"; }; cd "$DIRECTORY"\n${script}`],
    {
      encoding: "utf8",
      env: {
        ...process.env,
        DIRECTORY: directory,
        BUN: process.execPath,
        DRIVER: driver,
        ...Object.fromEntries(Object.entries(operations).map(([name, list]) => [name, JSON.stringify(list)]))
      }
    }
  )
  assert.strictEqual(run.status, 0, run.stderr)
  return run.stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Outcome)
}

const of = (name: Operation["name"], key: string, more: Partial<Operation> = {}): Operation => ({
  name,
  bucket,
  key,
  ...more
})

describe.runIf(canMount)("a full disk", () => {
  const small = { version: 1, size: 8 }

  it.live.each([
    {
      full: "of bytes",
      options: "size=1m",
      failing: [of("put", "k", { size: 3_000_000 }), of("put", "a/b", { size: 3_000_000 })]
    },
    // The root, the bucket, two private directories, one object, one upload: nothing is left for the directories of a key.
    { full: "of files", options: "nr_inodes=7", failing: [of("put", "a/b/c", small)] }
  ])("$full fails the upload, says so, and keeps what was there", ({ failing, options }) =>
    Effect.gen(function* () {
      const directory = yield* World.directory
      const outcomes = drive(
        directory,
        `mkdir volume; mount -t tmpfs -o ${options} none volume; mkdir volume/${bucket}
         drive "$DIRECTORY/volume" "$FIRST"
         drive "$DIRECTORY/volume" "$FAILING"
         (cd volume; find . -mindepth 1) > left
         drive "$DIRECTORY/volume" "$LAST"`,
        {
          FIRST: [of("put", "k", small)],
          FAILING: failing,
          LAST: [of("get", "k"), of("list", ""), of("remove", "k"), of("exists", "k")]
        }
      )
      assert.isUndefined(outcomes[0]?.error)
      const failed = outcomes.slice(1, 1 + failing.length)
      for (const { error, message } of failed) {
        assert.strictEqual(error, "NoSpace")
        assert.include(message, "no space is left on the file system (ENOSPC")
        assert.include(message, `of bucket ${bucket} was not stored`)
        assert.include(message, "Enlarge the volume")
      }
      assert.deepStrictEqual(Fs.readFileSync(Path.join(directory, "left"), "utf8").trim().split("\n").toSorted(), [
        "./.velero-filesystem",
        "./.velero-filesystem/uploads",
        `./${bucket}`,
        `./${bucket}/k`
      ])
      assert.deepStrictEqual(
        outcomes.slice(1 + failing.length).map(({ error, result }) => error ?? result),
        [1, ["k"], undefined, false]
      )
    })
  )
})

describe.runIf(canMount)("a read-only mount", () => {
  it.live("is read as ever; a write says what to do", () =>
    Effect.gen(function* () {
      const directory = yield* World.directory
      const outcomes = drive(
        directory,
        `mkdir volume; mount -t tmpfs none volume; mkdir volume/${bucket}
         drive "$DIRECTORY/volume" "$FIRST"
         mount -o remount,ro volume
         drive "$DIRECTORY/volume" "$SECOND"`,
        {
          FIRST: [of("put", "a/b", { version: 1, size: 8 })],
          SECOND: [
            of("get", "a/b"),
            of("list", ""),
            of("exists", "a/b"),
            of("makeBucket", ""),
            of("remove", "a/b"),
            { name: "makeBucket", bucket: "other", key: "" },
            of("put", "a/b", { version: 2, size: 8 })
          ]
        }
      )
      const reads = outcomes.filter(({ operation }) => ["get", "list", "exists"].includes(operation.name))
      assert.deepStrictEqual(
        reads.map(({ error, result }) => error ?? result),
        [1, ["a/b"], true]
      )
      // The bucket is there: a read-only location can be initialized.
      assert.isUndefined(outcomes.find(({ operation }) => operation.name === "makeBucket")?.error)
      const writes = outcomes.slice(1).filter(({ error }) => error !== undefined)
      assert.deepStrictEqual(writes.map(({ operation }) => operation.name).toSorted(), ["makeBucket", "put", "remove"])
      for (const { error, message } of writes) {
        assert.strictEqual(error, "ReadOnly")
        assert.include(message, "mounted read-only (EROFS")
        assert.include(message, "accessMode: ReadOnly")
      }
    })
  )
})

describe.runIf(canBecomeNobody)("a directory of somebody else's", () => {
  it.live("cannot be reached, and the error says how to give access", () =>
    Effect.gen(function* () {
      const { objects, root } = yield* World.world
      yield* objects.put(bucket, "private/k", World.body("1"))
      Fs.chmodSync(root, 0o755)
      Fs.chmodSync(Path.join(root, bucket), 0o755)
      const asNobody = (operations: ReadonlyArray<Operation>) => {
        const run = spawnSync(
          "setpriv",
          [
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            process.execPath,
            driver,
            root,
            JSON.stringify(operations)
          ],
          { encoding: "utf8" }
        )
        assert.strictEqual(run.status, 0, run.stderr)
        return run.stdout
          .trimEnd()
          .split("\n")
          .map((line) => JSON.parse(line) as Outcome)
      }
      const outcomes = asNobody([
        of("get", "private/k"),
        of("exists", "private/k"),
        of("list", ""),
        of("remove", "private/k"),
        of("put", "new", { size: 8 })
      ])
      assert.strictEqual(outcomes.length, 5)
      for (const { error, message } of outcomes) {
        assert.strictEqual(error, "AccessDenied", message)
        assert.include(message, "(EACCES)")
        assert.include(message, "fsGroup")
      }
    })
  )
})

describe("a root", () => {
  it.live("that is not there is an error, and is never made", () =>
    Effect.gen(function* () {
      const directory = yield* World.directory
      const root = Path.join(directory, "mounted", "later")
      const objects = Objects.make(root)
      for (const attempt of [
        objects.makeBucket(bucket),
        objects.put(bucket, "k", World.body("1")),
        objects.exists(bucket, "k"),
        Stream.runDrain(objects.get(bucket, "k")),
        Stream.runDrain(objects.keys(bucket, "")),
        objects.remove(bucket, "k")
      ]) {
        const error = yield* Effect.flip(attempt)
        assert.strictEqual(error._tag, "NoRoot")
        assert.include(error.message, `the root ${root} does not exist`)
        assert.include(error.message, "Mount the volume")
      }
      assert.deepStrictEqual(Fs.readdirSync(directory), [])
    })
  )

  it.live("that is a file is none", () =>
    Effect.gen(function* () {
      const directory = yield* World.directory
      const root = Path.join(directory, "file")
      Fs.writeFileSync(root, "")
      const error = yield* Effect.flip(Objects.make(root).makeBucket(bucket))
      assert.include(error.message, "is not a directory")
    })
  )
})
