/** `ObjectStore`: streams of chunks on one side, streams of bytes on the other. */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { ObjectStoreDefinition, type PutObjectRequest } from "../../generated/velero/object_store.ts"
import type { Service } from "../../go-plugin/Rpc.ts"
import * as Rpc from "../../go-plugin/Rpc.ts"
import type { Operations } from "../ObjectStore.ts"
import type { Plugin } from "../Plugin.ts"
import type { PluginConfig } from "../PluginConfig.ts"
import * as Instances from "./Instances.ts"
import { speakingAs } from "./Messages.ts"
import { find } from "./Registry.ts"

/** Velero's own chunk, both ways: https://github.com/vmware-tanzu/velero/blob/v1.18.1/pkg/plugin/framework/object_store_client.go */
const chunkBytes = 16 * 1024

/** An upload of nothing at all: Velero's client sends no chunk for an empty body, and so no name for it either. */
export class EmptyUpload extends Data.TaggedError("EmptyUpload") {
  override get message() {
    return "EOF: the upload had no chunk, so that it names neither plugin, bucket nor key"
  }
}

/** Pieces of at most one chunk; never an empty one, which Velero takes for the end. */
const pieces = (bytes: Uint8Array): ReadonlyArray<Uint8Array> =>
  Array.from({ length: Math.ceil(bytes.length / chunkBytes) }, (_, index) =>
    bytes.subarray(index * chunkBytes, (index + 1) * chunkBytes)
  )

/** The first chunk, and the body from there on. */
const opened = Effect.fnUntraced(function* (requests: AsyncIterable<ReadonlyArray<PutObjectRequest>>) {
  const iterator = requests[Symbol.asyncIterator]()
  // A stream that broke off is a cancelled call, and no failure of the store's.
  const next = Effect.catch(
    Effect.tryPromise(() => iterator.next()),
    () => Effect.interrupt
  )
  const begin = yield* next
  const first = begin.done === true ? undefined : begin.value[0]
  if (begin.done === true || first === undefined) return yield* new EmptyUpload()
  const bodies = (chunks: ReadonlyArray<PutObjectRequest>) =>
    chunks.map(({ body }) => body).filter((bytes) => bytes.length > 0)
  const rest = Stream.paginate(undefined, () =>
    Effect.map(next, ({ done, value }) =>
      done === true ? ([[], Option.none()] as const) : ([bodies(value), Option.some(undefined)] as const)
    )
  )
  const body = Stream.concat(Stream.fromIterable(bodies(begin.value)), rest)
  return { bucket: first.bucket, key: first.key, plugin: first.plugin, body }
})

export const services = <R>(plugins: ReadonlyArray<Plugin<R>>): ReadonlyArray<Service<R | PluginConfig>> => {
  const store = find(plugins, "ObjectStore")
  const instances = Instances.make<Operations<R>>()
  /** Calls the store of a request's location. */
  const on = <A, E>(
    method: string,
    request: { readonly plugin: string; readonly bucket: string },
    call: (operations: Operations<R>) => Effect.Effect<A, E, R>
  ) =>
    speakingAs(method)(
      Effect.andThen(store(request.plugin), instances.use(request.plugin, request.bucket, call)),
      request
    )
  return [
    Rpc.service(ObjectStoreDefinition, {
      init: Effect.fnUntraced(function* ({ config, plugin }) {
        const { init } = yield* store(plugin)
        yield* instances.init(plugin, config["bucket"] ?? "", init(plugin, config))
        return {}
      }, speakingAs("init")),
      putObject: Effect.fnUntraced(function* (requests) {
        const { body, bucket, key, plugin } = yield* opened(requests)
        yield* on("putObject", { plugin, bucket }, ({ putObject }) => putObject(bucket, key, body))
        return {}
      }),
      objectExists: Effect.fnUntraced(function* (request) {
        return {
          exists: yield* on("objectExists", request, ({ objectExists }) => objectExists(request.bucket, request.key))
        }
      }),
      getObject: (request, write) =>
        on("getObject", request, ({ getObject }) =>
          getObject(request.bucket, request.key).pipe(
            Stream.runForEach((bytes) => write(pieces(bytes).map((data) => ({ data }))))
          )
        ),
      listCommonPrefixes: Effect.fnUntraced(function* (request) {
        const { bucket, delimiter, prefix } = request
        const prefixes = yield* on("listCommonPrefixes", request, ({ listCommonPrefixes }) =>
          listCommonPrefixes(bucket, delimiter, prefix)
        )
        return { prefixes: [...prefixes] }
      }),
      listObjects: Effect.fnUntraced(function* (request) {
        return {
          keys: [
            ...(yield* on("listObjects", request, ({ listObjects }) => listObjects(request.bucket, request.prefix)))
          ]
        }
      }),
      deleteObject: Effect.fnUntraced(function* (request) {
        yield* on("deleteObject", request, ({ deleteObject }) => deleteObject(request.bucket, request.key))
        return {}
      }),
      createSignedURL: Effect.fnUntraced(function* (request) {
        const { bucket, key, ttl } = request
        const url = yield* on("createSignedURL", request, ({ createSignedURL }) =>
          createSignedURL(bucket, key, Duration.nanos(ttl))
        )
        return { url }
      })
    })
  ]
}
