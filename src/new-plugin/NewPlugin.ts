/**
 * `npm run new-plugin -- [DOMAIN/]NAME [DIRECTORY]`: a folder with one action, its test, and what builds and ships it.
 *
 * With the published package it is `npx -p velero-plugin-cnpg new-velero-plugin NAME`. From this repository the folder gets the
 * SDK as a tarball, since no registry has the state that it was made with.
 */
import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Result from "effect/Result"
import * as PluginName from "../velero/PluginName.ts"

/** What the folder takes from the SDK that makes it. */
export interface Sdk {
  /** Version, or where npm gets it otherwise. */
  readonly dependency: string
  /** Versions of what the SDK was built and tested with, by package. */
  readonly versions: Readonly<Record<string, string>>
}

/** A file's path in the template, and its text. */
export type Files = Readonly<Record<string, string>>

/** npm would leave these out of a package, or take them for its own. */
const hidden: Readonly<Record<string, string>> = { gitignore: ".gitignore", dockerignore: ".dockerignore" }

const packageJson = (text: string, { dependency, versions }: Sdk): string =>
  text.replace(/"([^"]+)": ""/g, (_, name: string) => {
    const version = name === "velero-plugin-cnpg" ? dependency : versions[name]
    if (version === undefined) throw new Error(`the SDK has no version of ${name}`)
    return `"${name}": ${JSON.stringify(version)}`
  })

/** The template's files for a plugin of this name, such as `example.com/my-plugin`. */
export const filesOf = (template: Files, plugin: string, sdk: Sdk): Files => {
  const name = plugin.slice(plugin.indexOf("/") + 1)
  return Object.fromEntries(
    Object.entries(template).map(([path, text]) => {
      const named = text.replaceAll("example.com/my-plugin", plugin).replaceAll("my-plugin", name)
      return [hidden[path] ?? path, path === "package.json" ? packageJson(named, sdk) : named]
    })
  )
}

/** `NAME` or `DOMAIN/NAME` as Velero takes plugin names, and as npm and image registries take names. */
export const pluginOf = (argument: string): Result.Result<string, string> => {
  const plugin = argument.includes("/") ? argument : `example.com/${argument}`
  const name = plugin.slice(plugin.indexOf("/") + 1)
  return /^[a-z]([-a-z0-9]*[a-z0-9])?$/.test(name)
    ? Result.mapError(PluginName.validate(plugin, new Set()), ({ message }) => message)
    : Result.fail(`${JSON.stringify(name)} is no name: lower-case letters, digits and hyphens, such as my-plugin`)
}

const readTemplate = (directory: string): Files =>
  Object.fromEntries(
    Fs.readdirSync(directory, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => Path.join(entry.parentPath, entry.name))
      .map((path) => [Path.relative(directory, path), Fs.readFileSync(path, "utf8")])
  )

interface Package {
  readonly version: string
  readonly devDependencies: Readonly<Record<string, string>>
}

/** The package that this module is part of, as a repository or as npm installed it. */
const findRoot = (directory: string): string =>
  Fs.existsSync(Path.join(directory, "package.json")) ? directory : findRoot(Path.dirname(directory))

/** Packs the repository into a directory; answers the tarball's name. */
const pack = (root: string, directory: string): string => {
  const npm = (...args: ReadonlyArray<string>) =>
    execFileSync("npm", args, { cwd: root, stdio: ["ignore", "ignore", "inherit"] })
  Fs.mkdirSync(directory, { recursive: true })
  npm("run", "--silent", "package")
  npm("pack", "--silent", "--ignore-scripts", "--pack-destination", directory)
  const tarball = Fs.readdirSync(directory).find((file) => file.endsWith(".tgz"))
  if (tarball === undefined) throw new Error(`npm pack made nothing in ${directory}`)
  return tarball
}

/** Makes the folder; answers with what went wrong. */
export const run = (args: ReadonlyArray<string>, cwd: string): Result.Result<string, string> => {
  const [argument, target] = args
  if (argument === undefined || argument.startsWith("-") || args.length > 2) {
    return Result.fail("usage: new-plugin [DOMAIN/]NAME [DIRECTORY]")
  }
  return Result.flatMap(pluginOf(argument), (plugin) => {
    const name = plugin.slice(plugin.indexOf("/") + 1)
    const directory = Path.resolve(cwd, target ?? name)
    if (Fs.existsSync(directory) && Fs.readdirSync(directory).length > 0)
      return Result.fail(`${directory} is not empty`)
    const root = findRoot(import.meta.dirname)
    const { devDependencies, version } = JSON.parse(Fs.readFileSync(Path.join(root, "package.json"), "utf8")) as Package
    const isRepository = Fs.existsSync(Path.join(root, "src"))
    const dependency = isRepository ? `file:vendor/${pack(root, Path.join(directory, "vendor"))}` : version
    const template = readTemplate(Path.join(import.meta.dirname, "template"))
    for (const [path, text] of Object.entries(filesOf(template, plugin, { dependency, versions: devDependencies }))) {
      const file = Path.join(directory, path)
      Fs.mkdirSync(Path.dirname(file), { recursive: true })
      Fs.writeFileSync(file, text)
    }
    return Result.succeed(
      `${plugin} is in ${directory}. Now: cd ${directory} && npm install && npm test && npm run build`
    )
  })
}
