/**
 * Velero's own client packages, as the Go program beside this file drives them: built once for a test file, then asked by JSON
 * lines (see `main.go`, `ops.go`).
 */
import { spawn, spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { createInterface } from "node:readline"
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as ApiServer from "../../src/testing/ApiServer.ts"

/** Whether the program can be built; without Go its tests are skipped, and say so. */
export const hasGo = spawnSync("go", ["version"]).status === 0
if (!hasGo) console.warn("skipped: the tests with Velero's own client packages need Go (https://go.dev/dl)")

/** The first build downloads Velero. */
export const buildTimeout = 30 * 60_000

/** Builds the program, for `beforeAll`; returns what removes it again. */
export const build = (program: string) => (): (() => void) => {
  const built = spawnSync("go", ["build", "-o", program, "."], { cwd: import.meta.dirname, encoding: "utf8" })
  assert.strictEqual(built.status, 0, built.stderr)
  return () => Fs.rmSync(program, { force: true })
}

/** A path for the program of one test file. */
export const programOf = (name: string): string => Path.join(Os.tmpdir(), `velero-client-${name}-${process.pid}`)

export interface LogEntry {
  readonly level: string
  readonly message: string
  readonly fields: Readonly<Record<string, unknown>>
}

/** `response` of `session.go`. */
export interface Answer {
  readonly ok: boolean
  readonly error?: string
  readonly code?: string
  readonly errorFile?: string
  // Its shape depends on the request.
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly result?: any
  readonly logs?: ReadonlyArray<LogEntry>
}

export interface Options {
  readonly program: string
  /** Files for Velero's plugin directory, under their own names. */
  readonly executables: ReadonlyArray<string>
  /** What `velero server` was started with. */
  readonly serverArgs?: ReadonlyArray<string>
  /** Of Velero's own process, which plugins inherit. */
  readonly env?: Readonly<Record<string, string>>
  readonly objects?: ReadonlyArray<ApiServer.KubernetesObject>
}

/** A Velero with executables in its plugin directory and a cluster behind it, until the end of the scope. */
export const start = ({ env = {}, executables, objects = [], program, serverArgs = [] }: Options) =>
  Effect.gen(function* () {
    const cluster = yield* ApiServer.make({ objects, createNamespaces: true })
    const directory = yield* Effect.acquireRelease(
      Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "velero-client-test-"))),
      (path) => Effect.sync(() => Fs.rmSync(path, { recursive: true, force: true }))
    )
    const plugins = Path.join(directory, "plugins")
    Fs.mkdirSync(plugins)
    // Not links: the directory and the executables may lie on different file systems.
    for (const executable of executables) Fs.copyFileSync(executable, Path.join(plugins, Path.basename(executable)))
    const kubeconfig = Path.join(directory, "kubeconfig")
    Fs.writeFileSync(kubeconfig, cluster.kubeconfig)
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(program, ["--plugin-dir", plugins, "--log-level", "debug", "--", ...serverArgs], {
          env: { KUBECONFIG: kubeconfig, TMPDIR: directory, ...env },
          stdio: ["pipe", "pipe", "ignore"]
        })
      ),
      // The end of its input has it end its plugins; killed at once, it would leave them behind.
      (process) =>
        Effect.callback<void>((resume) => {
          process.once("exit", () => resume(Effect.void))
          if (process.exitCode !== null || process.signalCode !== null) return resume(Effect.void)
          process.stdin.end()
        }).pipe(
          Effect.timeoutOrElse({ duration: "10 seconds", orElse: () => Effect.sync(() => process.kill("SIGKILL")) })
        )
    )
    const waiting: Array<(answer: Answer) => void> = []
    createInterface({ input: child.stdout }).on("line", (line) => waiting.shift()?.(JSON.parse(line) as Answer))
    const ask = (request: Readonly<Record<string, unknown>>): Effect.Effect<Answer> =>
      Effect.callback((resume) => {
        waiting.push((answer) => resume(Effect.succeed(answer)))
        child.stdin.write(`${JSON.stringify(request)}\n`)
      })
    return { ask, cluster, pluginDirectory: plugins }
  })
