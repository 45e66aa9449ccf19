import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Snapshots from "../../src/filesystem/Snapshots.ts"
import * as Uploads from "../../src/filesystem/Uploads.ts"
import * as World from "./World.ts"

const isRoot = process.getuid?.() === 0
const tags = { "velero.io/backup": "b1", "velero.io/pv": "PVC 1" }

/** A node's file system with one volume on it, and a place for snapshots. */
const node = Effect.gen(function* () {
  const host = yield* World.directory
  const root = yield* World.directory
  const log: Array<string> = []
  const logger = Logger.make<unknown, void>(({ message }) => void log.push(String(message)))
  const at = (...path: ReadonlyArray<string>) => Path.join(host, ...path)
  Fs.mkdirSync(at("volumes/a/sub"), { recursive: true })
  return {
    host,
    root,
    at,
    log,
    volume: { type: "hostPath", path: "/volumes/a" } as const,
    snapshots: Snapshots.make(root, host),
    logged: Effect.provide(Layer.mergeAll(Logger.layer([logger]))),
    snapshotDirectory: Path.join(root, ".velero-filesystem", "snapshots")
  }
})

/** What of a tree a copy must keep, as one text. */
const describeTree = (path: string): string => {
  const names = new Map<number, string>()
  return ["", ...World.tree(path)]
    .map((name) => {
      const full = Path.join(path, name)
      const status = Fs.lstatSync(full)
      const first = names.get(status.ino) ?? name
      names.set(status.ino, first)
      const what = status.isSymbolicLink()
        ? `-> ${Fs.readlinkSync(full)}`
        : status.isFile()
          ? `${Fs.readFileSync(full).toString("base64")} same as ${first}`
          : "directory"
      const mode = status.isSymbolicLink() ? "" : (status.mode & 0o7777).toString(8)
      return [name, mode, status.uid, status.gid, Math.round(status.mtimeMs), what].join(" ")
    })
    .join("\n")
}

const fill = (at: (...path: ReadonlyArray<string>) => string) => {
  Fs.writeFileSync(at("volumes/a/file"), "content")
  Fs.writeFileSync(at("volumes/a/empty"), "")
  Fs.writeFileSync(at("volumes/a/sub/executable"), "#!", { mode: 0o755 })
  Fs.chmodSync(at("volumes/a/sub/executable"), 0o4755)
  Fs.linkSync(at("volumes/a/file"), at("volumes/a/sub/hard"))
  Fs.linkSync(at("volumes/a/file"), at("volumes/a/again"))
  Fs.symlinkSync("../file", at("volumes/a/sub/link"))
  Fs.symlinkSync("/etc/passwd", at("volumes/a/outside"))
  Fs.writeFileSync(at("volumes/a/ümlaut \n name"), "x")
  Fs.chmodSync(at("volumes/a/sub"), 0o2751)
  if (isRoot) {
    Fs.chownSync(at("volumes/a/empty"), 1234, 2345)
    Fs.lchownSync(at("volumes/a/outside"), 1234, 2345)
    Fs.chownSync(at("volumes/a/sub"), 999, 999)
  }
  const past = new Date(1_600_000_000_123)
  for (const name of ["file", "sub", "."]) Fs.utimesSync(at("volumes/a", name), past, past)
  Fs.lutimesSync(at("volumes/a/outside"), past, past)
}

