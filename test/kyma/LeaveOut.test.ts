import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { action as byLabel } from "../../src/kyma/ByLabelRestore.ts"
import { action as knative } from "../../src/kyma/KnativeRestore.ts"
import { action as natsChannels } from "../../src/kyma/NatsChannelRestore.ts"
import * as JsonText from "../../src/testing/JsonText.ts"
import { odd, run } from "./World.ts"

const service = (labels: string): string => odd("v1", "Service", `,"labels":${labels}`)
const trigger = (labels: string): string => odd("eventing.knative.dev/v1alpha1", "Broker", `,"labels":${labels}`)

describe.each([
  {
    name: "nats-channels",
    action: natsChannels,
    leftOut: [
      `{"messaging.knative.dev/role":"natss-channel"}`,
      `{"a":"b","messaging.knative.dev/role":"natss-channel"}`
    ],
    restored: [
      `{"messaging.knative.dev/role":"natss-channel-dispatcher"}`,
      `{"messaging.knative.dev/role":""}`,
      `{"role":"natss-channel","natss-channel":"messaging.knative.dev/role"}`
    ],
    reason: ""
  },
  {
    name: "knative-kyma-integration",
    action: knative,
    leftOut: [
      `{"serving.knative.dev/service":"app"}`,
      `{"a":"b","serving.knative.dev/":""}`,
      `{"serving.knative.dev/a":"1","serving.knative.dev/b":"2"}`
    ],
    restored: [
      `{"x.serving.knative.dev/service":"app"}`,
      `{"serving.knative.dev":"app"}`,
      `{"a":"serving.knative.dev/service"}`,
      `{"Serving.knative.dev/service":"app"}`
    ],
    reason: ""
  },
  {
    name: "by-label",
    action: byLabel,
    leftOut: [`{"eventing.knative.dev/broker":"default"}`, `{"a":"b","eventing.knative.dev/broker":"default","c":"d"}`],
    restored: [
      `{"eventing.knative.dev/broker":"mine"}`,
      `{"eventing.knative.dev/broker":"Default"}`,
      `{"default":"eventing.knative.dev/broker"}`
    ],
    reason: " as it had label eventing.knative.dev/broker:default"
  }
])("$name", ({ action, leftOut, reason, restored }) => {
  it.effect.each(leftOut.map((labels) => [labels] as const))("leaves out what is labelled %s", ([labels]) =>
    Effect.gen(function* () {
      const outcome = yield* run(action, service(labels))
      assert.deepStrictEqual(outcome, {
        // Velero reads the item even of an answer that skips it.
        text: service(labels),
        isUntouched: true,
        skip: true,
        lines: [["info", `Ignoring restore of Service orders/one${reason}`]]
      })
      const { lines } = yield* run(action, trigger(labels))
      assert.deepStrictEqual(lines, [["info", `Ignoring restore of Broker.eventing.knative.dev orders/one${reason}`]])
    })
  )

  it.effect.each([...restored, "{}", "null"].map((labels) => [labels] as const))(
    "restores what is labelled %s",
    ([labels]) =>
      Effect.gen(function* () {
        const outcome = yield* run(action, trigger(labels))
        assert.isTrue(outcome.isUntouched)
        assert.isFalse(outcome.skip)
        assert.deepStrictEqual(outcome.lines, [["info", "Restoring Broker.eventing.knative.dev orders/one"]])
      })
  )

  it.effect("restores what has no labels, and names a cluster-scoped item with no namespace, as Go prints it", () =>
    Effect.gen(function* () {
      const { lines, skip } = yield* run(action, {
        apiVersion: "rbac.authorization.k8s.io/v1",
        kind: "ClusterRole",
        metadata: { name: "reader" }
      })
      assert.isFalse(skip)
      assert.deepStrictEqual(lines, [["info", "Restoring ClusterRole.rbac.authorization.k8s.io /reader"]])
    })
  )

  it.effect.each([
    ["no metadata", `{"kind":"Service"}`],
    ["null", `{"kind":"Service","metadata":null}`],
    ["a list", `{"kind":"Service","metadata":[]}`],
    ["a number for a label", `{"kind":"Service","metadata":{"name":"one","labels":{"a":1}}}`]
  ] as const)("fails where metadata cannot be accessed, in the words of the Go original: %s", ([, item]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(run(action, item))
      assert.strictEqual(error._tag, "InaccessibleMetadata")
      assert.match(error.message, /^accessing item metadata: \S.*$/)
    })
  )

  it.effect.prop(
    "answers any item with its own bytes",
    { drawn: JsonText.documents({ duplicates: true }) },
    ({ drawn: { choices, document } }) =>
      Effect.gen(function* () {
        const labels = choices.of(["null", leftOut[0] ?? "", restored[0] ?? ""])
        const item = odd("v1", "Service", `,"labels":${labels},"annotations":null`, `,"spec":${document.text}`)
        const outcome = yield* run(action, item)
        assert.isTrue(outcome.isUntouched)
        assert.strictEqual(outcome.skip, labels === leftOut[0])
      }),
    { arbitrary: { runs: 100, size: 250 } }
  )
})

describe("the selectors", () => {
  it("are those of the Go originals", () => {
    assert.deepStrictEqual(natsChannels.selector, { includedResources: ["services"] })
    assert.deepStrictEqual(knative.selector, { includedNamespaces: ["kyma-integration"] })
    assert.deepStrictEqual(byLabel.selector, {
      excludedNamespaces: ["kyma-system", "knative-eventing", "knative-serving", "istio-system"],
      excludedResources: ["trigger.eventing.knative.dev"]
    })
  })
})
