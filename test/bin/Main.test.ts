import { spawn } from "node:child_process"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as VeleroHost from "../../src/testing/VeleroHost.ts"
import { temporaryDirectory } from "../executable/Executable.ts"
import { until } from "../grpc/Until.ts"

const printing = Path.join(import.meta.dirname, "printing.ts")

describe("what a plugin's code prints", () => {
  it.live("becomes lines of the log, and the first line of stdout is the handshake's", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const lines: Array<string> = []
        const manager = yield* VeleroHost.manager({
          executable: process.execPath,
          args: [printing],
          env: { TMPDIR: yield* temporaryDirectory() },
          onLog: ({ fields, level, message }) => lines.push(`${level} ${String(fields["logSource"])}: ${message}`)
        })
        const { restoreItemAction } = yield* manager.client
        yield* restoreItemAction.appliesTo({ plugin: "example.com/printing" })
        yield* Effect.promise(() => until("three lines were logged", () => lines.length >= 3))
        assert.deepStrictEqual(lines, [
          "info stdout: the console, before the handshake",
          "info stdout: the console, when it is loaded",
          "info stdout: the stream, when it is loaded"
        ])
      })
    )
  )

  it.live("never reaches stdout", () =>
    Effect.gen(function* () {
      const TMPDIR = yield* temporaryDirectory()
      const env = { TMPDIR, VELERO_PLUGIN: "hello", PLUGIN_PROTOCOL_VERSIONS: "2" }
      const printed = yield* Effect.callback<string>((resume) => {
        const child = spawn(process.execPath, [printing], { env, stdio: ["ignore", "pipe", "ignore"] })
        let text = ""
        child.stdout.on("data", (part: Buffer) => {
          text += part.toString("utf8")
          child.kill("SIGTERM")
        })
        child.on("close", () => resume(Effect.succeed(text)))
        return Effect.sync(() => child.kill("SIGKILL"))
      })
      assert.match(printed, /^1\|2\|unix\|\S+\|grpc\|\n$/)
    })
  )
})
