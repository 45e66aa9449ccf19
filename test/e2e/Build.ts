/**
 * Executables of components, built once with Go or unpacked once, and then reused: in a cache outside of the checkout, one folder
 * for each component, version and recipe.
 *
 * A folder is filled under another name and renamed when it is complete, so an interrupted build leaves nothing that could be taken
 * for a whole one; the next build starts from what Go's own cache kept.
 */
import * as Crypto from "node:crypto"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type { Component, GoModule } from "./Components.ts"
import { describe } from "./Components.ts"
import * as Packages from "./Packages.ts"
import { Processes } from "./Processes.ts"
import * as Terminal from "./Terminal.ts"

/** Go is not there, or not as it should be. */
export class GoMissing extends Data.TaggedError("GoMissing")<{ readonly reason: string }> {
  override get message() {
    return `the servers are built with Go, and \`go version\` failed: ${this.reason}\nInstall Go 1.26 or later (https://go.dev/dl/) and put its bin folder into PATH`
  }
}

/** A component could not be built. */
export class BuildFailed extends Data.TaggedError("BuildFailed")<{
  readonly component: string
  readonly detail: string
}> {
  override get message() {
    return `${this.component} could not be built. ${this.detail}`
  }
}

/** A component's executables and files. */
export interface Built {
  readonly component: Component
  readonly directory: string
  readonly bin: (command: string) => string
  readonly file: (path: string) => string
}

/** Raise it when this module builds differently from the same recipe. */
const builder = 1

const cacheRoot = (): string =>
  Path.join(process.env["XDG_CACHE_HOME"] || Path.join(Os.homedir(), ".cache"), "velero-plugin-cnpg", "e2e")

const folderOf = (component: Component): string => {
  const release = "module" in component ? [] : [Packages.release()]
  const recipe = JSON.stringify([builder, process.platform, process.arch, component, ...release])
  const hash = Crypto.createHash("sha256").update(recipe).digest("hex").slice(0, 12)
  return Path.join(cacheRoot(), `${component.name}-${component.version.replaceAll(" ", "-")}-${hash}`)
}

const builtAt = (component: Component, directory: string): Built => ({
  component,
  directory,
  bin: (command) => Path.join(directory, "bin", command),
  file: (path) => Path.join(directory, path)
})

/** Replacements by folders name neighbours that a published module comes without. */
const folderReplacement = /^(replace |\t)(\S+) => \.\S*$/gm

/** The module's `go.mod`, made to build outside of its repository. */
const rewritten = (goMod: string, { replacements = {}, staging }: GoModule): string =>
  [
    goMod.replace(folderReplacement, (_, indent: string, module: string) =>
      staging === undefined ? "" : `${indent}${module} => ${module} ${staging}`
    ),
    ...Object.entries(replacements).map(([module, version]) => `replace ${module} => ${module} ${version}`)
  ].join("\n")

const linkerFlags = ({ variables = {} }: GoModule): string =>
  ["-s", "-w", ...Object.entries(variables).map(([name, value]) => `-X ${name}=${value}`)].join(" ")

/** `go` with the user's own settings; a workspace of Kubernetes' must not reach in. */
const go = (args: ReadonlyArray<string>) =>
  Effect.flatMap(Processes, ({ run }) =>
    run("go", args, { inheritEnv: true, nice: true, env: { GOWORK: "off", CGO_ENABLED: "0" } })
  )

const moduleFolder = ({ module, version }: GoModule) =>
  Effect.map(
    go(["mod", "download", "-json", `${module}@v${version}`]),
    (json) => (JSON.parse(json) as { readonly Dir: string }).Dir
  )

/** Copies without the read-only bits of Go's module cache. */
const copy = (from: string, to: string): void => {
  if (Fs.statSync(from).isDirectory()) {
    for (const name of Fs.readdirSync(from)) copy(Path.join(from, name), Path.join(to, name))
    return
  }
  Fs.mkdirSync(Path.dirname(to), { recursive: true })
  Fs.writeFileSync(to, Fs.readFileSync(from))
}

