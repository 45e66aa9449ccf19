import { assert, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import type { Environment } from "../../src/go-plugin/Handshake.ts"
import * as Socket from "../../src/go-plugin/Socket.ts"
import * as Host from "./Host.ts"

/** The directory of a new socket. */
const directoryOf = (env: Environment) => Effect.map(Socket.choosePath(env), Path.dirname)
const refusal = (env: Environment) => Effect.map(Effect.flip(Socket.choosePath(env)), ({ message }) => message)

describe("choosePath", () => {
  it.effect("takes the first directory that can hold a socket", () =>
    Effect.gen(function* () {
      const good = yield* Host.directory
      const other = yield* Host.directory
      const long = Path.join(good, "x".repeat(90))
      Fs.mkdirSync(long)
      const file = Path.join(good, "file")
      Fs.writeFileSync(file, "")
      const table: ReadonlyArray<readonly [env: Environment, expected: string]> = [
        [{}, "/tmp"],
        [{ TMPDIR: "" }, "/tmp"],
        [{ TMPDIR: good }, good],
        [{ TMPDIR: good, VELERO_SCRATCH_DIR: other }, good],
        [{ TMPDIR: "/nowhere" }, "/tmp"],
        [{ TMPDIR: long }, "/tmp"],
        [{ TMPDIR: file }, "/tmp"],
        [{ VELERO_SCRATCH_DIR: good }, "/tmp"],
        [{ PLUGIN_UNIX_SOCKET_DIR: good, TMPDIR: other }, good],
        [{ PLUGIN_UNIX_SOCKET_DIR: "", TMPDIR: good }, good]
      ]
      for (const [env, expected] of table) {
        assert.strictEqual(yield* directoryOf(env), expected, JSON.stringify(env))
      }
    })
  )

  it.effect("has no substitute for the directory that the host wants", () =>
    Effect.gen(function* () {
      const message = yield* refusal({ PLUGIN_UNIX_SOCKET_DIR: "/nowhere", TMPDIR: "/tmp" })
      assert.include(message, "the plugin cannot listen: /nowhere: not a directory that this user can write")
      assert.include(message, "set PLUGIN_UNIX_SOCKET_DIR to a short path")
    })
  )

  it.effect("fills the 107 bytes that the kernel has for a path, and no more", () =>
    Effect.gen(function* () {
      const base = yield* Host.directory
      const name = Path.basename(yield* Socket.choosePath({ TMPDIR: base })).length
      // A character of two bytes, so that bytes and characters differ.
      const padded = (bytes: number) => Path.join(base, `ö${"x".repeat(bytes - base.length - name - 4)}`)
      for (const bytes of [107, 108]) Fs.mkdirSync(padded(bytes))
      const path = yield* Socket.choosePath({ PLUGIN_UNIX_SOCKET_DIR: padded(107) })
      assert.strictEqual(Buffer.byteLength(path), 107)
      assert.include(yield* refusal({ PLUGIN_UNIX_SOCKET_DIR: padded(108) }), "108 bytes, 107 are possible")
    })
  )

  it.effect("never gives the same path twice", () =>
    Effect.gen(function* () {
      const paths = yield* Effect.all(Array.from({ length: 100 }, () => Socket.choosePath({})))
      assert.strictEqual(new Set(paths).size, 100)
    })
  )
})

describe("grantGroup", () => {
  const own = process.getgid?.() ?? 0
  const [ownName = ""] =
    Fs.readFileSync("/etc/group", "utf8")
      .split("\n")
      .find((line) => line.split(":")[2] === String(own))
      ?.split(":") ?? []

  const granted = (env: Environment) =>
    Effect.gen(function* () {
      const path = Path.join(yield* Host.directory, "socket")
      Fs.writeFileSync(path, "")
      Fs.chmodSync(path, 0o755)
      yield* Socket.grantGroup(path, env)
      const { gid, mode, uid } = Fs.statSync(path)
      assert.strictEqual(uid, process.getuid?.())
      return { gid, mode: mode & 0o777 }
    })

  it.effect("gives the socket to a group by its id or its name", () =>
    Effect.gen(function* () {
      const groups: ReadonlyArray<readonly [group: string, id: number]> = [
        [String(own), own],
        ...(ownName === "" ? [] : [[ownName, own] as const]),
        // Others only as root.
        ...(process.getuid?.() === 0 ? [["54321", 54321] as const] : [])
      ]
      for (const [group, gid] of groups) {
        assert.deepStrictEqual(yield* granted({ PLUGIN_UNIX_SOCKET_GROUP: group }), { gid, mode: 0o660 })
      }
    })
  )

  it.effect("leaves the socket alone without a group", () =>
    Effect.gen(function* () {
      for (const env of [{}, { PLUGIN_UNIX_SOCKET_GROUP: "" }]) assert.strictEqual((yield* granted(env)).mode, 0o755)
    })
  )

  it.effect.each(["no-such-group", " ", "ro", "root:x", ".*"])("refuses the unknown group %j", (group) =>
    Effect.gen(function* () {
      const { message } = yield* Effect.flip(granted({ PLUGIN_UNIX_SOCKET_GROUP: group }))
      assert.strictEqual(
        message,
        `the plugin cannot listen: PLUGIN_UNIX_SOCKET_GROUP=${group}: there is no group ${group}`
      )
    })
  )

  it.effect("refuses a socket that is not there", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Socket.grantGroup("/nowhere/socket", { PLUGIN_UNIX_SOCKET_GROUP: String(own) }))
      assert.include(error.message, "ENOENT")
    })
  )
})

describe("remove", () => {
  it.effect("removes a socket, and is content without one", () =>
    Effect.gen(function* () {
      const path = Path.join(yield* Host.directory, "socket")
      Fs.writeFileSync(path, "")
      yield* Socket.remove(path)
      assert.isFalse(Fs.existsSync(path))
      yield* Socket.remove(path)
    })
  )
})
