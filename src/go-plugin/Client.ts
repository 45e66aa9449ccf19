/**
 * The host's half of go-plugin: starts a plugin as hashicorp/go-plugin's client does, reads its log, calls it, ends it.
 *
 * **When to use**: in tests and previews that must see an executable exactly as Velero sees it. **Gotchas**: no reattach, no
 * AutoMTLS, no broker connections; `Kill` of an unresponsive plugin gives up on `Shutdown` where Go's client waits for ever.
 *
 * @see https://github.com/hashicorp/go-plugin/blob/v1.7.0/client.go
 */
import { type ChildProcess, spawn } from "node:child_process"
import { createInterface } from "node:readline"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { GRPCBrokerDefinition } from "../generated/go-plugin/broker.ts"
import { GRPCControllerDefinition } from "../generated/go-plugin/controller.ts"
import { GRPCStdioDefinition } from "../generated/go-plugin/stdio.ts"
import * as Grpc from "../grpc/Client.ts"
import type { HandshakeConfig } from "./Handshake.ts"
import type { HostLevel } from "./Log.ts"
import * as Rpc from "./Rpc.ts"

/** The plugin did not come up. */
export class PluginNotStarted extends Data.TaggedError("PluginNotStarted")<{
  readonly command: string
  readonly detail: string
}> {
  override get message() {
    return `${this.command} did not start as a plugin: ${this.detail}`
  }
}

/** A call ended with a status other than OK. */
export class CallFailed extends Data.TaggedError("CallFailed")<{
  readonly method: string
  readonly code: number
  readonly detail: string
  /** The trailer `grpc-status-details-bin`. */
  readonly details: Uint8Array | undefined
}> {
  override get message() {
    return this.detail
  }
}

/** A line of the plugin's stderr, as the host understands it. */
export interface LogLine {
  readonly level: HostLevel
  readonly message: string
  readonly fields: Readonly<Record<string, unknown>>
}

const levels: ReadonlyArray<string> = ["trace", "debug", "info", "warn", "error"]

/** go-plugin's rules for a line of stderr; what is not a well-formed entry is shown raw, at debug level. */
export const parseLogLine = (line: string): LogLine => {
  const raw: LogLine = { level: "debug", message: line, fields: {} }
  const tagged = /^\[(TRACE|DEBUG|INFO|WARN|ERROR)\]\s*(.*)$/s.exec(line)
  if (tagged !== null) return { ...raw, level: (tagged[1] ?? "").toLowerCase() as HostLevel, message: tagged[2] ?? "" }
  let entry: unknown
  try {
    entry = JSON.parse(line)
  } catch {
    return raw
  }
  if (typeof entry !== "object" || entry === null || Array.isArray(entry)) return raw
  const { "@level": level, "@message": message, "@timestamp": _, ...fields } = entry as Record<string, unknown>
  return typeof level === "string" && levels.includes(level) && typeof message === "string"
    ? { level: level as HostLevel, message, fields }
    : raw
}

/** How a process ended. */
export interface Exit {
  readonly code: number | null
  readonly signal: string | null
}

export interface Options {
  readonly command: string
  readonly args?: ReadonlyArray<string>
  /** The whole environment; the handshake's variables are added. */
  readonly env: Readonly<Record<string, string>>
  readonly handshake: HandshakeConfig
  readonly onLog?: (line: LogLine) => void
}

/** A running plugin. */
export interface Client {
  readonly pid: number
  /** Fields of the handshake line. */
  readonly announcement: ReadonlyArray<string>
  /** One unary call. Interruption cancels it. */
  readonly call: <Request, Response>(
    service: string,
    method: Rpc.MethodDefinition<Request, Response>,
    request: Request
  ) => Effect.Effect<Response, CallFailed>
  readonly exited: Effect.Effect<Exit>
  readonly hasExited: () => boolean
  /** SIGKILL, as a crash. */
  readonly crash: () => void
}

/** As Velero's server sets them for a plugin. */
const hostVariables = ({ cookieKey, cookieValue, protocolVersions }: HandshakeConfig) => ({
  [cookieKey]: cookieValue,
  PLUGIN_MIN_PORT: "10000",
  PLUGIN_MAX_PORT: "25000",
  PLUGIN_PROTOCOL_VERSIONS: protocolVersions.join(",")
})

const startTimeout = "60 seconds"
const exitTimeout = "2 seconds"

