/**
 * The items of a Velero backup, from the tarball that `velero backup download` writes.
 *
 * It is read as a stream, and only what somebody asks for is kept: the tarball of a whole cluster is as large as the cluster's
 * objects together, each of them in it twice.
 *
 * @see https://github.com/vmware-tanzu/velero/blob/v1.18.3/pkg/archive/filesystem.go
 * @see https://github.com/vmware-tanzu/velero/blob/v1.18.3/pkg/backup/item_backupper.go (getFileForArchive)
 */
import { pipeline } from "node:stream/promises"
import * as Zlib from "node:zlib"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { extract } from "tar-stream"
import type { Entry } from "../../testing/VeleroHost.ts"

/** It is not the tarball of a backup, or not all of it. */
export class TarballError extends Data.TaggedError("TarballError")<{
  readonly file: string
  readonly problem: string
  readonly remedy: string
}> {
  override get message() {
    return `${this.file}: ${this.problem}. ${this.remedy}`
  }
}

/** A backup as it is stored. */
export interface Tarball {
  readonly file: string
  /** Of the format: `1.1.0`. */
  readonly version: string
  /** What was asked for, in the tarball's order. */
  readonly entries: ReadonlyArray<Entry>
  /** How many items of each resource nobody asked for. */
  readonly others: ReadonlyMap<string, number>
}

/**
 * Where an item of the preferred version lies. The same item lies once more below `resources/<resource>/v1-preferredversion/`, and with
 * the feature EnableAPIGroupVersions in its other versions, too: Velero restores from here.
 */
const itemPath = /^(?:\.\/)?resources\/(?<resource>[^/]+)\/(?:namespaces\/(?<namespace>[^/]+)|cluster)\/[^/]+\.json$/

const versionPath = /^(?:\.\/)?metadata\/version$/

const again = "Download it again: velero backup download NAME"
const instead = "Name what velero backup download NAME wrote, which is NAME-data.tar.gz, or manifests"

/** What is wrong with the file, as opposed to the machine. */
class Wrong extends Error {
  readonly remedy: string
  constructor(problem: string, remedy: string) {
    super(problem)
    this.remedy = remedy
  }
}

const entryOf = (path: string, resource: string, namespace: string, text: string): Entry => {
  try {
    const { kind, metadata } = JSON.parse(text) as {
      readonly kind?: unknown
      readonly metadata?: { readonly name?: unknown } | null
    }
    if (typeof kind === "string" && typeof metadata?.name === "string") {
      return { resource, kind, namespace, name: metadata.name, text }
    }
  } catch {
    // It is as little an object as what follows says.
  }
  throw new Wrong(`is damaged: ${path} is not a Kubernetes object`, again)
}

/** Calls `found` with each file, one after the other; `seen` tells how many there have been. */
const walk = async (
  chunks: AsyncIterable<Uint8Array>,
  found: (path: string, text: () => string) => void,
  isOfInterest: (path: string) => boolean,
  signal: AbortSignal
): Promise<void> => {
  const files = extract()
  let seen = 0
  const ended = new Promise<void>((resolve, reject) => {
    files.on("error", reject)
    files.on("finish", resolve)
    files.on("entry", ({ name, type }, content, next) => {
      seen += 1
      const parts: Array<Uint8Array> = []
      const wanted = type === "file" && isOfInterest(name)
      content.on("data", (part) => {
        if (wanted) parts.push(part as Uint8Array)
      })
      content.on("end", () => {
        try {
          if (wanted) found(name, () => Buffer.concat(parts).toString("utf8"))
          next()
        } catch (cause) {
          next(cause as Error)
        }
      })
    })
  })
  // Its failure is met below, or has been met by then.
  ended.catch(() => {})
  const drained = () => new Promise<void>((resolve) => files.once("drain", resolve))
  try {
    await pipeline(
      chunks,
      Zlib.createGunzip(),
      async (plain: AsyncIterable<Uint8Array>) => {
        for await (const chunk of plain) if (!files.write(chunk)) await Promise.race([drained(), ended])
        files.end(null)
        await ended
      },
      { signal }
    )
  } catch (cause) {
    if (cause instanceof Wrong || signal.aborted) throw cause
    const { code, message } = cause as NodeJS.ErrnoException
    if (code?.startsWith("Z_")) throw new Wrong(`is damaged or cut off (gzip: ${message})`, again)
    if (code !== undefined) throw new Wrong(`cannot be read (${message})`, again)
    if (seen === 0) {
      throw new Wrong(
        "is compressed by gzip, but is no tarball: perhaps the log or the results of a backup",
        `${instead}; of compressed manifests: gunzip -c FILE | … preview -`
      )
    }
    throw new Wrong(`is damaged or cut off (tar: ${message})`, again)
  } finally {
    files.destroy(null)
  }
}

/** Reads a tarball; `file` names it in errors. */
export const read = (
  file: string,
  chunks: AsyncIterable<Uint8Array>,
  isWanted: (entry: Entry) => boolean
): Effect.Effect<Tarball, TarballError> =>
  Effect.tryPromise({
    try: async (signal) => {
      // By path: an item that was stored once more at the backup's end counts as it was then.
      const entries = new Map<string, Entry>()
      const others = new Map<string, number>()
      let version: string | undefined
      await walk(
        chunks,
        (path, text) => {
          if (versionPath.test(path)) {
            version = text().trim()
            if (!version.startsWith("1.")) {
              throw new Wrong(
                `is a backup in format ${version}, which this version does not know`,
                "Take a newer version of this executable"
              )
            }
            return
          }
          const { namespace = "", resource = "" } = itemPath.exec(path)?.groups ?? {}
          const entry = entryOf(path, resource, namespace, text())
          if (isWanted(entry)) entries.set(path, entry)
          else others.set(resource, (others.get(resource) ?? 0) + 1)
        },
        (path) => versionPath.test(path) || itemPath.test(path),
        signal
      )
      if (version === undefined) {
        throw new Wrong("is a tarball, but not of a Velero backup: it has no metadata/version", instead)
      }
      return { file, version, entries: [...entries.values()], others }
    },
    catch: (cause) =>
      cause instanceof Wrong
        ? new TarballError({ file, problem: cause.message, remedy: cause.remedy })
        : new TarballError({ file, problem: `cannot be read (${String(cause)})`, remedy: again })
  })
