/**
 * A go-plugin server: handshake, go-plugin's own services, the application's services, and an orderly end.
 *
 * The order matters to hosts: listen first, print the line second (they dial at once, without retrying), answer `Shutdown`
 * before ending (they wait two seconds, then kill), exit with 0 (anything else is an error line in their log).
 *
 * @see https://github.com/hashicorp/go-plugin/blob/v1.6.0/docs/guide-plugin-write-non-go.md
 * @see https://github.com/hashicorp/go-plugin/blob/v1.6.0/grpc_server.go
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as ManagedRuntime from "effect/ManagedRuntime"
import { GRPCBrokerDefinition } from "../generated/go-plugin/broker.ts"
import { GRPCControllerDefinition } from "../generated/go-plugin/controller.ts"
import { GRPCStdioDefinition } from "../generated/go-plugin/stdio.ts"
import { HealthCheckResponse_ServingStatus, HealthDefinition } from "../generated/grpc/health.ts"
import * as Call from "../grpc/Call.ts"
import type { Listener, Tls } from "../grpc/Listener.ts"
import * as Listeners from "../grpc/Listener.ts"
import type { AutoMtlsError } from "./AutoMtls.ts"
import type { Environment, HandshakeConfig } from "./Handshake.ts"
import * as Handshake from "./Handshake.ts"
import type { Installation, Service } from "./Rpc.ts"
import * as Rpc from "./Rpc.ts"
import { SocketError } from "./Socket.ts"
import * as Socket from "./Socket.ts"
import type { Details } from "./Status.ts"

/** What the plugin needs of its process; `bin/` supplies it. */
export interface HostProcess {
  readonly env: Environment
  /** Writes to the real stdout, which belongs to the handshake. */
  readonly writeHandshake: (line: string) => void
  /** Ends once the process is asked to end by a signal. */
  readonly terminated: Effect.Effect<void>
}

export interface Options {
  readonly handshake: HandshakeConfig
  /** The application's services. */
  readonly services: ReadonlyArray<Installation>
  /** Where go-plugin's own services run. */
  readonly runtime: ManagedRuntime.ManagedRuntime<never, never>
  readonly details: Details
}

/** Hosts kill two seconds after `Shutdown`; calls that are still running get this long, in milliseconds, to end. */
const drainMillis = 1000

/** The name under which go-plugin's health check asks. */
const healthServiceName = "plugin"

const standardServices = (ended: Deferred.Deferred<void>): ReadonlyArray<Service<never>> => [
  Rpc.service(HealthDefinition, {
    check: ({ service }) =>
      Effect.succeed({
        status:
          service === healthServiceName || service === ""
            ? HealthCheckResponse_ServingStatus.SERVING
            : HealthCheckResponse_ServingStatus.SERVICE_UNKNOWN
      })
  }),
  Rpc.service(GRPCControllerDefinition, { shutdown: () => Effect.as(Deferred.succeed(ended, undefined), {}) }),
  // Hosts open these two streams when they connect and keep them for the life of the plugin.
  Rpc.service(GRPCBrokerDefinition, { startStream: () => Deferred.await(ended) }),
  Rpc.service(GRPCStdioDefinition, { streamStdio: () => Deferred.await(ended) })
]

const listen = (path: string, tls: Tls | undefined, find: Call.Find): Effect.Effect<Listener, SocketError> =>
  Effect.tryPromise({
    try: () => Listeners.listen(path, tls, Call.accept(find)),
    catch: (cause) => new SocketError({ detail: `${path}: ${cause instanceof Error ? cause.message : String(cause)}` })
  })

/** Lets calls end by themselves, then cancels what is left. */
const close = (listener: Listener): Effect.Effect<void> =>
  Effect.promise(listener.finish).pipe(
    Effect.timeoutOrElse({ duration: drainMillis, orElse: () => Effect.sync(listener.abort) })
  )

/** Serves until the host asks for the end or a signal does. The socket is removed on every way out. */
export const serve = (
  host: HostProcess,
  { details, handshake, runtime, services }: Options
): Effect.Effect<void, SocketError | AutoMtlsError> =>
  Effect.scoped(
    Effect.gen(function* () {
      const ended = yield* Deferred.make<void>()
      const standard = standardServices(ended).map((service) => Rpc.install(service, runtime, details))

      const clientCertificate = host.env["PLUGIN_CLIENT_CERT"]
      const mtls = clientCertificate
        ? yield* Effect.flatMap(
            Effect.promise(() => import("./AutoMtls.ts")),
            ({ make }) => make(clientCertificate)
          )
        : undefined
      const path = yield* Effect.acquireRelease(Socket.choosePath(host.env), Socket.remove)
      yield* Effect.acquireRelease(listen(path, mtls, Rpc.finder([...standard, ...services])), close)
      yield* Socket.grantGroup(path, host.env)

      host.writeHandshake(
        Handshake.handshakeLine({
          protocolVersion: Handshake.negotiateVersion(host.env["PLUGIN_PROTOCOL_VERSIONS"], handshake),
          network: "unix",
          address: path,
          certificate: mtls?.der,
          // One connection carries everything here; a host that wants yamux framing must hear so.
          multiplex: host.env["PLUGIN_MULTIPLEX_GRPC"] === undefined ? undefined : false
        })
      )
      yield* Effect.race(Deferred.await(ended), host.terminated)
      // A signal ends the host's two streams as `Shutdown` does: nothing is left to wait for.
      yield* Deferred.succeed(ended, undefined)
    })
  )
