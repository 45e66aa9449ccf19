/**
 * Object stores: where Velero keeps backups, logs and metadata.
 *
 * An implementation is a set of effects over streams of bytes; it never sees gRPC. Semantics are those of Velero's plugin for
 * AWS, which every other part of Velero was written against.
 *
 * **Gotchas**: a bucket that does not exist is an error, an object that does not is not one for `objectExists` and
 * `deleteObject`. Velero ends an upload whose source broke like one that is complete; nothing tells them apart. It never cancels
 * a download that it has lost interest in.
 *
 * @see https://github.com/vmware-tanzu/velero/blob/v1.18.1/pkg/plugin/velero/object_store.go
 * @see https://github.com/vmware-tanzu/velero-plugin-for-aws/blob/main/velero-plugin-for-aws/object_store.go
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { Failure } from "./Action.ts"
import * as InitConfig from "./InitConfig.ts"

/** One initialized store. Keys are as Velero gives them, the location's prefix included. */
export interface Operations<R> {
  /** Stores an object, all of it or nothing; the stream may be empty. */
  readonly putObject: (bucket: string, key: string, body: Stream.Stream<Uint8Array>) => Effect.Effect<void, Failure, R>
  /** Whether there is one. Only "not found" is `false`; anything else that goes wrong is a failure. */
  readonly objectExists: (bucket: string, key: string) => Effect.Effect<boolean, Failure, R>
  readonly getObject: (bucket: string, key: string) => Stream.Stream<Uint8Array, Failure, R>
  /** Prefixes up to and with the delimiter that begin with `prefix`: `backups/`, then `backups/b1/`, `backups/b2/`. */
  readonly listCommonPrefixes: (
    bucket: string,
    delimiter: string,
    prefix: string
  ) => Effect.Effect<ReadonlyArray<string>, Failure, R>
  /** All keys that begin with `prefix`, however deep. */
  readonly listObjects: (bucket: string, prefix: string) => Effect.Effect<ReadonlyArray<string>, Failure, R>
  readonly deleteObject: (bucket: string, key: string) => Effect.Effect<void, Failure, R>
  /** A URL that anybody can download the object from, for as long as `ttl`. */
  readonly createSignedURL: (bucket: string, key: string, ttl: Duration.Duration) => Effect.Effect<string, Failure, R>
}

/** What the wire needs of a store; made by `make`. */
export interface ObjectStore<R> {
  /** Prepares a store for a configuration; it lives until the process ends or the same bucket is initialized again. */
  readonly init: (
    plugin: string,
    config: Readonly<Record<string, string>>
  ) => Effect.Effect<Operations<R>, Failure, R | Scope.Scope>
}

/** Keys that Velero adds to a location's config. */
export const hostKeys = ["bucket", "prefix", "caCert", "credentialsFile"] as const

/** A store from the schema of its configuration and the effect that makes it. */
export const make = <Config, R>(store: {
  readonly config: Schema.ConstraintDecoder<Config> & { readonly fields: Schema.Struct.Fields }
  readonly init: (config: Config) => Effect.Effect<Operations<R>, Failure, R | Scope.Scope>
}): ObjectStore<R> => {
  const decode = InitConfig.decoder(store.config, hostKeys)
  return { init: (plugin, config) => Effect.flatMap(decode(plugin, config), store.init) }
}
