/**
 * `kyma-project.io/instances-restore-plugin`: takes what names the old cluster's classes and plans off ServiceInstances.
 *
 * Service Catalog resolves `serviceClassRef` and `servicePlanRef` by itself, from the external names beside them; restored
 * references lead to objects of the cluster that was backed up.
 *
 * @see https://github.com/kyma-project/kyma/pull/8261 (which removed the Go original, `RemoveServiceInstanceFields`)
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { info, type Note } from "../velero/Action.ts"
import * as Item from "../velero/Item.ts"
import type { Patch } from "../velero/Json.ts"
import * as Json from "../velero/Json.ts"
import * as RestoreItemAction from "../velero/RestoreItemAction.ts"
import * as View from "../velero/View.ts"

const ServiceInstance = Schema.Struct({ metadata: View.Metadata })

export interface Decision {
  readonly patches: ReadonlyArray<Patch>
  readonly note: Note
}

/** Both references go, whether they are there or not. */
export const transform = ({ metadata }: typeof ServiceInstance.Type): Decision => ({
  patches: [Json.remove(["spec", "serviceClassRef"]), Json.remove(["spec", "servicePlanRef"])],
  note: info(
    `Removing serviceClassRef/servicePlanRef fields from instance ${metadata.name} in namespace ${metadata.namespace ?? ""}`
  )
})

export const action = RestoreItemAction.make({
  selector: { includedResources: ["serviceinstance"] },
  decode: ServiceInstance,
  fetch: () => Effect.void,
  transform: (instance) => Result.succeed(transform(instance)),
  encode: (item, { note, patches }) => ({ item: Item.patch(item, patches), notes: [note] })
})