describe("a snapshot", () => {
  it.live("is a whole copy, and comes back as a new volume beside the old one", () =>
    Effect.gen(function* () {
      const { at, logged, snapshotDirectory, snapshots, volume } = yield* node
      fill(at)
      const before = describeTree(at("volumes/a"))
      const id = yield* logged(snapshots.take(volume, tags))
      assert.match(id, /^pvc-1-\d{8}t\d{6}z-[0-9a-f]{8}$/)
      assert.strictEqual(describeTree(Path.join(snapshotDirectory, id, "data")), before)
      // The volume goes on living.
      Fs.writeFileSync(at("volumes/a/file"), "changed")
      Fs.rmSync(at("volumes/a/sub"), { recursive: true })
      const restored = yield* snapshots.restore(id)
      assert.strictEqual(restored.type, "hostPath")
      assert.match(restored.path, /^\/volumes\/a-restored-[0-9a-f]{8}$/)
      assert.strictEqual(describeTree(at(restored.path)), before)
      assert.strictEqual(Fs.readFileSync(at("volumes/a/file"), "utf8"), "changed")
      assert.deepStrictEqual(Fs.readdirSync(at("volumes")).toSorted(), ["a", Path.basename(restored.path)])
    })
  )

  it.live("says what it is of, and what is in it", () =>
    Effect.gen(function* () {
      const { at, log, logged, snapshotDirectory, snapshots, volume } = yield* node
      Fs.writeFileSync(at("volumes/a/file"), "content")
      const id = yield* logged(snapshots.take(volume, tags))
      const { created, ...record } = JSON.parse(
        Fs.readFileSync(Path.join(snapshotDirectory, id, "snapshot.json"), "utf8")
      )
      assert.deepStrictEqual(record, { volume: "hostPath:/volumes/a", files: 1, bytes: 7, skipped: [], tags })
      assert.match(created, /^\d{4}-.*Z$/)
      assert.include(log.join("\n"), `copied 1 files (7 bytes) of hostPath:/volumes/a to ${id}`)
      // Nobody else gets at a copy of a setuid program.
      assert.strictEqual(Fs.statSync(Path.join(snapshotDirectory, id)).mode & 0o077, 0)
    })
  )

  it.live("leaves out what is no file, and says so", () =>
    Effect.gen(function* () {
      const { at, log, logged, snapshotDirectory, snapshots, volume } = yield* node
      spawnSync("mkfifo", [at("volumes/a/pipe")])
      const id = yield* logged(snapshots.take(volume, tags))
      assert.deepStrictEqual(World.tree(Path.join(snapshotDirectory, id, "data")), ["sub"])
      assert.include(log.join("\n"), "pipe (neither file, directory nor symbolic link)")
    })
  )

  it.live("may be of the very volume that it is kept on", () =>
    Effect.gen(function* () {
      const { at, host, log, logged, snapshots: _, volume } = yield* node
      Fs.mkdirSync(at("volumes/a/backups"))
      const root = at("volumes/a/backups")
      const snapshots = Snapshots.make(root, host)
      const first = yield* logged(snapshots.take(volume, tags))
      const second = yield* logged(snapshots.take(volume, tags))
      const copy = Path.join(root, ".velero-filesystem", "snapshots", second, "data")
      assert.deepStrictEqual(World.tree(copy), ["backups", "backups/.velero-filesystem", "sub"])
      assert.notStrictEqual(first, second)
      assert.include(log.join("\n"), "snapshots (the snapshots)")
    })
  )

  it.live("is removed once, and then is gone", () =>
    Effect.gen(function* () {
      const { snapshotDirectory, snapshots, volume, logged } = yield* node
      const id = yield* logged(snapshots.take(volume, tags))
      yield* snapshots.remove(id)
      assert.deepStrictEqual(Fs.readdirSync(snapshotDirectory), [])
      yield* snapshots.remove(id)
      const error = yield* Effect.flip(snapshots.restore(id))
      assert.strictEqual(error._tag, "NoSnapshot")
      assert.include(error.message, "it does not exist")
    })
  )

  it.live.each(["", "..", "../../etc", "a/b", ".velero", "A", "a".repeat(300)])("is not %j", (id) =>
    Effect.gen(function* () {
      const { root, snapshots } = yield* node
      yield* snapshots.remove(id)
      const error = yield* Effect.flip(snapshots.restore(id))
      assert.strictEqual(error._tag, "NoSnapshot")
      assert.isTrue(Fs.existsSync(root))
    })
  )

  it.live("that was interrupted is none, and what is left of it is swept", () =>
    Effect.gen(function* () {
      const { snapshotDirectory, snapshots, logged, at } = yield* node
      const me = yield* Uploads.self
      const dead = `${me.realm}.4194304.1.0a`
      const living = `${me.realm}.${me.pid}.${me.started}.0b`
      for (const name of [dead, living])
        Fs.mkdirSync(Path.join(snapshotDirectory, name, "data/sub"), { recursive: true })
      yield* logged(snapshots.sweep)
      assert.deepStrictEqual(Fs.readdirSync(snapshotDirectory), [living])
      // A restore sweeps beside the volume that it makes, and only what it knows.
      Fs.mkdirSync(at("volumes", `.velero-restoring.${dead}`))
      Fs.mkdirSync(at("volumes", ".velero-restoring.mine"))
      const id = yield* logged(snapshots.take({ type: "hostPath", path: "/volumes/a" }, tags))
      yield* snapshots.restore(id)
      assert.isFalse(Fs.existsSync(at("volumes", `.velero-restoring.${dead}`)))
      assert.isTrue(Fs.existsSync(at("volumes", ".velero-restoring.mine")))
    })
  )

  it.live("whose record is damaged is not restored", () =>
    Effect.gen(function* () {
      const { logged, snapshotDirectory, snapshots, volume } = yield* node
      const id = yield* logged(snapshots.take(volume, tags))
      Fs.writeFileSync(Path.join(snapshotDirectory, id, "snapshot.json"), "{")
      assert.include((yield* Effect.flip(snapshots.restore(id))).message, "its snapshot.json is damaged")
    })
  )
})

