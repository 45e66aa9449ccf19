/** Velero's own client packages, and our executable in their plugin directory. Needs Go. */
import { spawn, spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { threadId } from "node:worker_threads"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as World from "./World.ts"

const here = Path.dirname(fileURLToPath(import.meta.url))
const source = Path.join(here, "..", "velero-client")

export const executable = Path.join(here, "..", "..", "dist", "velero-plugin-filesystem")

export const hasGo = spawnSync("go", ["version"]).status === 0

const binaries = Path.join(Os.tmpdir(), `velero-client-filesystem-${process.pid}-${threadId}`)
const client = Path.join(binaries, "velero-client")
const backupStore = Path.join(binaries, "backupstore")

/** Builds the clients; answers how to remove them. */
export const build = (): (() => void) => {
  Fs.mkdirSync(binaries, { recursive: true })
  const built = spawnSync("go", ["build", "-o", binaries, ".", "./backupstore"], { cwd: source, encoding: "utf8" })
  if (built.status !== 0) throw new Error(built.stderr)
  return () => Fs.rmSync(binaries, { recursive: true, force: true })
}

const pluginDirectory = Effect.map(World.directory, (directory) => {
  const plugins = Path.join(directory, "plugins")
  Fs.mkdirSync(plugins)
  Fs.linkSync(executable, Path.join(plugins, Path.basename(executable)))
  return { directory, plugins }
})

/** Leads a backup and a restore through their lives, with Velero's own persistence package. Answers what went wrong. */
export const lifeOfABackup = (
  provider: string,
  config: Readonly<Record<string, string>>
): Effect.Effect<string, never, Scope.Scope> =>
  Effect.flatMap(pluginDirectory, ({ directory, plugins }) =>
    Effect.callback<string>((resume) => {
      const child = spawn(
        backupStore,
        ["--plugin-dir", plugins, "--provider", provider, "--config", JSON.stringify(config)],
        { env: { TMPDIR: directory }, stdio: ["ignore", "ignore", "pipe"] }
      )
      let stderr = ""
      child.stderr.on("data", (part: Buffer) => (stderr += part.toString()))
      child.once("close", (code) => resume(Effect.succeed(code === 0 ? "" : `${code}: ${stderr}`)))
    })
  )

export interface LogEntry {
  readonly level: string
  readonly message: string
}

export interface Answer {
  readonly ok: boolean
  readonly error?: string
  readonly code?: string
  // Its shape depends on the request.
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly result?: any
  readonly logs?: ReadonlyArray<LogEntry>
}

export interface Velero {
  readonly ask: (request: Readonly<Record<string, unknown>>) => Effect.Effect<Answer>
  /** Kills the host, as when its container is killed. */
  readonly crash: Effect.Effect<void>
}

/** A Velero of its own. */
export const velero = (env: Readonly<Record<string, string>> = {}): Effect.Effect<Velero, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { directory, plugins } = yield* pluginDirectory
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(client, ["--plugin-dir", plugins, "--log-level", "debug"], {
          env: { TMPDIR: directory, ...env },
          stdio: ["pipe", "pipe", "ignore"]
        })
      ),
      (process) =>
        Effect.callback<void>((resume) => {
          if (process.exitCode !== null || process.signalCode !== null) return resume(Effect.void)
          process.once("exit", () => resume(Effect.void))
          // The end of its requests is the end of its plugins.
          process.stdin.end()
        }).pipe(
          Effect.timeoutOrElse({ duration: "10 seconds", orElse: () => Effect.sync(() => process.kill("SIGKILL")) })
        )
    )
    const waiting: Array<(answer: Answer) => void> = []
    createInterface({ input: child.stdout }).on("line", (line) => waiting.shift()?.(JSON.parse(line) as Answer))
    child.stdin.on("error", () => {})
    const ask: Velero["ask"] = (request) =>
      Effect.callback((resume) => {
        waiting.push((answer) => resume(Effect.succeed(answer)))
        child.stdin.write(`${JSON.stringify(request)}\n`)
      })
    yield* ask({ op: "manager.new" })
    return { ask, crash: Effect.sync(() => void child.kill("SIGKILL")) }
  })
