import { assert, describe, it } from "@effect/vitest"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import { executables } from "../../src/bin/Pack.ts"
import * as Commands from "../../src/cli/Commands.ts"
import { capture } from "./Capture.ts"

const program = (command: Effect.Effect<void, { readonly message: string }>): Commands.Program => ({
  name: "velero-plugin-test",
  description: "For tests.",
  version: "1.0.0",
  packs: executables,
  plugins: [],
  commands: [Command.make("try", {}, () => command)]
})

const tried = (command: Effect.Effect<void, { readonly message: string }>) =>
  capture(() => Commands.run(program(command), ["try"]))

describe("a command that ends", () => {
  it("well says nothing of its own", async () => {
    assert.deepStrictEqual(await tried(Effect.void), { code: 0, stdout: "", stderr: "" })
  })

  it("with an error says its sentence", async () => {
    const { code, stderr } = await tried(Effect.fail({ message: "there is no file" }))
    assert.deepStrictEqual([code, stderr], [1, "velero-plugin-test: there is no file\n"])
  })

  it("by a mistake of ours says so, too", async () => {
    const { code, stderr } = await tried(Effect.die(new TypeError("undefined is not a function")))
    assert.strictEqual(code, 1)
    assert.match(stderr, /^velero-plugin-test: internal error, please report it: .*undefined is not a function/)
  })
})
