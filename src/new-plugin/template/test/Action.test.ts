import { expect, test } from "bun:test"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Actions from "velero-plugin-cnpg/testing/Actions"
import * as Items from "velero-plugin-cnpg/testing/Items"
import { action } from "../src/Action.ts"

const configMap = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "settings", namespace: "shop" } }

test("a ConfigMap is stored with the name of its backup", async () => {
  const { item, lines } = await Effect.runPromise(Actions.backUp(action, configMap))
  expect(item.tree["metadata"]).toEqual({
    ...configMap.metadata,
    annotations: { "example.com/my-plugin": "velero/nightly" }
  })
  expect(lines).toEqual([["info", "settings is in velero/nightly"]])
})

test("what the action does not own comes back byte for byte", async () => {
  const owned = [["metadata", "annotations", "example.com/my-plugin"]]
  const property = Arbitrary.checkEffect(Items.texts(configMap), (text) =>
    Effect.map(Actions.backUp(action, text), ({ item }) =>
      Bun.deepEquals(Items.outside(item.text, owned), Items.outside(text, owned))
    )
  )
  expect(Arbitrary.formatCheckFailure(await Effect.runPromise(property))).toBeUndefined()
})
