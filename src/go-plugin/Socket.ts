/**
 * The unix socket that a plugin listens on: where it lies, who may connect.
 *
 * @see https://github.com/hashicorp/go-plugin/blob/v1.6.0/server.go (serverListener_unix)
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type { Environment } from "./Handshake.ts"

/** No directory can hold the plugin's socket, or its group cannot be set. */
export class SocketError extends Data.TaggedError("SocketError")<{ readonly detail: string }> {
  override get message() {
    return `the plugin cannot listen: ${this.detail}`
  }
}

/** `sockaddr_un.sun_path` holds 108 bytes, the last of them NUL. */
const maximumPathBytes = 107

/** By the global `crypto`: Node's module costs three milliseconds and three MiB of a start. */
const randomName = (): string => `plugin${Buffer.from(crypto.getRandomValues(new Uint8Array(6))).toString("hex")}`

const problemOf = (directory: string, path: string): string | undefined => {
  const bytes = Buffer.byteLength(path)
  if (bytes > maximumPathBytes)
    return `${directory}: the socket's path would have ${bytes} bytes, ${maximumPathBytes} are possible`
  try {
    Fs.accessSync(directory, Fs.constants.W_OK | Fs.constants.X_OK)
    return undefined
  } catch {
    return `${directory}: not a directory that this user can write`
  }
}

/**
 * The path of a new socket. `PLUGIN_UNIX_SOCKET_DIR` is the host's explicit wish and has no substitute; otherwise the first
 * of TMPDIR, /tmp and Velero's scratch directory that can hold one, since a plugin that does not start takes Velero down with it.
 */
export const choosePath = (env: Environment): Effect.Effect<string, SocketError> =>
  Effect.suspend(() => {
    const wished = env["PLUGIN_UNIX_SOCKET_DIR"]
    const directories = wished ? [wished] : [env["TMPDIR"], "/tmp", env["VELERO_SCRATCH_DIR"]].filter((dir) => !!dir)
    const problems: Array<string> = []
    for (const directory of directories as ReadonlyArray<string>) {
      const path = Path.join(directory, randomName())
      const problem = problemOf(directory, path)
      if (problem === undefined) return Effect.succeed(path)
      problems.push(problem)
    }
    const remedy = wished
      ? "set PLUGIN_UNIX_SOCKET_DIR to a short path that the plugin's user can write"
      : "mount an emptyDir at /tmp, or set TMPDIR to a short path that the plugin's user can write"
    return Effect.fail(new SocketError({ detail: `${problems.join("; ")}. Remedy: ${remedy}` }))
  })

/** A group's id by number or by its name in /etc/group. */
const groupId = (group: string): number | undefined => {
  if (/^\d+$/.test(group)) return Number(group)
  const entry = Fs.readFileSync("/etc/group", "utf8")
    .split("\n")
    .map((line) => line.split(":"))
    .find(([name]) => name === group)
  return entry === undefined ? undefined : Number(entry[2])
}

/** Gives the socket to `PLUGIN_UNIX_SOCKET_GROUP` with mode 0660, as go-plugin does; without that variable it stays as it is. */
export const grantGroup = (path: string, env: Environment): Effect.Effect<void, SocketError> => {
  const group = env["PLUGIN_UNIX_SOCKET_GROUP"]
  if (!group) return Effect.void
  return Effect.try({
    try: () => {
      const id = groupId(group)
      if (id === undefined) throw new Error(`there is no group ${group}`)
      Fs.chownSync(path, -1, id)
      Fs.chmodSync(path, 0o660)
    },
    catch: (cause) =>
      new SocketError({
        detail: `PLUGIN_UNIX_SOCKET_GROUP=${group}: ${cause instanceof Error ? cause.message : String(cause)}`
      })
  })
}

/** Removes the socket; one that is gone already is fine. */
export const remove = (path: string): Effect.Effect<void> => Effect.sync(() => Fs.rmSync(path, { force: true }))
