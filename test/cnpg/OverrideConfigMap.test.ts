import { assert, describe, it } from "@effect/vitest"
import * as OverrideConfigMap from "../../src/cnpg/OverrideConfigMap.ts"

const override: OverrideConfigMap.Override = {
  namespace: "shop-2",
  cluster: "orders",
  writeTo: "orders-20261119-093000",
  readFrom: "orders-v1",
  restore: "uid-of-restore"
}

describe("the ConfigMap", () => {
  it("has the keys of the Go plugin, those of the Cluster, and stays when Helm goes", () => {
    assert.deepStrictEqual(OverrideConfigMap.toObject(override) as unknown, {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: {
        name: "cnpg-velero-override",
        namespace: "shop-2",
        annotations: { "helm.sh/resource-policy": "keep", "velero-cnpg/restore.orders": "uid-of-restore" }
      },
      data: {
        write_to_server_name: "orders-20261119-093000",
        read_from_server_name: "orders-v1",
        "orders.write_to_server_name": "orders-20261119-093000",
        "orders.read_from_server_name": "orders-v1"
      }
    })
  })

  it("has names that Kubernetes accepts for the longest Cluster name", () => {
    const cluster = `a${"b".repeat(48)}c`
    const { data, metadata } = OverrideConfigMap.toObject({ ...override, cluster }) as unknown as {
      readonly data: Readonly<Record<string, string>>
      readonly metadata: { readonly annotations: Readonly<Record<string, string>> }
    }
    for (const key of Object.keys(data)) assert.match(key, /^[-._a-zA-Z0-9]{1,253}$/)
    for (const key of Object.keys(metadata.annotations)) {
      const [prefix = "", name = ""] = key.split("/")
      assert.match(prefix, /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/)
      assert.match(name, /^[A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?$/)
    }
    assert.isAtMost(OverrideConfigMap.fieldManager(cluster).length, 128)
  })

  it("is owned by one field manager for each Cluster, so that one Cluster's apply keeps the other's keys", () => {
    assert.notStrictEqual(OverrideConfigMap.fieldManager("orders"), OverrideConfigMap.fieldManager("audit"))
    assert.match(OverrideConfigMap.fieldManager("orders"), /^velero-plugin-cnpg/)
  })
})

describe("the server names in it", () => {
  it("are those of any Cluster, ours or the Go plugin's, and nothing else", () => {
    assert.deepStrictEqual(
      [
        ...OverrideConfigMap.serverNames({
          data: {
            write_to_server_name: "a",
            read_from_server_name: "b",
            "orders.write_to_server_name": "c",
            "audit.read_from_server_name": "d",
            unrelated: "e",
            "write_to_server_name.note": "f"
          }
        })
      ].toSorted(),
      ["a", "b", "c", "d"]
    )
  })

  it("are none of no ConfigMap, of one without data, or with data of other people", () => {
    for (const none of [undefined, {}, { data: null }, { data: { write_to_server_name: 1 } }]) {
      assert.strictEqual(OverrideConfigMap.serverNames(none).size, 0)
    }
  })
})

describe("the name that this Restore gave a Cluster before", () => {
  const written = OverrideConfigMap.toObject(override)

  it("is found by Cluster and Restore", () => {
    assert.strictEqual(OverrideConfigMap.nameGivenBy(written, "orders", "uid-of-restore"), "orders-20261119-093000")
  })

  it.for([
    ["another Restore", "orders", "uid-of-another"],
    ["another Cluster", "audit", "uid-of-restore"],
    ["a Cluster whose name ends alike", "rders", "uid-of-restore"]
  ] as const)("is not found for %s", ([, cluster, restore]) => {
    assert.isUndefined(OverrideConfigMap.nameGivenBy(written, cluster, restore))
  })

  it("is not found where there is no ConfigMap, or the key is gone", () => {
    assert.isUndefined(OverrideConfigMap.nameGivenBy(undefined, "orders", "uid-of-restore"))
    assert.isUndefined(OverrideConfigMap.nameGivenBy({ ...written, data: null }, "orders", "uid-of-restore"))
    assert.isUndefined(OverrideConfigMap.nameGivenBy({ ...written, metadata: {} }, "orders", "uid-of-restore"))
  })
})
