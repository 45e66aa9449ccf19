import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as References from "effect/References"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Names from "../../src/filesystem/Names.ts"
import * as Objects from "../../src/filesystem/Objects.ts"
import * as Uploads from "../../src/filesystem/Uploads.ts"
import * as World from "./World.ts"

const { bucket } = World

const list = (objects: Objects.Objects, prefix = "") =>
  Effect.map(Stream.runCollect(objects.keys(bucket, prefix)), Names.sorted)

describe("an object", () => {
  it.live("is root/bucket/key, for its user and group only", () =>
    Effect.gen(function* () {
      const { objects, root } = yield* World.world
      yield* objects.put(bucket, "backups/b1/velero-backup.json", World.body("{}"))
      const path = Path.join(root, bucket, "backups/b1/velero-backup.json")
      assert.strictEqual(Fs.readFileSync(path, "utf8"), "{}")
      assert.strictEqual(Fs.statSync(path).mode & 0o007, 0)
      assert.strictEqual(Fs.statSync(Path.dirname(path)).mode & 0o007, 0)
      assert.strictEqual(yield* World.textOf(objects.get(bucket, "backups/b1/velero-backup.json")), "{}")
      assert.deepStrictEqual(World.uploads(root), [])
    })
  )

  it.live("may be empty, of no part or of empty parts", () =>
    Effect.gen(function* () {
      const { objects } = yield* World.world
      yield* objects.put(bucket, "a", Stream.empty)
      yield* objects.put(bucket, "b", Stream.make(new Uint8Array(), new Uint8Array()))
      assert.deepStrictEqual(yield* Stream.runCollect(objects.get(bucket, "a")), [])
      assert.strictEqual(yield* World.textOf(objects.get(bucket, "b")), "")
      assert.isTrue(yield* objects.exists(bucket, "a"))
    })
  )

  it.live("of many parts of any length comes back byte for byte", () =>
    Effect.gen(function* () {
      const { objects } = yield* World.world
      const parts = Array.from({ length: 200 }, (_, index) => Buffer.alloc((index * 7919) % 40_000, index))
      yield* objects.put(bucket, "k", Stream.fromIterable(parts))
      const read = Buffer.concat(yield* Stream.runCollect(objects.get(bucket, "k")))
      assert.isTrue(read.equals(Buffer.concat(parts)))
    })
  )

  it.live("is the old one until all of the new one is there, and then the new one", () =>
    Effect.gen(function* () {
      const { objects, root } = yield* World.world
      yield* objects.put(bucket, "k", World.body("old"))
      const half = yield* Deferred.make<void>()
      const go = yield* Deferred.make<void>()
      const slow = Stream.concat(
        World.body("ne"),
        Stream.fromEffect(
          Effect.as(Effect.andThen(Deferred.succeed(half, undefined), Deferred.await(go)), World.bytesOf("w"))
        )
      )
      const putting = yield* Effect.forkChild(objects.put(bucket, "k", slow))
      yield* Deferred.await(half)
      assert.strictEqual(World.uploads(root).length, 1)
      assert.strictEqual(yield* World.textOf(objects.get(bucket, "k")), "old")
      assert.deepStrictEqual(yield* list(objects), ["k"])
      const reading = objects.get(bucket, "k")
      yield* Deferred.succeed(go, undefined)
      yield* Fiber.join(putting)
      assert.strictEqual(yield* World.textOf(reading), "new")
      assert.deepStrictEqual(World.uploads(root), [])
    })
  )

  it.live("that is replaced or deleted while it is read is read to its end", () =>
    Effect.gen(function* () {
      const { objects } = yield* World.world
      const old = Buffer.alloc(1_000_000, 1)
      yield* objects.put(bucket, "k", Stream.succeed(old))
      let seen = 0
      yield* Stream.runForEach(
        objects.get(bucket, "k"),
        Effect.fnUntraced(function* (bytes) {
          if (seen === 0) yield* objects.remove(bucket, "k")
          assert.isTrue(bytes.every((byte) => byte === 1))
          seen += bytes.length
        })
      )
      assert.strictEqual(seen, old.length)
    })
  )

  it.live("whose upload is interrupted leaves nothing, not even an empty directory", () =>
    Effect.gen(function* () {
      const { objects, root } = yield* World.world
      const started = yield* Deferred.make<void>()
      const endless = Stream.concat(
        World.body("half"),
        Stream.fromEffect(Effect.andThen(Deferred.succeed(started, undefined), Effect.never))
      )
      const putting = yield* Effect.forkChild(objects.put(bucket, "a/b/c", endless))
      yield* Deferred.await(started)
      yield* Fiber.interrupt(putting)
      assert.deepStrictEqual(World.uploads(root), [])
      assert.deepStrictEqual(World.tree(Path.join(root, bucket)), [])
    })
  )

  it.live("that is not there is not found, and is no failure to look for or delete", () =>
    Effect.gen(function* () {
      const { objects } = yield* World.world
      yield* objects.put(bucket, "a/b", World.body("1"))
      for (const key of ["x", "a", "a/b/c", "a/x/y", "x/y/z"]) {
        assert.isFalse(yield* objects.exists(bucket, key))
        yield* objects.remove(bucket, key)
        const error = yield* Effect.flip(Stream.runDrain(objects.get(bucket, key)))
        assert.strictEqual(error._tag, "NoObject")
        assert.include(error.message, JSON.stringify(key))
      }
      assert.isTrue(yield* objects.exists(bucket, "a/b"))
    })
  )
})

