import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import * as Backup from "../../src/velero/Backup.ts"

const decode = Schema.decodeUnknownSync(Backup.Backup)

describe("Backup", () => {
  it.each([
    {},
    { metadata: null, spec: null, status: null },
    {
      metadata: { name: null, namespace: null, uid: null, creationTimestamp: null, labels: null, annotations: null },
      spec: { includedNamespaces: null, excludedNamespaces: null, includedResources: null, excludedResources: null },
      status: { phase: null }
    }
  ])("reads what Go writes for nothing: %j", (backup) =>
    assert.deepStrictEqual(decode(backup), backup as Backup.Backup)
  )

  it("reads what actions need, and ignores the rest", () => {
    const read = {
      metadata: { name: "nightly", namespace: "velero", uid: "u1", labels: { a: "b" } },
      spec: { includedNamespaces: ["shop", "*"] },
      status: { phase: "InProgress" }
    }
    const written = { ...read, kind: "Backup", spec: { ...read.spec, ttl: "720h0m0s", hooks: { resources: null } } }
    assert.deepStrictEqual(decode(written), read)
  })
})

describe("key", () => {
  it.each<readonly [backup: Backup.Backup, key: string]>([
    [{ metadata: { name: "nightly", namespace: "velero", uid: "u1" } }, "u1"],
    [{ metadata: { name: "nightly", namespace: "velero", uid: "" } }, "velero/nightly"],
    [{ metadata: { name: "nightly", namespace: null, uid: null } }, "/nightly"],
    [{ metadata: null }, "/"],
    [{}, "/"]
  ])("of %j is %s", (backup, key) => assert.strictEqual(Backup.key(backup), key))
})

describe("describe", () => {
  it.each<readonly [backup: Backup.Backup, text: string]>([
    [{ metadata: { name: "nightly", namespace: "velero", uid: "u1" } }, "velero/nightly"],
    [{ metadata: null }, "/"]
  ])("of %j is %s", (backup, text) => assert.strictEqual(Backup.describe(backup), text))
})

describe("isFinalizing", () => {
  it.each<readonly [phase: string | null, expected: boolean]>([
    ["Finalizing", true],
    ["FinalizingPartiallyFailed", true],
    ["InProgress", false],
    ["WaitingForPluginOperations", false],
    ["Completed", false],
    ["", false],
    [null, false]
  ])("in phase %s is %s", (phase, expected) => assert.strictEqual(Backup.isFinalizing({ status: { phase } }), expected))

  it("is false without a status", () => {
    assert.isFalse(Backup.isFinalizing({}))
    assert.isFalse(Backup.isFinalizing({ status: null }))
  })
})