const firstLine = (child: ChildProcess, command: string) =>
  Effect.callback<string, PluginNotStarted>((resume) => {
    const fail = (detail: string) => resume(Effect.fail(new PluginNotStarted({ command, detail })))
    child.once("error", (error) => fail(error.message))
    child.once("exit", (code, signal) => fail(`it exited (${signal ?? code}) before it said where it listens`))
    if (child.stdout === null) return fail("it has no stdout")
    // Later lines are read and dropped, as the host does, so that the plugin never blocks on a full pipe.
    createInterface({ input: child.stdout }).once("line", (line) => resume(Effect.succeed(line)))
  }).pipe(
    Effect.timeoutOrElse({
      duration: startTimeout,
      orElse: () => Effect.fail(new PluginNotStarted({ command, detail: `no handshake within ${startTimeout}` }))
    })
  )

const callOn =
  (client: Grpc.Client): Client["call"] =>
  (service, method, request) =>
    Effect.callback((resume) => {
      const cancel = client.call(
        Rpc.pathOf(service, method),
        method.requestType.encode(request).finish(),
        (failure, response) =>
          resume(
            failure === undefined
              ? Effect.sync(() => method.responseType.decode(response))
              : Effect.fail(
                  new CallFailed({
                    method: method.name,
                    code: failure.code,
                    detail: failure.message,
                    details: failure.details
                  })
                )
          )
      )
      return Effect.sync(cancel)
    })

/** The two streams that every host opens and never uses. */
const openStreams = (client: Grpc.Client): void => {
  const { methods: stdio } = GRPCStdioDefinition
  client.open(
    Rpc.pathOf(GRPCStdioDefinition.fullName, stdio.streamStdio),
    stdio.streamStdio.requestType.encode({}).finish()
  )
  client.open(Rpc.pathOf(GRPCBrokerDefinition.fullName, GRPCBrokerDefinition.methods.startStream), undefined)
}

/** Starts a plugin; the scope's end asks it to end, waits two seconds, and kills it. */
export const start = ({
  args = [],
  command,
  env,
  handshake,
  onLog = () => {}
}: Options): Effect.Effect<Client, PluginNotStarted, Scope.Scope> =>
  Effect.gen(function* () {
    const exit = yield* Deferred.make<Exit>()
    let isConnected = false
    const child = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const process = spawn(command, args, {
          env: { ...env, ...hostVariables(handshake) },
          stdio: ["ignore", "pipe", "pipe"]
        })
        // Not `exit`: what it wrote last may not have been read by then.
        process.once("close", (code, signal) => Deferred.doneUnsafe(exit, Effect.succeed({ code, signal })))
        process.once("error", () => Deferred.doneUnsafe(exit, Effect.succeed({ code: null, signal: null })))
        return process
      }),
      (process) =>
        // Nobody could ask a plugin to end that was given up before it could be called.
        Effect.sync(() => isConnected || process.kill("SIGTERM")).pipe(
          Effect.andThen(Deferred.await(exit)),
          Effect.timeoutOption(exitTimeout),
          Effect.tap((ended) => (Option.isNone(ended) ? Effect.sync(() => process.kill("SIGKILL")) : Effect.void))
        )
    )
    if (child.stderr !== null) createInterface({ input: child.stderr }).on("line", (line) => onLog(parseLogLine(line)))
    const line = yield* firstLine(child, command)
    const announcement = line.trim().split("|")
    const [core, , network, address, protocol] = announcement
    if (core !== "1" || network !== "unix" || protocol !== "grpc" || address === undefined) {
      return yield* new PluginNotStarted({ command, detail: `unrecognized plugin message: ${line.trim()}` })
    }
    const client = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const connection = Grpc.connect(address)
        openStreams(connection)
        isConnected = true
        return connection
      }),
      (connection) =>
        callOn(connection)(GRPCControllerDefinition.fullName, GRPCControllerDefinition.methods.shutdown, {}).pipe(
          Effect.timeoutOption(exitTimeout),
          Effect.ignore,
          Effect.andThen(Effect.sync(() => connection.close()))
        )
    )
    return {
      pid: child.pid ?? 0,
      announcement,
      call: callOn(client),
      exited: Deferred.await(exit),
      hasExited: () => child.exitCode !== null || child.signalCode !== null,
      crash: () => void child.kill("SIGKILL")
    }
  })
