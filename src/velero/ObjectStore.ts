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
 *
 * @module
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
  /** The bytes of an object. Fails where there is none; Velero may lose interest at any time. */
  readonly getObject: (bucket: string, key: string) => Stream.Stream<Uint8Array, Failure, R>
  /** Prefixes up to and with the delimiter that begin with `prefix`: `backups/`, then `backups/b1/`, `backups/b2/`. */
  readonly listCommonPrefixes: (
    bucket: string,
    delimiter: string,
    prefix: string
  ) => Effect.Effect<ReadonlyArray<string>, Failure, R>
  /** All keys that begin with `prefix`, however deep. */
  readonly listObjects: (bucket: string, prefix: string) => Effect.Effect<ReadonlyArray<string>, Failure, R>
  /** Removes an object; one that is gone is no failure. */
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

/**
 * A store from the schema of its configuration and the effect that makes it.
 *
 * @example
 * ```ts
 * import * as Data from "effect/Data"
 * import * as Effect from "effect/Effect"
 * import * as Schema from "effect/Schema"
 * import * as Stream from "effect/Stream"
 * import * as ObjectStore from "velero-plugin-cnpg/velero/ObjectStore"
 *
 * class NoSuchObject extends Data.TaggedError("NoSuchObject")<{ readonly message: string }> {}
 *
 * const objects = new Map<string, Uint8Array>()
 *
 * const store = ObjectStore.make({
 *   // Keys of the BackupStorageLocation's `config`; those that Velero adds need not be named.
 *   config: Schema.Struct({ root: Schema.String }),
 *   init: ({ root }) => {
 *     const place = (bucket: string, key: string) => `${root}/${bucket}/${key}`
 *     const list = (bucket: string, prefix: string) =>
 *       [...objects.keys()]
 *         .filter((each) => each.startsWith(place(bucket, prefix)))
 *         .map((each) => each.slice(place(bucket, "").length))
 *     return Effect.succeed({
 *       putObject: (bucket, key, body) =>
 *         Effect.map(Stream.runCollect(body), (parts) => void objects.set(place(bucket, key), Buffer.concat(parts))),
 *       objectExists: (bucket, key) => Effect.succeed(objects.has(place(bucket, key))),
 *       getObject: (bucket, key) => {
 *         const object = objects.get(place(bucket, key))
 *         return object === undefined
 *           ? Stream.fail(new NoSuchObject({ message: `there is no ${bucket}/${key}` }))
 *           : Stream.succeed(object)
 *       },
 *       listCommonPrefixes: (bucket, delimiter, prefix) => {
 *         const rests = list(bucket, prefix).map((key) => key.slice(prefix.length).split(delimiter))
 *         const prefixes = rests.flatMap(([first, ...more]) => (more.length > 0 ? [`${prefix}${first}${delimiter}`] : []))
 *         return Effect.succeed([...new Set(prefixes)])
 *       },
 *       listObjects: (bucket, prefix) => Effect.succeed(list(bucket, prefix)),
 *       deleteObject: (bucket, key) => Effect.sync(() => void objects.delete(place(bucket, key))),
 *       createSignedURL: () => Effect.fail(new NoSuchObject({ message: "objects in memory have no address" }))
 *     } satisfies ObjectStore.Operations<never>)
 *   }
 * })
 *
 * const use = Effect.gen(function* () {
 *   const operations = yield* store.init("example.com/store", { root: "r", bucket: "b", prefix: "" })
 *   yield* operations.putObject("b", "backups/nightly/log", Stream.make(new TextEncoder().encode("{}")))
 *   return {
 *     exists: yield* operations.objectExists("b", "backups/nightly/log"),
 *     keys: yield* operations.listObjects("b", "backups/"),
 *     prefixes: yield* operations.listCommonPrefixes("b", "/", "backups/")
 *   }
 * })
 * await Effect.runPromise(Effect.scoped(use)) // => { exists: true, keys: ["backups/nightly/log"], prefixes: ["backups/nightly/"] }
 *
 * const refused = Effect.flip(Effect.scoped(store.init("example.com/store", { root: "r", region: "here" })))
 * const { message } = await Effect.runPromise(refused)
 * message // => "config has invalid keys [region]; valid keys are [bucket caCert credentialsFile prefix root]"
 * ```
 */
export const make = <Config, R>(store: {
  readonly config: Schema.ConstraintDecoder<Config> & { readonly fields: Schema.Struct.Fields }
  readonly init: (config: Config) => Effect.Effect<Operations<R>, Failure, R | Scope.Scope>
}): ObjectStore<R> => {
  const decode = InitConfig.decoder(store.config, hostKeys)
  return { init: (plugin, config) => Effect.flatMap(decode(plugin, config), store.init) }
}
