import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as RecoverFrom from "../../src/cnpg/RecoverFrom.ts"
import type { Restore } from "../../src/velero/Restore.ts"

const restore = (annotation?: string): Restore => ({
  metadata: {
    name: "monday",
    ...(annotation === undefined ? {} : { annotations: { "velero-cnpg/recover-from": annotation } })
  }
})

const choose = (ofRestore: string | undefined, ofCluster: string | undefined): string => {
  const chosen = RecoverFrom.choose(restore(ofRestore), "Cluster shop/orders", ofCluster)
  return Result.isSuccess(chosen) ? chosen.success : chosen.failure.message
}

describe("where a Cluster gets its data from", () => {
  it.for([
    [undefined, undefined, "object-store"],
    [undefined, "volumes", "volumes"],
    [undefined, "object-store", "object-store"],
    ["volumes", undefined, "volumes"],
    ["volumes", "object-store", "volumes"],
    ["object-store", "volumes", "object-store"],
    ["volumes", "nonsense", "volumes"]
  ] as const)("Restore says %s, Cluster says %s: %s", ([ofRestore, ofCluster, expected]) => {
    assert.strictEqual(choose(ofRestore, ofCluster), expected)
  })

  it.for([
    ["tape", undefined, "Restore monday", '"tape"'],
    ["tape", "volumes", "Restore monday", '"tape"'],
    ["", "volumes", "Restore monday", '""'],
    ["Volumes", undefined, "Restore monday", '"Volumes"'],
    [undefined, "volume", "Cluster shop/orders", '"volume"'],
    [undefined, "", "Cluster shop/orders", '""'],
    [undefined, " volumes", "Cluster shop/orders", '" volumes"']
  ] as const)("Restore says %s, Cluster says %s: refused", ([ofRestore, ofCluster, where, value]) => {
    const message = choose(ofRestore, ofCluster)
    for (const part of ["velero-cnpg/recover-from", where, value, "object-store or volumes"]) {
      assert.include(message, part)
    }
  })

  it("takes a Restore without annotations or metadata for silent", () => {
    for (const silent of [
      {},
      { metadata: null },
      { metadata: { annotations: null } },
      { metadata: { annotations: {} } }
    ]) {
      assert.deepStrictEqual(RecoverFrom.choose(silent, "Cluster", "volumes"), Result.succeed("volumes" as const))
    }
  })
})