const compile = Effect.fnUntraced(function* (component: GoModule, directory: string) {
  const module = yield* moduleFolder(component)
  const goMod = Path.join(directory, "go.mod")
  Fs.writeFileSync(goMod, rewritten(Fs.readFileSync(Path.join(module, "go.mod"), "utf8"), component))
  // Sums that are not in it (of replacements) are added as the build meets them, checked by Go's checksum database.
  copy(Path.join(module, "go.sum"), Path.join(directory, "go.sum"))
  for (const path of component.files ?? []) copy(Path.join(module, path), Path.join(directory, path))
  for (const [command, path] of Object.entries(component.commands)) {
    const output = Path.join(directory, "bin", command)
    const flags = [`-modfile=${goMod}`, "-mod=mod", "-trimpath", "-buildvcs=false", "-ldflags", linkerFlags(component)]
    yield* go(["build", "-C", module, ...flags, "-o", output, path])
  }
})

const fill = (component: Component, directory: string) => {
  if ("module" in component) return compile(component, directory)
  return "packages" in component ? Packages.fillPython(component, directory) : Packages.fillDebian(component, directory)
}

/** Whoever is first wins; the folders are the same. */
const moveIntoPlace = (from: string, to: string): void => {
  try {
    Fs.renameSync(from, to)
  } catch (error) {
    if (!Fs.existsSync(to)) throw error
    Fs.rmSync(from, { recursive: true })
  }
}

const isRunning = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** What runners that were killed have left. */
const removeLeftovers = (): void => {
  for (const name of Fs.readdirSync(cacheRoot())) {
    const pid = /\.unfinished-(\d+)$/.exec(name)?.[1]
    if (pid !== undefined && !isRunning(Number(pid))) Fs.rmSync(Path.join(cacheRoot(), name), { recursive: true })
  }
}

const buildOne = Effect.fnUntraced(function* (component: Component) {
  const folder = folderOf(component)
  const unfinished = `${folder}.unfinished-${process.pid}`
  Fs.mkdirSync(unfinished, { recursive: true })
  removeLeftovers()
  yield* fill(component, unfinished).pipe(
    Effect.mapError(({ message }) => new BuildFailed({ component: describe(component), detail: message })),
    Effect.onError(() => Effect.sync(() => Fs.rmSync(unfinished, { recursive: true, force: true })))
  )
  // One that is not usable any more.
  if (!isBuilt(component)) Fs.rmSync(folder, { recursive: true, force: true })
  moveIntoPlace(unfinished, folder)
})

/** Whether it is there; Python packages also need the interpreter that they were chosen for. */
const isBuilt = (component: Component): boolean =>
  Fs.existsSync("packages" in component ? Path.join(folderOf(component), "python") : folderOf(component))

const checkGo = Effect.mapError(go(["version"]), ({ output, reason }) => new GoMissing({ reason: output || reason }))

/** A component, from the cache or built now. */
export const build = Effect.fnUntraced(function* (component: Component) {
  yield* buildAll([component])
  return builtAt(component, folderOf(component))
})

/** Builds those that the cache does not have, one after the other: Go itself uses every core. Says what it does while it does it. */
export const buildAll = Effect.fnUntraced(function* (components: ReadonlyArray<Component>) {
  const missing = components.filter((component) => !isBuilt(component))
  if (missing.length > 0) {
    if (missing.some((component) => "module" in component)) yield* checkGo
    yield* Terminal.line(
      `${missing.length} of ${components.length} components have to be built, once; they are kept in ${cacheRoot()}`
    )
  }
  for (const [index, component] of missing.entries()) {
    const label = `build ${index + 1} of ${missing.length}: ${describe(component)}`
    const { millis } = yield* Terminal.during(label, buildOne(component))
    yield* Terminal.line(`${label}, done in ${Terminal.duration(millis)}`)
  }
})
