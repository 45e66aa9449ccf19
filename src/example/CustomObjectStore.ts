/**
 * `example.com/custom-object-store`: an object store in memory.
 *
 * **When to use**: as the beginning of one for your own storage. **Gotchas**: Velero runs a plugin for as long as one backup,
 * one restore or one check takes, and the objects are gone with the process: a backup is Completed, its restore fails, and with its
 * next look at the location Velero forgets the backup. It has no signed URLs: `velero backup logs` and `download` wait until their
 * time is over, and why is in the log of Velero's server.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as ObjectStore from "../velero/ObjectStore.ts"
import { type Bucket, Buckets } from "./Buckets.ts"

export class NoSuchObject extends Data.TaggedError("NoSuchObject")<{ readonly bucket: string; readonly key: string }> {
  override get message() {
    return `there is no object ${this.bucket}/${this.key}`
  }
}

export class NoSignedUrls extends Data.TaggedError("NoSignedUrls")<{ readonly bucket: string; readonly key: string }> {
  override get message() {
    return `cannot make a signed URL for ${this.bucket}/${this.key}: objects in memory have no address`
  }
}

/** Keys of the BackupStorageLocation's `config` that are this store's; `bucket` comes from Velero itself. */
const Config = Schema.Struct({ bucket: Schema.String })

/** Prefixes of keys up to and with the delimiter. */
const commonPrefixes = (bucket: Bucket, delimiter: string, prefix: string): ReadonlyArray<string> => {
  const prefixes = keys(bucket, prefix).flatMap((key) => {
    const end = delimiter === "" ? -1 : key.indexOf(delimiter, prefix.length)
    return end === -1 ? [] : [key.slice(0, end + delimiter.length)]
  })
  return [...new Set(prefixes)]
}

const keys = (bucket: Bucket, prefix: string): ReadonlyArray<string> =>
  [...bucket.keys()].filter((key) => key.startsWith(prefix)).toSorted()

/** A line in Velero's log, then what it is about. */
const logged = <A>(message: string, run: () => A): Effect.Effect<A> => Effect.map(Effect.logInfo(message), run)

export const store = ObjectStore.make({
  config: Config,
  init: Effect.fnUntraced(function* () {
    const { of } = yield* Buckets
    yield* Effect.logInfo("Initializing custom object store")
    return {
      putObject: Effect.fnUntraced(function* (bucket, key, body) {
        yield* Effect.logInfo(`Uploading object: ${bucket}/${key}`)
        const chunks = yield* Stream.runCollect(body)
        // All of it or nothing: the object is there when its stream has ended, and not before.
        of(bucket).set(key, Buffer.concat(chunks))
      }),
      objectExists: (bucket, key) => logged(`Checking if object exists: ${bucket}/${key}`, () => of(bucket).has(key)),
      getObject: (bucket, key) =>
        Stream.unwrap(
          logged(`Downloading object: ${bucket}/${key}`, () => {
            const object = of(bucket).get(key)
            return object === undefined ? Stream.fail(new NoSuchObject({ bucket, key })) : Stream.succeed(object)
          })
        ),
      listCommonPrefixes: (bucket, delimiter, prefix) =>
        logged(`Listing prefixes in bucket: ${bucket}`, () => commonPrefixes(of(bucket), delimiter, prefix)),
      listObjects: (bucket, prefix) => logged(`Listing objects in bucket: ${bucket}`, () => keys(of(bucket), prefix)),
      deleteObject: (bucket, key) => logged(`Deleting object: ${bucket}/${key}`, () => void of(bucket).delete(key)),
      createSignedURL: (bucket, key) =>
        Effect.andThen(
          Effect.logInfo(`Creating signed URL for: ${bucket}/${key}`),
          Effect.fail(new NoSignedUrls({ bucket, key }))
        )
    } satisfies ObjectStore.Operations<never>
  })
})
