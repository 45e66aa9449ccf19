/**
 * `example.com/configurable-action`: sets an annotation whose key comes from the plugin's ConfigMap.
 *
 * It is called for what bears the label `backup-required=true`, whatever kind that is: an action is specific about its items,
 * so that Velero asks it about no others.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { info } from "../velero/Action.ts"
import * as BackupItemAction from "../velero/BackupItemAction.ts"
import * as Item from "../velero/Item.ts"
import * as Json from "../velero/Json.ts"
import * as View from "../velero/View.ts"

const defaultKey = "backup.example.com/default"

/** As Kubernetes demands it: the stored item could not be restored with another one. Nothing stands for the default. */
const annotationKey = /^$|^([a-z0-9]([-a-z0-9.]*[a-z0-9])?\/)?[A-Za-z0-9]([-\w.]{0,61}[A-Za-z0-9])?$/

/** Schema of the ConfigMap's `data`. The SDK finds the ConfigMap, and names it where a value is refused. */
export const Config = Schema.Struct({
  annotationKey: Schema.String.check(
    Schema.isPattern(annotationKey, { message: "expected an annotation's key, such as custom.example.com/backup" })
  ).pipe(Schema.withDecodingDefaultKey(Effect.succeed("")))
})

const Labelled = Schema.Struct({ metadata: View.Metadata })

export const transform = (config: typeof Config.Type) => {
  const key = config.annotationKey || defaultKey
  return { patches: [Json.set(["metadata", "annotations", key], "true")], notes: [info(`Annotated with ${key}`)] }
}

export const action = BackupItemAction.make({
  selector: { labelSelector: "backup-required=true" },
  config: Config,
  decode: Labelled,
  fetch: (_, { config }) => Effect.succeed(config),
  transform: (_, config) => Result.succeed(transform(config)),
  encode: (item, { notes, patches }) => ({ item: Item.patch(item, patches), notes })
})