describe("a bucket", () => {
  it.live("is made once, and has to be there", () =>
    Effect.gen(function* () {
      const { objects, root } = yield* World.world
      yield* objects.makeBucket(bucket)
      const other = "other"
      const errors = [
        yield* Effect.flip(objects.put(other, "k", World.body("1"))),
        yield* Effect.flip(objects.exists(other, "k")),
        yield* Effect.flip(Stream.runDrain(objects.get(other, "k"))),
        yield* Effect.flip(objects.remove(other, "k")),
        yield* Effect.flip(Stream.runDrain(objects.keys(other, ""))),
        yield* Effect.flip(objects.commonPrefixes(other, "", "/"))
      ]
      for (const error of errors) {
        assert.strictEqual(error._tag, "NoBucket")
        assert.include(error.message, root)
      }
      assert.deepStrictEqual(Fs.readdirSync(root), [bucket])
    })
  )

  it.live("stays when its last object goes", () =>
    Effect.gen(function* () {
      const { objects, root } = yield* World.world
      yield* objects.put(bucket, "a/b/c", World.body("1"))
      yield* objects.put(bucket, "a/d", World.body("1"))
      yield* objects.remove(bucket, "a/b/c")
      assert.deepStrictEqual(World.tree(Path.join(root, bucket)), ["a", "a/d"])
      yield* objects.remove(bucket, "a/d")
      assert.deepStrictEqual(World.tree(Path.join(root, bucket)), [])
      assert.deepStrictEqual(yield* list(objects), [])
    })
  )

  it.live.each(["", "..", ".velero-filesystem", "a/b", "/etc"])("named %j is refused", (name) =>
    Effect.gen(function* () {
      const { objects } = yield* World.world
      for (const error of [
        yield* Effect.flip(objects.makeBucket(name)),
        yield* Effect.flip(objects.put(name, "k", World.body("1"))),
        yield* Effect.flip(Stream.runDrain(objects.keys(name, "")))
      ]) {
        assert.strictEqual(error._tag, "BucketRefused")
      }
    })
  )
})

