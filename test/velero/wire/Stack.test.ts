import { assert, describe, it } from "@effect/vitest"
import * as Data from "effect/Data"
import { Stack } from "../../../src/generated/velero/shared.ts"
import { details, stackFrames } from "../../../src/velero/wire/Stack.ts"

class Refused extends Data.TaggedError("Refused")<{ readonly message: string }> {}

const withStack = (stack: string | undefined): Error => Object.assign(new Error("no"), { stack })

describe("stackFrames", () => {
  it.each<readonly [line: string, file: string, lineNumber: number, name: string]>([
    ["    at fetch (/plugin/a.ts:12:3)", "/plugin/a.ts", 12, "fetch"],
    ["    at async fetch (/plugin/a.ts:12:3)", "/plugin/a.ts", 12, "fetch"],
    ["    at new Thing (/plugin/a.ts:12:3)", "/plugin/a.ts", 12, "new Thing"],
    ["    at <anonymous> (/plugin/a.ts:12:3)", "/plugin/a.ts", 12, "<anonymous>"],
    ["    at Object.run [as go] (/plugin/a.ts:12)", "/plugin/a.ts", 12, "Object.run [as go]"],
    ["    at /plugin/a.ts:12:3", "/plugin/a.ts", 12, "<anonymous>"],
    ["    at fetch (file:///plugin/a (1).ts:12:3)", "file:///plugin/a (1).ts", 12, "fetch"]
  ])("of %s", (line, file, number, name) => {
    assert.deepStrictEqual(stackFrames(withStack(`Error: no\n${line}\n    at processTicksAndRejections (native)`)), [
      { file, line: number, function: name }
    ])
  })

  it("are those of a real error, innermost first", () => {
    const [first] = stackFrames(new Refused({ message: "no" }))
    assert.match(first?.file ?? "", /Stack\.test\.ts$/)
    assert.isAbove(first?.line ?? 0, 0)
  })

  it("are at most 16", () => {
    const lines = Array.from({ length: 50 }, (_, index) => `    at f${index} (a.ts:${index}:1)`)
    const frames = stackFrames(withStack(["Error: no", ...lines].join("\n")))
    assert.deepStrictEqual([frames.length, frames[0]?.function, frames.at(-1)?.function], [16, "f0", "f15"])
  })

  it.each([undefined, null, "Error\n    at f (a.ts:1:1)", 5, {}, withStack(undefined), withStack("Error: no")])(
    "of %o are none",
    (error) => assert.deepStrictEqual(stackFrames(error), [])
  )
})

describe("details", () => {
  it("hold the frames as Velero's message", () => {
    const [any, ...others] = details(withStack("Error: no\n    at fetch (/plugin/a.ts:12:3)"))
    assert.strictEqual(any?.typeUrl, "type.googleapis.com/generated.Stack")
    assert.deepStrictEqual(Stack.decode(any?.value ?? new Uint8Array()), {
      frames: [{ file: "/plugin/a.ts", line: 12, function: "fetch" }]
    })
    assert.deepStrictEqual(others, [])
  })

  it("are none without frames", () => assert.deepStrictEqual(details("oops"), []))
})
