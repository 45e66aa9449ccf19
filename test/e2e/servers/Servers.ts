/** What the servers of the stand have in common: ports, readiness, manifests. */
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import * as Yaml from "yaml"
import type { Api } from "../Api.ts"
import type { Anything, Saved } from "../Objects.ts"
import * as Objects from "../Objects.ts"
import { untilTrue } from "../Poll.ts"
import type { Server } from "../Processes.ts"
import { Processes } from "../Processes.ts"

/** Ports that were free a moment ago, all different. */
export const freePorts = (count: number): Effect.Effect<ReadonlyArray<number>> =>
  Effect.promise(async () => {
    const servers = await Promise.all(
      Array.from(
        { length: count },
        () =>
          new Promise<Net.Server>((resolve) => {
            const server = Net.createServer().listen(0, "127.0.0.1", () => resolve(server))
          })
      )
    )
    const ports = servers.map((server) => (server.address() as Net.AddressInfo).port)
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
    return ports
  })

/** Waits for a server to be ready; if one ends before, that is the error. */
export const ready = <E extends { readonly message: string }, R>(
  { name }: Server,
  check: Effect.Effect<boolean, E, R>
) =>
  Effect.flatMap(Processes, ({ broken }) =>
    Effect.raceFirst(untilTrue(`${name} is ready`, "60 seconds", check), broken)
  )

/** Whether somebody listens. */
export const listens = (port: number): Effect.Effect<boolean> =>
  Effect.callback((resume) => {
    const socket = Net.connect(port, "127.0.0.1")
    const done = (answer: boolean) => {
      socket.destroy()
      resume(Effect.succeed(answer))
    }
    socket.once("connect", () => done(true)).once("error", () => done(false))
    return Effect.sync(() => void socket.destroy())
  })

/** The objects of a YAML file, or of every file in a folder. */
export const readManifests = (path: string): ReadonlyArray<Saved<Anything>> =>
  Fs.statSync(path).isDirectory()
    ? Fs.readdirSync(path).flatMap((name) => readManifests(Path.join(path, name)))
    : Yaml.parseAllDocuments(Fs.readFileSync(path, "utf8")).flatMap((document) => {
        const object = document.toJS() as Saved<Anything> | null
        return object === null ? [] : [object]
      })

/** Puts CRDs in place, and waits until the API server serves them. */
export const applyCrds = Effect.fnUntraced(function* (api: Api, ...paths: ReadonlyArray<string>) {
  const definitions = paths.flatMap(readManifests)
  yield* Effect.forEach(definitions, (definition) => api.apply(Objects.crds, definition), { concurrency: 4 })
  yield* Effect.forEach(definitions, ({ metadata }) =>
    untilTrue(
      `CRD ${metadata.name} is established`,
      "30 seconds",
      Effect.map(api.get(Objects.crds, "", metadata.name), isEstablished)
    )
  )
})

const isEstablished = ({ status }: Saved<Anything>): boolean => {
  const conditions = (status?.["conditions"] ?? []) as ReadonlyArray<{ readonly type: string; readonly status: string }>
  return conditions.some(({ status: value, type }) => type === "Established" && value === "True")
}
