/**
 * The bundler's work: our modules and those of the packages that they use, as one executable.
 *
 * `bun src/release/Bundle.ts [--target=bun-linux-x64-baseline] [--compile-executable-path=FILE]` writes `dist/velero-plugin-cnpg`, and a
 * link to it for every other pack.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { parseArgs } from "node:util"
import { executables } from "../bin/Pack.ts"
import type { Metafile } from "./Bundled.ts"

const repository = Path.resolve(import.meta.dirname, "../..")

const options: Bun.BuildConfig = {
  entrypoints: [Path.join(repository, "src/bin/velero-plugin.ts")],
  root: repository,
  target: "bun",
  format: "esm",
  splitting: true,
  minify: { whitespace: true, syntax: true, identifiers: true, keepNames: true }
}

/** What the executable is made of. */
export const metafile = async (): Promise<Metafile> => {
  const { metafile: made } = await Bun.build({ ...options, metafile: true })
  if (made === undefined) throw new Error("the bundler made no metafile")
  return made
}

/** An executable for a target, such as `bun-linux-arm64-baseline`; default: of all packs, for this machine. */
export const compile = (
  outfile: string,
  target?: string | undefined,
  executablePath?: string | undefined,
  entrypoints = options.entrypoints
) =>
  Bun.build({
    ...options,
    entrypoints,
    bytecode: true,
    compile: {
      outfile,
      autoloadDotenv: false,
      autoloadBunfig: false,
      // Most code of a plugin runs a few times: compiled later, it costs a tenth less memory and no time.
      jitPolicy: 8,
      ...(target === undefined ? {} : { target: target as Bun.Build.CompileTarget }),
      ...(executablePath === undefined ? {} : { executablePath })
    }
  })

if (import.meta.main) {
  const { values } = parseArgs({
    options: { target: { type: "string" }, "compile-executable-path": { type: "string" } }
  })
  const dist = Path.join(repository, "dist")
  const file = Path.join(dist, executables.cnpg)
  Fs.mkdirSync(dist, { recursive: true })
  await compile(file, values.target, values["compile-executable-path"])
  for (const name of Object.values(executables)) {
    const link = Path.join(dist, name)
    if (link === file) continue
    Fs.rmSync(link, { force: true })
    Fs.linkSync(file, link)
  }
}