describe("a volume", () => {
  it.live.each(["/volumes/b", "/volumes/file", "/nowhere/at/all"])("that is no directory is an error: %s", (path) =>
    Effect.gen(function* () {
      const { at, host, snapshots } = yield* node
      Fs.writeFileSync(at("volumes/file"), "")
      for (const attempt of [snapshots.take({ type: "local", path }, tags), snapshots.check({ type: "local", path })]) {
        const error = yield* Effect.flip(attempt)
        assert.strictEqual(error._tag, "NoVolume")
        assert.include(error.message, `volume local:${path} cannot be copied`)
        assert.include(error.message, host)
        assert.include(error.message, "hostRoot")
      }
    })
  )

  it.live("behind a link is refused: the link may lead out of the node's file system", () =>
    Effect.gen(function* () {
      const { at, snapshots } = yield* node
      Fs.symlinkSync("/etc", at("volumes/link"))
      for (const path of ["/volumes/link", "/volumes/link/ssl"]) {
        assert.strictEqual((yield* Effect.flip(snapshots.take({ type: "local", path }, tags)))._tag, "LinkRefused")
      }
    })
  )

  it.live("whose directory is gone on a new node is restored there all the same", () =>
    Effect.gen(function* () {
      const { at, logged, snapshots, volume } = yield* node
      Fs.writeFileSync(at("volumes/a/file"), "content")
      const id = yield* logged(snapshots.take(volume, tags))
      Fs.rmSync(at("volumes"), { recursive: true })
      const { path } = yield* snapshots.restore(id)
      assert.strictEqual(Fs.readFileSync(at(path, "file"), "utf8"), "content")
    })
  )
})

const canMount =
  isRoot && spawnSync("sh", ["-c", "which mkfs.btrfs && unshare -m mount -t tmpfs none /mnt"]).status === 0
if (!canMount) console.warn("skipped: the test of shared blocks needs root, mkfs.btrfs and the right to mount")

describe.runIf(canMount)("on a file system that shares blocks", () => {
  it.live("a snapshot takes no space", () =>
    Effect.gen(function* () {
      const directory = yield* World.directory
      const script = `
        set -e
        cd "$DIRECTORY"
        mkdir disk
        truncate -s 400M disk.img
        mkfs.btrfs -q disk.img
        mount -o loop disk.img disk
        mkdir -p disk/volume disk/root
        head -c 100000000 /dev/urandom > disk/volume/file
        sync disk
        used() { btrfs filesystem du -s --raw disk | tail -1; }
        "$BUN" -e '
          const Effect = await import("effect/Effect")
          const Snapshots = await import(process.env.MODULE)
          const snapshots = Snapshots.make(process.env.DIRECTORY + "/disk/root", process.env.DIRECTORY + "/disk")
          await Effect.runPromise(snapshots.take({ type: "local", path: "/volume" }, {}))
        ' >/dev/null
        sync disk
        used > used
      `
      const run = spawnSync("unshare", ["-m", "sh", "-c", script], {
        encoding: "utf8",
        cwd: process.cwd(),
        env: {
          ...process.env,
          DIRECTORY: directory,
          BUN: process.execPath,
          MODULE: Path.join(import.meta.dirname, "../../src/filesystem/Snapshots.ts"),
          NODE_PATH: Path.join(import.meta.dirname, "../../node_modules")
        }
      })
      assert.strictEqual(run.status, 0, run.stderr)
      const [total = 0, exclusive = 0, shared = 0] = Fs.readFileSync(Path.join(directory, "used"), "utf8")
        .trim()
        .split(/\s+/)
        .map(Number)
      assert.isAtLeast(total, 200_000_000)
      assert.isAtLeast(shared, 100_000_000)
      assert.isBelow(exclusive, 1_000_000)
    })
  )
})
