import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import {
  Forbidden,
  Kubernetes,
  type KubernetesError,
  type KubernetesObject,
  NoCluster,
  NotFound,
  Rejected,
  type Resource,
  Unavailable
} from "../../src/kubernetes/Kubernetes.ts"
import * as Memory from "../../src/kubernetes/Memory.ts"
import { action } from "../../src/kyma/SecretRestore.ts"
import * as JsonText from "../../src/testing/JsonText.ts"
import { odd, run } from "./World.ts"

const binding = (metadata: Readonly<Record<string, unknown>> = { uid: "uid-of-binding" }): KubernetesObject => ({
  apiVersion: "servicecatalog.k8s.io/v1beta1",
  kind: "ServiceBinding",
  metadata: { name: "one", namespace: "orders", ...metadata }
})

const reference =
  `{"apiVersion":"servicecatalog.k8s.io/v1beta1","blockOwnerDeletion":true,"controller":true,` +
  `"kind":"ServiceBinding","name":"one","uid":"uid-of-binding"}`

const secret = (metadata = ""): string => odd("v1", "Secret", metadata, `,"data":{"password":"czNjcmV0"}`)

const setting = ["info", "Setting owner reference for Secret one in namespace orders"] as const

/** A cluster that answers every get in the same way, and notes what it was asked for. */
const answering = (
  answer: Effect.Effect<KubernetesObject, KubernetesError>,
  asked: Array<readonly [resource: Resource, namespace: string | undefined, name: string]> = []
): Layer.Layer<Kubernetes> =>
  Layer.mock(Kubernetes)({
    get: (...call) =>
      Effect.andThen(
        Effect.sync(() => asked.push(call)),
        answer
      )
  })

describe("a Secret with a ServiceBinding of its name", () => {
  const cluster = Memory.layer([binding()])

  it.effect.each([
    ["without owners", "", `,"ownerReferences":[${reference}]`],
    ["with null for owners", `,"ownerReferences" : null`, `,"ownerReferences" : [${reference}]`],
    [
      "with other owners, which are replaced",
      `,"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"a","uid":"b"},{"apiVersion":"v1","kind":"Pod","name":"c","uid":"d"}],"labels":{}`,
      `,"ownerReferences":[${reference}],"labels":{}`
    ]
  ] as const)("gets it as its only owner, its controller: %s", ([, before, after]) =>
    Effect.gen(function* () {
      const outcome = yield* run(action, secret(before), cluster)
      assert.deepStrictEqual(outcome, { text: secret(after), isUntouched: false, skip: false, lines: [setting] })
      assert.isTrue((yield* run(action, outcome.text, cluster)).isUntouched, "once more")
    })
  )

  it.effect("asks for the binding by the Secret's own namespace and name, and for nothing else", () =>
    Effect.gen(function* () {
      const asked: Array<readonly [resource: Resource, namespace: string | undefined, name: string]> = []
      yield* run(action, secret(), answering(Effect.succeed(binding()), asked))
      assert.deepStrictEqual(asked, [
        [
          {
            group: "servicecatalog.k8s.io",
            version: "v1beta1",
            resource: "servicebindings",
            kind: "ServiceBinding",
            namespaced: true
          },
          "orders",
          "one"
        ]
      ])
    })
  )

  it.effect("has an owner where it is restored to, never in the namespace that it comes from", () =>
    Effect.gen(function* () {
      const mapping = { orders: "orders-copy" }
      const restored = binding({ uid: "uid-of-binding", namespace: "orders-copy" })
      const living = binding({ uid: "uid-of-the-living" })
      const both = yield* run(action, secret(), Memory.layer([restored, living]), mapping)
      assert.strictEqual(both.text, secret(`,"ownerReferences":[${reference}]`))
      const alone = yield* run(action, secret(), Memory.layer([living]), mapping)
      assert.isTrue(alone.isUntouched, "an owner in another namespace: the garbage collector would delete the Secret")
    })
  )

  it.effect("logs nothing of what the Secret holds", () =>
    Effect.gen(function* () {
      for (const kubernetes of [cluster, Memory.layer()]) {
        const { lines } = yield* run(action, secret(), kubernetes)
        assert.notInclude(JSON.stringify(lines), "czNjcmV0")
      }
    })
  )

  it.effect.prop(
    "keeps every other byte",
    { drawn: JsonText.documents({ duplicates: true }) },
    ({ drawn: { document } }) =>
      Effect.gen(function* () {
        const value = JsonText.print(document.root)
        const of = (metadata: string) => odd("v1", "Secret", metadata, `,"data":${value}`)
        const before = `,"managedFields":${value}`
        const { text } = yield* run(action, of(before), cluster)
        assert.strictEqual(text, of(`${before},"ownerReferences":[${reference}]`))
      }),
    { arbitrary: { runs: 100, size: 250 } }
  )
})

