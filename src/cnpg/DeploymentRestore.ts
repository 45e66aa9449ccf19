/**
 * `replicated.com/deployment-restore-plugin`: removes init containers that wait for a migration Job, which no restore runs.
 *
 * Setting `velero-cnpg/init-containers`: their names; default `wait-for-migration-job`.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { info, type Note } from "../velero/Action.ts"
import * as Item from "../velero/Item.ts"
import type { Patch } from "../velero/Json.ts"
import * as Json from "../velero/Json.ts"
import * as RestoreItemAction from "../velero/RestoreItemAction.ts"
import * as View from "../velero/View.ts"
import * as Setting from "./Setting.ts"

export const setting: Setting.Setting<ReadonlyArray<string>> = {
  annotation: "velero-cnpg/init-containers",
  key: "initContainers",
  plugin: "replicated.com/deployment-restore-plugin",
  on: "Restore",
  isOfCluster: false,
  values: "names of containers, separated by commas or white space",
  default: "wait-for-migration-job",
  description: "The init containers that are removed from Deployments. Without a name none is.",
  parse: (text) => Option.some(text.split(/[\s,]+/).filter((name) => name !== ""))
}

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
  initContainers: ReadonlyArray<string>
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
  config: Setting.config([setting]),
  decode: Deployment,
  fetch: (_, { config, restore }) => Effect.succeed({ velero: restore, config }),
  transform: (deployment, places) =>
    Result.map(Setting.choose(setting, places), (names) => transform(deployment, names)),
  encode: (item, { notes, patches }) => ({ item: Item.patch(item, patches), notes })
})
