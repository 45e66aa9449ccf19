/** The filesystem pack as the place of backups: a directory, and the pack's own server for downloads. No S3 anywhere. */
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import { Processes } from "../Processes.ts"
import { freePorts, listens, ready } from "./Servers.ts"
import type { Storage } from "./Storage.ts"

export interface FileStore {
  /** The location's root. */
  readonly root: string
  /** Path of a file or folder of the location's bucket. */
  readonly path: (...names: ReadonlyArray<string>) => string
  readonly storage: Storage
}

const bucket = "velero"

/** Makes the directory and starts `serve-files` of this executable; it runs until the scope closes. */
export const start = Effect.fnUntraced(function* (executable: string) {
  const { directory, start: startServer } = yield* Processes
  const [port] = (yield* freePorts(1)) as [number]
  const root = Path.join(directory, "backups")
  Fs.mkdirSync(root)
  const server = yield* startServer("serve-files", executable, [
    "serve-files",
    `--root=${root}`,
    `--port=${port}`,
    "--host=127.0.0.1"
  ])
  yield* ready(server, listens(port))
  return {
    root,
    path: (...names) => Path.join(root, bucket, ...names),
    storage: {
      provider: "velero-filesystem/object-store",
      bucket,
      config: { root, publicUrl: `http://127.0.0.1:${port}` }
    }
  } satisfies FileStore
})
