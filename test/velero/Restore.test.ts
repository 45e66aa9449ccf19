import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import * as Restore from "../../src/velero/Restore.ts"

const decode = Schema.decodeUnknownSync(Restore.Restore)

describe("Restore", () => {
  it.each([
    {},
    { metadata: null, spec: null, status: null },
    {
      metadata: { name: null, namespace: null, uid: null, creationTimestamp: null, labels: null, annotations: null },
      spec: { backupName: null, namespaceMapping: null, existingResourcePolicy: null },
      status: { phase: null, startTimestamp: null }
    }
  ])("reads what Go writes for nothing: %j", (restore) =>
    assert.deepStrictEqual(decode(restore), restore as Restore.Restore)
  )
})

describe("key and describe", () => {
  it.each<readonly [restore: Restore.Restore, key: string, text: string]>([
    [{ metadata: { name: "r", namespace: "velero", uid: "u1" } }, "u1", "velero/r"],
    [{ metadata: { name: "r", namespace: "velero", uid: "" } }, "velero/r", "velero/r"],
    [{ metadata: null }, "/", "/"],
    [{}, "/", "/"]
  ])("of %j are %s and %s", (restore, key, text) => {
    assert.strictEqual(Restore.key(restore), key)
    assert.strictEqual(Restore.describe(restore), text)
  })
})

describe("targetNamespace", () => {
  it.each<readonly [mapping: Readonly<Record<string, string>> | null, namespace: string, target: string]>([
    [{ shop: "shop-restored" }, "shop", "shop-restored"],
    [{ shop: "shop-restored" }, "other", "other"],
    // Velero maps once, not along a chain.
    [{ a: "b", b: "c" }, "a", "b"],
    [{ shop: "" }, "shop", "shop"],
    [{}, "shop", "shop"],
    [null, "shop", "shop"],
    // Cluster-scoped.
    [{ shop: "shop-restored" }, "", ""],
    // A good name for a namespace, and of what every object inherits.
    [{ shop: "shop-restored" }, "constructor", "constructor"]
  ])("by %j of %j is %j", (namespaceMapping, namespace, target) =>
    assert.strictEqual(Restore.targetNamespace({ spec: { namespaceMapping } }, namespace), target)
  )

  it("is the same namespace without a mapping", () => {
    for (const restore of [{}, { spec: null }, { spec: {} }]) {
      assert.strictEqual(Restore.targetNamespace(restore, "shop"), "shop")
    }
  })
})
