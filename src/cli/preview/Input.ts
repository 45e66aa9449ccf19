/** The files that a preview is given: manifests, and perhaps the tarball of a backup. Which of them a file is, its content tells. */
import * as Fs from "node:fs"
import * as Effect from "effect/Effect"
import type { ManifestError } from "../../kubernetes/Manifests.ts"
import * as Manifests from "../../kubernetes/Manifests.ts"
import type { KubernetesObject } from "../../testing/ApiServer.ts"
import type { Entry } from "../../testing/VeleroHost.ts"
import type { Tarball, TarballError } from "./Tarball.ts"

export interface Files {
  readonly manifests: ReadonlyArray<KubernetesObject>
  readonly tarball: Tarball | undefined
}

/** A file from its beginning, which has been looked at. */
async function* whole(first: Buffer, rest: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  yield first
  for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value
}

const text = (file: string, chunks: AsyncIterable<Buffer>): Effect.Effect<string, ManifestError> =>
  Effect.tryPromise({
    try: async () => {
      const all: Array<Buffer> = []
      for await (const chunk of chunks) all.push(chunk)
      return Buffer.concat(all).toString("utf8")
    },
    catch: (cause) => Manifests.unreadable(file, cause)
  })

const empty = Buffer.alloc(0)

/** Whether a file that begins so is compressed by gzip, as every tarball of Velero's is. */
const isGzip = (beginning: Uint8Array): boolean => beginning[0] === 0x1f && beginning[1] === 0x8b

const readOne = (
  file: string,
  isWanted: (entry: Entry) => boolean
): Effect.Effect<Files, ManifestError | TarballError> =>
  Effect.gen(function* () {
    const name = Manifests.nameOf(file)
    const rest = (file === "-" ? Fs.createReadStream("", { fd: 0, autoClose: false }) : Fs.createReadStream(file))[
      Symbol.asyncIterator
    ]() as AsyncIterator<Buffer>
    const first = yield* Effect.tryPromise({
      try: async () => {
        const next = await rest.next()
        return next.done === true ? empty : next.value
      },
      catch: (cause) => Manifests.unreadable(file, cause)
    })
    const chunks = whole(first, rest)
    if (isGzip(first)) {
      const { read } = yield* Effect.promise(() => import("./Tarball.ts"))
      return { manifests: [], tarball: yield* read(name, chunks, isWanted) }
    }
    const parsed = yield* Effect.fromResult(Manifests.parse(name, yield* text(file, chunks)))
    return { manifests: parsed as ReadonlyArray<KubernetesObject>, tarball: undefined }
  })

/** Reads files in order; `-` is standard input. Of a tarball those items are kept that are wanted. */
export const load = (
  files: ReadonlyArray<string>,
  isWanted: (entry: Entry) => boolean
): Effect.Effect<Files, ManifestError | TarballError> =>
  Effect.gen(function* () {
    const inputs = yield* Effect.forEach(files, (file) => readOne(file, isWanted))
    const [tarball, second] = inputs.flatMap(({ tarball }) => (tarball === undefined ? [] : [tarball]))
    if (second !== undefined) {
      const { TarballError } = yield* Effect.promise(() => import("./Tarball.ts"))
      return yield* new TarballError({
        file: second.file,
        problem: `is the tarball of a backup, as ${tarball?.file ?? ""} is`,
        remedy: "A restore is of one backup: name one of them"
      })
    }
    return { manifests: inputs.flatMap(({ manifests }) => manifests), tarball }
  })
