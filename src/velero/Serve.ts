/**
 * Serves a pack's plugins to Velero.
 *
 * The process is handed in by `bin/`; nothing here looks at it by itself. Starting loads no plugin and touches no cluster: an
 * executable that fails to start makes Velero's server exit.
 *
 * @module
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import type { Environment, HandshakeConfig } from "../go-plugin/Handshake.ts"
import * as Handshake from "../go-plugin/Handshake.ts"
import * as Log from "../go-plugin/Log.ts"
import type { AutoMtlsError } from "../go-plugin/AutoMtls.ts"
import * as Rpc from "../go-plugin/Rpc.ts"
import * as Server from "../go-plugin/Server.ts"
import type { SocketError } from "../go-plugin/Socket.ts"
import type { Kubernetes } from "../kubernetes/Kubernetes.ts"
import * as Flags from "./Flags.ts"
import type { InvalidPluginList, Plugin } from "./Plugin.ts"
import * as Plugins from "./Plugin.ts"
import type { PluginConfig } from "./PluginConfig.ts"
import * as Adapters from "./wire/Adapters.ts"
import * as PluginLister from "./wire/PluginLister.ts"
import { details } from "./wire/Stack.ts"

/** @see https://github.com/vmware-tanzu/velero/blob/v1.18.1/pkg/plugin/framework/handshake.go */
export const handshake: HandshakeConfig = {
  cookieKey: "VELERO_PLUGIN",
  cookieValue: "hello",
  protocolVersions: [2]
}

/** Whether Velero started the process. */
export const isStartedByVelero = (env: Environment): boolean => Handshake.isStartedByHost(env, handshake)

/** The process that serves. */
export interface VeleroProcess extends Server.HostProcess {
  /** Path of the executable, which Velero starts again for each backup and restore. */
  readonly command: string
  readonly args: ReadonlyArray<string>
  readonly writeLog: Log.Write
}

/** Logging as Velero reads it, at the level that Velero asks for. */
export const logLayer = ({ args, env, writeLog }: VeleroProcess): Layer.Layer<never> =>
  Log.layer({ write: writeLog, level: Flags.logLevel(args, env) })

/** Serves until Velero ends the plugin. `services` are what the plugins need besides their configuration. */
export const serve = <R>(
  plugins: ReadonlyArray<Plugin<R>>,
  services: Layer.Layer<Exclude<R, PluginConfig> | Kubernetes>,
  host: VeleroProcess
): Effect.Effect<void, InvalidPluginList | SocketError | AutoMtlsError> =>
  Effect.gen(function* () {
    const list = yield* Effect.fromResult(Plugins.list(plugins))
    const adapters = Adapters.services(list)
    const knows = (kind: string) => kind !== "ItemBlockAction" || Flags.knowsItemBlocks(host.args)
    const log = logLayer(host)
    const config = Layer.unwrap(Effect.promise(async () => (await import("./PluginConfig.ts")).layer))
    // The type of a union minus a member plus that member is not seen to be the union.
    const all = Layer.mergeAll(config.pipe(Layer.provideMerge(services)), log).pipe(Layer.provide(log)) as Layer.Layer<
      R | PluginConfig
    >
    yield* Effect.acquireUseRelease(
      Effect.sync(() => ({ plugins: ManagedRuntime.make(all), protocol: ManagedRuntime.make(log) })),
      (runtimes) => {
        const install = ({ load, name }: Adapters.LazyService<R | PluginConfig>) =>
          Rpc.lazily(name, async () => Rpc.install(await load(), runtimes.plugins, details))
        return Server.serve(host, {
          handshake,
          runtime: runtimes.protocol,
          details,
          services: [
            // Discovery runs without the plugins' services: Velero starts the executable for it, and ends it at once.
            Rpc.install(PluginLister.service(list, host.command, knows), runtimes.protocol, details),
            ...adapters.map(install)
          ]
        })
      },
      (runtimes) => Effect.andThen(runtimes.plugins.disposeEffect, runtimes.protocol.disposeEffect)
    )
  }).pipe(Effect.provide(logLayer(host)))
