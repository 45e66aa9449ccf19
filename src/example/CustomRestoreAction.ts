/**
 * `example.com/custom-restore-action`: restores Deployments and StatefulSets with one replica.
 *
 * An item without a `spec` is an error by its view alone: Velero's log then names the action, the item and the missing field.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { info } from "../velero/Action.ts"
import * as Item from "../velero/Item.ts"
import * as Json from "../velero/Json.ts"
import * as RestoreItemAction from "../velero/RestoreItemAction.ts"
import * as View from "../velero/View.ts"

const Workload = Schema.Struct({
  metadata: View.Metadata,
  spec: Schema.Struct({ replicas: View.optional(Schema.Int) })
})

export const transform = ({ metadata }: typeof Workload.Type) => ({
  patches: [Json.set(["spec", "replicas"], 1)],
  notes: [info("Executing custom restore action"), info(`Set replicas to 1 for ${metadata.name}`)]
})

export const action = RestoreItemAction.make({
  selector: { includedResources: ["deployments", "statefulsets"] },
  decode: Workload,
  fetch: () => Effect.void,
  transform: (workload) => Result.succeed(transform(workload)),
  encode: (item, { notes, patches }) => ({ item: Item.patch(item, patches), notes })
})