describe("an object beside a directory of its name", () => {
  const contents = Effect.fnUntraced(function* (objects: Objects.Objects) {
    const found: Record<string, string> = {}
    for (const key of yield* list(objects)) found[key] = yield* World.textOf(objects.get(bucket, key))
    return found
  })

  it.live.each([
    { keys: ["a", "a/b"] },
    { keys: ["a/b", "a"] },
    { keys: ["a", "a/b", "a/b/c", "a/b/c/d"] },
    { keys: ["a/b/c/d", "a/b/c", "a/b", "a"] }
  ])("is there whatever came first: $keys", ({ keys }) =>
    Effect.gen(function* () {
      const { objects, root } = yield* World.world
      for (const key of keys) yield* objects.put(bucket, key, World.body(`1 ${key}`))
      for (const key of keys) yield* objects.put(bucket, key, World.body(key))
      assert.deepStrictEqual(yield* contents(objects), Object.fromEntries(keys.map((key) => [key, key])))
      for (const key of keys) {
        yield* objects.remove(bucket, key)
        assert.isFalse(yield* objects.exists(bucket, key))
      }
      assert.deepStrictEqual(World.tree(Path.join(root, bucket)), [])
    })
  )

  it.live("has another name, of its own or of the directory, and nothing is ever moved", () =>
    Effect.gen(function* () {
      const { objects, root } = yield* World.world
      const paths = () => World.tree(Path.join(root, bucket))
      yield* objects.put(bucket, "a", World.body("a"))
      yield* objects.put(bucket, "b/c", World.body("b/c"))
      const inode = Fs.statSync(Path.join(root, bucket, "a")).ino
      yield* objects.put(bucket, "a/x", World.body("a/x"))
      yield* objects.put(bucket, "b", World.body("b"))
      assert.deepStrictEqual(paths(), ["a", "a%d", "a%d/x", "b", "b%o", "b/c"])
      assert.strictEqual(Fs.statSync(Path.join(root, bucket, "a")).ino, inode)
      // Whatever goes first: the other one stays where it is, and stays the only one.
      yield* objects.remove(bucket, "a")
      yield* objects.remove(bucket, "b/c")
      yield* objects.put(bucket, "a/y", World.body("a/y"))
      assert.deepStrictEqual(paths(), ["a%d", "a%d/x", "a%d/y", "b%o"])
      assert.deepStrictEqual(yield* contents(objects), { "a/x": "a/x", "a/y": "a/y", b: "b" })
    })
  )

  it.live("is the one that counts where both names exist, and both go with it", () =>
    Effect.gen(function* () {
      const { objects, root } = yield* World.world
      const at = (...path: ReadonlyArray<string>) => Path.join(root, bucket, ...path)
      for (const [directory, text] of [
        ["a", "old"],
        ["a%d", "new"]
      ] as const) {
        Fs.mkdirSync(at(directory))
        Fs.writeFileSync(at(directory, "x"), text)
        Fs.writeFileSync(at(directory, "only-in".concat(text)), text)
      }
      Fs.writeFileSync(at("b"), "new")
      Fs.writeFileSync(at("b%o"), "old")
      assert.deepStrictEqual(yield* contents(objects), {
        "a/x": "new",
        "a/only-inold": "old",
        "a/only-innew": "new",
        b: "new"
      })
      assert.deepStrictEqual(yield* objects.commonPrefixes(bucket, "", "/"), ["a/"])
      yield* objects.put(bucket, "a/x", World.body("newer"))
      assert.strictEqual(yield* World.textOf(objects.get(bucket, "a/x")), "newer")
      for (const key of ["a/x", "b", "a/only-inold", "a/only-innew"]) {
        yield* objects.remove(bucket, key)
        assert.isFalse(yield* objects.exists(bucket, key))
      }
      assert.deepStrictEqual(World.tree(at()), [])
    })
  )

  it.live("takes its own name back once the directory is gone, and the old one never shows again", () =>
    Effect.gen(function* () {
      const { objects, root } = yield* World.world
      yield* objects.put(bucket, "a/b", World.body("1"))
      yield* objects.put(bucket, "a", World.body("aside"))
      yield* objects.remove(bucket, "a/b")
      yield* objects.put(bucket, "a", World.body("own"))
      assert.isTrue(Fs.existsSync(Path.join(root, bucket, "a")))
      assert.strictEqual(yield* World.textOf(objects.get(bucket, "a")), "own")
      assert.deepStrictEqual(yield* list(objects), ["a"])
      yield* objects.put(bucket, "a/b", World.body("2"))
      assert.deepStrictEqual(yield* contents(objects), { a: "own", "a/b": "2" })
      yield* objects.remove(bucket, "a/b")
      yield* objects.remove(bucket, "a")
      assert.deepStrictEqual(World.tree(Path.join(root, bucket)), [])
    })
  )
})

/** Moves something where an upload may make a directory at any time. */
const replace = (from: string, to: string): void => {
  for (;;) {
    Fs.rmSync(to, { recursive: true, force: true })
    try {
      return Fs.renameSync(from, to)
    } catch {
      // It has just been made again.
    }
  }
}

