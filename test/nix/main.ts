/**
 * `npm run nix:test`: what can be tried of `flake.nix` without nixpkgs.
 *
 * Nix evaluates it against a stub; npm's packages are fetched as it says, and hashed; the phases of the package run in an empty
 * directory without a network, with a loader of another place, as in a Nix store.
 */
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import packageJson from "../../package.json" with { type: "json" }
import { attempt, repository, run } from "../image/Tools.ts"
import { check, runChecks } from "../Checks.ts"

const commands = ["nix-instantiate", "nix-hash", "patchelf", "unshare"].filter((command) => Bun.which(command) === null)
if (commands.length > 0) {
  console.log(`skipped: flake.nix: no ${commands.join(", ")}; on Debian: apt-get install nix-bin patchelf util-linux`)
  process.exit(0)
}

interface Derivation {
  readonly name?: string
  readonly src: ReadonlyArray<string> | string
  readonly configurePhase: string
  readonly buildPhase: string
  readonly installPhase: string
  readonly outputHash?: string
}

const work = Fs.mkdtempSync(Path.join(Os.tmpdir(), "vpc-nix-"))
/** A value of the flake's outputs, with the stub in place of nixpkgs. */
const evaluate = (path: string, without: ReadonlyArray<string> = []): unknown => {
  const flake = `(import ${repository}/flake.nix).outputs { self = {}; nixpkgs = import ${repository}/test/nix/nixpkgs.nix; }`
  // In a store of its own: nothing is built.
  const env = { NIX_REMOTE: "", NIX_STATE_DIR: `${work}/nix`, NIX_LOG_DIR: `${work}/nix/log`, NIX_CONF_DIR: work }
  return JSON.parse(
    run(
      "nix-instantiate",
      [
        "--eval",
        "--strict",
        "--json",
        "--expr",
        `builtins.removeAttrs (${flake}).${path} [ ${without.map((name) => `"${name}"`).join(" ")} ]`
      ],
      { env }
    )
  ) as unknown
}

/** The attributes of a derivation; of one with an `outPath` JSON would have only that. */
const derivation = (path: string): Derivation => evaluate(path, ["outPath"]) as Derivation

const systems = { "x86_64-linux": "x64", "aarch64-linux": "arm64" } as const

/** Runs a phase in a directory, as bash does in a build. */
const phase = (directory: string, text: string, env: Readonly<Record<string, string>>, network: boolean): void => {
  const shell = ["/bin/bash", "-eu", "-o", "pipefail", "-c", `patchShebangs() { :; }\n${text}`]
  const [command = "", ...args] = network ? shell : ["unshare", "--net", ...shell]
  run(command, args, { cwd: directory, env })
}

const copy = (sources: ReadonlyArray<string>, name: string): string => {
  const directory = `${work}/${name}`
  Fs.mkdirSync(directory)
  for (const source of sources) Fs.cpSync(source, Path.join(directory, Path.basename(source)), { recursive: true })
  // What the build makes for itself is no part of what Nix sees of a repository.
  Fs.rmSync(`${directory}/src/generated`, { recursive: true, force: true })
  return directory
}

const packages: Record<string, string> = {}

const main = (): void => {
  check("flake.nix gives packages, checks and shells for both systems", () => {
    for (const output of ["packages", "checks", "devShells"]) {
      const seen = Object.keys(evaluate(output) as object).toSorted()
      if (seen.join() !== Object.keys(systems).toSorted().join()) throw new Error(`${output}: ${seen.join()}`)
    }
  })
  for (const [system, cpu] of Object.entries(systems)) {
    check(`${system}: npm's packages have the hash that flake.nix names`, () => {
      const flake = Fs.readFileSync(`${repository}/flake.nix`, "utf8")
      const [, hash] = new RegExp(`cpu = "${cpu}";[^}]*packages = "(sha256-[^"]+)"`).exec(flake) ?? []
      const directory = copy([`${repository}/package.json`, `${repository}/package-lock.json`], `packages-${cpu}`)
      const [, fetch = ""] = /export HOME=\$PWD\n\s+npm ci([^\n]+)/.exec(flake) ?? []
      phase(
        directory,
        `npm ci${fetch.replaceAll("${system.cpu}", cpu)} && rm node_modules/.package-lock.json`,
        {},
        true
      )
      packages[cpu] = `${directory}/node_modules`
      const seen = run("nix-hash", ["--type", "sha256", "--base32", packages[cpu]]).trim()
      const sri = `sha256-${Buffer.from(run("nix-hash", ["--type", "sha256", "--to-base16", seen]).trim(), "hex").toString("base64")}`
      if (sri !== hash) throw new Error(`it is ${sri}, flake.nix has ${hash}`)
      return sri
    })
  }
  check("x86_64-linux: the phases build an executable, without a network and in an empty directory", () => {
    const { buildPhase, configurePhase, installPhase, src } = derivation("packages.x86_64-linux.default")
    const directory = copy(src as ReadonlyArray<string>, "build")
    const toolchain = `${work}/toolchain`
    Fs.mkdirSync(`${toolchain}/nix-support`, { recursive: true })
    Fs.copyFileSync("/lib64/ld-linux-x86-64.so.2", `${toolchain}/loader`)
    Fs.chmodSync(`${toolchain}/loader`, 0o755)
    Fs.writeFileSync(`${toolchain}/nix-support/dynamic-linker`, `${toolchain}/loader\n`)
    const env = { NIX_CC: toolchain, out: `${work}/out` }
    const configured = configurePhase.replace(`@${packageJson.name}-npm-packages@`, packages["x64"] ?? "")
    phase(directory, `${configured}\n${buildPhase}\n${installPhase}`, env, false)
    const patched = run("patchelf", ["--print-interpreter", `${directory}/node_modules/bun/bin/patched`]).trim()
    if (patched !== `${toolchain}/loader`) throw new Error(`Bun's loader is ${patched}`)
    const built = `${work}/out/bin/velero-plugin-cnpg`
    const loader = run("patchelf", ["--print-interpreter", built]).trim()
    if (loader !== "/lib64/ld-linux-x86-64.so.2") throw new Error(`the executable's loader is ${loader}`)
    const said = Object.fromEntries(
      ["cnpg", "kyma"].map((pack) => [pack, run(`${work}/out/bin/velero-plugin-${pack}`, ["--version"]).trim()])
    )
    for (const [pack, version] of Object.entries(said)) {
      if (version !== `velero-plugin-${pack} v${packageJson.version}`) throw new Error(version)
    }
    return Object.values(said).join(", ")
  })
  check("x86_64-linux: what the checks test starts with the loader of the build", () => {
    const directory = `${work}/build`
    const env = { BUILD_FLAGS: `--compile-executable-path=${directory}/node_modules/bun/bin/patched` }
    phase(directory, "npm run bundle", env, false)
    const file = `${directory}/dist/velero-plugin-cnpg`
    const loader = run("patchelf", ["--print-interpreter", file]).trim()
    if (loader !== `${work}/toolchain/loader`) throw new Error(`its loader is ${loader}`)
    return attempt(file, ["--version"]).stdout.trim()
  })
}

runChecks(work, main)
