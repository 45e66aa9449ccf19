/**
 * The compiled file, and processes made of it.
 *
 * `VELERO_PLUGIN_CNPG` names another file than `dist/velero-plugin-cnpg`, such as one for a release.
 */
import { spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { assert } from "@effect/vitest"
import * as grpc from "@grpc/grpc-js"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Client, Exit } from "../../src/go-plugin/Client.ts"
import { callOn } from "../go-plugin/Host.ts"
import * as Wire from "../../src/velero/wire/Client.ts"

export const repository = Path.resolve(import.meta.dirname, "../..")

export const executable = Path.resolve(repository, process.env["VELERO_PLUGIN_CNPG"] ?? "dist/velero-plugin-cnpg")

if (!Fs.existsSync(executable)) {
  throw new Error(`${executable}, which these tests are about, does not exist. Make it: npm run build`)
}

/** What Velero adds to its own environment for a plugin. */
export const hostVariables = {
  VELERO_PLUGIN: "hello",
  PLUGIN_MIN_PORT: "10000",
  PLUGIN_MAX_PORT: "25000",
  PLUGIN_PROTOCOL_VERSIONS: "2"
}

/** Waits until `find` finds something; a test that waits in vain dies saying for what. */
export const eventually = <A>(
  what: string,
  find: () => A | undefined | false | null,
  deadline: `${number} seconds` = "15 seconds"
): Effect.Effect<A> =>
  Effect.gen(function* () {
    for (;;) {
      const found = find()
      if (found !== undefined && found !== false && found !== null) return found
      yield* Effect.sleep("5 millis")
    }
  }).pipe(
    Effect.timeoutOrElse({
      duration: deadline,
      orElse: () => Effect.sync(() => assert.fail(`waited ${deadline} in vain for ${what}`))
    })
  )

/** A directory that goes with its scope. Its path is short, since sockets lie in it, and open to every user. */
export const temporaryDirectory = (parent = Os.tmpdir()): Effect.Effect<string, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const directory = Fs.mkdtempSync(Path.join(parent, "vpc-"))
      Fs.chmodSync(directory, 0o777)
      return directory
    }),
    (directory) => Effect.sync(() => Fs.rmSync(directory, { recursive: true, force: true }))
  )

export interface LaunchOptions {
  /** Default: the executable. Another command gets the executable among its arguments from the test. */
  readonly command?: string
  readonly args?: ReadonlyArray<string>
  /** The whole environment. */
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  readonly stdin?: string | Uint8Array
}

export interface Launched {
  readonly pid: number
  readonly stdout: () => string
  readonly stderr: () => string
  readonly send: (signal: NodeJS.Signals) => void
  /** Stops reading its log, as a host that died would. */
  readonly closeStderr: () => void
  /** How it ended, when all that it wrote has been read. */
  readonly exited: Effect.Effect<Exit>
}

/** Starts a process; one that still runs at the end of the scope is ended. */
export const launch = ({
  args = [],
  command = executable,
  cwd = repository,
  env = {},
  stdin
}: LaunchOptions): Effect.Effect<Launched, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => {
        const exited = Deferred.makeUnsafe<Exit>()
        const output = { stdout: "", stderr: "" }
        const child = spawn(command, args, { cwd, env, stdio: ["pipe", "pipe", "pipe"] })
        for (const name of ["stdout", "stderr"] as const) {
          child[name].setEncoding("utf8").on("data", (text: string) => (output[name] += text))
        }
        child.once("close", (code, signal) => Deferred.doneUnsafe(exited, Effect.succeed({ code, signal })))
        child.once("error", (error) => {
          output.stderr += error.message
          Deferred.doneUnsafe(exited, Effect.succeed({ code: null, signal: null }))
        })
        // It may end without having read.
        child.stdin.on("error", () => {})
        child.stdin.end(stdin)
        return { child, exited, output }
      }),
      // A plugin that is asked to end removes its socket.
      ({ child, exited }) =>
        Effect.suspend(() => {
          child.kill("SIGTERM")
          return Deferred.await(exited)
        }).pipe(
          Effect.timeoutOrElse({
            duration: "5 seconds",
            orElse: () =>
              Effect.suspend(() => {
                child.kill("SIGKILL")
                return Deferred.await(exited)
              })
          }),
          Effect.asVoid
        )
    ),
    ({ child, exited, output }) => ({
      pid: child.pid ?? 0,
      stdout: () => output.stdout,
      stderr: () => output.stderr,
      send: (signal) => void child.kill(signal),
      closeStderr: () => void child.stderr.destroy(),
      exited: Deferred.await(exited).pipe(
        Effect.timeoutOrElse({
          duration: "20 seconds",
          orElse: () => Effect.sync(() => assert.fail(`still running after 20 seconds:\n${output.stderr}`))
        })
      )
    })
  )

export interface Finished extends Exit {
  readonly stdout: string
  readonly stderr: string
}

/** Runs a process to its end. */
export const run = (options: LaunchOptions): Effect.Effect<Finished> =>
  Effect.scoped(
    Effect.gen(function* () {
      const launched = yield* launch(options)
      const { code, signal } = yield* launched.exited
      return { code, signal, stdout: launched.stdout(), stderr: launched.stderr() }
    })
  )

/** The fields of the line that a started plugin announced, once it has. */
export const announcement = (launched: Launched): Effect.Effect<ReadonlyArray<string>> =>
  Effect.map(
    eventually(
      "the handshake line",
      () => launched.stdout().includes("\n") || (launched.stderr().includes('"@level":"error"') && "failed")
    ),
    () => {
      assert.include(launched.stdout(), "\n", launched.stderr())
      return launched.stdout().trimEnd().split("|")
    }
  )

/** A connection of the test's own to the socket of a plugin. */
export const connect = (
  path: string,
  credentials = grpc.credentials.createInsecure(),
  options: grpc.ClientOptions = {}
): Effect.Effect<Pick<Client, "call">, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => new grpc.Client(`unix:${path}`, credentials, options)),
      (connection) => Effect.sync(() => connection.close())
    ),
    (connection) => ({ call: callOn(connection) })
  )

/** How many plugins there are, or how the call failed. */
export const listPlugins = (connection: Pick<Client, "call">) =>
  Effect.match(Wire.make(connection).pluginLister.listPlugins({}), {
    onFailure: ({ code }) => grpc.status[code],
    onSuccess: ({ plugins }) => plugins.length
  })

/** Whether tests can run here; says so where they cannot. */
export const possible = (condition: boolean, otherwise: string): boolean => {
  if (!condition) console.log(`skipped: ${otherwise}`)
  return condition
}

/** Sockets in a directory. */
export const sockets = (directory: string): ReadonlyArray<string> =>
  Fs.readdirSync(directory, { withFileTypes: true }).flatMap((entry) => (entry.isSocket() ? [entry.name] : []))

/** What is at a path of a parsed value. */
export const at = (value: unknown, ...path: ReadonlyArray<string | number>): unknown =>
  path.reduce<unknown>((inner, key) => (inner as Readonly<Record<string | number, unknown>> | undefined)?.[key], value)