describe("keys and links that lead elsewhere", () => {
  /** A store, and a directory outside with something to steal. */
  const attacked = Effect.gen(function* () {
    const { objects, root } = yield* World.world
    const outside = yield* World.directory
    Fs.writeFileSync(Path.join(outside, "secret"), "secret")
    const at = (...path: ReadonlyArray<string>) => Path.join(root, ...path)
    const all = (key: string) =>
      Effect.all([
        Effect.flip(objects.put(bucket, key, World.body("evil"))),
        Effect.flip(objects.exists(bucket, key)),
        Effect.flip(Stream.runDrain(objects.get(bucket, key))),
        Effect.flip(objects.remove(bucket, key))
      ])
    const check = Effect.sync(() => {
      assert.deepStrictEqual(World.tree(outside), ["secret"])
      assert.strictEqual(Fs.readFileSync(Path.join(outside, "secret"), "utf8"), "secret")
    })
    return { objects, root, outside, at, all, check }
  })

  it.live.each(["../secret", "a/../../secret", "..", "a/..", "/etc/passwd", "//x", "a\0b", ""])(
    "are refused with key and reason: %j",
    (key) =>
      Effect.gen(function* () {
        const { all, check } = yield* attacked
        for (const error of yield* all(key)) {
          assert.strictEqual(error._tag, "KeyRefused")
          assert.include(error.message, JSON.stringify(key))
        }
        yield* check
      })
  )

  it.live("as a directory of the key, as the object, and as its alternative are refused", () =>
    Effect.gen(function* () {
      const { all, at, check, objects, outside } = yield* attacked
      Fs.symlinkSync(outside, at(bucket, "linked"))
      Fs.symlinkSync(Path.join(outside, "secret"), at(bucket, "file"))
      Fs.mkdirSync(at(bucket, "taken"))
      Fs.symlinkSync(Path.join(outside, "secret"), at(bucket, "taken%o"))
      for (const key of ["linked/secret", "linked/new", "linked/a/b", "file", "file/below", "linked"]) {
        for (const error of yield* all(key)) {
          assert.strictEqual(error._tag, "LinkRefused")
          assert.include(error.message, JSON.stringify(key))
          assert.include(error.message, "symbolic link")
        }
      }
      assert.strictEqual((yield* Effect.flip(objects.exists(bucket, "taken")))._tag, "LinkRefused")
      assert.strictEqual((yield* Effect.flip(Stream.runDrain(objects.get(bucket, "taken"))))._tag, "LinkRefused")
      assert.strictEqual((yield* Effect.flip(objects.put(bucket, "taken", World.body("evil"))))._tag, "LinkRefused")
      yield* check
    })
  )

  it.live("are not listed, nor followed by a listing", () =>
    Effect.gen(function* () {
      const { at, objects, outside } = yield* attacked
      yield* objects.put(bucket, "a/b", World.body("1"))
      Fs.symlinkSync(outside, at(bucket, "linked"))
      Fs.symlinkSync(outside, at(bucket, "a", "linked"))
      Fs.symlinkSync(Path.join(outside, "secret"), at(bucket, "file"))
      assert.deepStrictEqual(yield* list(objects), ["a/b"])
      assert.deepStrictEqual(yield* objects.commonPrefixes(bucket, "", "/"), ["a/"])
      const error = yield* Effect.flip(Stream.runDrain(objects.keys(bucket, "linked/")))
      assert.strictEqual(error._tag, "LinkRefused")
    })
  )

  it.live("as a bucket or as the private directory are refused", () =>
    Effect.gen(function* () {
      const { at, check, objects, outside } = yield* attacked
      Fs.symlinkSync(outside, at("linked"))
      assert.strictEqual((yield* Effect.flip(objects.makeBucket("linked")))._tag, "LinkRefused")
      assert.strictEqual((yield* Effect.flip(objects.put("linked", "k", World.body("1"))))._tag, "LinkRefused")
      Fs.symlinkSync(outside, at(".velero-filesystem"))
      assert.strictEqual((yield* Effect.flip(objects.put(bucket, "k", World.body("1"))))._tag, "LinkRefused")
      yield* objects.sweep
      yield* check
    })
  )

  it.live("win no race against a directory that turns into a link and back", () =>
    Effect.gen(function* () {
      const { at, check, objects, outside } = yield* attacked
      const directory = at(bucket, "a")
      const link = at("link")
      Fs.symlinkSync(outside, link)
      Fs.mkdirSync(directory)
      Fs.writeFileSync(Path.join(directory, "keep"), "")
      const state = { isOver: false }
      const turn = Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      const swap = Effect.gen(function* () {
        while (!state.isOver) {
          replace(directory, at("aside"))
          replace(link, directory)
          yield* turn
          replace(directory, link)
          replace(at("aside"), directory)
          yield* turn
        }
      })
      const swapping = yield* Effect.forkChild(swap)
      const outcomes = new Set<string>()
      for (let round = 0; round < 150; round++) {
        for (const attempt of [
          objects.put(bucket, "a/secret", World.body("evil")),
          World.textOf(objects.get(bucket, "a/secret")),
          objects.remove(bucket, "a/secret")
        ]) {
          const outcome = yield* Effect.match(attempt, {
            onSuccess: (text) => text ?? "ok",
            onFailure: ({ _tag }) => _tag
          })
          outcomes.add(outcome)
        }
      }
      state.isOver = true
      yield* Fiber.join(swapping)
      assert.notInclude([...outcomes], "secret")
      assert.includeMembers([...outcomes], ["ok", "LinkRefused"])
      yield* check
    })
  )

  it.live("to a pipe, a socket or a device do not block, and are no objects", () =>
    Effect.gen(function* () {
      const { at, objects } = yield* attacked
      // A socket of the file system, as a server makes one.
      yield* Effect.acquireRelease(
        Effect.callback<Net.Server>((resume) => {
          const server = Net.createServer().listen(at(bucket, "socket"), () => resume(Effect.succeed(server)))
        }),
        (server) => Effect.sync(() => server.close())
      )
      spawnSync("mkfifo", [at(bucket, "pipe")])
      for (const name of ["socket", "pipe"]) {
        for (const attempt of [
          objects.put(bucket, name, World.body("1")),
          objects.exists(bucket, name),
          Stream.runDrain(objects.get(bucket, name)),
          objects.put(bucket, `${name}/below`, World.body("1"))
        ]) {
          assert.strictEqual((yield* Effect.flip(attempt))._tag, "NotAnObject")
        }
      }
      assert.deepStrictEqual(yield* list(objects), [])
    })
  )
})

