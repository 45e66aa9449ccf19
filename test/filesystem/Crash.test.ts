/** What survives the end of a process, and of a machine. */
import { spawn, spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as References from "effect/References"
import * as Stream from "effect/Stream"
import * as Names from "../../src/filesystem/Names.ts"
import * as Content from "./Content.ts"
import type { Operation, Outcome } from "./Driver.ts"
import * as World from "./World.ts"

const here = Path.dirname(fileURLToPath(import.meta.url))
const { bucket } = World

/** Runs a driver until it has acknowledged so many uploads, then kills it. Answers what it acknowledged. */
const killedAfter = (root: string, operations: ReadonlyArray<Operation>, acknowledgements: number) =>
  Effect.callback<ReadonlyArray<Outcome>>((resume) => {
    const child = spawn(process.execPath, [Path.join(here, "Driver.ts"), root, JSON.stringify(operations)], {
      stdio: ["ignore", "pipe", "inherit"]
    })
    const outcomes: Array<Outcome> = []
    createInterface({ input: child.stdout }).on("line", (line) => {
      outcomes.push(JSON.parse(line) as Outcome)
      if (outcomes.length === acknowledgements) child.kill("SIGKILL")
    })
    // It is gone, and all that it said has been read.
    child.once("close", () => resume(Effect.succeed(outcomes)))
  })

describe("kill -9", () => {
  const keys = ["a", "a/b", "a/b/c", "backups/b1/velero-backup.json", "backups/b1/b1.tar.gz", "backups/b2/x", "x//"]
  const rounds = 12
  const versions = 8

  it.live(
    "at any point of uploads loses no acknowledged object, and shows no half one",
    () =>
      Effect.gen(function* () {
        const { objects, root } = yield* World.world
        const known = new Map<string, { acknowledged: number; started: number }>()
        let leftOvers = 0
        for (let round = 0; round < rounds; round++) {
          const first = round * versions + 1
          const operations = keys.flatMap((key, index) =>
            Array.from({ length: versions }, (_, version): Operation => ({
              name: "put",
              bucket,
              key,
              version: first + version,
              // From a few bytes to a few system calls.
              size: 8 * (1 + (((first + version) * 7919 * (index + 1)) % 100_000))
            }))
          )
          const outcomes = yield* killedAfter(root, operations, 1 + ((round * 5) % (keys.length * versions - 10)))
          for (const key of keys) {
            const done = outcomes.filter(({ operation }) => operation.key === key)
            assert.deepStrictEqual(
              done.filter(({ error }) => error !== undefined),
              []
            )
            known.set(key, {
              acknowledged: done.at(-1)?.operation.version ?? known.get(key)?.acknowledged ?? 0,
              // The one that was under way may have been moved to its place, unacknowledged.
              started: done.length < versions ? first + done.length : first + versions - 1
            })
          }
          leftOvers += World.uploads(root).length
          const listed = Names.sorted(yield* Stream.runCollect(objects.keys(bucket, "")))
          for (const [key, { acknowledged }] of known) {
            if (acknowledged > 0) assert.include(listed, key)
          }
          for (const key of listed) {
            const version = Content.versionOf(Buffer.concat(yield* Stream.runCollect(objects.get(bucket, key))))
            assert.isDefined(version, `${key} is whole`)
            const { acknowledged, started } = known.get(key) ?? { acknowledged: 0, started: 0 }
            assert.isAtLeast(version ?? 0, acknowledged, key)
            assert.isAtMost(version ?? 0, started, key)
          }
          yield* Effect.provideService(objects.sweep, References.MinimumLogLevel, "Warn")
          assert.deepStrictEqual(World.uploads(root), [])
        }
        // Else nothing was ever interrupted.
        assert.isAbove(leftOvers, 0)
      }),
    120_000
  )
})

const canMount =
  process.getuid?.() === 0 &&
  spawnSync("sh", ["-c", "which mkfs.ext4 && unshare -m mount -t tmpfs none /mnt"]).status === 0
if (!canMount) console.warn("skipped: the test of a power failure needs root, mkfs.ext4 and the right to mount")

/** A disk, a copy of it while it is in use (which is what a power failure leaves of it), and what is on the copy. */
const powerFailure = `
  set -e
  cd "$DIRECTORY"
  mkdir disk copy
  truncate -s 256M disk.img
  mkfs.ext4 -q disk.img
  mount -o loop disk.img disk
  mkdir -p disk/root/$BUCKET
  sync disk
  "$BUN" "$DRIVER" "$DIRECTORY/disk/root" "$WRITES" > written
  printf unsynced > disk/root/control
  cp --sparse=always disk.img copy.img
  mount -o loop copy.img copy
  "$BUN" "$DRIVER" "$DIRECTORY/copy/root" "$READS" > survived
  wc -c < copy/root/control > control || echo 0 > control
`

describe.runIf(canMount)("a power failure", () => {
  it.live(
    "right behind an acknowledgement loses nothing of what was acknowledged",
    () =>
      Effect.gen(function* () {
        const directory = yield* World.directory
        const keys = ["a", "a/b", "a/b/c/d/e", "backups/b1/velero-backup.json", "backups/b1/b1.tar.gz"]
        // New objects and replaced ones: ext4 itself looks after the latter.
        const versionsOf = (index: number) => (index % 2 === 0 ? [1] : [1, 2])
        const writes = keys.flatMap((key, index) =>
          versionsOf(index).map((version): Operation => ({
            name: "put",
            bucket,
            key,
            version,
            size: 400_000 * (index + 1)
          }))
        )
        const reads = keys.map((key): Operation => ({ name: "get", bucket, key }))
        // A mount namespace of its own: its mounts go with the last process in it.
        const run = spawnSync("unshare", ["-m", "sh", "-c", powerFailure], {
          encoding: "utf8",
          env: {
            ...process.env,
            DIRECTORY: directory,
            BUCKET: bucket,
            BUN: process.execPath,
            DRIVER: Path.join(here, "Driver.ts"),
            WRITES: JSON.stringify(writes),
            READS: JSON.stringify(reads)
          }
        })
        assert.strictEqual(run.status, 0, run.stderr)
        const outcomes = (name: string) =>
          Fs.readFileSync(Path.join(directory, name), "utf8")
            .trimEnd()
            .split("\n")
            .map((line) => JSON.parse(line) as Outcome)
        assert.isTrue(outcomes("written").every(({ error }) => error === undefined))
        assert.deepStrictEqual(
          outcomes("survived").map(({ operation, result }) => [operation.key, result]),
          keys.map((key, index) => [key, versionsOf(index).length])
        )
        // What nobody had synced is lost: the copy is what a power failure leaves, no less.
        assert.strictEqual(Fs.readFileSync(Path.join(directory, "control"), "utf8").trim(), "0")
      }),
    120_000
  )
})
