import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { action } from "../../src/example/CustomRestoreAction.ts"
import * as JsonText from "../../src/testing/JsonText.ts"
import { type Line, odd, plugin, restore } from "./World.ts"

const lines: ReadonlyArray<Line> = [
  ["info", "Executing custom restore action"],
  ["info", "Set replicas to 1 for one"]
]

describe("a Deployment or a StatefulSet", () => {
  it.effect.each([
    [`{"replicas":3}`, `{"replicas":1}`],
    [`{ "a":1.0, "replicas" : 0 }`, `{ "a":1.0, "replicas" : 1 }`],
    [`{"replicas":null}`, `{"replicas":1}`],
    [`{"a":1.0}`, `{"a":1.0,"replicas":1}`],
    [`{}`, `{"replicas":1}`]
  ] as const)("is restored with one replica: %s", ([before, after]) =>
    Effect.gen(function* () {
      const outcome = yield* restore(action, odd("StatefulSet", "", `,"spec":${before}`))
      assert.strictEqual(outcome.text, odd("StatefulSet", "", `,"spec":${after}`))
      assert.isFalse(outcome.isUntouched)
      assert.deepStrictEqual(outcome.lines, [...lines])
    })
  )

  it.effect("with one replica comes back as it came", () =>
    Effect.gen(function* () {
      const outcome = yield* restore(action, odd("Deployment", "", `,"spec":{"replicas":1}`))
      assert.isTrue(outcome.isUntouched)
      assert.deepStrictEqual(outcome.lines, [...lines])
    })
  )

  it.effect.each([[""], [`,"spec":null`], [`,"spec":[]`], [`,"spec":{"replicas":"3"}`]])(
    "without a spec is an error that names action, item and field: %s",
    ([spec = ""]) =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(restore(action, odd("Deployment", "", spec)))
        assert.strictEqual(error._tag, "UnreadableItem")
        for (const part of [plugin, "Deployment shop/one", `"spec"`]) assert.include(error.message, part)
      })
  )

  it.effect.prop(
    "keeps every other byte",
    { drawn: JsonText.documents({ duplicates: true }) },
    ({ drawn: { choices, document } }) =>
      Effect.gen(function* () {
        const value = JsonText.print(document.root)
        const replicas = choices.of(["0", "2", "null", "2147483647"])
        const of = (count: string) =>
          odd("Deployment", `,"x":${value}`, `,"spec":{"template":${value},"replicas": ${count} },"y":${value}`)
        assert.strictEqual((yield* restore(action, of(replicas))).text, of("1"))
      }),
    { arbitrary: { runs: 100, size: 250 } }
  )
})

describe("the selector", () => {
  it("asks for Deployments and StatefulSets", () => {
    assert.deepStrictEqual(action.selector, { includedResources: ["deployments", "statefulsets"] })
  })
})
