/** Commands, and what the image's test needs of the machine. */
import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"

export interface Output {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface CommandOptions {
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
}

/** Runs a command to its end. */
export const attempt = (command: string, args: ReadonlyArray<string>, options: CommandOptions = {}): Output => {
  const { error, status, stderr, stdout } = spawnSync(command, args, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    encoding: "utf8",
    maxBuffer: 1 << 28
  })
  return { code: status, stdout: stdout ?? "", stderr: stderr || (error?.message ?? "") }
}

/** Runs a command that has to succeed; returns what it printed. */
export const run = (command: string, args: ReadonlyArray<string>, options?: CommandOptions): string => {
  const { code, stderr, stdout } = attempt(command, args, options)
  if (code !== 0)
    throw new Error(`${command} ${args.join(" ")}: exit code ${code}\n${`${stdout}${stderr}`.slice(-4000)}`)
  return stdout
}

export const repository = Path.resolve(import.meta.dirname, "../..")

/** Debian's package of each command. */
const packages: Readonly<Record<string, string>> = {
  buildah: "buildah",
  debootstrap: "debootstrap",
  "qemu-aarch64-static": "qemu-user-static",
  "qemu-x86_64-static": "qemu-user-static",
  setpriv: "util-linux",
  unshare: "util-linux"
}

/** Why the test cannot run here; empty: it can. */
export const missing = (): string => {
  const commands = Object.keys(packages).filter((command) => Bun.which(command) === null)
  if (commands.length > 0) {
    return `no ${commands.join(", ")}; on Debian: apt-get install ${[...new Set(commands.map((each) => packages[each]))].join(" ")}`
  }
  if (process.arch !== "x64") return "it is written for an amd64 machine, which runs arm64 by qemu"
  return process.getuid?.() === 0 ? "" : "only root may build and enter root file systems"
}

/** Kept between runs, outside of the checkout. */
export const cache = (name: string): string => {
  const root = process.env["XDG_CACHE_HOME"] || Path.join(Os.homedir(), ".cache")
  const directory = Path.join(root, "velero-plugin-cnpg", "image")
  Fs.mkdirSync(directory, { recursive: true })
  return Path.join(directory, name)
}

/** Makes a directory once; an interrupted attempt leaves nothing under its name. */
export const once = (name: string, make: (directory: string) => void): string => {
  const directory = cache(name)
  if (!Fs.existsSync(directory)) {
    const unfinished = `${directory}.unfinished`
    Fs.rmSync(unfinished, { recursive: true, force: true })
    Fs.mkdirSync(unfinished)
    make(unfinished)
    Fs.renameSync(unfinished, directory)
  }
  return directory
}
