import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { action } from "../../src/kyma/ServiceInstanceRestore.ts"
import * as JsonText from "../../src/testing/JsonText.ts"
import { odd, plugin, run } from "./World.ts"

const line = ["info", "Removing serviceClassRef/servicePlanRef fields from instance one in namespace orders"] as const

const instance = (spec: string): string =>
  odd("servicecatalog.k8s.io/v1beta1", "ServiceInstance", "", `,"spec":${spec}`)

const classRef = `"serviceClassRef" : {"name":"4f6e6cf6"}`
const planRef = `"servicePlanRef":{ "name":"86064792" }`

describe("a ServiceInstance", () => {
  it.effect.each([
    [`{${classRef},${planRef}}`, "{}"],
    [`{"a":1.0,${classRef}, "b":2.0, ${planRef}}`, `{"a":1.0, "b":2.0}`],
    [`{ ${planRef} ,"a":1.0,${classRef}}`, `{ "a":1.0}`],
    [`{"serviceClassRef":null,"serviceClassExternalName":"redis"}`, `{"serviceClassExternalName":"redis"}`],
    [`{"clusterServiceClassRef":{},${planRef}}`, `{"clusterServiceClassRef":{}}`]
  ] as const)("loses both references, and nothing else: %s", ([spec, without]) =>
    Effect.gen(function* () {
      const outcome = yield* run(action, instance(spec))
      assert.deepStrictEqual(outcome, {
        text: instance(without),
        isUntouched: false,
        skip: false,
        lines: [line]
      })
      assert.isTrue((yield* run(action, outcome.text)).isUntouched, "once more")
    })
  )

  it.effect.each([["{}"], ["null"], [`{"serviceClassExternalName":"redis","parameters":{"serviceClassRef":{}}}`]])(
    "without them comes back as it came, and is logged all the same: %s",
    ([spec = ""]) =>
      Effect.gen(function* () {
        const outcome = yield* run(action, instance(spec))
        assert.isTrue(outcome.isUntouched)
        assert.deepStrictEqual(outcome.lines, [line])
      })
  )

  it.effect("without a namespace is logged with none, as in Go", () =>
    Effect.gen(function* () {
      const { lines } = yield* run(action, { kind: "ServiceInstance", metadata: { name: "one" } })
      assert.deepStrictEqual(lines, [[line[0], line[1].replace("orders", "")]])
    })
  )

  it.effect.each([["{}"], [`{"metadata":null}`], [`{"metadata":{"name":7}}`], [`{"metadata":{"labels":{"a":1}}}`]])(
    "is an error where its metadata cannot be read: %s",
    ([item = ""]) =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(run(action, item))
        assert.strictEqual(error._tag, "UnreadableItem")
        assert.include(error.message, `${plugin} cannot read`)
      })
  )

  it.effect.prop(
    "keeps every other byte",
    { drawn: JsonText.documents({ duplicates: true }) },
    ({ drawn: { choices, document } }) =>
      Effect.gen(function* () {
        const value = JsonText.print(document.root)
        const members = choices.of([
          [`${classRef},`, ""],
          [`${classRef},${planRef},`, ""],
          [`"x":${value},${planRef},${classRef},`, `"x":${value},`]
        ] as const)
        const of = (refs: string) => instance(`{${refs}"z":${value}}`)
        assert.strictEqual((yield* run(action, of(members[0]))).text, of(members[1]))
      }),
    { arbitrary: { runs: 100, size: 250 } }
  )
})

describe("the selector", () => {
  it("asks for them in the singular, which Velero resolves", () => {
    assert.deepStrictEqual(action.selector, { includedResources: ["serviceinstance"] })
  })
})
