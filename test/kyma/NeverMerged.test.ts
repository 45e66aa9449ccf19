/** Selectors of actions that Kyma's pull requests had, and its master never: an SDK for them says the same to Velero. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { RestoreItemActionDefinition as V1 } from "../../src/generated/velero/restore_item_action_v1.ts"
import * as Plugin from "../../src/velero/Plugin.ts"
import type { ResourceSelector } from "../../src/velero/Resources.ts"
import * as RestoreItemAction from "../../src/velero/RestoreItemAction.ts"
import { services } from "../../src/velero/wire/RestoreItemActions.ts"
import * as Fixtures from "../velero/Fixtures.ts"

/** An action that does nothing, with a selector. */
const selecting = (selector: ResourceSelector) =>
  RestoreItemAction.make({
    selector,
    decode: Schema.Unknown,
    fetch: () => Effect.void,
    transform: () => Result.succeed(undefined),
    encode: (item) => ({ item })
  })

const functionPlugin = {
  includedResources: [
    "all",
    "serviceinstance",
    "servicebinding",
    "servicebindingusage",
    "function",
    "subscription",
    "api",
    "eventactivation"
  ],
  excludedNamespaces: [
    "default",
    "heptio-ark",
    "istio-system",
    "kube-public",
    "kube-system",
    "kyma-installer",
    "kyma-integration",
    "kyma-system"
  ],
  labelSelector: "function"
}

const natsChannelOwner = { includedResources: ["service"], labelSelector: "messaging.knative.dev/role=natss-channel" }

describe("the selector that was proposed for", () => {
  it.effect.each<readonly [pullRequests: string, name: string, selector: ResourceSelector]>([
    ["#2348 and #2425", "FunctionPluginRestore", functionPlugin],
    ["#6050", "SetNatsChannelOwnerReference", natsChannelOwner]
  ])("%s, %s, reaches Velero whole", ([, , selector]) =>
    Effect.gen(function* () {
      const plugin = "example.com/proposed"
      const served = services([Plugin.restoreItemAction(plugin, () => Promise.resolve(selecting(selector)))])
      const { ResourceSelector: message } = yield* Fixtures.invoke(served, V1, V1.methods.appliesTo, { plugin })
      assert.deepStrictEqual(message, {
        includedNamespaces: [],
        excludedNamespaces: [...(selector.excludedNamespaces ?? [])],
        includedResources: [...(selector.includedResources ?? [])],
        excludedResources: [],
        selector: selector.labelSelector ?? ""
      })
    }).pipe(Effect.provide(Fixtures.noConfig))
  )
})
