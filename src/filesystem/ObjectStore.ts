/**
 * `velero-filesystem/object-store`: a BackupStorageLocation on a directory, such as a hostPath, an NFS export or a
 * PersistentVolumeClaim that is mounted in Velero's pod.
 *
 * Semantics are those of Velero's plugin for AWS; what it means for a directory is in `Objects.ts`.
 *
 * @see https://github.com/vmware-tanzu/velero-plugin-for-aws/blob/main/velero-plugin-for-aws/object_store.go
 */
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { Kubernetes } from "../kubernetes/Kubernetes.ts"
import * as Sdk from "../velero/ObjectStore.ts"
import { AbsolutePath, BaseUrl, SecretReference, veleroNamespace } from "./Config.ts"
import * as Names from "./Names.ts"
import * as Objects from "./Objects.ts"
import * as SignedUrl from "./SignedUrl.ts"
import type { Source } from "./SigningKeys.ts"
import * as SigningKeys from "./SigningKeys.ts"

/** The location's `spec.config`, with the bucket that Velero adds. */
export const Config = Schema.Struct({
  /** The directory that has a directory for each bucket. */
  root: AbsolutePath,
  /** Where `serve-files` is reached; without it there are no signed URLs. */
  publicUrl: Schema.optionalKey(BaseUrl),
  /** Default: a file in the root. */
  signingKeyFile: Schema.optionalKey(AbsolutePath),
  signingKeySecret: Schema.optionalKey(SecretReference),
  bucket: Schema.optionalKey(Schema.String)
})
export type Config = typeof Config.Type

/** Two places for one key. */
export class TwoSigningKeys extends Data.TaggedError("TwoSigningKeys") {
  override get message() {
    return "the location's config has signingKeyFile and signingKeySecret. Remove one of them"
  }
}

/** A signed URL was asked for, and nobody said where it would lead. */
export class NoPublicUrl extends Data.TaggedError("NoPublicUrl") {
  override get message() {
    return "the location has no publicUrl, so that there are no downloads (velero backup logs, describe --details, download). Run serve-files and set publicUrl to where it is reached; see docs/filesystem.md"
  }
}

/** Where the key is, if no one says otherwise: whoever can read it there can read the backups too. */
export const defaultKeyFile = (root: string): string => `${root}/${Names.privateDirectory}/signing-key`

/** The parts of a reference to a Secret. */
export const secretOf = (
  reference: string,
  veleroNamespace: string
): { readonly namespace: string; readonly name: string } => {
  const [first = "", second] = reference.split("/")
  return second === undefined ? { namespace: veleroNamespace, name: first } : { namespace: first, name: second }
}

/** The place of the signing key. */
export const keySource = Effect.fnUntraced(function* (
  config: Pick<Config, "root" | "signingKeyFile" | "signingKeySecret">
): Effect.fn.Return<Source, TwoSigningKeys, Kubernetes> {
  const { root, signingKeyFile, signingKeySecret } = config
  if (signingKeySecret === undefined) return SigningKeys.file(signingKeyFile ?? defaultKeyFile(root))
  if (signingKeyFile !== undefined) return yield* new TwoSigningKeys()
  const { name, namespace } = secretOf(signingKeySecret, yield* veleroNamespace)
  return SigningKeys.secret(yield* Kubernetes, namespace, name)
})

const init = Effect.fnUntraced(function* (
  config: Config
): Effect.fn.Return<Sdk.Operations<never>, Objects.ObjectError | TwoSigningKeys, Kubernetes> {
  const objects = Objects.make(config.root)
  const keys = yield* keySource(config)
  if (config.bucket !== undefined) yield* objects.makeBucket(config.bucket)
  yield* objects.sweep
  return {
    putObject: objects.put,
    objectExists: objects.exists,
    getObject: objects.get,
    listCommonPrefixes: (bucket, delimiter, prefix) => objects.commonPrefixes(bucket, prefix, delimiter),
    listObjects: (bucket, prefix) =>
      // Last ones first, as the AWS plugin does it, so that deletions take what is in a pseudo-folder before the folder.
      Effect.map(Stream.runCollect(objects.keys(bucket, prefix)), (found) => Names.sorted(found).toReversed()),
    deleteObject: objects.remove,
    createSignedURL: Effect.fn("ObjectStore.createSignedURL")(function* (bucket, key, ttl) {
      yield* Effect.fromResult(Result.andThen(Names.bucket(bucket), Names.place(key)))
      if (config.publicUrl === undefined) return yield* new NoPublicUrl()
      if (config.signingKeyFile === undefined && config.signingKeySecret === undefined) {
        yield* objects.makePrivateDirectory
      }
      const [signingKey] = Redacted.value(yield* keys.readOrMake)
      const now = yield* Clock.currentTimeMillis
      const grant: SignedUrl.Grant = {
        method: "GET",
        bucket,
        key,
        expires: Math.ceil((now + Duration.toMillis(ttl)) / 1000)
      }
      return SignedUrl.url(config.publicUrl, grant, SignedUrl.sign(signingKey, grant))
    })
  }
})

export const objectStore: Sdk.ObjectStore<Kubernetes> = Sdk.make({ config: Config, init })
