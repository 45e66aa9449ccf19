/**
 * `replicated.com/deployment-restore-plugin`: removes init containers that wait for a migration Job, which no restore runs.
 *
 * Plugin configuration `initContainers`: their names, separated by commas or white space; default `wait-for-migration-job`.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import { info, type Note } from "../velero/Action.ts"
import * as Item from "../velero/Item.ts"
import type { Patch } from "../velero/Json.ts"
import * as Json from "../velero/Json.ts"
import * as RestoreItemAction from "../velero/RestoreItemAction.ts"
import * as View from "../velero/View.ts"

const Names = Schema.String.pipe(
  Schema.decodeTo(
    Schema.Array(Schema.String),
    SchemaTransformation.transform({
      decode: (text): ReadonlyArray<string> => text.split(/[\s,]+/).filter((name) => name !== ""),
      encode: (names) => names.join(",")
    })
  )
)

export const Config = Schema.Struct({
  initContainers: Names.pipe(Schema.withDecodingDefaultKey(Effect.succeed("wait-for-migration-job")))
})

const Deployment = Schema.Struct({
  metadata: View.Metadata,
  spec: View.optional(
    Schema.Struct({
      template: View.optional(
        Schema.Struct({
          spec: View.optional(
            Schema.Struct({ initContainers: View.optional(Schema.Array(Schema.Struct({ name: Schema.String }))) })
          )
        })
      )
    })
  )
})

export interface Decision {
  readonly patches: ReadonlyArray<Patch>
  readonly notes: ReadonlyArray<Note>
}

const listPath: Json.Path = ["spec", "template", "spec", "initContainers"]

/** Which init containers to remove; the list itself goes with its last one. */
export const transform = (
  { metadata, spec }: typeof Deployment.Type,
  { initContainers }: typeof Config.Type
): Decision => {
  const containers = spec?.template?.spec?.initContainers ?? []
  const removed = containers.flatMap(({ name }, index) => (initContainers.includes(name) ? [{ name, index }] : []))
  if (removed.length === 0) return { patches: [], notes: [] }
  return {
    // From the last to the first, so that indices stay true.
    patches:
      removed.length === containers.length
        ? [Json.remove(listPath)]
        : removed.toReversed().map(({ index }) => Json.remove([...listPath, index])),
    notes: [
      info(
        `Deployment ${metadata.namespace ?? ""}/${metadata.name}: removed init container ${removed.map(({ name }) => name).join(", ")}`
      )
    ]
  }
}

export const action = RestoreItemAction.make({
  selector: { includedResources: ["deployments"] },
  config: Config,
  decode: Deployment,
  fetch: (_, { config }) => Effect.succeed(config),
  transform: (deployment, config) => Result.succeed(transform(deployment, config)),
  encode: (item, { notes, patches }) => ({ item: Item.patch(item, patches), notes })
})
