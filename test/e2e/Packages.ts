/**
 * Programs that nobody builds: PostgreSQL as Debian packs it, Barman as PyPI has it. Both are unpacked into a folder; nothing is
 * installed, no root is needed, and the system's own package lists stay as they are.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { DebianPackage, PythonPackages } from "./Components.ts"
import { Processes, unprivilegedUser } from "./Processes.ts"

/** A program that fetches or runs packages is not there, or what they brought does not run here. */
export class PackagesUnusable extends Data.TaggedError("PackagesUnusable")<{
  readonly what: string
  readonly reason: string
  readonly advice: string
}> {
  override get message() {
    return `${this.what}: ${this.reason.trim()}\n${this.advice}`
  }
}

/** With the user's own settings: proxies, mirrors. */
const tool = (command: string, args: ReadonlyArray<string>, env: Readonly<Record<string, string>> = {}) =>
  Effect.flatMap(Processes, ({ run }) =>
    run(command, args, { inheritEnv: true, nice: true, env: { LC_ALL: "C", ...env } })
  )

const unusable =
  (what: string, advice: string) =>
  ({ output, reason }: { readonly output: string; readonly reason: string }) =>
    new PackagesUnusable({ what, reason: output || reason, advice })

/** The release that packages are taken of: `debian 12`. Libraries of one do not fit another. */
export const release = (): string => {
  const file = "/etc/os-release"
  const text = Fs.existsSync(file) ? Fs.readFileSync(file, "utf8") : ""
  const field = (name: string) => new RegExp(`^${name}="?([^"\n]*)"?$`, "m").exec(text)?.[1] ?? "unknown"
  return `${field("ID")} ${field("VERSION_ID")}`
}

/** The folders of libraries below an unpacked package, for `LD_LIBRARY_PATH`. */
export const libraryPath = (directory: string): string =>
  ["usr/lib", "lib"]
    .map((path) => Path.join(directory, "root", path))
    .filter((path) => Fs.existsSync(path))
    .flatMap((path) =>
      Fs.readdirSync(path)
        .filter((name) => name.endsWith("-linux-gnu"))
        .map((name) => Path.join(path, name))
    )
    .join(":")

/** apt with lists and archives of its own. */
const apt = (command: string, home: string, args: ReadonlyArray<string>) =>
  tool(command, [
    `-oDir::State::Lists=${Path.join(home, "lists")}`,
    `-oDir::Cache=${home}`,
    // As root it would fetch as a user who cannot write here; as another user it could not lock the system's state, which it only reads.
    "-oAPT::Sandbox::User=root",
    "-oDebug::NoLocking=1",
    ...args
  ])

/**
 * Unpacks what a metapackage stands for, and every dependency that the system does not have, into `root`; `bin` points to its
 * commands, `versions` names what was unpacked. A mirror has but the newest version of a package, so none can be pinned.
 */
export const fillDebian = Effect.fnUntraced(function* ({ metapackage }: DebianPackage, directory: string) {
  yield* Effect.mapError(
    tool("apt-get", ["--version"]),
    unusable("apt-get does not run", "It is unpacked from packages of Debian or Ubuntu, and runs nowhere else.")
  )
  const home = Path.join(directory, "apt")
  const archives = Path.join(home, "archives")
  for (const path of ["lists", "archives"]) Fs.mkdirSync(Path.join(home, path, "partial"), { recursive: true })
  yield* apt("apt-get", home, ["update"])
  const depends = yield* apt("apt-cache", home, ["depends", metapackage])
  const name = new RegExp(`Depends: (${metapackage}-(\\d+))`).exec(depends)
  if (name?.[1] === undefined || name[2] === undefined) {
    return yield* new PackagesUnusable({
      what: `apt does not say which package ${metapackage} stands for`,
      reason: depends,
      advice: "Is there a mirror of Debian or Ubuntu in apt's sources?"
    })
  }
  yield* apt("apt-get", home, [
    "install",
    "--yes",
    "--download-only",
    "--reinstall",
    "--no-install-recommends",
    name[1]
  ])
  // The C library goes with the system's loader.
  const packages = Fs.readdirSync(archives).filter((file) => file.endsWith(".deb") && !file.startsWith("libc6_"))
  for (const file of packages) {
    yield* tool("dpkg-deb", ["--extract", Path.join(archives, file), Path.join(directory, "root")])
  }
  Fs.rmSync(home, { recursive: true })
  Fs.writeFileSync(Path.join(directory, "versions"), packages.map((file) => `${decodeURIComponent(file)}\n`).join(""))
  Fs.symlinkSync(Path.join("root/usr/lib/postgresql", name[2], "bin"), Path.join(directory, "bin"))
  yield* Effect.mapError(
    tool(Path.join(directory, "bin", "postgres"), ["--version"], { LD_LIBRARY_PATH: libraryPath(directory) }),
    unusable(`${name[1]} was unpacked and does not run`, "Do apt's sources belong to the release that runs here?")
  )
})

/** An interpreter with pip that whoever PostgreSQL runs as can run too; one of root's own, below its home, is none. */
const findPython = Effect.gen(function* () {
  const { run } = yield* Processes
  const script = "import os, pip, sys; print(os.path.realpath(sys.executable))"
  const asked = yield* Effect.forEach(["python3", "/usr/bin/python3"], (command) =>
    Effect.result(run(command, ["-c", script], { inheritEnv: true, unprivileged: true, cwd: "/" }))
  )
  const found = asked.find(Result.isSuccess)
  if (found !== undefined) return found.success.trim()
  return yield* new PackagesUnusable({
    what: `python3 with pip does not run${unprivilegedUser === undefined ? "" : ` as ${unprivilegedUser.name}`}`,
    reason: asked.map((answer) => (Result.isFailure(answer) ? answer.failure.message : "")).join("\n"),
    advice: "Python 3 with pip is needed (on Debian: apt-get install python3 python3-pip)."
  })
})

/** Installs wheels into `packages`; `python` points to the interpreter that they were chosen for. */
export const fillPython = Effect.fnUntraced(function* ({ check, packages }: PythonPackages, directory: string) {
  const python = yield* findPython
  const target = Path.join(directory, "packages")
  const quiet = ["--no-input", "--disable-pip-version-check", "--root-user-action=ignore"]
  // Exactly what is listed, and nothing that would have to be compiled.
  const exact = ["--no-deps", "--only-binary=:all:"]
  yield* tool(python, [
    "-m",
    "pip",
    "install",
    ...quiet,
    ...exact,
    `--target=${target}`,
    ...Object.entries(packages).map(([name, version]) => `${name}==${version}`)
  ])
  Fs.symlinkSync(python, Path.join(directory, "python"))
  Fs.symlinkSync("packages/bin", Path.join(directory, "bin"))
  yield* Effect.mapError(
    tool(python, [Path.join(target, "bin", check), "--version"], { PYTHONPATH: target }),
    unusable(`${check} was installed and does not run`, `With ${python}.`)
  )
})