describe("a Secret without a ServiceBinding of its name", () => {
  const missing = `servicebindings.servicecatalog.k8s.io "one" not found`

  it.effect.each([
    ["there is none at all", Memory.layer(), "not found"],
    ["it is in another namespace", Memory.layer([binding({ uid: "u", namespace: "other" })]), "not found"],
    ["it has another name", Memory.layer([binding({ uid: "u", name: "two" })]), "not found"],
    [
      "the API server says so",
      answering(
        Effect.fail(new NotFound({ what: "servicebindings.servicecatalog.k8s.io orders/one", detail: missing }))
      ),
      missing
    ]
  ] as const)("comes back as it came, and that is no error: %s", ([, kubernetes, words]) =>
    Effect.gen(function* () {
      const outcome = yield* run(action, secret(`,"ownerReferences":[]`), kubernetes)
      assert.isTrue(outcome.isUntouched)
      assert.isFalse(outcome.skip)
      assert.deepStrictEqual(outcome.lines, [["info", `Couldn't get SB one: ${words}`]])
    })
  )
})

describe("where the ServiceBinding cannot be had", () => {
  const what = "servicebindings.servicecatalog.k8s.io orders/one"
  it.effect.each<readonly [error: KubernetesError, tag: string, words: string]>([
    [
      new NoCluster({ detail: "no KUBECONFIG" }),
      "NoServiceCatalog",
      "while creating ServiceCatalog client: no Kubernetes"
    ],
    [
      new Forbidden({ verb: "get", what, resource: "servicebindings.servicecatalog.k8s.io", detail: "RBAC says no" }),
      "Forbidden",
      "Grant the verb get on servicebindings.servicecatalog.k8s.io"
    ],
    [new Unavailable({ what, detail: "no answer within 30s" }), "Unavailable", "no answer within 30s"],
    [new Rejected({ verb: "get", what, status: 400, detail: "bad" }), "Rejected", "(400): bad"]
  ])("the item fails, with what to do: %s", ([error, tag, words]) =>
    Effect.gen(function* () {
      const failure = yield* Effect.flip(run(action, secret(), answering(Effect.fail(error))))
      assert.strictEqual(failure._tag, tag)
      assert.include(failure.message, words)
    })
  )

  it.effect.each([
    ["no uid", {}],
    ["a number for one", { uid: 5 }]
  ] as const)("or has %s, the item fails", ([, metadata]) =>
    Effect.gen(function* () {
      const failure = yield* Effect.flip(run(action, secret(), Memory.layer([binding(metadata)])))
      assert.strictEqual(failure._tag, "UnreadableServiceBinding")
      assert.match(failure.message, /^ServiceBinding orders\/one cannot be read: .*uid.*\. Correct or delete it/)
    })
  )
})

describe("an item that is no Secret", () => {
  it.effect.each([["{}"], [`{"kind":"Secret"}`], [`{"kind":"Secret","metadata":{"name":7}}`]])(
    "fails before anything is asked: %s",
    ([item = ""]) =>
      Effect.gen(function* () {
        const asked: Array<readonly [resource: Resource, namespace: string | undefined, name: string]> = []
        const failure = yield* Effect.flip(run(action, item, answering(Effect.succeed(binding()), asked)))
        assert.strictEqual(failure._tag, "UnreadableItem")
        assert.deepStrictEqual(asked, [])
      })
  )
})

describe("the selector", () => {
  it("asks for Secrets in the singular, which Velero resolves", () => {
    assert.deepStrictEqual(action.selector, { includedResources: ["secret"] })
  })
})