describe("what interrupted uploads left", () => {
  const leave = (root: string, name: string, ageHours: number) => {
    const directory = Path.join(root, ".velero-filesystem", "uploads")
    Fs.mkdirSync(directory, { recursive: true })
    const path = Path.join(directory, name)
    Fs.writeFileSync(path, "half")
    const time = new Date(Date.now() - ageHours * 3_600_000)
    Fs.utimesSync(path, time, time)
    return name
  }

  it.live("is swept when its process is dead, or nobody has written to it for a day", () =>
    Effect.gen(function* () {
      const { objects, root } = yield* World.world
      const me = yield* Uploads.self
      const elsewhere = `${"0".repeat(32)}-1`
      leave(root, `${me.realm}.${me.pid}.1.0a`, 0)
      leave(root, `${me.realm}.4194304.1.0b`, 0)
      leave(root, `${elsewhere}.1.1.0c`, 25)
      const kept = [
        leave(root, `${me.realm}.${me.pid}.${me.started}.0d`, 48),
        leave(root, `${elsewhere}.1.1.0e`, 23),
        leave(root, "somebody-elses-file", 1000)
      ]
      yield* Effect.provideService(objects.sweep, References.MinimumLogLevel, "Warn")
      assert.deepStrictEqual(World.uploads(root).toSorted(), kept.toSorted())
    })
  )

  it.live("is not looked for where nothing was ever uploaded, nor where there is no root", () =>
    Effect.gen(function* () {
      const { objects, root } = yield* World.world
      yield* objects.sweep
      assert.deepStrictEqual(Fs.readdirSync(root), [bucket])
      yield* Objects.make("/no/such/root").sweep
    })
  )
})

