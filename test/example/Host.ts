/**
 * A compiled pack, the Velero that starts it, and the cluster behind both.
 *
 * `VELERO_PLUGIN_EXAMPLE` and `VELERO_PLUGIN_KYMA` name other files than those of `dist/`.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { LogLine } from "../../src/go-plugin/Client.ts"
import * as ApiServer from "../../src/testing/ApiServer.ts"
import * as VeleroHost from "../../src/testing/VeleroHost.ts"
import { eventually, repository, temporaryDirectory } from "../executable/Executable.ts"

export type Pack = "example" | "kyma"

/** Path of a pack's executable. */
export const executableOf = (pack: Pack): string => {
  const path = Path.resolve(
    repository,
    process.env[`VELERO_PLUGIN_${pack.toUpperCase()}`] ?? `dist/velero-plugin-${pack}`
  )
  if (!Fs.existsSync(path))
    throw new Error(`${path}, which these tests are about, does not exist. Make it: npm run build`)
  return path
}

export interface Options {
  readonly objects?: ReadonlyArray<ApiServer.KubernetesObject>
  /** In addition; `undefined` takes a variable away. */
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly args?: ReadonlyArray<string>
  readonly authorize?: (attributes: ApiServer.Attributes) => boolean
}

/** A Velero with a pack, until the end of the scope; every line that the pack logs has to be well-formed. */
export const start = (pack: Pack, { args, authorize, env = {}, objects = [] }: Options = {}) =>
  Effect.gen(function* () {
    const lines: Array<LogLine> = []
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        for (const { fields, level, message } of lines) {
          assert.strictEqual(fields["@logSourceSetBy"], "plugin", `not a log line: ${message}`)
          assert.notStrictEqual(level, "error", message)
          for (const [key, value] of Object.entries(fields)) assert.isString(value, `${key} of: ${message}`)
        }
      })
    )
    const cluster = yield* ApiServer.make({
      objects,
      createNamespaces: true,
      ...(authorize === undefined ? {} : { authorize })
    })
    const directory = yield* temporaryDirectory()
    const kubeconfig = Path.join(directory, "kubeconfig")
    Fs.writeFileSync(kubeconfig, cluster.kubeconfig)
    const variables = { KUBECONFIG: kubeconfig, VELERO_NAMESPACE: "velero", TMPDIR: directory, ...env }
    const options: VeleroHost.Options = {
      executable: executableOf(pack),
      env: Object.fromEntries(
        Object.entries(variables).filter((entry): entry is [string, string] => entry[1] !== undefined)
      ),
      ...(args === undefined ? {} : { args }),
      onLog: (line) => lines.push(line)
    }
    return {
      cluster,
      options,
      logs: (): ReadonlyArray<LogLine> => lines,
      /** The first line with this text, when it has come. */
      line: (text: string) =>
        eventually(`a log line with ${text}`, () => lines.find(({ message }) => message.includes(text))),
      plugins: VeleroHost.discover(options),
      /** One process, as one backup or one restore has. */
      process: <A, E>(use: (manager: VeleroHost.Manager) => Effect.Effect<A, E>): Effect.Effect<A, E> =>
        Effect.scoped(Effect.flatMap(VeleroHost.manager(options), use))
    }
  })

const encoder = new TextEncoder()
const decoder = new TextDecoder()

export const bytesOf = (object: unknown): Uint8Array => encoder.encode(JSON.stringify(object))
export const jsonOf = (bytes: Uint8Array): unknown => JSON.parse(decoder.decode(bytes)) as unknown

/** A Velero Backup and a Velero Restore, as calls carry them. */
export const backup = (phase = "InProgress") => ({
  apiVersion: "velero.io/v1",
  kind: "Backup",
  metadata: { name: "nightly", namespace: "velero", uid: "uid-1", creationTimestamp: "2026-11-19T02:00:00Z" },
  spec: {},
  status: { phase }
})
export const restore = {
  apiVersion: "velero.io/v1",
  kind: "Restore",
  metadata: { name: "again", namespace: "velero", uid: "uid-2" },
  spec: { backupName: "nightly" },
  status: { phase: "InProgress" }
}
