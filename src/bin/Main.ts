/**
 * What every executable does with its process: serve when Velero started it, else be a command for people.
 *
 * The only module besides `cli/` that touches `process`.
 *
 * @module
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { notAPluginHost } from "../go-plugin/Handshake.ts"
import * as Log from "../go-plugin/Log.ts"
import type { Kubernetes } from "../kubernetes/Kubernetes.ts"
import type { Plugin } from "../velero/Plugin.ts"
import * as Serve from "../velero/Serve.ts"

/** One executable. */
export interface Program<R> {
  readonly plugins: ReadonlyArray<Plugin<R>>
  readonly services: Layer.Layer<R | Kubernetes>
  /** Commands for people, by the process's arguments; resolves with the exit code. */
  readonly commands: (args: ReadonlyArray<string>) => Promise<number>
}

/** The cluster that Velero runs in. Loaded with the first call of a plugin, not with the list of plugins. */
export const kubernetes: Layer.Layer<Kubernetes> = Layer.unwrap(
  Effect.promise(async () => (await import("../kubernetes/ApiServer.ts")).layer)
)

/** Descriptor 2, synchronously: a line that was logged is out before the process can end. A host that is gone is no error. */
const writeLog: Log.Write = (line) => {
  try {
    Fs.writeSync(2, line)
  } catch {
    // Nobody is there to read it.
  }
}

/** What would be printed becomes a log line. */
const divert = (...parts: ReadonlyArray<unknown>): void =>
  writeLog(
    Log.formatEntry({
      level: "info",
      message: parts.map(String).join(" ").trimEnd(),
      fields: { logSource: "stdout" }
    })
  )

/** stdout is the handshake's alone. */
const guardConsole = (): void => {
  for (const method of ["log", "info", "debug", "warn", "error", "trace", "dir"] as const) console[method] = divert
}

/**
 * The same for `process.stdout`, before any plugin's code is loaded. Not before the handshake: only to look at it costs four
 * milliseconds and three MiB.
 */
const guardStdout = (): void => {
  process.stdout.write = ((chunk: unknown) => {
    divert(chunk instanceof Uint8Array ? Buffer.from(chunk).toString("utf8") : chunk)
    return true
  }) as typeof process.stdout.write
}

/** An exception that no call owns must not take the other calls down. */
const surviveStrayErrors = (): void => {
  const report = (cause: unknown) =>
    writeLog(
      Log.formatEntry({
        level: "warn",
        message: "an error that belongs to no call was ignored",
        fields: { logSource: "process" },
        error: cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)
      })
    )
  process.on("uncaughtException", report)
  process.on("unhandledRejection", report)
}

const serve = async <R>({ plugins, services }: Program<R>): Promise<number> => {
  guardConsole()
  surviveStrayErrors()
  const terminated = Deferred.makeUnsafe<void>()
  // Velero's own process group gets SIGINT too; the plugin waits to be told by Velero, as Go plugins do.
  process.on("SIGINT", () => {})
  process.on("SIGTERM", () => Deferred.doneUnsafe(terminated, Effect.void))
  const host: Serve.VeleroProcess = {
    // As Go plugins name it. Where a link was started the file's own name may be that of another pack.
    command: Path.isAbsolute(process.argv0) ? process.argv0 : process.execPath,
    args: process.argv.slice(2),
    env: process.env,
    writeLog,
    writeHandshake: (line) => Fs.writeSync(1, line),
    terminated: Deferred.await(terminated)
  }
  return Effect.runPromise(
    Serve.serve(plugins, Layer.merge(services, Layer.effectDiscard(Effect.sync(guardStdout))), host).pipe(
      Effect.as(0),
      Effect.catchCause((cause) => Effect.as(Effect.logError("the plugin could not start", cause), 1)),
      Effect.provide(Serve.logLayer(host))
    )
  )
}

/** Flags of `effect/cli` that a person may begin with. */
const peoplesFlags = ["--help", "-h", "--version", "-v", "--wizard", "--completions"]

/** Velero's flags without its cookie: some other host, which go-plugin's own words are meant for. */
const isForPeople = ([first]: ReadonlyArray<string>): boolean =>
  first !== undefined && (!first.startsWith("-") || peoplesFlags.includes(first.replace(/=.*$/s, "")))

/** For somebody who has found the file. */
const whatItIs = <R>(
  { plugins }: Program<R>,
  command: string
): string => `It has these plugins for Velero (https://velero.io):

${plugins.map(({ kind, name }) => `  ${name} (${kind})\n`).join("")}
To install them:

  velero plugin add IMAGE    the image that this file is from
  ${command} install DIR    a copy in DIR, which Velero has as /plugins and reads when it starts

What it can do by hand: ${command} --help
`

/** Runs a program to its end, which ends the process. */
export const main = async <R>(program: Program<R>): Promise<void> => {
  const args = process.argv.slice(2)
  if (Serve.isStartedByVelero(process.env)) process.exit(await serve(program))
  if (!isForPeople(args)) {
    process.stderr.write(`${notAPluginHost}\n${whatItIs(program, process.argv0)}`)
    process.exit(1)
  }
  process.exit(await program.commands(args))
}
