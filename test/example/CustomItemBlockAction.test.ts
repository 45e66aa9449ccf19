import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { action } from "../../src/example/CustomItemBlockAction.ts"
import { odd, relatedTo } from "./World.ts"

const configMap = (name: string) => ({ group: "", resource: "configmaps", namespace: "shop", name })
const secret = (name: string) => ({ group: "", resource: "secrets", namespace: "shop", name })

const pod = (volumes: string): string => odd("Pod", "", `,"spec":{"volumes":${volumes}}`)

describe("a Pod", () => {
  it.effect("belongs together with the ConfigMaps and Secrets that it mounts, each once", () =>
    Effect.gen(function* () {
      const volumes = JSON.stringify([
        { name: "a", configMap: { name: "settings" } },
        { name: "b", secret: { secretName: "settings" } },
        { name: "c", persistentVolumeClaim: { claimName: "data" } },
        { name: "d", emptyDir: {} },
        { name: "e", configMap: { name: "settings", items: [] } },
        { name: "f", secret: { secretName: "tls" } }
      ])
      assert.deepStrictEqual(yield* relatedTo(action, pod(volumes)), [
        configMap("settings"),
        secret("settings"),
        secret("tls")
      ])
    })
  )

  it.effect.each([
    [odd("Pod")],
    [odd("Pod", "", `,"spec":null`)],
    [pod("null")],
    [pod("[]")],
    [pod(`[{"configMap":{}},{"secret":{"optional":true}},{"configMap":null}]`)]
  ])("belongs together with nothing where it mounts none: %s", ([item = ""]) =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* relatedTo(action, item), [])
    })
  )

  it.effect("is an error where it cannot be read", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* Effect.flip(relatedTo(action, pod("{}"))))._tag, "UnreadableItem")
    })
  )
})

describe("the selector", () => {
  it("asks for Pods", () => {
    assert.deepStrictEqual(action.selector, { includedResources: ["pods"] })
  })
})
