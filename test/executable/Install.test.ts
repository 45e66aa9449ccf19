import { spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import packageJson from "../../package.json" with { type: "json" }
import * as VeleroHost from "../../src/testing/VeleroHost.ts"
import {
  announcement,
  connect,
  executable,
  hostVariables,
  launch,
  listPlugins,
  possible,
  run,
  temporaryDirectory
} from "./Executable.ts"

const name = "velero-plugin-cnpg"
const size = Fs.statSync(executable).size
const sha256Of = (file: string): string => createHash("sha256").update(Fs.readFileSync(file)).digest("hex")
const sha256 = sha256Of(executable)

const install = (...args: ReadonlyArray<string>) => run({ args: ["install", ...args] })

/** What is in a directory, with its mode. */
const contents = (directory: string): ReadonlyArray<string> =>
  Fs.readdirSync(directory)
    .toSorted()
    .map((file) => `${(Fs.lstatSync(Path.join(directory, file)).mode & 0o777).toString(8)} ${file}`)

const done = (what: string, directory: string, file = name): string =>
  `${file} ${packageJson.version} ${what} ${directory}, ${size} bytes, sha256:${sha256}\n`

/** The environment of a shell, to find its commands in. */
const shell = { PATH: process.env["PATH"] ?? "" }

/** Runs a shell script with the executable as `$0`. */
const script = (text: string, ...args: ReadonlyArray<string>) =>
  run({ command: "/bin/bash", args: ["-c", text, executable, ...args], env: shell })

const canMount = possible(
  spawnSync("unshare", ["--mount", "true"]).status === 0,
  "read-only and full volumes: mounting them takes root"
)
const isRoot = possible(process.getuid?.() === 0, "directories of others: root is needed to become another user")

describe("install", () => {
  it.live("copies the executable, which Velero can start from there, and is content when it is there already", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory()
      for (const what of ["installed in", "is already in"]) {
        const { code, stderr, stdout } = yield* install(directory)
        assert.deepStrictEqual({ code, stderr, stdout }, { code: 0, stderr: "", stdout: done(what, directory) })
        assert.deepStrictEqual(contents(directory), [`755 ${name}`])
      }
      const target = Path.join(directory, name)
      assert.strictEqual(sha256Of(target), sha256)
      const [first] = yield* VeleroHost.discover({ executable: target, env: {} })
      assert.strictEqual(first?.command, target)
    })
  )

  it.live("leaves a copy that is there as it is, but for who may execute it", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory()
      yield* install(directory)
      const target = Path.join(directory, name)
      const before = Fs.statSync(target)
      Fs.chmodSync(target, 0o600)
      assert.strictEqual((yield* install(directory)).stdout, done("is already in", directory))
      const { ino, mode } = Fs.statSync(target)
      assert.deepStrictEqual([ino, mode & 0o777], [before.ino, 0o755])
    })
  )

  it.live("installs the packs that were asked for, each of which serves its own plugins", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory()
      const { code, stdout } = yield* install(directory, "--pack", "kyma,filesystem, example,kyma")
      assert.strictEqual(code, 0)
      const files = ["velero-plugin-kyma", "velero-plugin-filesystem", "velero-plugin-example"]
      assert.strictEqual(stdout, files.map((file) => done("installed in", directory, file)).join(""))
      assert.deepStrictEqual(
        contents(directory),
        files.toSorted().map((file) => `755 ${file}`)
      )
      const prefixes = new Map([
        ["velero-plugin-kyma", "kyma-project.io/"],
        ["velero-plugin-filesystem", "velero-filesystem/"],
        ["velero-plugin-example", "example.com/"]
      ])
      for (const [file, prefix] of prefixes) {
        const plugins = yield* VeleroHost.discover({ executable: Path.join(directory, file), env: {} })
        assert.isAbove(plugins.length, 0)
        for (const plugin of plugins) {
          assert.isTrue(plugin.name.startsWith(prefix), plugin.name)
          assert.strictEqual(plugin.command, Path.join(directory, file))
        }
      }
    })
  )

  it.live("replaces the file of a plugin that runs, which goes on", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory()
      const target = Path.join(directory, name)
      Fs.copyFileSync(executable, target)
      // Another version: what is behind the end of the program is not looked at.
      Fs.appendFileSync(target, "older")
      const [, , , address = ""] = yield* announcement(yield* launch({ command: target, env: hostVariables }))
      assert.throws(() => Fs.closeSync(Fs.openSync(target, "r+")), /ETXTBSY/)
      assert.strictEqual((yield* install(directory)).stdout, done("installed in", directory))
      assert.strictEqual(sha256Of(target), sha256)
      assert.isNumber(yield* Effect.flatMap(connect(address), listPlugins))
    })
  )

  it.live("replaces a link by the file, and not what it points to", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory()
      const other = Path.join(yield* temporaryDirectory(), "other")
      Fs.writeFileSync(other, "other")
      Fs.symlinkSync(other, Path.join(directory, name))
      assert.strictEqual((yield* install(directory)).stdout, done("installed in", directory))
      assert.isTrue(Fs.lstatSync(Path.join(directory, name)).isFile())
      assert.strictEqual(Fs.readFileSync(other, "utf8"), "other")
    })
  )

  it.live("removes what an interrupted copy has left, which nobody could execute, and nothing else", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory()
      Fs.writeFileSync(Path.join(directory, name), "the version before")
      // The process is killed by SIGXFSZ when its copy has grown to a megabyte.
      const killed = yield* script(`ulimit -f 1024; exec "$0" install "$1"`, directory)
      assert.notStrictEqual(killed.code, 0)
      assert.strictEqual(Fs.readFileSync(Path.join(directory, name), "utf8"), "the version before")
      const part = `.${name}.0123456789ab.part`
      Fs.writeFileSync(Path.join(directory, part), "", { mode: 0o600 })
      assert.isEmpty(contents(directory).filter((file) => file.endsWith(".part") && !file.startsWith("600 ")))
      const others = [`.${name}.part`, `.${name}-other.0123456789ab.part`, `.${name}.0123456789ab.part.bak`]
      for (const other of others) Fs.writeFileSync(Path.join(directory, other), "", { mode: 0o600 })
      assert.strictEqual((yield* install(directory)).code, 0)
      assert.sameMembers(contents(directory) as Array<string>, [
        ...others.map((other) => `600 ${other}`),
        `755 ${name}`
      ])
      assert.strictEqual(sha256Of(Path.join(directory, name)), sha256)
    })
  )

  it.live("may run more than once at a time: a whole file is there from the first success on", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory()
      const results = yield* Effect.forEach([1, 2, 3], () => install(directory), { concurrency: "unbounded" })
      assert.isTrue(results.some(({ code }) => code === 0))
      assert.strictEqual((yield* install(directory)).stdout, done("is already in", directory))
      assert.deepStrictEqual(contents(directory), [`755 ${name}`])
    })
  )

  it.live("says what to mount where there is no directory: /target by default", () =>
    Effect.gen(function* () {
      assert.isFalse(Fs.existsSync("/target"), "this machine has a /target")
      const { code, stderr, stdout } = yield* run({ args: ["install"] })
      assert.deepStrictEqual({ code, stdout }, { code: 1, stdout: "" })
      assert.strictEqual(
        stderr,
        `${name}: nothing was installed in /target: there is no such directory; mount Velero's plugin volume there (its init containers have it at /target, Velero itself at /plugins)\n`
      )
    })
  )

  it.live("says so where it is a file, or a directory has the executable's name", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory()
      const file = Path.join(directory, "file")
      Fs.writeFileSync(file, "")
      assert.match((yield* install(file)).stderr, /it is not a directory; mount Velero's plugin volume there/)
      Fs.mkdirSync(Path.join(directory, name))
      const refused = yield* install(directory)
      assert.strictEqual(refused.code, 1)
      assert.include(refused.stderr, `${directory}/${name} is a directory; remove it`)
      assert.sameMembers(contents(directory) as Array<string>, ["644 file", `755 ${name}`])
    })
  )

  it.live.skipIf(!isRoot)("says who may not write where the directory is another user's", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory()
      Fs.chmodSync(directory, 0o755)
      const { code, stderr } = yield* script(
        `exec setpriv --reuid 65532 --regid 65532 --clear-groups "$0" install "$1"`,
        directory
      )
      assert.strictEqual(code, 1)
      assert.match(
        stderr,
        /user 65532, group 65532 may not write there; mount Velero's plugin volume there.*, or set fsGroup/
      )
      assert.deepStrictEqual(contents(directory), [])
    })
  )

  for (const { kind, options, says } of [
    { kind: "read-only", options: "ro", says: /it is read-only; mount .*, without readOnly/ },
    { kind: "too small", options: "size=20m", says: /no space is left on the volume; raise its sizeLimit/ }
  ]) {
    it.live.skipIf(!canMount)(`says what to change where the volume is ${kind}, and leaves nothing`, () =>
      Effect.gen(function* () {
        const mounted = `mount -t tmpfs -o ${options} tmpfs "$1" && { "$0" install "$1"; code=$?; ls -A "$1"; exit $code; }`
        const { code, stderr, stdout } = yield* run({
          command: "unshare",
          args: ["--mount", "/bin/bash", "-c", mounted, executable, yield* temporaryDirectory()],
          env: shell
        })
        assert.deepStrictEqual({ code, stdout }, { code: 1, stdout: "" }, stderr)
        assert.match(stderr, says)
      })
    )
  }

  it.live("knows no other packs", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory()
      const { code, stderr } = yield* install(directory, "--pack", "cnpg,none")
      assert.deepStrictEqual(
        [code, stderr],
        [1, `${name}: there is no pack "none"; there are cnpg, kyma, filesystem, example\n`]
      )
      assert.deepStrictEqual(contents(directory), [])
    })
  )
})

describe("version", () => {
  it.live("is printed with platform and runtime", () =>
    Effect.gen(function* () {
      const { code, stdout } = yield* run({ args: ["version"] })
      assert.strictEqual(code, 0)
      const platform = `linux/${process.arch === "x64" ? "amd64" : process.arch}`
      assert.strictEqual(
        stdout,
        `${name} ${packageJson.version}, ${platform}, Bun ${packageJson.devDependencies.bun}\n`
      )
    })
  )
})
