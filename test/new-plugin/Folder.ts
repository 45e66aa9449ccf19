/** The folder that `npm run new-plugin` makes, on a machine that may have no network. */
import { execFile, execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { repository } from "../executable/Executable.ts"

/** Nothing of the npm that runs these tests. */
export const environment = { PATH: process.env["PATH"] ?? "", HOME: process.env["HOME"] ?? "", NO_COLOR: "1" }

export interface Finished {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs a command to its end, with the folder's own tools first. Compilers on a busy machine take their time. */
export const run = (cwd: string, command: string, ...args: ReadonlyArray<string>): Effect.Effect<Finished> =>
  Effect.callback((resume) => {
    const env = { ...environment, PATH: `${Path.join(cwd, "node_modules", ".bin")}:${environment.PATH}` }
    const child = execFile(command, args, { cwd, env, timeout: 150_000 }, (_, stdout, stderr) =>
      resume(Effect.succeed({ code: child.exitCode ?? -1, stdout, stderr }))
    )
    return Effect.sync(() => child.kill())
  })

export const succeed = (cwd: string, command: string, ...args: ReadonlyArray<string>) =>
  Effect.tap(run(cwd, command, ...args), ({ code, stderr, stdout }) =>
    Effect.sync(() => assert.strictEqual(code, 0, `${[command, ...args].join(" ")}\n${stdout}\n${stderr}`))
  )

interface Package {
  readonly dependencies?: Readonly<Record<string, string>>
  readonly devDependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
}

const readPackage = (directory: string): Package =>
  JSON.parse(Fs.readFileSync(Path.join(directory, "package.json"), "utf8")) as Package

const sdk = "velero-plugin-cnpg"

/**
 * What `npm install` does in the folder, without a registry: the SDK comes out of its tarball, and what the two packages ask
 * for, and nothing else, is linked to this repository's own, in the same versions. `NEW_PLUGIN_INSTALL=npm` has npm do it.
 */
export const install = (directory: string): void => {
  if (process.env["NEW_PLUGIN_INSTALL"] === "npm") {
    execFileSync("npm", ["install", "--no-audit", "--no-fund"], { cwd: directory, env: environment, stdio: "ignore" })
    return
  }
  const modules = Path.join(directory, "node_modules")
  const own = readPackage(directory)
  const tarball = own.dependencies?.[sdk]?.replace(/^file:/, "") ?? ""
  Fs.mkdirSync(Path.join(modules, sdk), { recursive: true })
  execFileSync("tar", ["-xzf", Path.join(directory, tarball), "-C", Path.join(modules, sdk), "--strip-components=1"])
  const asked = {
    ...readPackage(Path.join(modules, sdk)).dependencies,
    ...own.dependencies,
    ...own.devDependencies
  }
  for (const name of Object.keys(asked).filter((each) => each !== sdk)) {
    const link = Path.join(modules, name)
    Fs.mkdirSync(Path.dirname(link), { recursive: true })
    Fs.symlinkSync(Path.join(repository, "node_modules", name), link)
  }
  Fs.mkdirSync(Path.join(modules, ".bin"))
  for (const tool of ["bun", "tsc"]) {
    Fs.symlinkSync(Path.join(repository, "node_modules", ".bin", tool), Path.join(modules, ".bin", tool))
  }
}

const modulesOf = (directory: string): ReadonlyArray<string> =>
  Fs.readdirSync(Path.join(repository, "src", directory))
    .filter((file) => file.endsWith(".ts"))
    .map((file) => `${directory}/${file.replace(/\.ts$/, "")}`)

/** What the package lets others import. */
export const publicModules: ReadonlyArray<string> = [
  "bin/Main",
  "cli/Commands",
  ...["velero", "kubernetes", "testing"].flatMap(modulesOf)
]
