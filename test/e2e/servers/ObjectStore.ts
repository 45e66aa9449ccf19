/** An S3 server whose buckets are folders. */
import * as Crypto from "node:crypto"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import type { Built } from "../Build.ts"
import { Processes } from "../Processes.ts"
import { freePorts, listens, ready } from "./Servers.ts"
import type { Storage } from "./Storage.ts"

/** Where it is, and what it lets in. */
export interface ObjectStore {
  readonly url: string
  readonly accessKey: string
  readonly secretKey: string
  /** The folder that is a bucket. */
  readonly folder: (bucket: string) => string
}

/** Velero's bucket. */
const bucket = "velero"

/** The bucket that databases are archived in. */
export const archiveBucket = "archive"

export const region = "us-east-1"

/** Starts it with both buckets; it runs until the scope closes. */
export const start = Effect.fnUntraced(function* (versitygw: Built) {
  const { directory, start: startServer } = yield* Processes
  const [port] = (yield* freePorts(1)) as [number]
  const [accessKey, secretKey] = ["stand", Crypto.randomBytes(16).toString("hex")] as const
  const data = Path.join(directory, "s3")
  for (const name of [bucket, archiveBucket]) Fs.mkdirSync(Path.join(data, name), { recursive: true })
  const server = yield* startServer(
    "versitygw",
    versitygw.bin("versitygw"),
    [`--port=127.0.0.1:${port}`, "--quiet", "posix", data],
    { env: { ROOT_ACCESS_KEY_ID: accessKey, ROOT_SECRET_ACCESS_KEY: secretKey, VGW_REGION: region } }
  )
  yield* ready(server, listens(port))
  return {
    url: `http://127.0.0.1:${port}`,
    accessKey,
    secretKey,
    folder: (name) => Path.join(data, name)
  } satisfies ObjectStore
})

/** The server as the place of backups, by Velero's plugin for S3. */
export const storageOf = Effect.fnUntraced(function* ({ accessKey, secretKey, url }: ObjectStore, pluginForAws: Built) {
  const { directory } = yield* Processes
  const credentials = Path.join(directory, "s3-credentials")
  Fs.writeFileSync(credentials, `[default]\naws_access_key_id=${accessKey}\naws_secret_access_key=${secretKey}\n`, {
    mode: 0o600
  })
  return {
    provider: "aws",
    bucket,
    config: { region, s3ForcePathStyle: "true", s3Url: url, checksumAlgorithm: "" },
    plugin: pluginForAws.bin("velero-plugin-for-aws"),
    env: { AWS_SHARED_CREDENTIALS_FILE: credentials }
  } satisfies Storage
})
