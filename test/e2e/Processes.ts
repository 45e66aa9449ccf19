/**
 * Other programs: commands that come to an end, and servers that run until their scope closes, with a temporary directory for all
 * of them.
 *
 * Every process leads a group of its own, so that Ctrl-C in a terminal reaches this runner alone and ending a group ends what its
 * leader started (Velero its plugins, Go its compilers). A process is ended with its scope. Should the runner itself be killed, the
 * watchdog does it: a shell that waits for its standard input to end, which no way of dying can prevent.
 */
import { type ChildProcess, spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"

/** A command failed, or could not be started. */
export class CommandFailed extends Data.TaggedError("CommandFailed")<{
  readonly command: string
  /** The exit code or signal, or why it did not start. */
  readonly reason: string
  readonly output: string
  /** The part of the output that went to stdout. */
  readonly stdout?: string
}> {
  override get message() {
    return `${this.command}: ${this.reason}${this.output === "" ? "" : `\n${lastLines(this.output)}`}`
  }
}

/** A server ended on its own. */
export class ServerEnded extends Data.TaggedError("ServerEnded")<{
  readonly name: string
  readonly reason: string
  /** The end of its log. */
  readonly output: string
}> {
  override get message() {
    return `${this.name} ended (${this.reason}). Its log ends:\n${this.output}`
  }
}

export interface Options {
  readonly cwd?: string
  /** In addition to what every process needs (`PATH`, `HOME`, `TMPDIR`); nothing else of the runner's is passed on. */
  readonly env?: Readonly<Record<string, string>>
  /** The whole environment of the runner, for tools that people have configured. */
  readonly inheritEnv?: boolean
  /** Give way to everything else on the machine. */
  readonly nice?: boolean
  /** The signal to end it with, for one that has something to leave in order; after ten seconds it is killed all the same. */
  readonly endSignal?: NodeJS.Signals
  /** Not as root: where the runner is, as somebody else, who can read only what is open to everyone. */
  readonly unprivileged?: boolean
}

export interface Server {
  readonly name: string
  readonly pid: number
  /** Path of what it wrote to stdout and stderr. */
  readonly log: string
}

/** Who unprivileged processes run as. */
export const unprivilegedUser = process.getuid?.() === 0 ? { uid: 65534, gid: 65534, name: "nobody" } : undefined

/** The command as that user. `setpriv` becomes the command, so the process is the same. */
const commandLine = (
  command: string,
  args: ReadonlyArray<string>,
  { unprivileged = false }: Options
): [string, ReadonlyArray<string>] => {
  if (!unprivileged || unprivilegedUser === undefined) return [command, args]
  const { gid, uid } = unprivilegedUser
  return ["setpriv", [`--reuid=${uid}`, `--regid=${gid}`, "--clear-groups", "--no-new-privs", "--", command, ...args]]
}

interface Launched extends Pick<ChildProcess, "stdout" | "stderr"> {
  readonly pid: number
  /** Why it ended; `undefined` with exit code 0. */
  readonly exit: Promise<string | undefined>
  /** Whether its end is wanted. */
  released: boolean
}

export class Processes extends Context.Service<
  Processes,
  {
    /** Of all processes; goes with them. */
    readonly directory: string
    /** Runs a command to its end and yields its stdout. Interruption ends it. */
    readonly run: (
      command: string,
      args: ReadonlyArray<string>,
      options?: Options
    ) => Effect.Effect<string, CommandFailed>
    /** Starts a server; it runs until the scope closes. */
    readonly start: (
      name: string,
      command: string,
      args: ReadonlyArray<string>,
      options?: Options
    ) => Effect.Effect<Server, CommandFailed, Scope.Scope>
    /** Fails as soon as a server ends on its own. */
    readonly broken: Effect.Effect<never, ServerEnded>
    /** The logs outlive the directory; yields where they are. */
    readonly keepLogs: Effect.Effect<string>
  }
>()("velero-plugin-cnpg/e2e/Processes") {}

const endDeadline = "10 seconds"

const lastLines = (text: string): string => text.trimEnd().split("\n").slice(-20).join("\n")

/** Ends a whole group, at once unless told otherwise: hardly anything that runs here has anything to save. */
const endGroup = (leader: number, signal: NodeJS.Signals = "SIGKILL"): void => {
  try {
    process.kill(-leader, signal)
  } catch {
    // It has ended already.
  }
}

/** Waits for the runner's end, then ends every group that has a file, and removes the directory. */
const watchdogScript = `
cat > /dev/null
for group in "$0"/groups/*; do kill -s KILL -- "-\${group##*/}" 2> /dev/null; done
test -e "$0/keep-logs" || rm -rf "$0"
`

const makeDirectory = Effect.acquireRelease(
  Effect.sync(() => {
    // What the runner and its servers make is theirs alone. Somebody else who is to run something has to pass through the top.
    process.umask(0o077)
    const directory = Fs.mkdtempSync(Path.join(Os.tmpdir(), "velero-plugin-cnpg-e2e-"))
    if (unprivilegedUser !== undefined) Fs.chmodSync(directory, 0o711)
    for (const name of ["groups", "logs", "tmp"]) Fs.mkdirSync(Path.join(directory, name))
    const watchdog = spawn("/bin/sh", ["-c", watchdogScript, directory], {
      detached: true,
      stdio: ["pipe", "ignore", "ignore"]
    })
    return { directory, watchdog }
  }),
  ({ directory, watchdog }) =>
    Effect.callback<void>((resume) => {
      for (const name of Fs.readdirSync(directory)) {
        if (name !== "logs" && name !== "keep-logs") Fs.rmSync(Path.join(directory, name), { recursive: true })
      }
      watchdog.once("exit", () => resume(Effect.void))
      watchdog.stdin?.end()
    })
)

const make = Effect.gen(function* () {
  const { directory } = yield* makeDirectory
  const broken = yield* Deferred.make<never, ServerEnded>()
  const groupFile = (pid: number) => Path.join(directory, "groups", String(pid))
  const environment = ({ env, inheritEnv }: Options): Record<string, string | undefined> => ({
    ...(inheritEnv ? process.env : { PATH: process.env["PATH"], HOME: directory, TMPDIR: Path.join(directory, "tmp") }),
    ...env
  })

  /** A process that is known to the watchdog from its first moment to its last. */
  const launch = (command: string, args: ReadonlyArray<string>, options: Options, output: "pipe" | number) =>
    Effect.acquireRelease(
      Effect.callback<Launched, CommandFailed>((resume) => {
        const child = spawn(...commandLine(command, args, options), {
          detached: true,
          stdio: ["ignore", output, output],
          env: environment(options),
          ...(options.cwd === undefined ? {} : { cwd: options.cwd })
        })
        const { pid, stderr, stdout } = child
        const exit = new Promise<string | undefined>((resolve) =>
          child.once("close", (code, signal) => resolve(code === 0 ? undefined : (signal ?? `exit code ${code}`)))
        )
        child.once("error", ({ message }) => resume(new CommandFailed({ command, reason: message, output: "" })))
        if (pid === undefined) return
        Fs.writeFileSync(groupFile(pid), "")
        if (options.nice) Os.setPriority(pid, Os.constants.priority.PRIORITY_BELOW_NORMAL)
        resume(Effect.succeed({ pid, stdout, stderr, exit, released: false }))
      }),
      (launched) =>
        Effect.gen(function* () {
          launched.released = true
          if (options.endSignal !== undefined) {
            endGroup(launched.pid, options.endSignal)
            yield* Effect.ignore(
              Effect.timeout(
                Effect.promise(() => launched.exit),
                endDeadline
              )
            )
          }
          endGroup(launched.pid)
          Fs.rmSync(groupFile(launched.pid), { force: true })
        })
    )

  return Processes.of({
    directory,
    broken: Deferred.await(broken),
    run: (command, args, options = {}) =>
      Effect.gen(function* () {
        const { exit, stderr, stdout } = yield* launch(command, args, options, "pipe")
        const [said, all]: [Array<string>, Array<string>] = [[], []]
        stdout?.setEncoding("utf8").on("data", (text: string) => void (said.push(text), all.push(text)))
        stderr?.setEncoding("utf8").on("data", (text: string) => void all.push(text))
        const reason = yield* Effect.promise(() => exit)
        if (reason === undefined) return said.join("")
        return yield* new CommandFailed({
          command: [Path.basename(command), ...args].join(" "),
          reason,
          output: all.join(""),
          stdout: said.join("")
        })
      }).pipe(Effect.scoped),
    start: Effect.fnUntraced(function* (name, command, args, options = {}) {
      const log = Path.join(directory, "logs", `${name}.log`)
      const descriptor = yield* Effect.acquireRelease(
        Effect.sync(() => Fs.openSync(log, "a")),
        (open) => Effect.sync(() => Fs.closeSync(open))
      )
      const launched = yield* launch(command, args, options, descriptor)
      void launched.exit.then((reason = "exit code 0") => {
        if (launched.released) return
        const output = lastLines(Fs.readFileSync(log, "utf8"))
        Deferred.doneUnsafe(broken, new ServerEnded({ name, reason, output }))
      })
      return { name, pid: launched.pid, log }
    }),
    keepLogs: Effect.sync(() => {
      Fs.writeFileSync(Path.join(directory, "keep-logs"), "")
      return Path.join(directory, "logs")
    })
  })
})

export const layer: Layer.Layer<Processes> = Layer.effect(Processes, make)