describe("calls at once", () => {
  it.live("uploads do not lose against the removal of their directories", () =>
    Effect.gen(function* () {
      const { objects, root } = yield* World.world
      const worker = Effect.fnUntraced(function* (name: string) {
        for (let round = 0; round < 60; round++) {
          const key = `backups/b1/deep/${name}`
          yield* objects.put(bucket, key, World.body(`${name} ${round}`))
          // It was acknowledged: it is there, whatever its neighbours do.
          assert.strictEqual(yield* World.textOf(objects.get(bucket, key)), `${name} ${round}`)
          yield* objects.remove(bucket, key)
        }
      })
      yield* Effect.forEach(["a", "b", "c", "d"], worker, { concurrency: "unbounded", discard: true })
      assert.deepStrictEqual(World.tree(Path.join(root, bucket)), [])
      assert.deepStrictEqual(World.uploads(root), [])
    })
  )

  it.live("an object is never missed while a directory takes its name and gives it back", () =>
    Effect.gen(function* () {
      const { objects, root } = yield* World.world
      yield* objects.put(bucket, "a", World.body("0"))
      const state = { isOver: false }
      const below = Effect.gen(function* () {
        for (let round = 0; round < 60; round++) {
          yield* objects.put(bucket, "a/b", World.body("1"))
          yield* objects.remove(bucket, "a/b")
        }
        state.isOver = true
      })
      let last = 0
      const above = Effect.gen(function* () {
        for (let round = 1; !state.isOver; round++) {
          yield* objects.put(bucket, "a", World.body(String(round)))
          last = round
        }
      })
      const reader = Effect.gen(function* () {
        while (!state.isOver) {
          const acknowledged = last
          assert.isAtLeast(Number(yield* World.textOf(objects.get(bucket, "a"))), acknowledged)
          assert.isTrue(yield* objects.exists(bucket, "a"))
        }
      })
      yield* Effect.all([below, above, reader], { concurrency: "unbounded" })
      yield* objects.remove(bucket, "a")
      assert.deepStrictEqual(World.tree(Path.join(root, bucket)), [])
    })
  )

  it.live("of two uploads of one key one is the last, and whole", () =>
    Effect.gen(function* () {
      const { objects } = yield* World.world
      const bodies = Array.from({ length: 16 }, (_, index) => Buffer.alloc(300_000, index))
      yield* Effect.forEach(bodies, (bytes) => objects.put(bucket, "k", Stream.succeed(bytes)), {
        concurrency: "unbounded"
      })
      const read = Buffer.concat(yield* Stream.runCollect(objects.get(bucket, "k")))
      assert.isTrue(bodies.some((bytes) => bytes.equals(read)))
    })
  )
})

describe("against a plain map", () => {
  const prefixes = Arbitrary.flatMap(World.key, (key) =>
    Arbitrary.map(Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 12 }))), (length) =>
      Array.from(key).slice(0, length).join("")
    )
  )
  const operation = Arbitrary.all({
    name: World.oneOf("put", "put", "put", "put", "get", "remove", "remove", "keys", "prefixes"),
    key: World.key,
    prefix: prefixes,
    delimiter: World.oneOf("/", "/", "/", "a", "//", "%", "")
  })

  it.live.prop(
    "any sequence of operations has the same outcome",
    { operations: Arbitrary.array(operation, { minLength: 1, maxLength: 40 }) },
    ({ operations }) =>
      Effect.scoped(
        Effect.gen(function* () {
          const { objects, root } = yield* World.world
          const model = new Map<string, string>()
          const byPrefix = (prefix: string) => [...model.keys()].filter((key) => key.startsWith(prefix))
          for (const [index, { delimiter, key, name, prefix }] of operations.entries()) {
            switch (name) {
              case "put": {
                yield* objects.put(bucket, key, World.body(`${index}`))
                model.set(key, `${index}`)
                break
              }
              case "get": {
                const found = yield* Effect.match(World.textOf(objects.get(bucket, key)), {
                  onSuccess: (text) => text,
                  onFailure: ({ _tag }) => (_tag === "NoObject" ? undefined : _tag)
                })
                assert.strictEqual(found, model.get(key))
                assert.strictEqual(yield* objects.exists(bucket, key), model.has(key))
                break
              }
              case "remove": {
                // Mostly one that is there.
                const victim = [...model.keys()][index % (model.size + 1)] ?? key
                yield* objects.remove(bucket, victim)
                model.delete(victim)
                break
              }
              case "keys": {
                assert.deepStrictEqual(yield* list(objects, prefix), Names.sorted(byPrefix(prefix)))
                break
              }
              case "prefixes": {
                const expected = byPrefix(prefix).flatMap((one) => {
                  const found = delimiter === "" ? -1 : one.indexOf(delimiter, prefix.length)
                  return found === -1 ? [] : [one.slice(0, found + delimiter.length)]
                })
                assert.deepStrictEqual(yield* objects.commonPrefixes(bucket, prefix, delimiter), Names.sorted(expected))
              }
            }
          }
          assert.deepStrictEqual(yield* list(objects), Names.sorted(model.keys()))
          for (const [key, text] of model) {
            assert.strictEqual(yield* World.textOf(objects.get(bucket, key)), text)
            yield* objects.remove(bucket, key)
          }
          assert.deepStrictEqual(World.tree(Path.join(root, bucket)), [])
        })
      ),
    { arbitrary: { runs: 60, size: 40 }, timeout: 300_000 }
  )
})
